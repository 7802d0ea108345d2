import {
  EACCES,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  ECONNREFUSED,
  EDESTADDRREQ,
  EINVAL,
  EMSGSIZE,
  ENETUNREACH,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
} from '../../abi/errno.js';
import * as abi from '../../abi/socket.js';
import type { IoBuffer } from '../../mm/types.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from '../../vfs/wait-queue.js';
import type { Ancillary, PacketFields } from '../ancillary.js';
import { MessageQueue } from '../message-queue.js';
import { type Received, Socket, SocketAddress, type SocketCaller } from '../socket.js';
import { type NetworkStack, sourceFor, UNREACHABLE } from '../stack.js';
import {
  ANY4,
  ANY6,
  BROADCAST4,
  Endpoint,
  type Host,
  isAny,
  isIpv4,
  OTHER6,
  parseInetAddress,
  putInetAddress,
} from './inet-address.js';
import { InetOptions } from './inet-options.js';
import { type PacketInfo, packetControl, packetInfo } from './packet-info.js';
import type { PortHolder, PortTable } from './ports.js';

/** Largest UDP payload over IPv4 (65535 less the headers); IPv6 allows 20 more. */
const MAX_PAYLOAD = 65507;
const endpoint = new Endpoint();
const from = new SocketAddress();

/** UDP and UDP-Lite (which differ by checksums alone) over the sandbox's loopback. A full receiver loses datagrams, as UDP does. */
export class UdpSocket extends Socket implements PortHolder {
  readonly type = abi.SOCK_DGRAM;
  readonly receives = true;
  private readonly ports: PortTable<UdpSocket>;
  localHost: Host;
  localPort = 0;
  remoteHost: Host;
  /** 0 = not connected. */
  remotePort = 0;
  uid = 0;
  private bound = false;
  private boundHost = false;
  readonly options = new InetOptions();
  private readonly messages = new MessageQueue(212992);
  /** Datagrams lost to a full buffer, for /proc/net/udp. */
  drops = 0;

  constructor(
    readonly stack: NetworkStack,
    readonly family: number,
    readonly protocol: number,
  ) {
    super();
    this.ports = protocol === abi.IPPROTO_UDPLITE ? stack.udpLite : stack.udp;
    this.localHost = family === abi.AF_INET ? ANY4 : ANY6;
    this.remoteHost = this.localHost;
    stack.sockets.add(this);
  }

  get v6Only(): boolean {
    return this.options.get(abi.SOL_IPV6, abi.IPV6_V6ONLY) !== 0;
  }
  get reuseAddress(): boolean {
    return this.option(abi.SO_REUSEADDR) !== 0;
  }
  get reusePort(): boolean {
    return this.option(abi.SO_REUSEPORT) !== 0;
  }

  override bind(address: SocketAddress, caller: SocketCaller): number {
    const parsed = parseInetAddress(address, this.family, endpoint);
    if (parsed < 0) return parsed;
    if (this.bound) return -EINVAL;
    const { host, port } = endpoint;
    if (this.family === abi.AF_INET6 && this.v6Only && isIpv4(host)) return -EINVAL;
    const available = host === OTHER6 ? -EADDRNOTAVAIL : this.stack.bindable(host);
    if (available < 0) return available;
    this.localHost = host;
    this.uid = caller.credentials.euid;
    const given = this.ports.bind(this, port);
    if (given < 0) {
      this.localHost = this.family === abi.AF_INET ? ANY4 : ANY6;
      return given;
    }
    this.localPort = given;
    this.bound = true;
    this.boundHost = !isAny(host);
    return 0;
  }

  private autobind(caller: SocketCaller): number {
    if (this.bound) return 0;
    this.uid = caller.credentials.euid;
    const given = this.ports.bind(this, 0);
    if (given < 0) return -EAGAIN;
    this.localPort = given;
    this.bound = true;
    return 0;
  }

  override connect(address: SocketAddress, _nonBlocking: boolean, caller: SocketCaller): number {
    if (address.length < 2) return -EINVAL;
    if (address.family === abi.AF_UNSPEC) {
      this.remotePort = 0;
      if (!this.boundHost) this.localHost = this.family === abi.AF_INET ? ANY4 : ANY6;
      return 0;
    }
    const parsed = parseInetAddress(address, this.family, endpoint);
    if (parsed < 0) return parsed;
    const { port } = endpoint;
    if (endpoint.host === BROADCAST4) return -EACCES;
    const host = this.stack.route(endpoint.host);
    if (host === UNREACHABLE || (this.v6Only && isIpv4(host))) return -ENETUNREACH;
    const bound = this.autobind(caller);
    if (bound < 0) return bound;
    if (!this.boundHost) this.localHost = sourceFor(host);
    this.remoteHost = host;
    this.remotePort = port;
    return 0;
  }

  send(io: IoBuffer, flags: number, to: SocketAddress, ancillary: Ancillary | null, caller: SocketCaller): number {
    const sent = this.sendPacket(io, flags, to, ancillary?.packet ?? null, caller);
    // Descriptors do not travel in datagrams of the internet.
    if (sent >= 0) ancillary?.discard();
    return sent;
  }

