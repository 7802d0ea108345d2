import { EBADF, EINVAL } from '../../abi/errno.js';
import { O_CLOEXEC } from '../../abi/fcntl.js';
import { RLIMIT_NOFILE } from '../../abi/resource.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { fileOf } from './common.js';

/** dup implements Linux syscall dup(2). */
export function dup(task: Task, args: SyscallArguments): number {
  return duplicate(task, args[0] | 0, 0, false);
}

/** Lowest free descriptor >= minimum: dup(2), fcntl(F_DUPFD). */
export function duplicate(task: Task, fd: number, minimum: number, closeOnExec: boolean): number {
  const file = fileOf(task, fd);
  if (!file) return -EBADF;
  file.retain();
  const copy = task.files.install(file, closeOnExec, minimum, task.rlimit(RLIMIT_NOFILE));
  if (copy < 0) file.release();
  return copy;
}

function duplicateTo(task: Task, from: number, to: number, closeOnExec: boolean): number {
  const file = fileOf(task, from);
  if (!file || to < 0 || to >= task.rlimit(RLIMIT_NOFILE)) return -EBADF;
  file.retain();
  task.files.installAt(to, file, closeOnExec);
  return to;
}

/** dup2 implements Linux syscall dup2(2). */
export function dup2(task: Task, args: SyscallArguments): number {
  const from = args[0] | 0;
  const to = args[1] | 0;
  if (from === to) return fileOf(task, from) ? to : -EBADF;
  return duplicateTo(task, from, to, false);
}

/** dup3 implements Linux syscall dup3(2). */
export function dup3(task: Task, args: SyscallArguments): number {
  const flags = args[2] | 0;
  if (flags & ~O_CLOEXEC || (args[0] | 0) === (args[1] | 0)) return -EINVAL;
  return duplicateTo(task, args[0] | 0, args[1] | 0, (flags & O_CLOEXEC) !== 0);
}
