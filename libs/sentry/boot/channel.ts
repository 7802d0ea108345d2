import { EAGAIN, EINTR } from '../abi/errno.js';
import { host } from '../platform/host.js';
import type { HostFd } from '../platform/platform.js';
import { POLLIN, POLLOUT, WaitQueue } from '../vfs/wait-queue.js';
import { FRAME_HEADER_BYTES, FRAME_PAYLOAD_MAX, type FrameKind } from './boot-message.js';

/** Bytes of frames kept while the supervisor does not read. More than this holds the guest back. */
const OUTGOING_BYTES = 256 * 1024;
const INCOMING_BYTES = 64 * 1024;

/** Takes one frame: `payload[offset, offset+length)` is valid only during the call. */
export type FrameReceiver = (type: number, payload: Uint8Array, offset: number, length: number) => void;

/**
 * The Sentry's end of the socket to its supervisor. Raw non-blocking host calls, no libuv (see apps/sentry).
 * Buffers are made once, in the zygote, and inherited.
 */
export class FrameChannel {
  /** Woken (POLLOUT) when there is room again after `room()` ran out. */
  readonly writable = new WaitQueue();
  private fd: HostFd = -1;
  private readonly outgoing = new Uint8Array(OUTGOING_BYTES);
  private readonly outgoingView = new DataView(this.outgoing.buffer);
  private start = 0;
  private end = 0;
  private incoming = new Uint8Array(INCOMING_BYTES);
  private received = 0;
  /** True once the supervisor has closed its end: nothing said any more reaches anybody. */
  closed = false;

  attach(fd: HostFd): void {
    this.fd = fd;
  }

  /** Largest payload that `send` takes now. */
  room(): number {
    return Math.max(0, OUTGOING_BYTES - (this.end - this.start) - FRAME_HEADER_BYTES);
  }

  /** Bytes that wait for the supervisor. */
  get pendingBytes(): number {
    return this.end - this.start;
  }

  /** Queues a frame. Precondition: length <= room(). */
  send(type: FrameKind, payload: Uint8Array, offset: number, length: number): void {
    if (this.closed) return;
    this.makeRoom(length + FRAME_HEADER_BYTES);
    this.outgoingView.setUint32(this.end, length, true);
    this.outgoing[this.end + 4] = type;
    this.end += FRAME_HEADER_BYTES;
    copy(this.outgoing, this.end, payload, offset, length);
    this.end += length;
  }

  /**
   * Sends a frame straight from the payload's buffer when nothing is queued before it, and queues what the socket does not take.
   * Precondition: the FRAME_HEADER_BYTES before the payload in its buffer may be overwritten. Worth it for large payloads only.
   */
  sendInPlace(type: FrameKind, payload: Uint8Array): void {
    if (this.closed) return;
    if (this.pendingBytes > 0 && !this.flush()) {
      this.send(type, payload, 0, payload.length);
      return;
    }
    const frame = new Uint8Array(
      payload.buffer,
      payload.byteOffset - FRAME_HEADER_BYTES,
      FRAME_HEADER_BYTES + payload.length,
    );
    for (let index = 0; index < 4; index++) frame[index] = payload.length >>> (8 * index);
    frame[4] = type;
    let written: number;
    do written = host.write(this.fd, frame, 0, frame.length);
    while (written === -EINTR);
    if (written < 0 && written !== -EAGAIN) {
      this.closed = true;
      return;
    }
    const start = Math.max(written, 0);
    if (start === frame.length) return;
    this.makeRoom(frame.length - start);
    this.outgoing.set(frame.subarray(start), this.end);
    this.end += frame.length - start;
  }

  /** Queues as much of the bytes as there is room for; returns how many (all of them once the supervisor is gone). */
  append(type: FrameKind, payload: Uint8Array, offset: number, length: number): number {
    const taken = Math.min(length, this.room());
    if (taken > 0) this.send(type, payload, offset, taken);
    return this.closed ? length : taken;
  }

  /** Writes as much as the socket takes. True when nothing is left. */
  flush(): boolean {
    while (this.end > this.start && !this.closed) {
      const written = host.write(this.fd, this.outgoing, this.start, this.end - this.start);
      if (written === -EAGAIN) return false;
      if (written === -EINTR) continue;
      if (written < 0) {
        this.closed = true;
        break;
      }
      this.start += written;
    }
    this.start = 0;
    this.end = 0;
    this.writable.wake(POLLOUT);
    return true;
  }

  /** Flushes to the end, waiting for the supervisor. It kills a Sentry that hangs here. */
  drain(): void {
    while (!this.flush()) host.poll(this.fd, POLLOUT, -1);
  }

  /** Reads what is there and hands over whole frames. False when the supervisor closed the socket. */
  receive(receiver: FrameReceiver): boolean {
    for (;;) {
      if (this.received === this.incoming.length) this.growIncoming();
      const count = host.read(this.fd, this.incoming, this.received, this.incoming.length - this.received);
      if (count === -EINTR) continue;
      if (count === -EAGAIN) return true;
      if (count <= 0) {
        this.closed = true;
        return false;
      }
      this.received += count;
      this.dispatch(receiver);
    }
  }

  /** Waits for bytes, then `receive`. */
  waitAndReceive(receiver: FrameReceiver): boolean {
    host.poll(this.fd, POLLIN, -1);
    return this.receive(receiver);
  }

  private dispatch(receiver: FrameReceiver): void {
    let at = 0;
    const { incoming } = this;
    while (this.received - at >= FRAME_HEADER_BYTES) {
      const length = frameLength(incoming, at);
      if (this.received - at - FRAME_HEADER_BYTES < length) break;
      receiver(incoming[at + 4], incoming, at + FRAME_HEADER_BYTES, length);
      at += FRAME_HEADER_BYTES + length;
    }
    if (at > 0) {
      incoming.copyWithin(0, at, this.received);
      this.received -= at;
    }
  }

  private growIncoming(): void {
    const length = frameLength(this.incoming, 0);
    if (length > FRAME_PAYLOAD_MAX) throw new Error(`frame of ${length} bytes from the supervisor`);
    const larger = new Uint8Array(Math.max(this.incoming.length * 2, length + FRAME_HEADER_BYTES));
    larger.set(this.incoming);
    this.incoming = larger;
  }

  private makeRoom(bytes: number): void {
    if (OUTGOING_BYTES - this.end >= bytes) return;
    this.outgoing.copyWithin(0, this.start, this.end);
    this.end -= this.start;
    this.start = 0;
    // Control frames are small and may come while output fills the buffer: wait for the supervisor rather than lose one.
    while (OUTGOING_BYTES - this.end < bytes && !this.closed) {
      if (!this.flush()) host.poll(this.fd, POLLOUT, -1);
    }
  }
}

function frameLength(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

function copy(to: Uint8Array, at: number, from: Uint8Array, offset: number, length: number): void {
  if (length < 64) {
    for (let index = 0; index < length; index++) to[at + index] = from[offset + index];
  } else {
    to.set(from.subarray(offset, offset + length), at);
  }
}
