import { EFAULT, ENOMEM } from '../abi/errno.js';
import type { IoBuffer } from '../mm/types.js';
import { bufferSize, kernelBuffers } from './kernel-buffers.js';

/**
 * A first-in first-out queue of bytes of bounded size: the inside of pipes and stream sockets. Holds no memory while
 * empty, starts small and grows with what is in it. Allocates nothing in steady state.
 */
export class ByteRing {
  /** Bytes queued. */
  length = 0;
  private buffer: Uint8Array | null = null;
  private head = 0;

  /** `capacity`: most bytes queued, at most MAX_BUFFER. May change later (what is queued stays). */
  constructor(public capacity: number) {}

  get free(): number {
    return this.capacity > this.length ? this.capacity - this.length : 0;
  }

  /** Moves up to `max` bytes of `io` in. Returns how many (0 when full or max is 0), -EFAULT or -ENOMEM if none. */
  write(io: IoBuffer, max: number): number {
    let wanted = Math.min(max, io.remaining);
    if (wanted > this.free) wanted = this.free;
    if (wanted <= 0) return 0;
    wanted = this.reserve(wanted);
    // Short of kernel memory a queue that holds something is as good as full: whoever reads it makes room.
    if (wanted === 0) return this.length > 0 ? 0 : -ENOMEM;
    const buffer = this.buffer as Uint8Array;
    const mask = buffer.length - 1;
    let done = 0;
    while (done < wanted) {
      const at = (this.head + this.length) & mask;
      const run = Math.min(wanted - done, buffer.length - at);
      const moved = io.take(buffer, at, run);
      this.length += moved;
      done += moved;
      if (moved < run) break;
    }
    if (done === 0) {
      this.shrink();
      return -EFAULT;
    }
    return done;
  }

  /** Moves up to `max` bytes out into `io`. Returns how many (0 when empty), or -EFAULT if none. */
  read(io: IoBuffer, max: number): number {
    const done = this.peek(io, 0, max);
    if (done > 0) this.discard(done);
    return done;
  }

  /** As `read`, from `skip` bytes behind the head, leaving everything in place. */
  peek(io: IoBuffer, skip: number, max: number): number {
    // No Math.min: its result would be a heap object for whom it is passed to.
    let wanted = max < io.remaining ? max : io.remaining;
    if (wanted > this.length - skip) wanted = this.length - skip;
    if (wanted <= 0) return 0;
    const buffer = this.buffer as Uint8Array;
    const mask = buffer.length - 1;
    let done = 0;
    while (done < wanted) {
      const at = (this.head + skip + done) & mask;
      const left = wanted - done;
      const run = at + left > buffer.length ? buffer.length - at : left;
      const moved = io.put(buffer, at, run) | 0;
      done += moved;
      if (moved < run) break;
    }
    return done === 0 ? -EFAULT : done;
  }

  /** Appends kernel bytes. Returns how many fitted. */
  push(source: Uint8Array, offset: number, length: number): number {
    let wanted = Math.min(length, this.free);
    if (wanted <= 0) return 0;
    wanted = this.reserve(wanted);
    if (wanted === 0) return 0;
    const buffer = this.buffer as Uint8Array;
    const at = (this.head + this.length) & (buffer.length - 1);
    const first = Math.min(wanted, buffer.length - at);
    buffer.set(source.subarray(offset, offset + first), at);
    if (first < wanted) buffer.set(source.subarray(offset + first, offset + wanted), 0);
    this.length += wanted;
    return wanted;
  }

  /** Longest contiguous piece at the head, for draining without a copy; see `pieceOffset` and `discard`. */
  piece(): Uint8Array | null {
    return this.length === 0 ? null : this.buffer;
  }
  get pieceOffset(): number {
    return this.head;
  }
  get pieceLength(): number {
    return this.buffer ? Math.min(this.length, this.buffer.length - this.head) : 0;
  }

  /** The byte queued last. Precondition: there is one. */
  last(): number {
    const buffer = this.buffer as Uint8Array;
    return buffer[(this.head + this.length - 1) & (buffer.length - 1)];
  }

  /** Drops `count` bytes (at most `length`) from the head. */
  discard(count: number): void {
    const buffer = this.buffer;
    if (!buffer) return;
    this.head = (this.head + count) & (buffer.length - 1);
    this.length -= count;
    this.shrink();
  }

  /** Takes back the last `count` bytes written (a message that did not fit whole). */
  unwrite(count: number): void {
    this.length -= count;
    this.shrink();
  }

  clear(): void {
    this.length = 0;
    this.shrink();
  }

  /** Takes memory for up to `wanted` more bytes; returns for how many (0 when full), or -ENOMEM. See `settle`. */
  prepare(wanted: number): number {
    const room = Math.min(wanted, this.free);
    return room <= 0 ? 0 : this.reserve(room) || -ENOMEM;
  }

  /** After `prepare`, when nothing was written. */
  settle(): void {
    this.shrink();
  }

  /** Gives the memory back once nothing is queued. */
  private shrink(): void {
    if (this.length !== 0 || !this.buffer) return;
    kernelBuffers.release(this.buffer);
    this.buffer = null;
    this.head = 0;
  }

  /** Makes room for up to `wanted` more bytes; returns how many there is room for (0: no kernel memory). */
  private reserve(wanted: number): number {
    const old = this.buffer;
    if (old && old.length - this.length >= wanted) return wanted;
    const grown = kernelBuffers.acquire(bufferSize(this.length + wanted));
    if (!grown) return old ? old.length - this.length : this.reserveSmallest(wanted);
    if (old) {
      const first = Math.min(this.length, old.length - this.head);
      grown.set(old.subarray(this.head, this.head + first), 0);
      if (first < this.length) grown.set(old.subarray(0, this.length - first), first);
      kernelBuffers.release(old);
    }
    this.buffer = grown;
    this.head = 0;
    return wanted;
  }

  /** Near the limit: one page is better than an error. */
  private reserveSmallest(wanted: number): number {
    this.buffer = kernelBuffers.acquire(bufferSize(1));
    this.head = 0;
    return this.buffer ? Math.min(wanted, this.buffer.length) : 0;
  }
}
