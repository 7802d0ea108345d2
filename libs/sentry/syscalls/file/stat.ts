import { EBADF, EFAULT, EINVAL } from '../../abi/errno.js';
import { AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW } from '../../abi/fcntl.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { newStat } from '../../vfs/inode.js';
import type { FileTime } from '../../vfs/types.js';
import { fileOf, placeAt, setLong } from './common.js';

const out = newStat();
const STAT_BYTES = 144;
const unaligned = new Int32Array(STAT_BYTES / 4);
const unalignedBytes = new Uint8Array(unaligned.buffer);

/** Writes `struct stat` (x86-64) from `out` to where an argument points: straight into guest memory where that is possible. */
function copyStat(task: Task, args: SyscallArguments, index: number): number {
  const { memory } = task;
  const at = memory.wordsAt(args[index], STAT_BYTES, true);
  if (at >= 0) {
    fillStat(memory.words, at);
    return 0;
  }
  fillStat(unaligned, 0);
  return memory.copyOut(args[index], unalignedBytes, 0, STAT_BYTES) === STAT_BYTES ? 0 : -EFAULT;
}

function fillStat(words: Int32Array, at: number): void {
  setLong(words, at, out.device);
  setLong(words, at + 2, out.inode);
  setLong(words, at + 4, out.links);
  words[at + 6] = out.mode;
  words[at + 7] = out.uid;
  words[at + 8] = out.gid;
  words[at + 9] = 0;
  setLong(words, at + 10, out.rdev);
  setLong(words, at + 12, out.size);
  setLong(words, at + 14, out.blockSize);
  setLong(words, at + 16, out.blocks);
  setTime(words, at + 18, out.atime);
  setTime(words, at + 22, out.mtime);
  setTime(words, at + 26, out.ctime);
  for (let index = 30; index < STAT_BYTES / 4; index++) words[at + index] = 0;
}

function setTime(words: Int32Array, at: number, time: FileTime): void {
  setLong(words, at, time.seconds);
  words[at + 2] = time.nanoseconds;
  words[at + 3] = 0;
}

function statPath(
  task: Task,
  dirfd: number,
  pathIndex: number,
  args: SyscallArguments,
  outIndex: number,
  flags: number,
): number {
  // Since 6.11 NULL is as good as "" with AT_EMPTY_PATH.
  const path = args[pathIndex] === 0 && flags & AT_EMPTY_PATH ? '' : task.pathArgument(pathIndex);
  if (typeof path === 'number') return path;
  if (path === '' && flags & AT_EMPTY_PATH && dirfd !== AT_FDCWD) return statFd(task, dirfd, args, outIndex);
  const place = placeAt(task, dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), (flags & AT_EMPTY_PATH) !== 0);
  if (typeof place === 'number') return place;
  place.dentry.inode.stat(out);
  return copyStat(task, args, outIndex);
}

function statFd(task: Task, fd: number, args: SyscallArguments, outIndex: number): number {
  const file = fileOf(task, fd);
  if (!file) return -EBADF;
  file.stat(out);
  return copyStat(task, args, outIndex);
}

/** stat implements Linux syscall stat(2). */
export function stat(task: Task, args: SyscallArguments): number {
  return statPath(task, AT_FDCWD, 0, args, 1, 0);
}

/** lstat implements Linux syscall lstat(2). */
export function lstat(task: Task, args: SyscallArguments): number {
  return statPath(task, AT_FDCWD, 0, args, 1, AT_SYMLINK_NOFOLLOW);
}

/** fstat implements Linux syscall fstat(2). */
export function fstat(task: Task, args: SyscallArguments): number {
  return statFd(task, args[0] | 0, args, 1);
}

/** newfstatat implements Linux syscall newfstatat(2). */
export function newfstatat(task: Task, args: SyscallArguments): number {
  const flags = args[3] | 0;
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) return -EINVAL;
  return statPath(task, args[0] | 0, 1, args, 2, flags);
}
