import { EINVAL, EROFS } from '../../abi/errno.js';
import { AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, W_OK } from '../../abi/fcntl.js';
import { S_IFDIR, S_IFMT, S_IFREG } from '../../abi/stat.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { checkAccess, checkAccessAs } from '../../vfs/permissions.js';
import { placeAt } from './common.js';

function doAccess(task: Task, dirfd: number, pathIndex: number, mode: number, flags: number): number {
  if (mode & ~7) return -EINVAL;
  const path = task.pathArgument(pathIndex);
  if (typeof path === 'number') return path;
  const place = placeAt(task, dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), (flags & AT_EMPTY_PATH) !== 0);
  if (typeof place === 'number') return place;
  if (mode === 0) return 0;
  const { inode } = place.dentry;
  const type = inode.mode & S_IFMT;
  if (mode & W_OK && place.mount.fileSystem.readOnly && (type === S_IFREG || type === S_IFDIR)) return -EROFS;
  const { credentials } = task;
  if (flags & AT_EACCESS) return checkAccess(inode, mode, credentials);
  // The real user asks, and capabilities count only for a real root: access(2).
  const real = credentials.uid === 0 ? credentials : withoutCapabilities(credentials);
  return checkAccessAs(inode, mode, real, credentials.uid, credentials.gid);
}

function withoutCapabilities(credentials: Task['credentials']): Task['credentials'] {
  return { ...credentials, capabilities: { ...credentials.capabilities, effective: [0, 0] } };
}

/** access implements Linux syscall access(2). */
export function access(task: Task, args: SyscallArguments): number {
  return doAccess(task, AT_FDCWD, 0, args[1] | 0, 0);
}

/** faccessat implements Linux syscall faccessat(2): three arguments only. */
export function faccessat(task: Task, args: SyscallArguments): number {
  return doAccess(task, args[0] | 0, 1, args[2] | 0, 0);
}

/** faccessat2 implements Linux syscall faccessat2(2). */
export function faccessat2(task: Task, args: SyscallArguments): number {
  const flags = args[3] | 0;
  if (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  return doAccess(task, args[0] | 0, 1, args[2] | 0, flags);
}
