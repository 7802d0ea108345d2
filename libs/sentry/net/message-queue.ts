import { EAGAIN, EFAULT, ENOBUFS } from '../abi/errno.js';
import { MSG_PEEK, MSG_TRUNC } from '../abi/socket.js';
import type { IoBuffer } from '../mm/types.js';
import type { Ancillary } from './ancillary.js';
import { ByteRing } from './byte-ring.js';
import type { Received, SocketAddress } from './socket.js';

/** Header of a queued message; its bytes are in the queue's ring. Recycled. */
class Message {
  length = 0;
  readonly address = new Uint8Array(128);
  addressLength = 0;
  ancillary: Ancillary | null = null;
  /** What the receiving socket wants to know of it besides. */
  info: object | null = null;
  next: Message | null = null;
}

let spare: Message | null = null;

/** What one header counts against the buffer, so that empty datagrams are bounded too. */
const OVERHEAD = 256;

/** Whole messages in order: datagrams, seqpackets, netlink. */
export class MessageQueue {
  count = 0;
  private readonly ring: ByteRing;
  private head: Message | null = null;
  private tail: Message | null = null;

  constructor(public capacity: number) {
    this.ring = new ByteRing(1 << 20);
  }

  /** Bytes that count against the capacity. */
  get used(): number {
    return this.ring.length + this.count * OVERHEAD;
  }

  get nextLength(): number {
    return this.head ? this.head.length : 0;
  }

  /** `info` of the first message. */
  get nextInfo(): object | null {
    return this.head ? this.head.info : null;
  }

  hasRoom(length: number): boolean {
    return this.count === 0 || this.used + length + OVERHEAD <= this.capacity;
  }

  /** Appends all that remains of `io` as one message; -EAGAIN without room, -EFAULT, -ENOBUFS. `from` may be null. */
  append(io: IoBuffer, from: SocketAddress | null, ancillary: Ancillary | null, info: object | null = null): number {
    const length = io.remaining;
    if (!this.hasRoom(length)) return -EAGAIN;
    if (length > 0) {
      const moved = this.ring.write(io, length);
      if (moved < 0) return moved === -EFAULT ? moved : -ENOBUFS;
      if (moved < length) {
        this.ring.unwrite(moved);
        return io.faulted ? -EFAULT : -ENOBUFS;
      }
    }
    this.link(length, from, ancillary, info);
    return length;
  }

  /** Appends kernel bytes; false without room. */
  push(bytes: Uint8Array, length: number, from: SocketAddress | null): boolean {
    if (!this.hasRoom(length)) return false;
    const moved = this.ring.push(bytes, 0, length);
    if (moved < length) {
      this.ring.unwrite(moved);
      return false;
    }
    this.link(length, from, null, null);
    return true;
  }

  /** Takes (or with MSG_PEEK looks at) the first message. Precondition: count > 0. */
  take(io: IoBuffer, flags: number, out: Received): number {
    const message = this.head as Message;
    const wanted = Math.min(message.length, io.remaining);
    if (wanted > 0) {
      const moved = this.ring.peek(io, 0, wanted);
      if (moved < wanted) {
        // As Linux: the datagram is lost to a bad buffer only if it was to be consumed.
        if (!(flags & MSG_PEEK)) this.drop();
        return -EFAULT;
      }
    }
    out.fullLength = message.length;
    if (wanted < message.length) out.flags |= MSG_TRUNC;
    out.address.bytes.set(message.address.subarray(0, message.addressLength));
    out.address.length = message.addressLength;
    const { ancillary } = message;
    if (ancillary) {
      out.credentials = ancillary.credentials;
      out.rights = flags & MSG_PEEK ? ancillary.copyRights() : ancillary.land();
    }
    if (!(flags & MSG_PEEK)) this.drop();
    return flags & MSG_TRUNC ? message.length : wanted;
  }

  clear(): void {
    while (this.head) this.drop();
  }

  private link(length: number, from: SocketAddress | null, ancillary: Ancillary | null, info: object | null): void {
    const message = spare ?? new Message();
    spare = message.next;
    message.length = length;
    message.addressLength = from ? from.length : 0;
    if (from) message.address.set(from.bytes.subarray(0, from.length));
    message.ancillary = ancillary;
    message.info = info;
    message.next = null;
    if (this.tail) this.tail.next = message;
    else this.head = message;
    this.tail = message;
    this.count++;
  }

  private drop(): void {
    const message = this.head as Message;
    this.ring.discard(message.length);
    this.head = message.next;
    if (!this.head) this.tail = null;
    this.count--;
    message.ancillary?.discard();
    message.ancillary = null;
    message.info = null;
    message.next = spare;
    spare = message;
  }
}
