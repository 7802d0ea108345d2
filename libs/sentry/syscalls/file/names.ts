/** Calls that make, remove and move names. */
import { EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, EROFS, EXDEV } from '../../abi/errno.js';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  R_OK,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  W_OK,
  X_OK,
} from '../../abi/fcntl.js';
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, S_ISGID, S_ISUID } from '../../abi/stat.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import type { DentryNode } from '../../vfs/dentry.js';
import { newStat } from '../../vfs/inode.js';
import { checkLandlock, checkReparenting, makingRight, removingRight } from '../../vfs/landlock.js';
import { notifyCreate, notifyDelete, notifyLinked, notifyMove, notifyUnlinked } from '../../vfs/notify.js';
import { isDirectory, type LastComponent, resolveParent, type Walker } from '../../vfs/path-walk.js';
import { checkAccess, checkRemoval, isOwner } from '../../vfs/permissions.js';
import type { Inode, Path } from '../../vfs/types.js';
import { dentryOf, placeAt, startOf } from './common.js';

const CAP_MKNOD = 27;

/** Parent and last component of a path argument; -errno. */
function parentOf(task: Task, dirfd: number, index: number): LastComponent | number {
  const path = task.pathArgument(index);
  if (typeof path === 'number') return path;
  const start = startOf(task, dirfd, path);
  if (typeof start === 'number') return start;
  return resolveParent(task, start, path);
}

const isDots = (name: string): boolean => name === '' || name === '.' || name === '..';

/** What must hold before `name`, an object of a type (S_IF*), is made in its parent: 0 or -errno. */
function checkCreate(task: Walker, last: LastComponent, type: number): number {
  const { parent, name, trailingSlash } = last;
  if (isDots(name)) return -EEXIST;
  const existing = parent.child(name);
  if (typeof existing !== 'number') return -EEXIST;
  if (existing !== -ENOENT) return existing;
  if (trailingSlash && type !== S_IFDIR) return -ENOENT;
  if (parent.deleted) return -ENOENT;
  if (parent.mount.fileSystem.readOnly) return -EROFS;
  const allowed = checkAccess(parent.inode, W_OK | X_OK, task.credentials);
  return allowed || checkLandlock(task.credentials, parent, makingRight(type));
}

function made(last: LastComponent, inode: Inode | number): number {
  if (typeof inode === 'number') return inode;
  last.parent.adopt(last.name, inode);
  notifyCreate(last.parent, last.name, isDirectory(inode));
  return 0;
}

function doMkdir(task: Task, dirfd: number, index: number, mode: number): number {
  const last = parentOf(task, dirfd, index);
  return typeof last === 'number' ? last : makeDirectory(task, last, mode);
}

/** mkdir(2) of a name whose parent is resolved. */
export function makeDirectory(task: Walker, last: LastComponent, mode: number): number {
  const refused = checkCreate(task, last, S_IFDIR);
  if (refused) return refused;
  return made(last, last.parent.inode.mkdir(last.name, mode & 0o1777 & ~task.umask, task));
}

/** mkdir implements Linux syscall mkdir(2). */
export function mkdir(task: Task, args: SyscallArguments): number {
  return doMkdir(task, AT_FDCWD, 0, args[1]);
}

/** mkdirat implements Linux syscall mkdirat(2). */
export function mkdirat(task: Task, args: SyscallArguments): number {
  return doMkdir(task, args[0] | 0, 1, args[2]);
}

function doMknod(task: Task, dirfd: number, index: number, mode: number, rdev: number): number {
  const last = parentOf(task, dirfd, index);
  if (typeof last === 'number') return last;
  const type = mode & S_IFMT;
  const refused = checkCreate(task, last, type === S_IFDIR ? S_IFREG : type);
  if (refused) return refused;
  if (type === S_IFDIR) return -EPERM;
  if ((type === S_IFCHR || type === S_IFBLK) && !task.capable(CAP_MKNOD)) return -EPERM;
  return made(last, last.parent.inode.mknod(last.name, type | (mode & 0o7777 & ~task.umask), rdev, task));
}

