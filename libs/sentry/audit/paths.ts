import { KEPT_PATH_BYTES, PATH_IDS } from './format.js';

/** In place of an id: the text travels with its call. */
export const INLINE = -1;

/**
 * The paths that the reader of a stream has been told, by id. An id is a place that the path itself chooses; another path that chooses
 * it takes it, after having been told. Bounded: `PATH_IDS` texts of `KEPT_PATH_BYTES`.
 */
export class PathTable {
  private readonly texts: string[] = new Array(PATH_IDS).fill('');

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
}
