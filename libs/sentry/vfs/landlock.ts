import { EACCES, EXDEV } from '../abi/errno.js';
import * as L from '../abi/landlock.js';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFSOCK } from '../abi/stat.js';
import type { Credentials, Dentry, Inode, Mount, Path } from './types.js';

/** What one landlock_restrict_self(2) added: the rights it is about, and where it gives some of them. */
export interface LandlockLayer {
  readonly handled: number;
  readonly rules: ReadonlyMap<Inode, number>;
}

/** How a thread has restricted itself: every layer must agree. Never changed; children share it. */
export class LandlockDomain {
  constructor(
    /** Root of the tree; what hangs elsewhere (pipes, memfds) is not restricted. */
    private readonly rootMount: Mount,
    readonly layers: readonly LandlockLayer[],
  ) {}

  /** Rules of all layers. */
  get size(): number {
    return this.layers.reduce((total, { rules }) => total + rules.size, 0);
  }

  extend(layer: LandlockLayer): LandlockDomain {
    return new LandlockDomain(this.rootMount, [...this.layers, layer]);
  }

  /** Whether `other` is this domain or was restricted further from it: those it may look into. */
  contains(other: LandlockDomain | null): boolean {
    return other !== null && this.layers.every((layer, index) => other.layers[index] === layer);
  }

  /** Whether all of `access` (FS_*) is given at a place: each layer by rules there and above, across mounts, together. */
  allows(place: Path, access: number): boolean {
    const missing = this.layers.map(({ handled }) => handled & access);
    if (missing.every((rights) => rights === 0)) return true;
    let { mount } = place;
    let dentry: Dentry = place.dentry;
    for (;;) {
      for (const [index, { rules }] of this.layers.entries()) missing[index] &= ~(rules.get(dentry.inode) ?? 0);
      if (missing.every((rights) => rights === 0)) return true;
      while (dentry.parent === null) {
        const point: Path | null = mount.mountPoint;
        if (point === null) return mount !== this.rootMount;
        ({ mount, dentry } = point);
      }
      dentry = dentry.parent;
    }
  }
}

/** 0, or -EACCES when the caller has restricted itself from doing this there. */
export function checkLandlock(credentials: Credentials, place: Path, access: number): number {
  return credentials.landlock === null || credentials.landlock.allows(place, access) ? 0 : -EACCES;
}

const MAKING: Readonly<Record<number, number>> = {
  [S_IFDIR]: L.FS_MAKE_DIR,
  [S_IFCHR]: L.FS_MAKE_CHAR,
  [S_IFBLK]: L.FS_MAKE_BLOCK,
  [S_IFIFO]: L.FS_MAKE_FIFO,
  [S_IFSOCK]: L.FS_MAKE_SOCK,
  [S_IFLNK]: L.FS_MAKE_SYM,
};

/** The right to make an object of this mode in a directory, and to remove one from it. */
export const makingRight = (mode: number): number => MAKING[mode & S_IFMT] ?? L.FS_MAKE_REG;
export const removingRight = (mode: number): number =>
  (mode & S_IFMT) === S_IFDIR ? L.FS_REMOVE_DIR : L.FS_REMOVE_FILE;

/**
 * rename(2) and link(2): within a directory as making (and removing) there. From one to another nothing may be moved at all, since its
 * rights would change with it: -EXDEV, unless -EACCES says it already.
 */
export function checkReparenting(
  credentials: Credentials,
  from: Path,
  fromAccess: number,
  to: Path,
  toAccess: number,
): number {
  const { landlock } = credentials;
  if (landlock === null) return 0;
  if (from.dentry === to.dentry) return landlock.allows(to, fromAccess | toAccess) ? 0 : -EACCES;
  return landlock.allows(from, fromAccess) && landlock.allows(to, toAccess) ? -EXDEV : -EACCES;
}
