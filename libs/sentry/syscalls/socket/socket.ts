import {
  EACCES,
  EAFNOSUPPORT,
  EFAULT,
  EINVAL,
  EOPNOTSUPP,
  EPERM,
  EPROTONOSUPPORT,
  ESOCKTNOSUPPORT,
} from '../../abi/errno.js';
import { NETLINK_ROUTE } from '../../abi/netlink.js';
import * as abi from '../../abi/socket.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { TcpSocket } from '../../net/inet/tcp.js';
import { UdpSocket } from '../../net/inet/udp.js';
import { NetlinkSocket } from '../../net/netlink.js';
import type { Socket } from '../../net/socket.js';
import type { NetworkStack } from '../../net/stack.js';
import { UnixDatagramSocket } from '../../net/unix/unix-datagram.js';
import { UnixSeqpacketSocket } from '../../net/unix/unix-seqpacket.js';
import { pairUnix, UnixStreamSocket } from '../../net/unix/unix-stream.js';
import { installSocket, newSocketFile, stackOf } from './support.js';

type Creator = (stack: NetworkStack, type: number, protocol: number) => Socket | number;

function createUnix(stack: NetworkStack, type: number, protocol: number): Socket | number {
  if (protocol !== 0 && protocol !== abi.AF_UNIX) return -EPROTONOSUPPORT;
  switch (type) {
    case abi.SOCK_STREAM:
      return new UnixStreamSocket(stack.unix);
    case abi.SOCK_DGRAM:
    case abi.SOCK_RAW:
      return new UnixDatagramSocket(stack.unix);
    case abi.SOCK_SEQPACKET:
      return new UnixSeqpacketSocket(stack.unix);
    default:
      return -ESOCKTNOSUPPORT;
  }
}

const inet =
  (family: number): Creator =>
  (stack, type, protocol) => {
    if (protocol < 0 || protocol >= abi.IPPROTO_MAX) return -EINVAL;
    switch (type) {
      case abi.SOCK_STREAM:
        return protocol === 0 || protocol === abi.IPPROTO_TCP ? new TcpSocket(stack, family) : -EPROTONOSUPPORT;
      case abi.SOCK_DGRAM:
        if (protocol === 0 || protocol === abi.IPPROTO_UDP) return new UdpSocket(stack, family, abi.IPPROTO_UDP);
        if (protocol === abi.IPPROTO_UDPLITE) return new UdpSocket(stack, family, protocol);
        // ping sockets: net.ipv4.ping_group_range lets nobody in.
        return protocol === abi.IPPROTO_ICMP || protocol === abi.IPPROTO_ICMPV6 ? -EACCES : -EPROTONOSUPPORT;
      case abi.SOCK_RAW:
        return protocol === 0 ? -EPROTONOSUPPORT : -EPERM;
      default:
        return -ESOCKTNOSUPPORT;
    }
  };

function createNetlink(stack: NetworkStack, type: number, protocol: number): Socket | number {
  if (type !== abi.SOCK_RAW && type !== abi.SOCK_DGRAM) return -ESOCKTNOSUPPORT;
  return protocol === NETLINK_ROUTE ? new NetlinkSocket(stack, type, protocol) : -EPROTONOSUPPORT;
}

const FAMILIES: ReadonlyMap<number, Creator> = new Map([
  [abi.AF_UNIX, createUnix],
  [abi.AF_INET, inet(abi.AF_INET)],
  [abi.AF_INET6, inet(abi.AF_INET6)],
  [abi.AF_NETLINK, createNetlink],
]);

const TYPE_FLAGS = abi.SOCK_CLOEXEC | abi.SOCK_NONBLOCK;

function create(task: Task, family: number, type: number, protocol: number): Socket | number {
  if (type & ~(abi.SOCK_TYPE_MASK | TYPE_FLAGS)) return -EINVAL;
  const creator = FAMILIES.get(family);
  if (!creator) return -EAFNOSUPPORT;
  return creator(stackOf(task.kernel), type & abi.SOCK_TYPE_MASK, protocol);
}

/** socket implements Linux syscall socket(2). */
export function socket(task: Task, args: SyscallArguments): number {
  const type = args[1] | 0;
  const made = create(task, args[0] | 0, type, args[2] | 0);
  if (typeof made === 'number') return made;
  const file = newSocketFile(task, made, type & abi.SOCK_NONBLOCK);
  return installSocket(task, file, (type & abi.SOCK_CLOEXEC) !== 0);
}

/** socketpair implements Linux syscall socketpair(2). */
export function socketpair(task: Task, args: SyscallArguments): number {
  const family = args[0] | 0;
  const type = args[1] | 0;
  const one = create(task, family, type, args[2] | 0);
  if (typeof one === 'number') return one;
  const other = create(task, family, type, args[2] | 0);
  if (typeof other === 'number') return other;
  if (one instanceof UnixDatagramSocket && other instanceof UnixDatagramSocket) one.pair(other, task);
  else if (one instanceof UnixStreamSocket && other instanceof UnixStreamSocket) pairUnix(one, other, task);
  else if (one instanceof UnixSeqpacketSocket && other instanceof UnixSeqpacketSocket) pairUnix(one, other, task);
  else {
    one.close();
    other.close();
    return -EOPNOTSUPP;
  }
  const closeOnExec = (type & abi.SOCK_CLOEXEC) !== 0;
  const status = type & abi.SOCK_NONBLOCK;
  const otherFile = newSocketFile(task, other, status);
  const first = installSocket(task, newSocketFile(task, one, status), closeOnExec);
  if (first < 0) {
    otherFile.release();
    return first;
  }
  const second = installSocket(task, otherFile, closeOnExec);
  if (second < 0) {
    task.files.close(first);
    return second;
  }
  if (task.memory.writeU32(args[3], first) && task.memory.writeU32(args[3] + 4, second)) return 0;
  task.files.close(first);
  task.files.close(second);
  return -EFAULT;
}
