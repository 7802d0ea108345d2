import { full, partial, type SyscallRow } from '../row.js';
import { accept, accept4, bind, connect, getpeername, getsockname, listen, shutdown } from './connection.js';
import { getsockopt, setsockopt } from './options.js';
import { recvfrom, recvmmsg, recvmsg } from './receive.js';
import { sendmmsg, sendmsg, sendto } from './send.js';
import { socket, socketpair } from './socket.js';

/** System calls of the socket family: one row each. */
export const socketRows: readonly SyscallRow[] = [
  partial(
    'socket',
    'domain:socket-domain type:socket-type protocol:int',
    socket,
    'AF_UNIX, AF_INET, AF_INET6 (TCP, UDP and UDP-Lite) and NETLINK_ROUTE; raw sockets EPERM, other families EAFNOSUPPORT',
    { result: 'fd' },
  ),
  full('socketpair', 'domain:socket-domain type:socket-type protocol:int sv:int-pair-out', socketpair),
  full('bind', 'sockfd:fd addr:sockaddr(addrlen) addrlen:uint', bind, { security: true }),
  partial(
    'connect',
    'sockfd:fd addr:sockaddr(addrlen) addrlen:uint',
    connect,
    'reaches the loopback of the sandbox only; other destinations answer ENETUNREACH',
    { security: true },
  ),
  full('listen', 'sockfd:fd backlog:int', listen, { security: true }),
  full('accept', 'sockfd:fd addr:address addrlen:address', accept, { result: 'fd' }),
  full('accept4', 'sockfd:fd addr:address addrlen:address flags:accept-flags', accept4, { result: 'fd' }),
  full('getsockname', 'sockfd:fd addr:address addrlen:address', getsockname),
  full('getpeername', 'sockfd:fd addr:address addrlen:address', getpeername),
  full('sendto', 'sockfd:fd buf:buffer(len) len:size flags:msg-flags addr:sockaddr(addrlen) addrlen:uint', sendto),
  full('sendmsg', 'sockfd:fd msg:address flags:msg-flags', sendmsg),
  partial(
    'sendmmsg',
    'sockfd:fd msgvec:address vlen:uint flags:msg-flags',
    sendmmsg,
    'waits for room for the first message only; the count tells how many were sent',
  ),
  full('recvfrom', 'sockfd:fd buf:buffer-out(len) len:size flags:msg-flags addr:address addrlen:address', recvfrom),
  full('recvmsg', 'sockfd:fd msg:address flags:msg-flags', recvmsg),
  full('recvmmsg', 'sockfd:fd msgvec:address vlen:uint flags:msg-flags timeout:timespec', recvmmsg),
  full('shutdown', 'sockfd:fd how:shutdown-how', shutdown),
  partial(
    'setsockopt',
    'sockfd:fd level:socket-level optname:int optval:address optlen:uint',
    setsockopt,
    'options of a wire (TCP keepalive …) are kept and reported but change nothing on a loopback; multicast is refused',
  ),
  full('getsockopt', 'sockfd:fd level:socket-level optname:int optval:address optlen:address', getsockopt),
];
