import {
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EALREADY,
  ECONNREFUSED,
  ECONNRESET,
  EFAULT,
  EINPROGRESS,
  EINVAL,
  EISCONN,
  ENETUNREACH,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
} from '../../abi/errno.js';
import * as abi from '../../abi/socket.js';
import type { IoBuffer } from '../../mm/types.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP, POLLRDNORM, POLLWRNORM } from '../../vfs/wait-queue.js';
import type { Ancillary } from '../ancillary.js';
import { type ConnectionSocket, ConnectionState } from '../connection-socket.js';
import type { Received, SocketAddress, SocketCaller } from '../socket.js';
import { type NetworkStack, sourceFor, UNREACHABLE } from '../stack.js';
import { StreamSocket } from '../stream-socket.js';
import {
  ANY4,
  ANY6,
  Endpoint,
  type Host,
  isAny,
  isIpv4,
  OTHER6,
  parseInetAddress,
  putInetAddress,
} from './inet-address.js';
import { InetOptions } from './inet-options.js';
import type { PortHolder } from './ports.js';
import { UrgentData } from './urgent-data.js';

/** What one direction holds before the sender must wait: Linux's autotuned buffers reach several MiB, this is our share. */
const STREAM_CAPACITY = 1 << 20;
const endpoint = new Endpoint();
/** What a sender gets rid of before the answer comes that nobody is there. */
const BYTES_BEFORE_RESET = 512 << 10;
/** Where bytes go that nobody will read. */
const nowhere = new Uint8Array(65536);

/** TCP over the sandbox's loopback: bytes go straight from one socket's sender into the other's buffer. */
export class TcpSocket extends StreamSocket implements PortHolder {
  readonly type = abi.SOCK_STREAM;
  readonly protocol = abi.IPPROTO_TCP;
  localHost: Host;
  localPort = 0;
  remoteHost: Host;
  remotePort = 0;
  uid = 0;
  /** This socket holds `localPort` in the port table (the ends that accept(2) gives do not). */
  private bound = false;
  /** bind(2) chose the address: a later connect keeps it. */
  private boundHost = false;
  /** A non-blocking connect(2) is under way or done but not yet told to a second connect(2). */
  private connecting = false;
  /** Peer sent FIN by closing altogether: what is written now is answered with a reset. */
  private peerGone = false;
  readonly options: InetOptions = new InetOptions();
  private urgent: UrgentData | null = null;
  bytesSent = 0;
  bytesReceived = 0;

