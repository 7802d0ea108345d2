import {
  EAGAIN,
  ECONNREFUSED,
  EFAULT,
  EINVAL,
  EMSGSIZE,
  ENOBUFS,
  ENOPROTOOPT,
  EOPNOTSUPP,
  EPERM,
} from '../abi/errno.js';
import * as nl from '../abi/netlink.js';
import {
  AF_INET,
  AF_INET6,
  AF_NETLINK,
  AF_UNSPEC,
  ARPHRD_LOOPBACK,
  SOCKADDR_NL_SIZE,
  SOL_NETLINK,
} from '../abi/socket.js';
import type { IoBuffer } from '../mm/types.js';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../vfs/wait-queue.js';
import type { Ancillary } from './ancillary.js';
import { LOOPBACK_MTU } from './inet/inet-options.js';
import { LOOPBACK_INDEX, LOOPBACK_NAME, LOOPBACK_TXQLEN, loopbackFlags } from './interfaces.js';
import { MessageQueue } from './message-queue.js';
import { type Received, Socket, SocketAddress, type SocketCaller } from './socket.js';
import type { NetworkStack } from './stack.js';

const request = new Uint8Array(8192);
const requestView = new DataView(request.buffer);

/** Builds the messages of one answer. */
class MessageBuilder {
  readonly bytes = new Uint8Array(8192);
  private readonly view = new DataView(this.bytes.buffer);
  length = 0;
  private start = 0;

  begin(type: number, flags: number, sequence: number, port: number): void {
    this.start = this.length;
    this.u32(0);
    this.u16(type);
    this.u16(flags);
    this.u32(sequence);
    this.u32(port);
  }
  end(): void {
    this.view.setUint32(this.start, this.length - this.start, true);
    this.align();
  }
  u8(value: number): void {
    this.bytes[this.length++] = value;
  }
  u16(value: number): void {
    this.view.setUint16(this.length, value, true);
    this.length += 2;
  }
  u32(value: number): void {
    this.view.setUint32(this.length, value, true);
    this.length += 4;
  }
  attribute(type: number, ...bytes: number[]): void {
    this.u16(4 + bytes.length);
    this.u16(type);
    for (const byte of bytes) this.u8(byte);
    this.align();
  }
  attribute32(type: number, value: number): void {
    this.attribute(type, value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
  }
  attributeText(type: number, text: string): void {
    this.attribute(type, ...[...text].map((char) => char.charCodeAt(0)), 0);
  }
  private align(): void {
    while (this.length & 3) this.bytes[this.length++] = 0;
  }
}

const IP4_LOOPBACK = [127, 0, 0, 1];
const IP6_LOOPBACK = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const NO_LINK_ADDRESS = [0, 0, 0, 0, 0, 0];
const fromKernel = new SocketAddress();
fromKernel.view.setUint16(0, AF_NETLINK, true);
fromKernel.length = SOCKADDR_NL_SIZE;

/** AF_NETLINK, NETLINK_ROUTE: enough of it to list links, addresses and routes (getifaddrs(3), `ip addr`). */
export class NetlinkSocket extends Socket {
  readonly family = AF_NETLINK;
  private portId = 0;
  private groups = 0;
  private readonly messages = new MessageQueue(212992);

  constructor(
    private readonly stack: NetworkStack,
    readonly type: number,
    readonly protocol: number,
  ) {
    super();
  }

  override get isStream(): boolean {
    return false;
  }

  override bind(address: SocketAddress, caller: SocketCaller): number {
    if (address.length < SOCKADDR_NL_SIZE || address.family !== AF_NETLINK) return -EINVAL;
    const portId = address.view.getUint32(4, true);
    if (this.portId !== 0 && portId !== 0 && portId !== this.portId) return -EINVAL;
    if (portId !== 0) this.portId = portId;
    this.groups = address.view.getUint32(8, true);
    this.autobind(caller);
    return 0;
  }

  private autobind(caller: SocketCaller): void {
    if (this.portId === 0) this.portId = this.stack.netlinkPort(caller.group.pid);
  }

  override connect(address: SocketAddress, _nonBlocking: boolean, caller: SocketCaller): number {
    if (address.length < 2) return -EINVAL;
    if (address.family === AF_UNSPEC) return 0;
    if (address.family !== AF_NETLINK || address.length < SOCKADDR_NL_SIZE) return -EINVAL;
    if (address.view.getUint32(4, true) !== 0) return -EPERM;
    this.autobind(caller);
    return 0;
  }

