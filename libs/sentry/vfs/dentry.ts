import { BaseInode } from './inode.js';
import type { Dentry, Inode, Mount, Path } from './types.js';
import { treeChanged } from './walk-cache.js';

/** A walked name. Each belongs to one mount, so it is its own Path: walking allocates nothing that is cached. */
export class DentryNode implements Dentry, Path {
  name: string;
  parent: DentryNode | null;
  inode: Inode;
  deleted = false;
  /** Files and directories that are open through this name: what is gone from the tree lives on for them. */
  users = 0;
  readonly mount: Mount;
  /** The name stays until somebody removes it; false below directories whose entries come and go by themselves (proc). */
  stable = true;
  /** What is mounted over this place. */
  mounted: Mount | null = null;
  private children: Map<string, DentryNode> | null = null;

  constructor(name: string, parent: DentryNode | null, inode: Inode, mount: Mount | null) {
    this.name = name;
    this.parent = parent;
    this.inode = inode;
    this.mount = mount ?? (undefined as unknown as Mount);
  }

  get dentry(): DentryNode {
    return this;
  }

  /** The child's dentry, looked up in the inode when not cached; -errno. */
  child(name: string): DentryNode | number {
    const cached = this.children?.get(name);
    if (cached) return cached;
    const inode = this.inode.lookup(name);
    return typeof inode === 'number' ? inode : this.adopt(name, inode);
  }

  cachedChild(name: string): DentryNode | undefined {
    return this.children?.get(name);
  }

  /** A dentry for a new or newly found child. */
  adopt(name: string, inode: Inode): DentryNode {
    const node = new DentryNode(name, this, inode, this.mount);
    if (this.inode instanceof BaseInode && this.inode.volatileEntries) node.stable = false;
    else this.keep(name, node);
    if (!this.stable) node.stable = false;
    return node;
  }

  /** The name is gone from the directory; whoever holds the dentry sees "(deleted)". */
  forget(name: string): void {
    const node = this.children?.get(name);
    if (!node) return;
    treeChanged();
    node.deleted = true;
    this.children?.delete(name);
  }

  /** rename(2): the child keeps its identity (cwd, open files) under its new name. */
  move(name: string, to: DentryNode, newName: string): void {
    treeChanged();
    to.forget(newName);
    const node = this.children?.get(name);
    if (!node) return;
    this.children?.delete(name);
    node.name = newName;
    node.parent = to;
    to.keep(newName, node);
  }

  /** RENAME_EXCHANGE. */
  exchange(name: string, other: DentryNode, otherName: string): void {
    treeChanged();
    const one = this.children?.get(name);
    const two = other.children?.get(otherName);
    this.children?.delete(name);
    other.children?.delete(otherName);
    if (one) {
      one.name = otherName;
      one.parent = other;
      other.keep(otherName, one);
    }
    if (two) {
      two.name = name;
      two.parent = this;
      this.keep(name, two);
    }
  }

  private keep(name: string, node: DentryNode): void {
    this.children ??= new Map();
    this.children.set(name, node);
  }
}

/** A mounted file system and its root dentry. */
export class MountNode implements Mount {
  readonly root: DentryNode;

  constructor(
    readonly fileSystem: Mount['fileSystem'],
    readonly mountPoint: DentryNode | null,
    readonly source: string,
    readonly options: string,
  ) {
    this.root = new DentryNode('', null, fileSystem.root, this);
  }
}
