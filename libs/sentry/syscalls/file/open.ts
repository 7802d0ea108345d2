import { EAGAIN, ERESTARTSYS } from '../../abi/errno.js';
import {
  AT_FDCWD,
  O_ACCMODE,
  O_CLOEXEC,
  O_CREAT,
  O_NONBLOCK,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  RESOLVE_IN_ROOT,
} from '../../abi/fcntl.js';
import { RLIMIT_NOFILE } from '../../abi/resource.js';
import type { Task as KernelTask } from '../../kernel/task.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { obstruction } from '../../vfs/leases.js';
import { openAt } from '../../vfs/open.js';
import type { FileDescription } from '../../vfs/types.js';
import { POLLIN, POLLOUT } from '../../vfs/wait-queue.js';
import { startOf } from './common.js';
import { awaitLeases, continueLeaseWait } from './lease.js';

/** open(2), openat(2), creat(2) after their arguments are sorted out. */
function doOpen(task: Task, dirfd: number, pathIndex: number, flags: number, mode: number, restrictions = 0): number {
  continueLeaseWait(task as KernelTask);
  const waiting = task.state as FileDescription | null;
  if (waiting) return finishOpen(task, waiting, flags);
  const path = task.pathArgument(pathIndex);
  if (typeof path === 'number') return path;
  // RESOLVE_IN_ROOT looks absolute paths up from the directory, too.
  const start = startOf(task, dirfd, restrictions & RESOLVE_IN_ROOT ? `.${path}` : path);
  if (typeof start === 'number') return start;
  obstruction.leases = null;
  const file = openAt(task, start, path, flags, mode, restrictions);
  if (typeof file !== 'number') return finishOpen(task, file, flags);
  const { leases } = obstruction;
  if (file !== -EAGAIN || leases === null) return file;
  const writes = (flags & O_ACCMODE) !== O_RDONLY || (flags & O_TRUNC) !== 0;
  return awaitLeases(task as KernelTask, leases, writes, (flags & O_NONBLOCK) !== 0);
}

/** A FIFO waits for its other end (fifo(7)); everything else gets its descriptor at once. */
function finishOpen(task: Task, file: FileDescription, flags: number): number {
  if (!(flags & O_NONBLOCK) && file.openPending?.()) {
    if (task.signalPending()) {
      file.release();
      return -ERESTARTSYS;
    }
    task.setState(file);
    task.waitOn(file.waitQueue, POLLIN | POLLOUT);
    return task.park(Number.POSITIVE_INFINITY, -ERESTARTSYS);
  }
  const fd = task.files.install(file, (flags & O_CLOEXEC) !== 0, 0, task.rlimit(RLIMIT_NOFILE));
  if (fd < 0) file.release();
  return fd;
}

/** open implements Linux syscall open(2). */
export function open(task: Task, args: SyscallArguments): number {
  return doOpen(task, AT_FDCWD, 0, args[1] | 0, args[2] & 0o7777);
}

/** creat implements Linux syscall creat(2). */
export function creat(task: Task, args: SyscallArguments): number {
  return doOpen(task, AT_FDCWD, 0, O_CREAT | O_WRONLY | O_TRUNC, args[1] & 0o7777);
}

export { doOpen, finishOpen };