  send(io: IoBuffer, _flags: number, to: SocketAddress, _ancillary: Ancillary | null, caller: SocketCaller): number {
    if (to.length > 0) {
      if (to.length < SOCKADDR_NL_SIZE || to.family !== AF_NETLINK) return -EINVAL;
      if (to.view.getUint32(4, true) !== 0) return -ECONNREFUSED;
    }
    const length = io.remaining;
    if (length > request.length) return -EMSGSIZE;
    if (io.take(request, 0, length) !== length) return -EFAULT;
    this.autobind(caller);
    for (let at = 0; at + nl.NLMSG_HEADER_SIZE <= length; ) {
      const size = requestView.getUint32(at, true);
      if (size < nl.NLMSG_HEADER_SIZE || size > length - at) break;
      const failure = this.handle(at, size);
      if (failure < 0) return failure;
      at += (size + 3) & ~3;
    }
    return length;
  }

  private handle(at: number, size: number): number {
    const type = requestView.getUint16(at + 4, true);
    const flags = requestView.getUint16(at + 6, true);
    const sequence = requestView.getUint32(at + 8, true);
    if (!(flags & nl.NLM_F_REQUEST) || type < nl.NLMSG_MIN_TYPE)
      return flags & nl.NLM_F_ACK ? this.answerError(at, size, 0) : 0;
    const family = size > nl.NLMSG_HEADER_SIZE ? request[at + nl.NLMSG_HEADER_SIZE] : AF_UNSPEC;
    const dump = (flags & nl.NLM_F_DUMP) !== 0;
    // Every fourth type is a question; the rest would change something.
    if ((type & 3) !== 2) return this.answerError(at, size, -EPERM);
    if (type === nl.RTM_GETLINK && !dump) return this.answerLink(sequence, 0) ? 0 : -ENOBUFS;
    if (!dump) return this.answerError(at, size, -EOPNOTSUPP);
    return this.dump(type, family, sequence) ? 0 : -ENOBUFS;
  }

  private answerLink(sequence: number, flags: number): boolean {
    const builder = new MessageBuilder();
    this.link(builder, sequence, flags);
    return this.push(builder);
  }

  private dump(type: number, family: number, sequence: number): boolean {
    const builder = new MessageBuilder();
    const up = this.stack.mode !== 'none';
    if (type === nl.RTM_GETLINK) this.link(builder, sequence, nl.NLM_F_MULTI);
    if (up && type === nl.RTM_GETADDR) {
      if (family !== AF_INET6) this.address(builder, sequence, AF_INET, 8, IP4_LOOPBACK);
      if (family !== AF_INET) this.address(builder, sequence, AF_INET6, 128, IP6_LOOPBACK);
    }
    if (up && type === nl.RTM_GETROUTE) {
      if (family !== AF_INET6) this.route(builder, sequence, AF_INET, 8, [127, 0, 0, 0]);
      if (family !== AF_INET) this.route(builder, sequence, AF_INET6, 128, IP6_LOOPBACK);
    }
    if (builder.length > 0 && !this.push(builder)) return false;
    builder.length = 0;
    builder.begin(nl.NLMSG_DONE, nl.NLM_F_MULTI, sequence, this.portId);
    builder.u32(0);
    builder.end();
    return this.push(builder);
  }

  private link(builder: MessageBuilder, sequence: number, flags: number): void {
    const up = this.stack.mode !== 'none';
    builder.begin(nl.RTM_NEWLINK, flags, sequence, this.portId);
    builder.u8(AF_UNSPEC);
    builder.u8(0);
    builder.u16(ARPHRD_LOOPBACK);
    builder.u32(LOOPBACK_INDEX);
    builder.u32(loopbackFlags(up));
    builder.u32(0);
    builder.attributeText(nl.IFLA_IFNAME, LOOPBACK_NAME);
    builder.attribute32(nl.IFLA_TXQLEN, LOOPBACK_TXQLEN);
    builder.attribute(nl.IFLA_OPERSTATE, up ? 0 : 2);
    builder.attribute(nl.IFLA_LINKMODE, 0);
    builder.attribute32(nl.IFLA_MTU, LOOPBACK_MTU);
    builder.attribute32(nl.IFLA_GROUP, 0);
    builder.attributeText(nl.IFLA_QDISC, up ? 'noqueue' : 'noop');
    builder.attribute(nl.IFLA_ADDRESS, ...NO_LINK_ADDRESS);
    builder.attribute(nl.IFLA_BROADCAST, ...NO_LINK_ADDRESS);
    builder.attribute(nl.IFLA_STATS64, ...new Array<number>(192).fill(0));
    builder.attribute(nl.IFLA_STATS, ...new Array<number>(96).fill(0));
    builder.end();
  }

