import { EACCES, EAGAIN, EEXIST, EINVAL, EISDIR, ELOOP, ENOENT, ENOTDIR, EPERM, EROFS } from '../abi/errno.js';
import {
  O_ACCMODE,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOATIME,
  O_NOCTTY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  R_OK,
  TMPFILE_BIT,
  W_OK,
  X_OK,
} from '../abi/fcntl.js';
import { FS_MAKE_REG, FS_READ_DIR, FS_READ_FILE, FS_WRITE_FILE } from '../abi/landlock.js';
import { S_IFCHR, S_IFMT, S_IFREG } from '../abi/stat.js';
import type { DentryNode } from './dentry.js';
import { PathDescription } from './file-description.js';
import { checkLandlock } from './landlock.js';
import { obstruction } from './leases.js';
import { notifyCreate, notifyModify, notifyOpen } from './notify.js';
import {
  isDirectory,
  isSymlink,
  type LastComponent,
  resolve,
  type Walk,
  type Walker,
  walkForOpen,
} from './path-walk.js';
import { checkAccess, isOwner } from './permissions.js';
import type { FileDescription, Path } from './types.js';

const PERMISSIONS = 0o7777;
/** Flags of open(2) that are not kept in the description. */
const CREATION_FLAGS = O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY | O_CLOEXEC;

function accessMask(flags: number): number {
  switch (flags & O_ACCMODE) {
    case O_RDONLY:
      return R_OK;
    case O_WRONLY:
      return W_OK;
    default:
      return R_OK | W_OK;
  }
}

/** What a thread that has restricted itself needs to open a file. */
function landlockAccess(flags: number, directory: boolean): number {
  const mask = accessMask(flags);
  if (directory) return FS_READ_DIR;
  return (mask & R_OK ? FS_READ_FILE : 0) | (mask & W_OK ? FS_WRITE_FILE : 0);
}

/**
 * open(2): finds or creates the file and opens it. `start`: where a relative path begins (null = cwd). The mode's umask is
 * applied here. `restrictions`: RESOLVE_* of openat2(2). FIFOs may answer a description whose `openPending()` is true; the caller waits.
 * -EAGAIN with `obstruction.leases`: their holders must be asked first.
 */
export function openAt(
  walker: Walker,
  start: Path | null,
  path: string,
  flags: number,
  mode: number,
  restrictions = 0,
): FileDescription | number {
  if (path === '') return -ENOENT;
  if (flags & O_PATH) flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | 0o2000000;
  else if ((flags & O_ACCMODE) === O_ACCMODE) flags = (flags & ~O_ACCMODE) | O_RDWR;
  if ((flags & (O_DIRECTORY | O_CREAT)) === (O_DIRECTORY | O_CREAT)) return -EINVAL;
  if (restrictions === 0 && (flags & (O_CREAT | TMPFILE_BIT | O_PATH)) === 0) {
    const found = resolve(walker, start, path, !(flags & O_NOFOLLOW));
    return typeof found === 'number' ? found : openNode(walker, found, flags);
  }
  const walk = walkForOpen(walker, restrictions, start);
  const from = (start ?? walker.fs.cwd).dentry as DentryNode;
  if (flags & TMPFILE_BIT && !(flags & O_PATH)) return openUnnamed(walk, from, path, flags, mode);
  const last = walk.parent(from, path);
  if (typeof last === 'number') return last;
  if (flags & O_CREAT && !(flags & O_PATH)) return openOrCreate(walk, last, flags, mode, 0);
  const node = walk.finish(last, !(flags & O_NOFOLLOW));
  return typeof node === 'number' ? node : openNode(walker, node, flags);
}

function openOrCreate(
  walk: Walk,
  last: LastComponent,
  flags: number,
  mode: number,
  depth: number,
): FileDescription | number {
  const { walker } = walk;
  const { parent, name, trailingSlash } = last;
  if (name === '' || name === '.' || name === '..') return flags & O_EXCL ? -EEXIST : -EISDIR;
  if (trailingSlash) return -EISDIR;
  if (depth > 40) return -ELOOP;
  const found = walk.finish(last, false);
  if (typeof found !== 'number') {
    if (flags & O_EXCL) return -EEXIST;
    if (isSymlink(found.inode)) {
      if (flags & O_NOFOLLOW) return -ELOOP;
      return createThroughLink(walk, found, parent, flags, mode, depth);
    }
    if (isDirectory(found.inode)) return -EISDIR;
    return openNode(walker, found, flags);
  }
  if (found !== -ENOENT) return found;
  if (parent.deleted) return -ENOENT;
  if (parent.mount.fileSystem.readOnly) return -EROFS;
  const allowed = checkAccess(parent.inode, W_OK | X_OK, walker.credentials);
  if (allowed !== 0) return allowed;
  const restricted = checkLandlock(walker.credentials, parent, FS_MAKE_REG | landlockAccess(flags, false));
  if (restricted !== 0) return restricted;
  const inode = parent.inode.create(name, S_IFREG | (mode & PERMISSIONS & ~walker.umask), walker);
  if (typeof inode === 'number') return inode;
  const node = parent.adopt(name, inode);
  notifyCreate(parent, name, false);
  const opened = inode.open(node, flags & ~CREATION_FLAGS, walker);
  if (typeof opened !== 'number') notifyOpen(opened);
  return opened;
}

