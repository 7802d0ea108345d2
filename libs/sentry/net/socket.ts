import { EDOM, EINVAL, ENODEV, ENOPROTOOPT, ENOTTY, EOPNOTSUPP, EPERM } from '../abi/errno.js';
import * as abi from '../abi/socket.js';
import type { GuestMemory, IoBuffer } from '../mm/types.js';
import type { Nanoseconds } from '../platform/platform.js';
import type { Caller, FileDescription } from '../vfs/types.js';
import { POLLOUT, POLLWRNORM, WaitQueue } from '../vfs/wait-queue.js';
import { type Ancillary, NO_CREDENTIALS, type SocketCredentials } from './ancillary.js';

/** Who calls a socket: a task. */
export interface SocketCaller extends Caller {
  readonly group: { readonly pid: number };
}

export function credentialsOf(caller: SocketCaller): SocketCredentials {
  return { pid: caller.group.pid, uid: caller.credentials.euid, gid: caller.credentials.egid };
}

/** A socket address as the guest sees it; filled in place. */
export class SocketAddress {
  readonly bytes = new Uint8Array(abi.SOCKADDR_STORAGE_SIZE);
  readonly view = new DataView(this.bytes.buffer);
  length = 0;

  get family(): number {
    return this.length >= 2 ? this.view.getUint16(0, true) : abi.AF_UNSPEC;
  }
}

/** A control message (cmsg(3)) ready for the guest. */
export interface ControlMessage {
  readonly level: number;
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** What a receive tells besides the bytes. Reused by the caller. */
export class Received {
  readonly address = new SocketAddress();
  /** MSG_TRUNC, MSG_EOR … */
  flags = 0;
  /** Real length of the message, for MSG_TRUNC. */
  fullLength = 0;
  /** Each with a reference that the caller takes over. */
  rights: FileDescription[] | null = null;
  credentials: SocketCredentials | null = null;
  /** What the socket's options ask for besides. */
  control: ControlMessage[] | null = null;

  reset(): void {
    this.address.length = 0;
    this.flags = 0;
    this.fullLength = 0;
    this.rights = null;
    this.credentials = null;
    this.control = null;
  }
}

/** net.core.wmem_default, rmem_default and their maxima. */
const BUFFER_DEFAULT = 212992;
const BUFFER_MAX = 212992;
const SEND_BUFFER_MIN = 4608;
const RECEIVE_BUFFER_MIN = 2304;

/** Options of SOL_SOCKET that are an int or a flag and only stored: what they start with. */
const STORED: ReadonlyMap<number, { readonly initial: number; readonly flag: boolean }> = new Map([
  [abi.SO_DEBUG, { initial: 0, flag: true }],
  [abi.SO_REUSEADDR, { initial: 0, flag: true }],
  [abi.SO_REUSEPORT, { initial: 0, flag: true }],
  [abi.SO_KEEPALIVE, { initial: 0, flag: true }],
  [abi.SO_BROADCAST, { initial: 0, flag: true }],
  [abi.SO_DONTROUTE, { initial: 0, flag: true }],
  [abi.SO_OOBINLINE, { initial: 0, flag: true }],
  [abi.SO_NO_CHECK, { initial: 0, flag: true }],
  [abi.SO_PASSCRED, { initial: 0, flag: true }],
  [abi.SO_PASSSEC, { initial: 0, flag: true }],
  [abi.SO_TIMESTAMP, { initial: 0, flag: true }],
  [abi.SO_TIMESTAMPNS, { initial: 0, flag: true }],
  [abi.SO_RXQ_OVFL, { initial: 0, flag: true }],
  [abi.SO_ZEROCOPY, { initial: 0, flag: true }],
  [abi.SO_PRIORITY, { initial: 0, flag: false }],
  [abi.SO_RCVLOWAT, { initial: 1, flag: false }],
  [abi.SO_BUSY_POLL, { initial: 0, flag: false }],
  [abi.SO_INCOMING_CPU, { initial: 0, flag: false }],
  [abi.SO_MARK, { initial: 0, flag: false }],
]);

/**
 * A socket of any family: what they share, and the answers for what one does not support. As everywhere below the
 * system calls nothing blocks: -EAGAIN means wait on `waitQueue` for POLLIN (receive, accept) or POLLOUT (send, connect).
 */
export abstract class Socket {
  abstract readonly family: number;
  abstract readonly type: number;
  abstract readonly protocol: number;
  readonly waitQueue = new WaitQueue();
  /** Pending error (a positive errno), reported once by the next call or by SO_ERROR. */
  error = 0;
  shutRead = false;
  shutWrite = false;
  sendBuffer = BUFFER_DEFAULT;
  receiveBuffer = BUFFER_DEFAULT;
  receiveTimeout: Nanoseconds = Infinity;
  sendTimeout: Nanoseconds = Infinity;
  lingerOn = false;
  lingerSeconds = 0;
  /** What SO_PEERCRED says. */
  peerCredentials: SocketCredentials = NO_CREDENTIALS;
  private stored: Map<number, number> | null = null;

