/** truncate, fallocate, the sync family, statfs. */
import { EBADF, EFAULT, EFBIG, EINVAL, EISDIR, ENODEV, EROFS, ESPIPE } from '../../abi/errno.js';
import { AT_FDCWD, O_PATH, W_OK } from '../../abi/fcntl.js';
import { S_IFIFO, S_IFMT, S_IFREG } from '../../abi/stat.js';
import type { Task as KernelTask } from '../../kernel/task.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { notifyModify } from '../../vfs/notify.js';
import { isDirectory } from '../../vfs/path-walk.js';
import { checkAccess } from '../../vfs/permissions.js';
import type { FileSystem, StatFs } from '../../vfs/types.js';
import { fileOf, placeAt, readable, SIGXFSZ, setU64, writable } from './common.js';
import { awaitLeases, continueLeaseWait } from './lease.js';

/** Files end at 2^63 - 1 in Linux; doubles round what is near it. */
const LARGEST_OFFSET = 2 ** 63 - 2048;

function told(task: Task, result: number): number {
  if (result === -EFBIG) task.raise(SIGXFSZ);
  return result;
}

/** truncate implements Linux syscall truncate(2). */
export function truncate(task: Task, args: SyscallArguments): number {
  if (args[1] < 0) return -EINVAL;
  continueLeaseWait(task as KernelTask);
  const path = task.pathArgument(0);
  if (typeof path === 'number') return path;
  const place = placeAt(task, AT_FDCWD, path, true, false);
  if (typeof place === 'number') return place;
  const { inode } = place.dentry;
  if (isDirectory(inode)) return -EISDIR;
  if ((inode.mode & S_IFMT) !== S_IFREG) return -EINVAL;
  const allowed = checkAccess(inode, W_OK, task.credentials);
  if (allowed) return allowed;
  if (place.mount.fileSystem.readOnly) return -EROFS;
  if (inode.leases?.conflict(true)) return awaitLeases(task as KernelTask, inode.leases, true, false);
  const result = inode.setAttributes({ size: args[1] }, task);
  if (result === 0) notifyModify(place.dentry);
  return told(task, result);
}

/** ftruncate implements Linux syscall ftruncate(2). */
export function ftruncate(task: Task, args: SyscallArguments): number {
  if (args[1] < 0) return -EINVAL;
  const file = fileOf(task, args[0]);
  if (!file || file.flags & O_PATH) return -EBADF;
  return told(task, file.truncate(args[1], task));
}

/** fallocate implements Linux syscall fallocate(2): KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE. */
export function fallocate(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  if (!writable(file)) return -EBADF;
  if (args[2] < 0 || args[3] <= 0) return -EINVAL;
  if ((file.inode.mode & S_IFMT) === S_IFIFO) return -ESPIPE;
  if ((file.inode.mode & S_IFMT) !== S_IFREG) return -ENODEV;
  const result = file.allocate(args[1] | 0, args[2], args[3], task);
  // The signal is for the limit of the process; what no file can hold is only an error.
  if (result === -EFBIG && args[2] + args[3] >= LARGEST_OFFSET) return result;
  return told(task, result);
}

/** fadvise64 implements Linux syscall fadvise64(2): advice is accepted and not used. */
export function fadvise64(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  if (!file || file.flags & O_PATH) return -EBADF;
  if ((file.inode.mode & S_IFMT) === S_IFIFO) return -ESPIPE;
  return args[2] < 0 || args[3] >>> 0 > 5 ? -EINVAL : 0;
}

/** fsync and fdatasync implement Linux syscalls fsync(2) and fdatasync(2): files are in memory, nothing is left to write. */
export function fsync(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  return !file || file.flags & O_PATH ? -EBADF : file.sync();
}

/** sync implements Linux syscall sync(2). */
export function sync(): number {
  return 0;
}

/** syncfs implements Linux syscall syncfs(2). */
export function syncfs(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  return !file || file.flags & O_PATH ? -EBADF : 0;
}

/** sync_file_range implements Linux syscall sync_file_range(2). */
export function syncFileRange(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  if (!file || file.flags & O_PATH) return -EBADF;
  if (args[3] & ~7) return -EINVAL;
  return (file.inode.mode & S_IFMT) === S_IFREG ? 0 : -ESPIPE;
}

/** readahead implements Linux syscall readahead(2). */
export function readahead(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  if (!readable(file)) return -EBADF;
  return (file.inode.mode & S_IFMT) === S_IFREG ? 0 : -EINVAL;
}

const out: StatFs = { type: 0, blockSize: 0, blocks: 0, blocksFree: 0, files: 0, filesFree: 0, nameMax: 255, flags: 0 };
const ST_RDONLY = 1;
const ST_VALID = 0x20;

function copyStatfs(task: Task, fileSystem: FileSystem, address: number): number {
  fileSystem.statfs(out);
  const view = task.memory.scratch(120);
  setU64(view, 0, out.type);
  setU64(view, 8, out.blockSize);
  setU64(view, 16, out.blocks);
  setU64(view, 24, out.blocksFree);
  setU64(view, 32, out.blocksFree);
  setU64(view, 40, out.files);
  setU64(view, 48, out.filesFree);
  setU64(view, 56, fileSystem.device);
  setU64(view, 64, out.nameMax);
  setU64(view, 72, out.blockSize);
  setU64(view, 80, out.flags | ST_VALID | (fileSystem.readOnly ? ST_RDONLY : 0));
  return task.memory.writeStruct(address, 120) ? 0 : -EFAULT;
}

/** statfs implements Linux syscall statfs(2). */
export function statfs(task: Task, args: SyscallArguments): number {
  const path = task.pathArgument(0);
  if (typeof path === 'number') return path;
  const place = placeAt(task, AT_FDCWD, path, true, false);
  return typeof place === 'number' ? place : copyStatfs(task, place.dentry.inode.fileSystem, args[1]);
}

/** fstatfs implements Linux syscall fstatfs(2). */
export function fstatfs(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  return file ? copyStatfs(task, file.inode.fileSystem, args[1]) : -EBADF;
}
