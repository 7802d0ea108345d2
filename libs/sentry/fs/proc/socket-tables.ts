/** Sockets as /proc/net shows them (proc(5)): what netstat, ss and lsof read where they find no sock_diag. */
import { AF_INET, AF_INET6, IPPROTO_UDPLITE, SOCK_STREAM } from '../../abi/socket.js';
import type { Kernel } from '../../kernel/kernel.js';
import { ConnectionSocket, ConnectionState } from '../../net/connection-socket.js';
import { ANY6, type Host, isIpv4, LOOPBACK6 } from '../../net/inet/inet-address.js';
import { TcpSocket } from '../../net/inet/tcp.js';
import { UdpSocket } from '../../net/inet/udp.js';
import type { Socket } from '../../net/socket.js';
import { SocketFile } from '../../net/socket-file.js';
import { isUnixSocket } from '../../net/unix/unix-socket.js';
import type { FdTable } from '../../vfs/types.js';

/** Widths that Linux fills its lines up to, without their line end. */
const TCP_WIDTH = 149;
const UDP_WIDTH = 127;

const TcpState = { Established: 1, SynSent: 2, FinWait2: 5, Close: 7, CloseWait: 8, Listen: 10 } as const;

/** Every socket that some process has open, with the number of its inode. */
function openSockets(kernel: Kernel): Map<Socket, number> {
  const found = new Map<Socket, number>();
  const tables = new Set<FdTable>();
  for (const group of kernel.groups.values()) for (const task of group.tasks) tables.add(task.files);
  for (const table of tables) {
    for (const fd of table.descriptors()) {
      const file = table.get(fd);
      if (file instanceof SocketFile) found.set(file.socket, file.inode.number);
    }
  }
  return found;
}

const hex = (value: number, width: number): string => (value >>> 0).toString(16).toUpperCase().padStart(width, '0');

/** The four bytes of an address as Linux prints them: as one number in the machine's byte order. */
const swapped = (host: number): string =>
  hex(((host & 0xff) << 24) | ((host & 0xff00) << 8) | ((host >>> 8) & 0xff00) | (host >>> 24), 8);

function addressText(host: Host, port: number, family: number): string {
  let text: string;
  if (family === AF_INET) text = swapped(isIpv4(host) ? host : 0);
  else if (host === LOOPBACK6) text = `${'0'.repeat(24)}01000000`;
  else if (host === ANY6 || !isIpv4(host) || host === 0) text = '0'.repeat(32);
  else text = `0000000000000000FFFF0000${swapped(host)}`;
  return `${text}:${hex(port, 4)}`;
}

function tcpState(socket: TcpSocket): number {
  switch (socket.state) {
    case ConnectionState.Listening:
      return TcpState.Listen;
    case ConnectionState.Connecting:
      return TcpState.SynSent;
    case ConnectionState.Connected:
      if (socket.peer === null || socket.peer.shutWrite) return TcpState.CloseWait;
      return socket.shutWrite ? TcpState.FinWait2 : TcpState.Established;
    default:
      return TcpState.Close;
  }
}

/** /proc/net/tcp and tcp6: sockets that listen, connect or are connected; the others are not known there. */
export function tcpLines(kernel: Kernel, family: typeof AF_INET | typeof AF_INET6): string {
  let text = '';
  let index = 0;
  for (const [socket, inode] of openSockets(kernel)) {
    if (!(socket instanceof TcpSocket) || socket.family !== family) continue;
    const state = tcpState(socket);
    if (state === TcpState.Close) continue;
    const listens = state === TcpState.Listen;
    const received = listens ? socket.queued : socket.readable();
    const places = `${addressText(socket.localHost, socket.localPort, family)} ${addressText(socket.remoteHost, socket.remotePort, family)}`;
    // What was sent is acknowledged at once: it waits at the other end.
    const queues = `00000000:${hex(received, 8)}`;
    const tail = listens ? '1 0000000000000000 100 0 0 10 0' : '1 0000000000000000 20 4 30 10 -1';
    const line = `${String(index++).padStart(4)}: ${places} ${hex(state, 2)} ${queues} 00:00000000 00000000 ${String(socket.uid).padStart(5)} ${'0'.padStart(8)} ${inode} ${tail}`;
    text += `${line.padEnd(TCP_WIDTH)}\n`;
  }
  return text;
}

/** /proc/net/udp, udp6, and of UDP-Lite: bound sockets. */
export function udpLines(kernel: Kernel, family: typeof AF_INET | typeof AF_INET6, lite = false): string {
  let text = '';
  for (const [socket, inode] of openSockets(kernel)) {
    if (!(socket instanceof UdpSocket) || socket.family !== family || socket.localPort === 0) continue;
    if ((socket.protocol === IPPROTO_UDPLITE) !== lite) continue;
    const state = socket.remotePort === 0 ? TcpState.Close : TcpState.Established;
    const places = `${addressText(socket.localHost, socket.localPort, family)} ${addressText(socket.remoteHost, socket.remotePort, family)}`;
    // Linux numbers them by their place in its hash table, which the port decides.
    const slot = String(socket.localPort).padStart(5);
    const line = `${slot}: ${places} ${hex(state, 2)} 00000000:${hex(socket.readable(), 8)} 00:00000000 00000000 ${String(socket.uid).padStart(5)} ${'0'.padStart(8)} ${inode} 2 0000000000000000 ${socket.drops}`;
    text += `${line.padEnd(UDP_WIDTH)}\n`;
  }
  return text;
}

const UNIX_LISTENS = 0x10000;
const UNIX_UNCONNECTED = 1;
const UNIX_CONNECTED = 3;

/** /proc/net/unix. */
export function unixLines(kernel: Kernel): string {
  let text = '';
  for (const [socket, inode] of openSockets(kernel)) {
    if (!isUnixSocket(socket)) continue;
    const listens = socket instanceof ConnectionSocket && socket.listening;
    const connected = socket instanceof ConnectionSocket && socket.state === ConnectionState.Connected;
    const name = socket.boundName.startsWith('\0')
      ? `@${socket.boundName.slice(1).replaceAll('\0', '@')}`
      : socket.boundName;
    const state = connected ? UNIX_CONNECTED : UNIX_UNCONNECTED;
    const references = connected ? 3 : 2;
    text += `0000000000000000: ${hex(references, 8)} 00000000 ${hex(listens ? UNIX_LISTENS : 0, 8)} ${hex(socket.type, 4)} ${hex(state, 2)} ${String(inode).padStart(5)}${name === '' ? '' : ` ${name}`}\n`;
  }
  return text;
}

/** /proc/net/sockstat. */
export function socketCounts(kernel: Kernel): string {
  let all = 0;
  let tcp = 0;
  let udp = 0;
  for (const socket of openSockets(kernel).keys()) {
    all++;
    if (
      socket instanceof TcpSocket &&
      socket.type === SOCK_STREAM &&
      socket.family === AF_INET &&
      tcpState(socket) !== TcpState.Close
    )
      tcp++;
    if (socket instanceof UdpSocket && socket.family === AF_INET && socket.localPort !== 0) udp++;
  }
  return `sockets: used ${all}\nTCP: inuse ${tcp} orphan 0 tw 0 alloc ${tcp} mem 0\nUDP: inuse ${udp} mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n`;
}
