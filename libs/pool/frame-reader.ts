import { FRAME_HEADER_BYTES, FRAME_PAYLOAD_MAX } from '@cordon/sentry/boot/boot-message';

/**
 * Cuts a byte stream into frames. The Sentry is not trusted: a length beyond the maximum throws, and no memory is
 * reserved for bytes that have not arrived.
 */
export class FrameReader {
  private chunks: Buffer[] = [];
  private buffered = 0;

  /** `payloadMax`: bytes; a longer frame is malformed. */
  constructor(private readonly payloadMax = FRAME_PAYLOAD_MAX) {}

  /** Takes the next bytes of the stream. */
  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.buffered += chunk.length;
  }

  /** Bytes that arrived and are not yet part of a whole frame. */
  get pending(): number {
    return this.buffered;
  }

  /** The next whole frame, or null. The payload is a view of what was pushed. Throws RangeError on a malformed length. */
  next(): { type: number; payload: Buffer } | null {
    if (this.buffered < FRAME_HEADER_BYTES) return null;
    const length = this.header().readUInt32LE(0);
    if (length > this.payloadMax) throw new RangeError(`a frame of ${length} bytes`);
    const whole = FRAME_HEADER_BYTES + length;
    if (this.buffered < whole) return null;
    const first = this.chunks.length === 1 || this.chunks[0].length >= whole ? this.chunks[0] : this.join();
    this.chunks[0] = first.subarray(whole);
    if (this.chunks[0].length === 0) this.chunks.shift();
    this.buffered -= whole;
    return { type: first[4], payload: first.subarray(FRAME_HEADER_BYTES, whole) };
  }

  private header(): Buffer {
    if (this.chunks[0].length >= FRAME_HEADER_BYTES) return this.chunks[0];
    return this.join();
  }

  /** Only called when a frame spans chunks and all of it (or its header) is there, so each byte is copied at most twice. */
  private join(): Buffer {
    const joined = Buffer.concat(this.chunks);
    this.chunks = [joined];
    return joined;
  }
}

/** One frame as bytes. */
export function encodeFrame(type: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  frame.writeUInt32LE(payload.length, 0);
  frame[4] = type;
  frame.set(payload, FRAME_HEADER_BYTES);
  return frame;
}

export function encodeJsonFrame(type: number, value: unknown): Buffer {
  return encodeFrame(type, Buffer.from(JSON.stringify(value), 'utf8'));
}
