import { CAPTURE_HEADER_BYTES, CAPTURE_PATH_ID, KEPT_PATH_BYTES, PATH_IDS } from './format.js';

/** In place of an id: the text travels with its call. */
export const INLINE = -1;

/**
 * The paths that the reader of a stream has been told, by id. An id is a place that the path itself chooses; another path that chooses
 * it takes it, after having been told. Bounded: `PATH_IDS` texts of `KEPT_PATH_BYTES`.
 */
export class PathTable {
  private readonly texts: string[] = new Array(PATH_IDS).fill('');
  /** Of the call that begins: by argument index, the id of its path or `INLINE`. */
  readonly ids = new Int32Array(6).fill(INLINE);

  /** The place of a path, or `INLINE`. */
  placeOf(path: string): number {
    const { length } = path;
    if (length === 0 || length > KEPT_PATH_BYTES) return INLINE;
    // The end tells names in one directory apart.
    let hash = length;
    for (let index = length > 6 ? length - 6 : 0; index < length; index++)
      hash = (hash << 5) ^ (hash >>> 27) ^ path.charCodeAt(index);
    return (hash ^ (hash >>> 8) ^ (hash >>> 16)) & (PATH_IDS - 1);
  }

  has(place: number, path: string): boolean {
    return this.texts[place] === path;
  }

  put(place: number, path: string): void {
    this.texts[place] = path;
  }

  /** Captures in the words of who does not know the table, nor what it will hold later. */
  spelledOut(captures: Uint8Array): Uint8Array {
    const parts: Uint8Array[] = [];
    let copied = 0;
    for (let at = 0; at + CAPTURE_HEADER_BYTES <= captures.length; at += CAPTURE_HEADER_BYTES) {
      const length = captures[at + 2] | (captures[at + 3] << 8);
      if ((captures[at + 1] & CAPTURE_PATH_ID) === 0) {
        at += length;
        continue;
      }
      const text = Buffer.from(this.texts[length], 'latin1');
      parts.push(captures.slice(copied, at), Uint8Array.of(captures[at], 0, text.length, 0), text);
      copied = at + CAPTURE_HEADER_BYTES;
    }
    parts.push(captures.slice(copied));
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }
}
