import { StringDecoder } from 'node:string_decoder';

/** Bytes of each stream that are kept. */
const KEPT = 1 << 20;

/** What a program prints, up to what is kept. */
export class KeptOutput {
  readonly streams = { stdout: '', stderr: '' };
  truncated = false;
  private readonly decoders = { stdout: new StringDecoder('utf8'), stderr: new StringDecoder('utf8') };
  private readonly bytes = { stdout: 0, stderr: 0 };

  push(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    const kept = bytes.subarray(0, Math.max(0, KEPT - this.bytes[stream]));
    this.truncated ||= kept.length < bytes.length;
    this.bytes[stream] += kept.length;
    if (kept.length > 0) this.streams[stream] += this.decoders[stream].write(Buffer.from(kept));
  }

  /** Whole: what is left of a character that was cut is shown as such. */
  end(): { stdout: string; stderr: string; truncated: boolean } {
    for (const stream of ['stdout', 'stderr'] as const) this.streams[stream] += this.decoders[stream].end();
    return { ...this.streams, truncated: this.truncated };
  }
}