/** O_CREAT through a (possibly dangling) symbolic link creates its target. */
function createThroughLink(
  walk: Walk,
  link: DentryNode,
  parent: DentryNode,
  flags: number,
  mode: number,
  depth: number,
): FileDescription | number {
  const magic = link.inode.followTo?.(walk.walker) ?? null;
  if (typeof magic === 'number') return magic;
  const refused = walk.checkLink(magic !== null);
  if (refused) return refused;
  if (magic) return openNode(walk.walker, magic.dentry as DentryNode, flags);
  const target = link.inode.readlink(walk.walker);
  if (typeof target === 'number') return target;
  if (++walk.links > 40) return -ELOOP;
  const last = walk.parent(parent, target);
  return typeof last === 'number' ? last : openOrCreate(walk, last, flags, mode, depth + 1);
}

/** Opens an object that exists. Also what /proc/self/fd/N and execve use. */
export function openNode(walker: Walker, node: DentryNode, flags: number): FileDescription | number {
  const { inode } = node;
  if (flags & O_PATH) {
    if (flags & O_DIRECTORY && !isDirectory(inode)) return -ENOTDIR;
    return new PathDescription(node, inode, flags);
  }
  if (isSymlink(inode)) return -ELOOP;
  if (isDirectory(inode)) {
    if (accessMask(flags) & W_OK || flags & O_TRUNC) return -EISDIR;
  } else if (flags & O_DIRECTORY) {
    return -ENOTDIR;
  }
  const truncates = (flags & O_TRUNC) !== 0 && (inode.mode & S_IFMT) === S_IFREG;
  const mask = accessMask(flags) | (truncates ? W_OK : 0);
  const allowed = checkAccess(inode, mask, walker.credentials);
  if (allowed !== 0) return allowed;
  if (mask & W_OK && (inode.mode & S_IFMT) === S_IFREG && node.mount?.fileSystem.readOnly) return -EROFS;
  if (flags & O_NOATIME && !isOwner(inode, walker.credentials)) return -EPERM;
  const { landlock } = walker.credentials;
  if (landlock !== null && !landlock.allows(node, landlockAccess(flags, isDirectory(inode)))) return -EACCES;
  if (inode.leases?.conflict((mask & W_OK) !== 0)) {
    obstruction.leases = inode.leases;
    return -EAGAIN;
  }
  // A terminal must know of O_NOCTTY; device nodes drop it themselves.
  const kept = (inode.mode & S_IFMT) === S_IFCHR ? flags & O_NOCTTY : 0;
  const opened = inode.open(node, (flags & ~CREATION_FLAGS) | kept, walker);
  if (typeof opened === 'number') return opened;
  notifyOpen(opened);
  if (truncates) {
    const result = inode.setAttributes({ size: 0 }, walker);
    if (result !== 0) {
      opened.release();
      return result;
    }
    notifyModify(node);
  }
  return opened;
}

/** O_TMPFILE: a file without a name in the file system of a directory. */
function openUnnamed(
  walk: Walk,
  from: DentryNode,
  path: string,
  flags: number,
  mode: number,
): FileDescription | number {
  if (!(flags & O_DIRECTORY)) return -EINVAL;
  if ((flags & O_ACCMODE) === O_RDONLY) return -EINVAL;
  const { walker } = walk;
  const node = walk.all(from, path, true);
  if (typeof node === 'number') return node;
  if (!isDirectory(node.inode)) return -ENOTDIR;
  const allowed = checkAccess(node.inode, W_OK | X_OK, walker.credentials);
  if (allowed !== 0) return allowed === -EACCES ? -EACCES : allowed;
  const restricted = checkLandlock(walker.credentials, node, landlockAccess(flags, false));
  if (restricted !== 0) return restricted;
  const inode = node.inode.createUnnamed(S_IFREG | (mode & PERMISSIONS & ~walker.umask), walker);
  if (typeof inode === 'number') return inode;
  if (flags & O_EXCL) inode.linkable = false;
  // Shown as "/tmp/#123 (deleted)"; linkat(AT_EMPTY_PATH) may give it a name.
  const place = node.adopt(`#${inode.number}`, inode);
  node.forget(place.name);
  return inode.open(place, flags & ~(CREATION_FLAGS | TMPFILE_BIT | O_DIRECTORY), walker);
}