  /** Whether a blocking send goes on until everything is sent. */
  get isStream(): boolean {
    return this.type === abi.SOCK_STREAM;
  }

  /** An option that is only stored. */
  option(name: number): number {
    return this.stored?.get(name) ?? STORED.get(name)?.initial ?? 0;
  }

  protected storeOption(name: number, value: number): void {
    this.stored ??= new Map();
    this.stored.set(name, value);
  }

  /** Negative errno of the pending error, which is thereby reported; 0 if none. */
  takeError(): number {
    const { error } = this;
    this.error = 0;
    return error === 0 ? 0 : -error;
  }

  bind(_address: SocketAddress, _caller: SocketCaller): number {
    return -EOPNOTSUPP;
  }
  /** 0, -EINPROGRESS (goes on by itself; POLLOUT when done) or -EAGAIN (must be tried again). */
  connect(_address: SocketAddress, _nonBlocking: boolean, _caller: SocketCaller): number {
    return -EOPNOTSUPP;
  }
  listen(_backlog: number, _caller: SocketCaller): number {
    return -EOPNOTSUPP;
  }
  accept(): Socket | number {
    return -EOPNOTSUPP;
  }
  /** `to.length` 0 = none given. Takes the ancillary over only if the result is >= 0. */
  abstract send(
    io: IoBuffer,
    flags: number,
    to: SocketAddress,
    ancillary: Ancillary | null,
    caller: SocketCaller,
  ): number;
  abstract receive(io: IoBuffer, flags: number, out: Received): number;
  abstract name(out: SocketAddress): number;
  abstract peerName(out: SocketAddress): number;
  abstract shutdown(how: number): number;
  abstract poll(): number;
  abstract close(): void;
  /** Bytes that can be read (FIONREAD), bytes sent and not yet read by the peer (SIOCOUTQ). */
  abstract readable(): number;
  unsent(): number {
    return 0;
  }
  /** SIOCATMARK: whether the next byte to read is the urgent one. */
  atMark(): boolean {
    return false;
  }
  get listening(): boolean {
    return false;
  }

  /** Called when a buffer size changed. */
  protected buffersChanged(): void {}

  setOption(level: number, name: number, value: DataView, length: number): number {
    if (level !== abi.SOL_SOCKET) return -ENOPROTOOPT;
    if (length < 4) return -EINVAL;
    const number = value.getInt32(0, true);
    const stored = STORED.get(name);
    if (stored) {
      this.storeOption(name, stored.flag ? Number(number !== 0) : number);
      return 0;
    }
    switch (name) {
      case abi.SO_SNDBUF:
      case abi.SO_SNDBUFFORCE:
        this.sendBuffer = Math.max(SEND_BUFFER_MIN, 2 * Math.min(Math.max(number, 0), BUFFER_MAX));
        this.buffersChanged();
        this.waitQueue.wake(POLLOUT | POLLWRNORM);
        return 0;
      case abi.SO_RCVBUF:
      case abi.SO_RCVBUFFORCE:
        this.receiveBuffer = Math.max(RECEIVE_BUFFER_MIN, 2 * Math.min(Math.max(number, 0), BUFFER_MAX));
        this.buffersChanged();
        return 0;
      case abi.SO_LINGER:
        if (length < 8) return -EINVAL;
        this.lingerOn = number !== 0;
        this.lingerSeconds = value.getInt32(4, true);
        return 0;
      case abi.SO_RCVTIMEO:
      case abi.SO_RCVTIMEO_NEW: {
        const time = timeout(value, length);
        if (time < 0) return time;
        this.receiveTimeout = time;
        return 0;
      }
      case abi.SO_SNDTIMEO:
      case abi.SO_SNDTIMEO_NEW: {
        const time = timeout(value, length);
        if (time < 0) return time;
        this.sendTimeout = time;
        return 0;
      }
      case abi.SO_BINDTODEVICE:
        return bindToDevice(value, length);
      case abi.SO_ATTACH_FILTER:
        return -EPERM;
      default:
        return -ENOPROTOOPT;
    }
  }