/** mknod implements Linux syscall mknod(2): FIFOs, sockets and regular files; device nodes are EPERM. */
export function mknod(task: Task, args: SyscallArguments): number {
  return doMknod(task, AT_FDCWD, 0, args[1] | 0, args[2]);
}

/** mknodat implements Linux syscall mknodat(2). */
export function mknodat(task: Task, args: SyscallArguments): number {
  return doMknod(task, args[0] | 0, 1, args[2] | 0, args[3]);
}

/** The name to remove and what must hold: the child or -errno. */
function checkRemove(task: Walker, last: LastComponent): DentryNode | number {
  const { parent, name } = last;
  if (parent.deleted) return -ENOENT;
  const child = parent.child(name);
  if (typeof child === 'number') return child;
  if (parent.mount.fileSystem.readOnly) return -EROFS;
  const allowed = checkRemoval(parent.inode, child.inode, task.credentials);
  return allowed || checkLandlock(task.credentials, parent, removingRight(child.inode.mode)) || child;
}

const attributes = newStat();

/** Whether an object that just lost a name has no other one, and nobody has it open through that name. */
function isGone(node: DentryNode): boolean {
  node.inode.stat(attributes);
  return attributes.links === 0 && node.users === 0;
}

function doUnlink(task: Task, dirfd: number, index: number): number {
  const last = parentOf(task, dirfd, index);
  return typeof last === 'number' ? last : removeFile(task, last);
}

/** unlink(2) of a name whose parent is resolved. */
export function removeFile(task: Walker, last: LastComponent): number {
  const { parent, name, trailingSlash } = last;
  if (isDots(name)) return -EISDIR;
  const child = checkRemove(task, last);
  if (typeof child === 'number') return child;
  if (isDirectory(child.inode)) return -EISDIR;
  if (trailingSlash) return -ENOTDIR;
  const result = parent.inode.unlink(name);
  if (result !== 0) return result;
  notifyDelete(parent, child, false, isGone(child));
  parent.forget(name);
  return 0;
}

function doRmdir(task: Task, dirfd: number, index: number): number {
  const last = parentOf(task, dirfd, index);
  return typeof last === 'number' ? last : removeDirectory(task, last);
}

/** rmdir(2) of a name whose parent is resolved. */
export function removeDirectory(task: Walker, last: LastComponent): number {
  const { parent, name } = last;
  if (name === '.') return -EINVAL;
  if (name === '..') return -ENOTEMPTY;
  if (name === '') return -EBUSY;
  const child = checkRemove(task, last);
  if (typeof child === 'number') return child;
  if (!isDirectory(child.inode)) return -ENOTDIR;
  if (child.mounted) return -EBUSY;
  const result = parent.inode.rmdir(name);
  if (result !== 0) return result;
  notifyDelete(parent, child, true, child.users === 0);
  parent.forget(name);
  return 0;
}

/** unlink implements Linux syscall unlink(2). */
export function unlink(task: Task): number {
  return doUnlink(task, AT_FDCWD, 0);
}

/** unlinkat implements Linux syscall unlinkat(2). */
export function unlinkat(task: Task, args: SyscallArguments): number {
  const flags = args[2] | 0;
  if (flags & ~AT_REMOVEDIR) return -EINVAL;
  return flags ? doRmdir(task, args[0] | 0, 1) : doUnlink(task, args[0] | 0, 1);
}

/** rmdir implements Linux syscall rmdir(2). */
export function rmdir(task: Task): number {
  return doRmdir(task, AT_FDCWD, 0);
}

function doSymlink(task: Task, dirfd: number, index: number): number {
  const target = task.pathArgument(0);
  if (typeof target === 'number') return target;
  if (target === '') return -ENOENT;
  const last = parentOf(task, dirfd, index);
  return typeof last === 'number' ? last : makeSymlink(task, last, target);
}

/** symlink(2) of a name whose parent is resolved. */
export function makeSymlink(task: Walker, last: LastComponent, target: string): number {
  const refused = checkCreate(task, last, S_IFLNK);
  if (refused) return refused;
  return made(last, last.parent.inode.symlink(last.name, target, task));
}

/** symlink implements Linux syscall symlink(2). */
export function symlink(task: Task): number {
  return doSymlink(task, AT_FDCWD, 1);
}

