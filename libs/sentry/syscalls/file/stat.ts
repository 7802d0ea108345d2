import { EBADF, EFAULT, EINVAL } from '../../abi/errno.js';
import { AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW } from '../../abi/fcntl.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { newStat } from '../../vfs/inode.js';
import { fileOf, placeAt, setU64 } from './common.js';

const out = newStat();
const STAT_BYTES = 144;

/** Writes `struct stat` (x86-64) from `out`. */
function copyStat(task: Task, address: number): number {
  const view = task.memory.scratch(STAT_BYTES);
  setU64(view, 0, out.device);
  setU64(view, 8, out.inode);
  setU64(view, 16, out.links);
  view.setUint32(24, out.mode, true);
  view.setUint32(28, out.uid, true);
  view.setUint32(32, out.gid, true);
  setU64(view, 40, out.rdev);
  setU64(view, 48, out.size);
  setU64(view, 56, out.blockSize);
  setU64(view, 64, out.blocks);
  setU64(view, 72, out.atime.seconds);
  setU64(view, 80, out.atime.nanoseconds);
  setU64(view, 88, out.mtime.seconds);
  setU64(view, 96, out.mtime.nanoseconds);
  setU64(view, 104, out.ctime.seconds);
  setU64(view, 112, out.ctime.nanoseconds);
  return task.memory.writeStruct(address, STAT_BYTES) ? 0 : -EFAULT;
}

function statPath(
  task: Task,
  dirfd: number,
  pathIndex: number,
  args: SyscallArguments,
  address: number,
  flags: number,
): number {
  // Since 6.11 NULL is as good as "" with AT_EMPTY_PATH.
  const path = args[pathIndex] === 0 && flags & AT_EMPTY_PATH ? '' : task.pathArgument(pathIndex, args[pathIndex]);
  if (typeof path === 'number') return path;
  if (path === '' && flags & AT_EMPTY_PATH && dirfd !== AT_FDCWD) return statFd(task, dirfd, address);
  const place = placeAt(task, dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), (flags & AT_EMPTY_PATH) !== 0);
  if (typeof place === 'number') return place;
  place.dentry.inode.stat(out);
  return copyStat(task, address);
}

function statFd(task: Task, fd: number, address: number): number {
  const file = fileOf(task, fd);
  if (!file) return -EBADF;
  file.stat(out);
  return copyStat(task, address);
}

/** stat implements Linux syscall stat(2). */
export function stat(task: Task, args: SyscallArguments): number {
  return statPath(task, AT_FDCWD, 0, args, args[1], 0);
}

/** lstat implements Linux syscall lstat(2). */
export function lstat(task: Task, args: SyscallArguments): number {
  return statPath(task, AT_FDCWD, 0, args, args[1], AT_SYMLINK_NOFOLLOW);
}

/** fstat implements Linux syscall fstat(2). */
export function fstat(task: Task, args: SyscallArguments): number {
  return statFd(task, args[0] | 0, args[1]);
}

/** newfstatat implements Linux syscall newfstatat(2). */
export function newfstatat(task: Task, args: SyscallArguments): number {
  const flags = args[3] | 0;
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) return -EINVAL;
  return statPath(task, args[0] | 0, 1, args, args[2], flags);
}
