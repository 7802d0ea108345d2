import type { DentryNode } from './dentry.js';

/** Names kept for each start; a program that walks more begins anew. */
const NAMES_MAX = 4096;
/** Longer names are walked each time: what is kept must not be a guest's way to take the Sentry's memory. */
const LENGTH_MAX = 256;

/** Grows whenever a name may lead elsewhere than before, or a directory may let fewer pass. */
let version = 0;

/**
 * A name is gone, moved or mounted over, or the permissions of a directory have changed: what walks found is not valid any more.
 * A new name needs no call: only walks that found something are kept.
 */
export function treeChanged(): void {
  version++;
}

/**
 * Whole walks by their text, so that the same name is not taken apart again and again. Kept are only walks whose outcome depends on
 * nothing but the tree: everybody may pass all directories on the way, and neither magic links nor directories whose entries come and go
 * by themselves are among them (`Walk.cacheable`).
 */
export class WalkCache {
  private start: DentryNode | null = null;
  private root: DentryNode | null = null;
  private version = -1;
  private readonly followed = new Map<string, DentryNode>();
  private readonly unfollowed = new Map<string, DentryNode>();

  find(start: DentryNode, root: DentryNode, path: string, follow: boolean): DentryNode | undefined {
    if (this.start !== start || this.root !== root || this.version !== version) return undefined;
    return (follow ? this.followed : this.unfollowed).get(path);
  }

  /** Of the tree as it is now. */
  keep(start: DentryNode, root: DentryNode, path: string, follow: boolean, node: DentryNode): void {
    if (path.length > LENGTH_MAX) return;
    const names = follow ? this.followed : this.unfollowed;
    if (this.start !== start || this.root !== root || this.version !== version || names.size >= NAMES_MAX) {
      this.followed.clear();
      this.unfollowed.clear();
      this.start = start;
      this.root = root;
      this.version = version;
    }
    names.set(path, node);
  }
}
