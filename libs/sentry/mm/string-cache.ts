import type { Bytes, MemoryFile } from '../platform/platform.js';

/** Places; a string has one, by its hash. */
const PLACES = 4096;
/** Longer strings are made anew each time. */
const LENGTH_MAX = 120;
/** Bytes that make the hash. */
const HASHED = 12;

/** What Buffer has but its types do not say: the quickest way from bytes to a byte string. */
interface Latin1Source {
  latin1Slice(start: number, end: number): string;
}

const caches = new WeakMap<MemoryFile, StringCache>();

/**
 * Byte strings out of guest memory. Programs name the same files again and again: a name seen before is compared where it lies and
 * answered with the same string object, whose hash is known to every Map that has it as a key.
 */
export class StringCache {
  private readonly bytes: Uint8Array;
  private readonly source: Latin1Source;
  /** By where a string began in the memory file: the place it was found at. */
  private readonly places = new Uint16Array(PLACES);
  private readonly texts: string[] = new Array(PLACES).fill('');
  /** What `texts` says, to compare with. */
  private readonly copies = new Uint8Array(PLACES * LENGTH_MAX);

  private constructor({ bytes }: MemoryFile) {
    this.bytes = bytes;
    const { buffer, byteOffset, byteLength } = bytes;
    this.source = Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength) as unknown as Latin1Source;
  }

  /** The one of this memory file. */
  static of(memory: MemoryFile): StringCache {
    let cache = caches.get(memory);
    if (!cache) {
      cache = new StringCache(memory);
      caches.set(memory, cache);
    }
    return cache;
  }

  /** Bytes [start, end) of the memory file. The guest may be writing to them: what is answered was there at some time. */
  slice(start: Bytes, end: Bytes): string {
    return this.source.latin1Slice(start, end);
  }

  /** The string before the first zero byte of [start, end), for callers that may well ask for it again; null without a zero byte. */
  terminated(start: Bytes, end: Bytes): string | null {
    const { bytes } = this;
    // Often it is the very constant of the program that was there before.
    const here = (start ^ (start >>> 12)) & (PLACES - 1);
    const last = this.places[here];
    if (this.holds(last, start, end)) return this.texts[last];
    let at = start;
    while (at < end && bytes[at] !== 0) at++;
    if (at === end) return null;
    const length = at - start;
    if (length > LENGTH_MAX || length === 0) return this.slice(start, at);
    let hash = length;
    // The end tells names in one directory apart.
    for (let index = Math.max(start, at - HASHED); index < at; index++) {
      hash = (hash << 5) ^ (hash >>> 27) ^ bytes[index];
    }
    const place = (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (PLACES - 1);
    this.places[here] = place;
    if (this.texts[place].length === length && this.holds(place, start, end)) return this.texts[place];
    const text = this.slice(start, at);
    // Another thread has just written to it: kept, it would stand for what comes before its zero byte, too.
    const zero = text.indexOf('\0');
    if (zero >= 0) return text.slice(0, zero);
    this.texts[place] = text;
    for (let index = 0; index < length; index++) this.copies[place * LENGTH_MAX + index] = text.charCodeAt(index);
    return text;
  }

  /** Whether the bytes from `start` are the string of that place and its end. */
  private holds(place: number, start: Bytes, end: Bytes): boolean {
    const { length } = this.texts[place];
    if (length === 0 || start + length >= end) return false;
    const { bytes, copies } = this;
    if (bytes[start + length] !== 0) return false;
    const copy = place * LENGTH_MAX;
    let same = length - 1;
    while (same >= 0 && copies[copy + same] === bytes[start + same]) same--;
    return same < 0;
  }
}