  private address(builder: MessageBuilder, sequence: number, family: number, prefix: number, bytes: number[]): void {
    builder.begin(nl.RTM_NEWADDR, nl.NLM_F_MULTI, sequence, this.portId);
    builder.u8(family);
    builder.u8(prefix);
    builder.u8(nl.IFA_F_PERMANENT);
    builder.u8(nl.RT_SCOPE_HOST);
    builder.u32(LOOPBACK_INDEX);
    builder.attribute(nl.IFA_ADDRESS, ...bytes);
    if (family === AF_INET) {
      builder.attribute(nl.IFA_LOCAL, ...bytes);
      builder.attributeText(nl.IFA_LABEL, LOOPBACK_NAME);
    }
    builder.attribute32(nl.IFA_FLAGS, nl.IFA_F_PERMANENT);
    const forever = [0xff, 0xff, 0xff, 0xff];
    builder.attribute(nl.IFA_CACHEINFO, ...forever, ...forever, 0, 0, 0, 0, 0, 0, 0, 0);
    builder.end();
  }

  private route(builder: MessageBuilder, sequence: number, family: number, prefix: number, bytes: number[]): void {
    builder.begin(nl.RTM_NEWROUTE, nl.NLM_F_MULTI, sequence, this.portId);
    builder.u8(family);
    builder.u8(prefix);
    builder.u8(0);
    builder.u8(0);
    builder.u8(nl.RT_TABLE_LOCAL);
    builder.u8(nl.RTPROT_KERNEL);
    builder.u8(family === AF_INET ? nl.RT_SCOPE_HOST : nl.RT_SCOPE_UNIVERSE);
    builder.u8(nl.RTN_LOCAL);
    builder.u32(0);
    builder.attribute32(nl.RTA_TABLE, nl.RT_TABLE_LOCAL);
    builder.attribute(nl.RTA_DST, ...bytes);
    if (family === AF_INET) builder.attribute(nl.RTA_PREFSRC, ...IP4_LOOPBACK);
    builder.attribute32(nl.RTA_OIF, LOOPBACK_INDEX);
    builder.end();
  }

  /** NLMSG_ERROR with the header it answers; error 0 is an acknowledgement. */
  private answerError(at: number, size: number, error: number): number {
    const builder = new MessageBuilder();
    builder.begin(nl.NLMSG_ERROR, 0, requestView.getUint32(at + 8, true), this.portId);
    builder.u32(error >>> 0);
    const copied = error === 0 ? nl.NLMSG_HEADER_SIZE : Math.min(size, 4096);
    for (let index = 0; index < copied; index++) builder.u8(request[at + index]);
    builder.end();
    return this.push(builder) ? 0 : -ENOBUFS;
  }

  private push(builder: MessageBuilder): boolean {
    if (!this.messages.push(builder.bytes, builder.length, fromKernel)) return false;
    this.waitQueue.wake(POLLIN | POLLRDNORM);
    return true;
  }

  /** A datagram of the kernel's own: what mq_notify(3) sends its helper. Lost when the buffer is full, as in Linux. */
  deliver(bytes: Uint8Array): void {
    if (this.messages.push(bytes, bytes.length, fromKernel)) this.waitQueue.wake(POLLIN | POLLRDNORM);
  }

  receive(io: IoBuffer, flags: number, out: Received): number {
    return this.messages.count > 0 ? this.messages.take(io, flags, out) : -EAGAIN;
  }

  name(out: SocketAddress): number {
    out.bytes.fill(0, 0, SOCKADDR_NL_SIZE);
    out.view.setUint16(0, AF_NETLINK, true);
    out.view.setUint32(4, this.portId, true);
    out.view.setUint32(8, this.groups, true);
    out.length = SOCKADDR_NL_SIZE;
    return 0;
  }
  peerName(out: SocketAddress): number {
    out.bytes.fill(0, 0, SOCKADDR_NL_SIZE);
    out.view.setUint16(0, AF_NETLINK, true);
    out.length = SOCKADDR_NL_SIZE;
    return 0;
  }

  shutdown(_how: number): number {
    return -EOPNOTSUPP;
  }
  poll(): number {
    return POLLOUT | POLLWRNORM | (this.messages.count > 0 ? POLLIN | POLLRDNORM : 0);
  }
  readable(): number {
    return this.messages.nextLength;
  }
  close(): void {
    this.messages.clear();
    this.stack.releaseNetlinkPort(this.portId);
  }

  /** Memberships, extended errors and the like: accepted, nothing is ever broadcast. */
  override setOption(level: number, name: number, value: DataView, length: number): number {
    return level === SOL_NETLINK ? 0 : super.setOption(level, name, value, length);
  }
  override getOption(level: number, name: number, out: DataView): number {
    return level === SOL_NETLINK ? -ENOPROTOOPT : super.getOption(level, name, out);
  }
}