  private sendPacket(
    io: IoBuffer,
    flags: number,
    to: SocketAddress,
    fields: PacketFields | null,
    caller: SocketCaller,
  ): number {
    if (flags & abi.MSG_OOB) return -EOPNOTSUPP;
    if (this.error !== 0) return this.takeError();
    if (this.shutWrite) return -EPIPE;
    if (io.remaining > MAX_PAYLOAD) return -EMSGSIZE;
    let host = this.remoteHost;
    let port = this.remotePort;
    if (to.length > 0) {
      const parsed = parseInetAddress(to, this.family, endpoint);
      if (parsed < 0) return parsed === -EAFNOSUPPORT && to.family === abi.AF_UNSPEC ? -EINVAL : parsed;
      port = endpoint.port;
      if (port === 0) return -EINVAL;
      if (endpoint.host === BROADCAST4 && !this.option(abi.SO_BROADCAST)) return -EACCES;
      host = this.stack.route(endpoint.host);
      if (host === UNREACHABLE || (this.v6Only && isIpv4(host))) return -ENETUNREACH;
    } else if (port === 0) return -EDESTADDRREQ;
    const bound = this.autobind(caller);
    if (bound < 0) return bound;
    const length = io.remaining;
    const source = isAny(this.localHost) ? sourceFor(host) : this.localHost;
    const target = this.receiver(host, port, source);
    if (!target) {
      // The ICMP answer reaches only a connected sender.
      if (this.remotePort !== 0) {
        this.error = ECONNREFUSED;
        this.waitQueue.wake(POLLIN | POLLOUT | POLLERR);
      }
      return length;
    }
    putInetAddress(from, target.family, source, this.localPort);
    const queued = target.shutRead
      ? -EAGAIN
      : target.messages.append(io, from, null, packetInfo(host, this.options, fields));
    if (queued >= 0) target.waitQueue.wake(POLLIN | POLLRDNORM);
    else if (queued === -EAGAIN) target.drops++;
    else return queued;
    return length;
  }

  /** A connected socket takes only what its peer sends. */
  private receiver(host: Host, port: number, source: Host): UdpSocket | null {
    const target = this.ports.find(host, port, source, this.localPort);
    if (!target || target.remotePort === 0) return target;
    return target.remotePort === this.localPort && target.remoteHost === source ? target : null;
  }

  receive(io: IoBuffer, flags: number, out: Received): number {
    if (flags & (abi.MSG_OOB | abi.MSG_ERRQUEUE)) return flags & abi.MSG_ERRQUEUE ? -EAGAIN : -EOPNOTSUPP;
    if (this.error !== 0) return this.takeError();
    if (this.messages.count > 0) {
      const info = this.messages.nextInfo as PacketInfo | null;
      const taken = this.messages.take(io, flags, out);
      if (info && taken >= 0) out.control = packetControl(info, this.family, this.options);
      return taken;
    }
    return this.shutRead ? 0 : -EAGAIN;
  }

  name(out: SocketAddress): number {
    return putInetAddress(out, this.family, this.localHost, this.localPort);
  }
  peerName(out: SocketAddress): number {
    if (this.remotePort === 0) return -ENOTCONN;
    return putInetAddress(out, this.family, this.remoteHost, this.remotePort);
  }

  shutdown(how: number): number {
    if (how < abi.SHUT_RD || how > abi.SHUT_RDWR) return -EINVAL;
    if (how !== abi.SHUT_WR) this.shutRead = true;
    if (how !== abi.SHUT_RD) this.shutWrite = true;
    this.waitQueue.wake(POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | POLLHUP);
    // Linux wakes the readers of an unconnected socket too, and still says this.
    return this.remotePort === 0 ? -ENOTCONN : 0;
  }

  poll(): number {
    let events = POLLOUT | POLLWRNORM;
    if (this.error !== 0) events |= POLLERR;
    if (this.messages.count > 0) events |= POLLIN | POLLRDNORM;
    if (this.shutRead) events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (this.shutRead && this.shutWrite) events |= POLLHUP;
    return events;
  }

  readable(): number {
    return this.messages.nextLength;
  }

  close(): void {
    this.stack.sockets.delete(this);
    this.messages.clear();
    if (this.bound) this.ports.release(this, this.localPort);
    this.bound = false;
  }

  protected override buffersChanged(): void {
    this.messages.capacity = this.receiveBuffer;
  }

  private knows(level: number): boolean {
    return level !== abi.SOL_TCP && (level !== abi.SOL_UDPLITE || this.protocol === abi.IPPROTO_UDPLITE);
  }

  override setOption(level: number, name: number, value: DataView, length: number): number {
    if (!this.knows(level)) return -ENOPROTOOPT;
    if (level === abi.SOL_IPV6 && name === abi.IPV6_V6ONLY && this.bound) return -EINVAL;
    if (level !== abi.SOL_SOCKET) return this.options.set(level, name, value, length);
    return super.setOption(level, name, value, length);
  }

  override getOption(level: number, name: number, out: DataView): number {
    if (!this.knows(level)) return -ENOPROTOOPT;
    if (level !== abi.SOL_SOCKET) return this.options.put(level, name, out);
    return super.getOption(level, name, out);
  }
}