  constructor(
    readonly stack: NetworkStack,
    readonly family: number,
  ) {
    super(STREAM_CAPACITY);
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
  get receives(): boolean {
    return this.listening;
  }

  override bind(address: SocketAddress, caller: SocketCaller): number {
    const parsed = parseInetAddress(address, this.family, endpoint);
    if (parsed < 0) return parsed;
    if (this.bound || this.state !== ConnectionState.Unconnected) return -EINVAL;
    const { host, port } = endpoint;
    if (this.family === abi.AF_INET6 && this.v6Only && isIpv4(host)) return -EINVAL;
    const available = host === OTHER6 ? -EADDRNOTAVAIL : this.stack.bindable(host);
    if (available < 0) return available;
    this.localHost = host;
    this.uid = caller.credentials.euid;
    const given = this.stack.tcp.bind(this, port);
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
    const given = this.stack.tcp.bind(this, 0);
    if (given < 0) return -EADDRNOTAVAIL;
    this.localPort = given;
    this.bound = true;
    return 0;
  }

  override listen(backlog: number, caller: SocketCaller): number {
    if (this.state === ConnectionState.Unconnected) {
      const bound = this.autobind(caller);
      if (bound < 0) return -EADDRINUSE;
      const may = this.stack.tcp.mayListen(this, this.localPort);
      if (may < 0) return may;
    }
    return super.listen(backlog, caller);
  }

  override connect(address: SocketAddress, nonBlocking: boolean, caller: SocketCaller): number {
    if (address.length < 2) return -EINVAL;
    if (address.family === abi.AF_UNSPEC) return this.disconnect();
    if (this.connecting) {
      if (this.state === ConnectionState.Connecting) return nonBlocking ? -EALREADY : -EINPROGRESS;
      this.connecting = false;
      if (this.error !== 0) {
        const refusal = this.takeError();
        if (!this.isConnected()) this.resetConnection();
        return refusal;
      }
      if (this.isConnected()) return 0;
    }
    const parsed = parseInetAddress(address, this.family, endpoint);
    if (parsed < 0) return parsed;
    if (address.family === abi.AF_INET && this.family === abi.AF_INET6) return -EAFNOSUPPORT;
    if (this.state === ConnectionState.Connected) return -EISCONN;
    if (this.state === ConnectionState.Listening) return -EISCONN;
    // A socket whose connection ended may connect anew.
    const { port } = endpoint;
    if (this.v6Only && isIpv4(endpoint.host)) return -ENETUNREACH;
    const host = this.stack.route(endpoint.host);
    if (host === UNREACHABLE) return -ENETUNREACH;
    if (this.boundHost && isIpv4(this.localHost) !== isIpv4(host)) return -ENETUNREACH;
    const bound = this.autobind(caller);
    if (bound < 0) return bound;
    if (!this.boundHost) this.localHost = sourceFor(host);
    this.remoteHost = host;
    this.remotePort = port;
    this.resetConnection();
    const listener = port === 0 ? null : this.stack.tcp.find(host, port, this.localHost, this.localPort);
    if (!listener) {
      if (!nonBlocking) return -ECONNREFUSED;
      this.connecting = true;
      this.error = ECONNREFUSED;
      this.shutRead = true;
      this.shutWrite = true;
      this.waitQueue.wake(POLLOUT | POLLWRNORM | POLLIN | POLLERR | POLLHUP);
      return -EINPROGRESS;
    }
    listener.enqueue(this);
    const connected = this.isConnected();
    if (connected && !nonBlocking) return 0;
    this.connecting = true;
    if (connected) this.waitQueue.wake(POLLOUT | POLLWRNORM);
    return -EINPROGRESS;
  }

  private isConnected(): boolean {
    return this.state === ConnectionState.Connected;
  }

  private resetConnection(): void {
    this.state = ConnectionState.Unconnected;
    this.shutRead = false;
    this.shutWrite = false;
    this.peerGone = false;
    this.error = 0;
  }

  /** connect(AF_UNSPEC): as close, but the socket stays. */
  private disconnect(): number {
    if (this.listening) this.stopListening();
    this.leaveLine();
    this.dropReceived();
    this.abort(ECONNRESET);
    this.resetConnection();
    this.connecting = false;
    return 0;
  }

  protected createEnd(): TcpSocket {
    return new TcpSocket(this.stack, this.family);
  }

  protected established(client: ConnectionSocket, end: ConnectionSocket): void {
    const [near, far] = [client as TcpSocket, end as TcpSocket];
    far.localHost = near.remoteHost;
    far.localPort = near.remotePort;
    far.remoteHost = near.localHost;
    far.remotePort = near.localPort;
    far.uid = this.uid;
    this.inherit(far);
    near.buffersChanged();
    far.buffersChanged();
  }

  /** What an accepted socket takes over from its listener. */
  private inherit(end: TcpSocket): void {
    end.sendBuffer = this.sendBuffer;
    end.receiveBuffer = this.receiveBuffer;
    end.lingerOn = this.lingerOn;
    end.lingerSeconds = this.lingerSeconds;
    end.receiveTimeout = this.receiveTimeout;
    end.sendTimeout = this.sendTimeout;
    end.buffersSet = this.buffersSet;
    for (const name of [abi.SO_REUSEADDR, abi.SO_REUSEPORT, abi.SO_KEEPALIVE]) {
      if (this.option(name)) end.storeOption(name, 1);
    }
    if (this.options.get(abi.SOL_TCP, abi.TCP_NODELAY)) end.options.set(abi.SOL_TCP, abi.TCP_NODELAY, ONE, 4);
  }

  private buffersSet = false;

  protected override buffersChanged(): void {
    const peer = this.peer as TcpSocket | null;
    if (!peer) return;
    if (this.buffersSet || peer.buffersSet) peer.received.capacity = this.sendBuffer + peer.receiveBuffer;
    if (this.buffersSet || peer.buffersSet) this.received.capacity = peer.sendBuffer + this.receiveBuffer;
  }

  send(io: IoBuffer, flags: number, _to: SocketAddress, ancillary: Ancillary | null, _caller: SocketCaller): number {
    if (flags & abi.MSG_FASTOPEN) return -EOPNOTSUPP;
    if (this.error !== 0) return this.takeError();
    if (this.state === ConnectionState.Connecting) return -EAGAIN;
    if (this.shutWrite || (this.state !== ConnectionState.Connected && !this.peerGone)) return -EPIPE;
    if (this.peerGone) {
      ancillary?.discard();
      return this.sendToNobody(io);
    }
    const sent = this.transfer(io, null);
    if (sent > 0) this.bytesSent += sent;
    // Descriptors do not travel over TCP.
    if (sent >= 0) ancillary?.discard();
    // The last byte of an urgent send is the urgent one.
    if (flags & abi.MSG_OOB && sent > 0 && io.remaining === 0) (this.peer as TcpSocket).urgentArrived();
    return sent;
  }

  private urgentArrived(): void {
    this.urgent ??= new UrgentData();
    this.stepOverUrgent();
    this.urgent.arrive(this.position + this.received.length - 1, this.received.last());
    this.waitQueue.wake(POLLPRI);
  }

  private get urgentInline(): boolean {
    return this.option(abi.SO_OOBINLINE) !== 0;
  }

  /** Whether the next byte to read is urgent and not part of what ordinary reads see. */
  private get atUrgent(): boolean {
    return this.urgent?.distance(this.position) === 0 && !this.urgentInline;
  }

  private stepOverUrgent(): void {
    if (!this.atUrgent || this.received.length === 0) return;
    this.received.discard(1);
    this.position++;
    this.urgent?.passed(this.position);
    this.roomChanged();
  }

  override readable(): number {
    const { length } = this.received;
    if (!this.urgent || this.urgentInline) return length;
    const distance = this.urgent.distance(this.position);
    return distance === 0 ? length - 1 : Math.min(length, distance);
  }

  override poll(): number {
    return super.poll() | (this.urgent?.unread ? POLLPRI : 0);
  }

  override atMark(): boolean {
    return this.urgent?.distance(this.position) === 0;
  }

  /** The peer has closed: it answers the first bytes with a reset, which the next call sees. */
  private sendToNobody(io: IoBuffer): number {
    const length = Math.min(io.remaining, BYTES_BEFORE_RESET);
    if (length === 0) return 0;
    while (io.done < length && io.take(nowhere, 0, Math.min(nowhere.length, length - io.done)) > 0);
    if (io.done === 0) return -EFAULT;
    this.peerGone = false;
    this.state = ConnectionState.Closed;
    this.error = EPIPE;
    this.shutRead = true;
    this.shutWrite = true;
    this.waitQueue.wake(POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLERR | POLLHUP | POLLRDHUP);
    return length;
  }

  receive(io: IoBuffer, flags: number, out: Received): number {
    if (flags & abi.MSG_OOB) {
      return this.urgent?.receive(io, flags, this.urgentInline, this.shutRead) ?? -EINVAL;
    }
    // Reading on from the mark leaves the urgent byte out. With SO_OOBINLINE it only begins a new read.
    if (this.urgent && !(flags & abi.MSG_PEEK)) this.stepOverUrgent();
    if (this.readable() > 0) {
      if (io.remaining === 0) return 0;
      const distance = this.urgent?.distance(this.position) || Number.POSITIVE_INFINITY;
      const taken = this.takeReceived(io, flags, out, distance, Number(this.atUrgent));
      if (taken > 0 && !(flags & abi.MSG_PEEK)) {
        this.bytesReceived += taken;
        this.urgent?.passed(this.position);
      }
      return taken;
    }
    if (this.error !== 0) return this.takeError();
    if (this.shutRead) return 0;
    if (this.state === ConnectionState.Connecting) return -EAGAIN;
    return this.state === ConnectionState.Connected ? -EAGAIN : -ENOTCONN;
  }

  name(out: SocketAddress): number {
    return putInetAddress(out, this.family, this.localHost, this.localPort);
  }

  peerName(out: SocketAddress): number {
    if (this.state !== ConnectionState.Connected) return -ENOTCONN;
    return putInetAddress(out, this.family, this.remoteHost, this.remotePort);
  }

  override shutdown(how: number): number {
    if (this.listening && how !== abi.SHUT_WR) {
      // As Linux: shutting a listener's reading side ends the listening.
      this.stopListening();
      this.resetConnection();
      this.waitQueue.wake(POLLIN | POLLRDNORM | POLLHUP);
      return 0;
    }
    return super.shutdown(how);
  }

  /** FIN ends reading here; writing goes on until the other side has closed altogether. */
  protected override peerShutdown(sending: boolean, _reading: boolean): void {
    super.peerShutdown(sending, false);
  }

  close(): void {
    this.stack.sockets.delete(this);
    this.leaveLine();
    const unread = this.dropReceived();
    if (this.listening) this.stopListening();
    else if (this.peer && (unread || (this.lingerOn && this.lingerSeconds === 0))) {
      this.abort(ECONNRESET);
    } else if (this.peer) {
      const peer = this.peer as TcpSocket;
      this.peer = null;
      peer.peer = null;
      peer.peerGone = true;
      peer.shutRead = true;
      peer.waitQueue.wake(POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | (peer.shutWrite ? POLLHUP : 0));
    }
    this.state = ConnectionState.Closed;
    if (this.bound) this.stack.tcp.release(this, this.localPort);
    this.bound = false;
  }

  stopListening(): void {
    this.closeListener(ECONNREFUSED);
  }

  override setOption(level: number, name: number, value: DataView, length: number): number {
    if (level === abi.SOL_IPV6 && this.family !== abi.AF_INET6) return -ENOPROTOOPT;
    if (level === abi.SOL_IPV6 && name === abi.IPV6_V6ONLY && this.bound) return -EINVAL;
    if (level !== abi.SOL_SOCKET) return this.options.set(level, name, value, length);
    if (name === abi.SO_SNDBUF || name === abi.SO_RCVBUF) this.buffersSet = true;
    return super.setOption(level, name, value, length);
  }

  override getOption(level: number, name: number, out: DataView): number {
    if (level === abi.SOL_TCP && name === abi.TCP_INFO) return this.putInfo(out);
    if (level !== abi.SOL_SOCKET) return this.options.put(level, name, out);
    return super.getOption(level, name, out);
  }

  /** State as TCP_INFO and /proc/net/tcp number it. */
  tcpState(): number {
    switch (this.state) {
      case ConnectionState.Listening:
        return abi.TCP_LISTEN;
      case ConnectionState.Connecting:
        return abi.TCP_SYN_SENT;
      case ConnectionState.Connected:
        if (this.shutRead) return this.shutWrite ? abi.TCP_LAST_ACK : abi.TCP_CLOSE_WAIT;
        return this.shutWrite ? abi.TCP_FIN_WAIT2 : abi.TCP_ESTABLISHED;
      default:
        return abi.TCP_CLOSE;
    }
  }

  /** struct tcp_info as far as a loopback has something to say. */
  private putInfo(out: DataView): number {
    for (let at = 0; at < TCP_INFO_SIZE; at += 4) out.setUint32(at, 0, true);
    out.setUint8(0, this.tcpState());
    out.setUint32(8, 200_000, true); // tcpi_rto, microseconds
    out.setUint32(16, 32741, true); // tcpi_snd_mss
    out.setUint32(20, 32741, true); // tcpi_rcv_mss
    out.setUint32(60, 65535, true); // tcpi_pmtu
    out.setUint32(68, 20, true); // tcpi_rtt, microseconds
    out.setUint32(72, 10, true); // tcpi_rttvar
    out.setUint32(80, 10, true); // tcpi_snd_cwnd
    out.setUint32(120, this.bytesSent % 0x100000000, true); // tcpi_bytes_acked
    out.setUint32(128, this.bytesReceived % 0x100000000, true); // tcpi_bytes_received
    return TCP_INFO_SIZE;
  }
}

const TCP_INFO_SIZE = 248;
const ONE = new DataView(new ArrayBuffer(4));
ONE.setInt32(0, 1, true);