  /** Fills `out` (256 bytes) and returns the length of the value, or -errno. */
  getOption(level: number, name: number, out: DataView): number {
    if (level !== abi.SOL_SOCKET) return -ENOPROTOOPT;
    if (STORED.has(name)) return putInt(out, this.option(name));
    switch (name) {
      case abi.SO_TYPE:
        return putInt(out, this.type);
      case abi.SO_DOMAIN:
        return putInt(out, this.family);
      case abi.SO_PROTOCOL:
        return putInt(out, this.protocol);
      case abi.SO_ERROR:
        return putInt(out, -this.takeError());
      case abi.SO_ACCEPTCONN:
        return putInt(out, Number(this.listening));
      case abi.SO_SNDBUF:
        return putInt(out, this.sendBuffer);
      case abi.SO_RCVBUF:
        return putInt(out, this.receiveBuffer);
      case abi.SO_SNDLOWAT:
        return putInt(out, 1);
      case abi.SO_PEEK_OFF:
        return putInt(out, -1);
      case abi.SO_LINGER:
        out.setInt32(0, Number(this.lingerOn), true);
        out.setInt32(4, this.lingerSeconds, true);
        return 8;
      case abi.SO_RCVTIMEO:
      case abi.SO_RCVTIMEO_NEW:
        return putTimeout(out, this.receiveTimeout);
      case abi.SO_SNDTIMEO:
      case abi.SO_SNDTIMEO_NEW:
        return putTimeout(out, this.sendTimeout);
      case abi.SO_PEERCRED:
        out.setInt32(0, this.peerCredentials.pid, true);
        out.setUint32(4, this.peerCredentials.uid, true);
        out.setUint32(8, this.peerCredentials.gid, true);
        return abi.UCRED_SIZE;
      case abi.SO_BINDTODEVICE:
        return 0;
      default:
        return -ENOPROTOOPT;
    }
  }

  /** Requests of this family only; FIONREAD and the interface requests are handled above. */
  ioctl(_request: number, _argument: number, _memory: GuestMemory): number {
    return -ENOTTY;
  }
}

export function putInt(out: DataView, value: number): number {
  out.setInt32(0, value, true);
  return 4;
}

function timeout(value: DataView, length: number): Nanoseconds {
  if (length < 16) return -EINVAL;
  const seconds = value.getInt32(4, true) * 0x100000000 + value.getUint32(0, true);
  const microseconds = value.getInt32(12, true) * 0x100000000 + value.getUint32(8, true);
  if (microseconds < 0 || microseconds >= 1e6) return -EDOM;
  if (seconds < 0) return 0;
  const time = seconds * 1e9 + microseconds * 1000;
  return time === 0 ? Infinity : time;
}

function putTimeout(out: DataView, time: Nanoseconds): number {
  const seconds = time === Infinity ? 0 : Math.floor(time / 1e9);
  out.setUint32(0, seconds % 0x100000000, true);
  out.setUint32(4, Math.floor(seconds / 0x100000000), true);
  out.setUint32(8, time === Infinity ? 0 : Math.floor((time % 1e9) / 1000), true);
  out.setUint32(12, 0, true);
  return 16;
}

/** There is one device. */
function bindToDevice(value: DataView, length: number): number {
  let name = '';
  for (let index = 0; index < Math.min(length, 16); index++) {
    const char = value.getUint8(index);
    if (char === 0) break;
    name += String.fromCharCode(char);
  }
  return name === '' || name === 'lo' ? 0 : -ENODEV;
}
