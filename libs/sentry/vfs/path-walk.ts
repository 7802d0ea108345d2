import { EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR } from '../abi/errno.js';
import { NAME_MAX, PATH_MAX, X_OK } from '../abi/fcntl.js';
import { S_IFDIR, S_IFLNK, S_IFMT } from '../abi/stat.js';
import { DentryNode, type MountNode } from './dentry.js';
import { checkAccess } from './permissions.js';
import type { Caller, FsContext, Inode, Path } from './types.js';

/** Symbolic links followed before ELOOP (path_resolution(7)). */
const LINKS_MAX = 40;

/** The last component of a path whose parent was resolved. */
export interface LastComponent {
  parent: DentryNode;
  /** "." and ".." and "" (for "/") stay as they are: creating or removing them fails. */
  name: string;
  trailingSlash: boolean;
}

/** Who walks: cwd and root, credentials. */
export interface Walker extends Caller {
  readonly fs: FsContext;
}

export const isDirectory = (inode: Inode): boolean => (inode.mode & S_IFMT) === S_IFDIR;
export const isSymlink = (inode: Inode): boolean => (inode.mode & S_IFMT) === S_IFLNK;

/** Down through whatever is mounted here. */
function enter(node: DentryNode): DentryNode {
  while (node.mounted) node = (node.mounted as MountNode).root;
  return node;
}

/** `..`: up through mount points, never above root. */
function up(node: DentryNode, root: DentryNode): DentryNode {
  if (node === root) return node;
  while (!node.parent) {
    const { mountPoint } = node.mount as MountNode;
    if (!mountPoint) return node;
    node = mountPoint;
    if (node === root) return node;
  }
  return enter(node.parent);
}

/** The place behind a magic link: pipes and sockets have dentries of their own kind. */
function placeOf(path: Path): DentryNode {
  const { dentry, mount } = path;
  return dentry instanceof DentryNode ? dentry : new DentryNode(dentry.name, null, dentry.inode, mount);
}

class Walk {
  links = 0;
  constructor(
    readonly walker: Walker,
    readonly root: DentryNode,
  ) {}

  /** Resolves all of `path` from `start`; the last link is followed when `follow`. */
  all(start: DentryNode, path: string, follow: boolean): DentryNode | number {
    const last = this.parent(start, path);
    if (typeof last === 'number') return last;
    return this.finish(last, follow);
  }

  /** The object itself, from a resolved parent. */
  finish(last: LastComponent, follow: boolean): DentryNode | number {
    const { parent, name, trailingSlash } = last;
    if (name === '' || name === '.') return parent;
    if (name === '..') return up(parent, this.root);
    const node = this.step(parent, name);
    if (typeof node === 'number') return node;
    if (isSymlink(node.inode) && (follow || trailingSlash)) {
      const target = this.followLink(node, parent);
      if (typeof target === 'number') return target;
      return trailingSlash && !isDirectory(target.inode) ? -ENOTDIR : target;
    }
    if (trailingSlash && !isDirectory(node.inode)) return -ENOTDIR;
    return node;
  }

  /** Walks to the parent of the last component. */
  parent(start: DentryNode, path: string): LastComponent | number {
    if (path.length >= PATH_MAX) return -ENAMETOOLONG;
    let node = path.charCodeAt(0) === 47 ? this.root : start;
    let end = path.length;
    while (end > 0 && path.charCodeAt(end - 1) === 47) end--;
    const trailingSlash = end < path.length && end > 0;
    let at = 0;
    for (;;) {
      while (at < end && path.charCodeAt(at) === 47) at++;
      if (at >= end) return { parent: node, name: '', trailingSlash: false };
      let stop = path.indexOf('/', at);
      if (stop < 0 || stop > end) stop = end;
      const name = path.slice(at, stop);
      if (name.length > NAME_MAX) return -ENAMETOOLONG;
      if (!isDirectory(node.inode)) return -ENOTDIR;
      const allowed = checkAccess(node.inode, X_OK, this.walker.credentials);
      if (allowed !== 0) return allowed;
      if (stop === end) return { parent: node, name, trailingSlash };
      at = stop;
      if (name === '.') continue;
      if (name === '..') {
        node = up(node, this.root);
        continue;
      }
      const next = this.step(node, name);
      if (typeof next === 'number') return next;
      if (isSymlink(next.inode)) {
        const target = this.followLink(next, node);
        if (typeof target === 'number') return target;
        node = target;
      } else {
        node = next;
      }
    }
  }

  private step(parent: DentryNode, name: string): DentryNode | number {
    if (parent.deleted) return -ENOENT;
    const node = parent.child(name);
    return typeof node === 'number' ? node : enter(node);
  }

  private followLink(link: DentryNode, parent: DentryNode): DentryNode | number {
    if (++this.links > LINKS_MAX) return -ELOOP;
    const magic = link.inode.followTo?.(this.walker) ?? null;
    if (typeof magic === 'number') return magic;
    if (magic) return placeOf(magic);
    const target = link.inode.readlink(this.walker);
    if (typeof target === 'number') return target;
    if (target === '') return -ENOENT;
    return this.all(parent, target, true);
  }
}

/**
 * Resolves a path to a place. `start` is where relative paths begin (null: cwd). An empty path is -ENOENT: callers that
 * accept one (AT_EMPTY_PATH) handle it before. -ENOENT -ENOTDIR -EACCES -ELOOP -ENAMETOOLONG.
 */
export function resolve(walker: Walker, start: Path | null, path: string, follow: boolean): DentryNode | number {
  if (path === '') return -ENOENT;
  const walk = new Walk(walker, walker.fs.root.dentry as DentryNode);
  return walk.all((start ?? walker.fs.cwd).dentry as DentryNode, path, follow);
}

/** Resolves all but the last component, for calls that create or remove it. */
export function resolveParent(walker: Walker, start: Path | null, path: string): LastComponent | number {
  if (path === '') return -ENOENT;
  const walk = new Walk(walker, walker.fs.root.dentry as DentryNode);
  return walk.parent((start ?? walker.fs.cwd).dentry as DentryNode, path);
}

/** For open(2): parent first (O_CREAT needs it), links of the last component resolved against the same link budget. */
export function walkForOpen(walker: Walker): Walk {
  return new Walk(walker, walker.fs.root.dentry as DentryNode);
}
export type { Walk };

/** "." and ".." (and "/") cannot be created, removed or renamed: the errno for it. */
export function badLastName(name: string, dots: number): number {
  if (name === '' || name === '.' || name === '..') return dots;
  return name.includes('\0') ? -EINVAL : 0;
}

/** Absolute path of a place as seen from `root`: getcwd(2), /proc/pid/exe, maps. */
export function pathName(path: Path, root: Path): string {
  const top = root.dentry as DentryNode;
  let node = path.dentry as DentryNode;
  let name = '';
  const suffix = node.deleted ? ' (deleted)' : '';
  while (node !== top) {
    if (node.parent) {
      name = `/${node.name}${name}`;
      node = node.parent;
    } else {
      const { mountPoint } = node.mount as MountNode;
      if (!mountPoint) return node === top ? name : `(unreachable)${name || '/'}`;
      node = mountPoint;
    }
  }
  return (name || '/') + suffix;
}
