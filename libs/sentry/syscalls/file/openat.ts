import type { SyscallArguments, Task } from '../../kernel/types.js';
import { doOpen } from './open.js';

/** openat implements Linux syscall openat(2). */
export function openat(task: Task, args: SyscallArguments): number {
  return doOpen(task, args[0] | 0, 1, args[2] | 0, args[3] & 0o7777);
}
