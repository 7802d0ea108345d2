import { DentryNode, MountNode } from './dentry.js';
import type { FileSystem, Mount } from './types.js';

/** All mounts of a sandbox. Fixed at boot: guests cannot mount. */
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
    return mount;
  }

  /** Takes everything off the root again: the zygote's warm-up guests leave the tree to the real ones. */
  unmountAll(): void {
    for (const mount of this.mounts.splice(1)) (mount.mountPoint as DentryNode).mounted = null;
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
