import { EINVAL, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV } from '../abi/errno.js';
import {
  NAME_MAX,
  PATH_MAX,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  X_OK,
} from '../abi/fcntl.js';
import { S_IFDIR, S_IFLNK, S_IFMT } from '../abi/stat.js';
import { DentryNode, type MountNode } from './dentry.js';
import { checkAccess } from './permissions.js';
import type { Caller, FsContext, Inode, Path } from './types.js';
import { WalkCache } from './walk-cache.js';

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

/** What anybody needs to pass a directory. */
const SEARCH_BY_ALL = 0o111;

class Walk {
  links = 0;
  /** False once the outcome depends on more than the tree: who walks, or what comes and goes by itself. */
  cacheable = true;
  constructor(
    readonly walker: Walker,
    readonly root: DentryNode,
    /** RESOLVE_* of openat2(2), and the place they are about: where the walk starts. */
    private readonly restrictions = 0,
    private readonly base: DentryNode = root,
  ) {}

  /** `..`; -EXDEV where a restriction forbids to leave. */
  private ascend(node: DentryNode): DentryNode | number {
    if (this.restrictions === 0) return up(node, this.root);
    if (this.restrictions & RESOLVE_BENEATH && node === this.base) return -EXDEV;
    return this.crossing(node, up(node, this.root));
  }

  /** -EXDEV when the step leads to another mount and that is forbidden. */
  private crossing(from: DentryNode, to: DentryNode): DentryNode | number {
    return this.restrictions & RESOLVE_NO_XDEV && from.mount !== to.mount ? -EXDEV : to;
  }

  /** Whether a symbolic link may be followed: 0, -ELOOP, -EXDEV. */
  checkLink(magic: boolean): number {
    if (this.restrictions === 0) return 0;
    if (this.restrictions & RESOLVE_NO_SYMLINKS) return -ELOOP;
    if (!magic) return 0;
    if (this.restrictions & RESOLVE_NO_MAGICLINKS) return -ELOOP;
    return this.restrictions & (RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_XDEV) ? -EXDEV : 0;
  }

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
    if (name === '..') return this.ascend(parent);
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
    let node = start;
    if (path.charCodeAt(0) === 47) {
      if (this.restrictions & RESOLVE_BENEATH) return -EXDEV;
      if (this.restrictions & RESOLVE_NO_XDEV && start.mount !== this.root.mount) return -EXDEV;
      node = this.root;
    }
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
      if ((node.inode.mode & SEARCH_BY_ALL) !== SEARCH_BY_ALL) this.cacheable = false;
      if (stop === end) return { parent: node, name, trailingSlash };
      at = stop;
      if (name === '.') continue;
      if (name === '..') {
        const above = this.ascend(node);
        if (typeof above === 'number') return above;
        node = above;
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
    if (typeof node === 'number') return node;
    if (!node.stable) this.cacheable = false;
    return this.restrictions === 0 ? enter(node) : this.crossing(parent, enter(node));
  }

  private followLink(link: DentryNode, parent: DentryNode): DentryNode | number {
    if (++this.links > LINKS_MAX) return -ELOOP;
    const magic = link.inode.followTo?.(this.walker) ?? null;
    if (typeof magic === 'number') return magic;
    const refused = this.checkLink(magic !== null);
    if (refused) return refused;
    if (magic) {
      this.cacheable = false;
      return placeOf(magic);
    }
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
  const root = walker.fs.root.dentry as DentryNode;
  const absolute = path.charCodeAt(0) === 47;
  const from = absolute ? root : ((start ?? walker.fs.cwd).dentry as DentryNode);
  const cache = absolute ? absoluteWalks : relativeWalks;
  const known = cache.find(from, root, path, follow);
  if (known !== undefined) return known;
  const walk = new Walk(walker, root);
  const node = walk.all(from, path, follow);
  if (walk.cacheable && typeof node !== 'number') cache.keep(from, root, path, follow, node);
  return node;
}

// Derived from the tree, and valid for all processes of the one kernel.
const absoluteWalks = new WalkCache();
const relativeWalks = new WalkCache();

/** Resolves all but the last component, for calls that create or remove it. */
export function resolveParent(walker: Walker, start: Path | null, path: string): LastComponent | number {
  if (path === '') return -ENOENT;
  const walk = new Walk(walker, walker.fs.root.dentry as DentryNode);
  return walk.parent((start ?? walker.fs.cwd).dentry as DentryNode, path);
}

/** For open(2): parent first (O_CREAT needs it), links of the last component resolved against the same link budget. */
export function walkForOpen(walker: Walker, restrictions = 0, base: Path | null = null): Walk {
  const root = walker.fs.root.dentry as DentryNode;
  if (restrictions === 0) return new Walk(walker, root);
  const start = (base ?? walker.fs.cwd).dentry as DentryNode;
  return new Walk(walker, restrictions & RESOLVE_IN_ROOT ? start : root, restrictions, start);
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
