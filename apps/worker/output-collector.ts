import type { OutputEvent } from '@cordon/contracts';

/** Length of the longest prefix that does not cut a UTF-8 sequence in two. */
export function wholeLength(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back];
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needed > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function encode(bytes: Uint8Array): OutputEvent {
  try {
    return { data: utf8.decode(bytes), encoding: 'utf8' };
  } catch {
    return { data: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64'), encoding: 'base64' };
  }
}

/** One output stream of a run: kept whole for the result, handed on in pieces for the stream. */
export class OutputCollector {
  private readonly chunks: Uint8Array[] = [];
  private taken = 0;
  private held: Uint8Array = new Uint8Array(0);

  /** -> how many chunks there are now. */
  push(bytes: Uint8Array): number {
    return this.chunks.push(Uint8Array.from(bytes));
  }

  /** What came since the last call, up to so many chunks, as an event; a character cut in two waits for its rest unless `final`. */
  take(upTo: number, final: boolean): OutputEvent | null {
    const fresh = Buffer.concat([this.held, ...this.chunks.slice(this.taken, upTo)]);
    const length = final ? fresh.length : wholeLength(fresh);
    this.held = fresh.subarray(length);
    this.taken = Math.max(this.taken, upTo);
    return length === 0 ? null : encode(fresh.subarray(0, length));
  }

  /** All of it. */
  whole(): OutputEvent {
    return encode(Buffer.concat(this.chunks));
  }
}
