import { EAGAIN, EFAULT } from '../abi/errno.js';
import { MSG_PEEK, MSG_TRUNC } from '../abi/socket.js';
import type { IoBuffer } from '../mm/types.js';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../vfs/wait-queue.js';
import type { Ancillary } from './ancillary.js';
import { ByteRing } from './byte-ring.js';
import { ConnectionSocket } from './connection-socket.js';
import type { Received } from './socket.js';

/** Control data that belongs to bytes [start, end) of the stream, counted from its beginning. */
interface Mark {
  readonly start: number;
  readonly end: number;
  readonly ancillary: Ancillary;
}

/** A connection that carries bytes: each end holds what it has received and not read yet. */
export abstract class StreamSocket extends ConnectionSocket {
  protected readonly received: ByteRing;
  /** Bytes read so far: the stream position of the ring's head. */
  protected position = 0;
  private marks: Mark[] | null = null;
  /** The peer found no room: it is woken when there is enough again. */
  private senderWaits = false;

  constructor(capacity: number) {
    super();
    this.received = new ByteRing(capacity);
  }

  /** Puts bytes into the peer's buffer. -EAGAIN when there is no room. Precondition: `peer` is set. */
  protected transfer(io: IoBuffer, ancillary: Ancillary | null): number {
    const peer = this.peer as StreamSocket;
    const ring = peer.received;
    const start = peer.position + ring.length;
    const wanted = io.remaining;
    if (wanted === 0) return io.faulted ? -EFAULT : 0;
    const moved = ring.write(io, wanted);
    if (moved < wanted) peer.senderWaits = true;
    if (moved <= 0) return moved === 0 ? -EAGAIN : moved;
    if (ancillary) {
      peer.marks ??= [];
      peer.marks.push({ start, end: start + moved, ancillary });
    }
    peer.waitQueue.wake(POLLIN | POLLRDNORM);
    return moved;
  }

  /** Takes up to `most` received bytes; a peek looks behind the first `skip`. Precondition: there are some. */
  protected takeReceived(
    io: IoBuffer,
    flags: number,
    out: Received,
    most = Number.POSITIVE_INFINITY,
    skip = 0,
  ): number {
    const ring = this.received;
    let limit = Math.min(ring.length, most);
    const mark = this.marks ? this.marks[0] : null;
    if (mark) limit = Math.min(limit, mark.end - this.position);
    let moved: number;
    if (flags & MSG_PEEK) moved = ring.peek(io, skip, limit);
    else if (flags & MSG_TRUNC) {
      moved = Math.min(limit, io.remaining);
      ring.discard(moved);
    } else moved = ring.read(io, limit);
    if (moved <= 0) return moved;
    if (mark && this.position + moved > mark.start) {
      out.credentials = mark.ancillary.credentials;
      out.rights = flags & MSG_PEEK ? mark.ancillary.copyRights() : mark.ancillary.land();
      if (!(flags & MSG_PEEK)) {
        this.marks?.shift();
        if (this.marks?.length === 0) this.marks = null;
      }
    }
    if (!(flags & MSG_PEEK)) {
      this.position += moved;
      this.roomChanged();
    }
    return moved;
  }

  /** Wakes a sender that waits once a third of the buffer is free, as TCP does: fewer, larger steps. */
  protected roomChanged(): void {
    if (!this.senderWaits || !this.hasRoom()) return;
    this.senderWaits = false;
    this.peer?.waitQueue.wake(POLLOUT | POLLWRNORM);
  }

  private hasRoom(): boolean {
    return this.received.free * 3 >= this.received.capacity;
  }

  protected writable(): boolean {
    const peer = this.peer as StreamSocket | null;
    if (!peer || peer.hasRoom()) return true;
    peer.senderWaits = true;
    return false;
  }

  protected dropReceived(): boolean {
    const had = this.received.length > 0;
    this.received.clear();
    if (this.marks) for (const mark of this.marks) mark.ancillary.discard();
    this.marks = null;
    return had;
  }

  readable(): number {
    return this.received.length;
  }

  override unsent(): number {
    return (this.peer as StreamSocket | null)?.received.length ?? 0;
  }
}
