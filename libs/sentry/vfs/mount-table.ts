import { DentryNode, MountNode } from './dentry.js';
import type { FileSystem, Mount } from './types.js';
import { treeChanged } from './walk-cache.js';

/** All mounts of a sandbox. Fixed at boot: guests cannot mount. */
/** First mount id; 0 and small ones mean nothing in Linux either. */
const FIRST_MOUNT_ID = 20;

/** What /proc/N/mountinfo, statx(2) and name_to_handle_at(2) call a mount: its place in the list of all. */
export function mountIdOf(mounts: readonly Mount[], mount: Mount): number {
  return FIRST_MOUNT_ID + Math.max(0, mounts.indexOf(mount));
}

export class MountTable {
  readonly mounts: Mount[] = [];
  readonly root: MountNode;

  constructor(root: FileSystem, source: string, options: string) {
    this.root = new MountNode(root, null, source, options);
    this.mounts.push(this.root);
  }

  /** Mounts at an absolute path whose directories exist (boot code makes them). Throws when the place is absent. */
  mount(fileSystem: FileSystem, path: string, source: string, options: string): MountNode {
    const mount = new MountNode(fileSystem, this.find(path), source, options);
    (mount.mountPoint as DentryNode).mounted = mount;
    this.mounts.push(mount);
    treeChanged();
    return mount;
  }

  /** Takes everything off the root again: the zygote's warm-up guests leave the tree to the real ones. */
  unmountAll(): void {
    for (const mount of this.mounts.splice(1)) (mount.mountPoint as DentryNode).mounted = null;
    treeChanged();
  }

  /** A place by absolute path; follows no links. */
  find(path: string): DentryNode {
    let node = this.root.root;
    for (const name of path.split('/')) {
      if (name === '') continue;
      while (node.mounted) node = (node.mounted as MountNode).root;
      const next = node.child(name);
      if (!(next instanceof DentryNode)) throw new Error(`${path}: no ${name} (errno ${-next})`);
      node = next;
    }
    return node;
  }
}