/** symlinkat implements Linux syscall symlinkat(2). */
export function symlinkat(task: Task, args: SyscallArguments): number {
  return doSymlink(task, args[1] | 0, 2);
}

/** protected_hardlinks: what one does not own must be a plain file one may read and write. 0 or -EPERM. */
function mayLink(task: Task, inode: Inode): number {
  if (isOwner(inode, task.credentials)) return 0;
  const { mode } = inode;
  const plain = (mode & S_IFMT) === S_IFREG && !(mode & S_ISUID) && (mode & (S_ISGID | 0o010)) !== (S_ISGID | 0o010);
  return plain && checkAccess(inode, R_OK | W_OK, task.credentials) === 0 ? 0 : -EPERM;
}

/** landlock(7): a name in another directory would have other rights. What must be allowed there was checked. */
function checkMoved(task: Task, place: Path, to: DentryNode): number {
  const from = dentryOf(place).parent ?? to;
  return from === to ? 0 : checkReparenting(task.credentials, from, 0, to, 0);
}

function doLink(
  task: Task,
  oldDirfd: number,
  oldIndex: number,
  newDirfd: number,
  newIndex: number,
  flags: number,
): number {
  const path = task.pathArgument(oldIndex);
  if (typeof path === 'number') return path;
  const place = placeAt(task, oldDirfd, path, (flags & AT_SYMLINK_FOLLOW) !== 0, (flags & AT_EMPTY_PATH) !== 0);
  if (typeof place === 'number') return place;
  const last = parentOf(task, newDirfd, newIndex);
  if (typeof last === 'number') return last;
  const refused = checkCreate(task, last, place.dentry.inode.mode & S_IFMT);
  if (refused) return refused;
  if (place.mount !== last.parent.mount) return -EXDEV;
  const { inode } = place.dentry;
  if (isDirectory(inode)) return -EPERM;
  const allowed = mayLink(task, inode) || checkMoved(task, place, last.parent);
  if (allowed) return allowed;
  const result = last.parent.inode.link(last.name, inode);
  if (result !== 0) return result;
  last.parent.adopt(last.name, inode);
  notifyLinked(place.dentry);
  notifyCreate(last.parent, last.name, false);
  return 0;
}

/** link implements Linux syscall link(2). */
export function link(task: Task): number {
  return doLink(task, AT_FDCWD, 0, AT_FDCWD, 1, 0);
}

/** linkat implements Linux syscall linkat(2). */
export function linkat(task: Task, args: SyscallArguments): number {
  const flags = args[4] | 0;
  if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  return doLink(task, args[0] | 0, 1, args[2] | 0, 3, flags);
}

/** Is `above` an ancestor of `node` (or itself)? */
function contains(above: DentryNode, node: DentryNode): boolean {
  for (let at: DentryNode | null = node; at; at = at.parent) if (at === above) return true;
  return false;
}

function doRename(
  task: Task,
  oldDirfd: number,
  oldIndex: number,
  newDirfd: number,
  newIndex: number,
  flags: number,
): number {
  if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) return -EINVAL;
  if (flags === (RENAME_NOREPLACE | RENAME_EXCHANGE)) return -EINVAL;
  const from = parentOf(task, oldDirfd, oldIndex);
  if (typeof from === 'number') return from;
  const to = parentOf(task, newDirfd, newIndex);
  return typeof to === 'number' ? to : renameName(task, from, to, flags);
}

/** rename(2) of names whose parents are resolved; flags: RENAME_NOREPLACE or RENAME_EXCHANGE. */
export function renameName(task: Walker, from: LastComponent, to: LastComponent, flags: number): number {
  if (isDots(from.name) || isDots(to.name)) return -EBUSY;
  if (from.parent.mount !== to.parent.mount) return -EXDEV;
  const moved = checkRemove(task, from);
  if (typeof moved === 'number') return moved;
  const target = to.parent.child(to.name);
  if (typeof target === 'number' && target !== -ENOENT) return target;
  const existing = typeof target === 'number' ? null : target;
  const refused = checkRename(task, from, to, moved, existing, flags);
  if (refused) return refused;
  if (existing && existing.inode === moved.inode) return 0;
  const result = from.parent.inode.rename(from.name, to.parent.inode, to.name, flags);
  if (result !== 0) return result;
  notifyMove(from.parent, from.name, to.parent, to.name, moved, isDirectory(moved.inode));
  if (existing && !(flags & RENAME_EXCHANGE)) {
    notifyUnlinked(existing, isDirectory(existing.inode), isGone(existing));
  }
  if (flags & RENAME_EXCHANGE) from.parent.exchange(from.name, to.parent, to.name);
  else from.parent.move(from.name, to.parent, to.name);
  return 0;
}

const exchanged = (existing: DentryNode | null, flags: number): existing is DentryNode =>
  existing !== null && (flags & RENAME_EXCHANGE) !== 0;

function checkRename(
  task: Walker,
  from: LastComponent,
  to: LastComponent,
  moved: DentryNode,
  existing: DentryNode | null,
  flags: number,
): number {
  const movedIsDirectory = isDirectory(moved.inode);
  if (!movedIsDirectory && (from.trailingSlash || (to.trailingSlash && !existing))) return -ENOTDIR;
  if (to.parent.deleted) return -ENOENT;
  if (movedIsDirectory && contains(moved, to.parent)) return -EINVAL;
  if (existing && contains(existing, from.parent)) return -ENOTEMPTY;
  if (moved.mounted || existing?.mounted) return -EBUSY;
  const making = makingRight(moved.inode.mode) | (existing ? removingRight(existing.inode.mode) : 0);
  const removing =
    removingRight(moved.inode.mode) | (exchanged(existing, flags) ? makingRight(existing.inode.mode) : 0);
  const restricted = checkReparenting(task.credentials, from.parent, removing, to.parent, making);
  if (restricted) return restricted;
  if (!existing) {
    if (flags & RENAME_EXCHANGE) return -ENOENT;
    return checkAccess(to.parent.inode, W_OK | X_OK, task.credentials);
  }
  if (flags & RENAME_NOREPLACE) return -EEXIST;
  const allowed = checkRemoval(to.parent.inode, existing.inode, task.credentials);
  if (allowed) return allowed;
  if (flags & RENAME_EXCHANGE) return 0;
  if (movedIsDirectory && !isDirectory(existing.inode)) return -ENOTDIR;
  return !movedIsDirectory && isDirectory(existing.inode) ? -EISDIR : 0;
}

/** rename implements Linux syscall rename(2). */
export function rename(task: Task): number {
  return doRename(task, AT_FDCWD, 0, AT_FDCWD, 1, 0);
}

/** renameat implements Linux syscall renameat(2). */
export function renameat(task: Task, args: SyscallArguments): number {
  return doRename(task, args[0] | 0, 1, args[2] | 0, 3, 0);
}

/** renameat2 implements Linux syscall renameat2(2): NOREPLACE and EXCHANGE; WHITEOUT is EINVAL. */
export function renameat2(task: Task, args: SyscallArguments): number {
  return doRename(task, args[0] | 0, 1, args[2] | 0, 3, args[4] | 0);
}

function doReadlink(task: Task, dirfd: number, index: number, args: SyscallArguments): number {
  const size = args[index + 2] | 0;
  if (size <= 0) return -EINVAL;
  const path = task.pathArgument(index);
  if (typeof path === 'number') return path;
  const place = placeAt(task, dirfd, path, false, dirfd !== AT_FDCWD);
  if (typeof place === 'number') return place;
  const target = dentryOf(place).inode.readlink(task);
  if (typeof target === 'number') return path === '' ? -ENOENT : target;
  const bytes = Buffer.from(target, 'latin1');
  const length = Math.min(size, bytes.length);
  return task.memory.copyOut(args[index + 1], bytes, 0, length) === length ? length : -14; /* EFAULT */
}

/** readlink implements Linux syscall readlink(2). */
export function readlink(task: Task, args: SyscallArguments): number {
  return doReadlink(task, AT_FDCWD, 0, args);
}

/** readlinkat implements Linux syscall readlinkat(2). */
export function readlinkat(task: Task, args: SyscallArguments): number {
  return doReadlink(task, args[0] | 0, 1, args);
}
