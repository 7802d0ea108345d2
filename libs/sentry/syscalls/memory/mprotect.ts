import { EINVAL } from '../../abi/errno.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';

/** mprotect implements Linux syscall mprotect(2). */
export function mprotect(task: Task, args: SyscallArguments): number {
  return task.memory.mprotect(args[0], args[1], args[2] | 0);
}

/** pkey_mprotect implements Linux syscall pkey_mprotect(2) on a machine without protection keys: only key -1 exists. */
export function pkeyMprotect(task: Task, args: SyscallArguments): number {
  return (args[3] | 0) === -1 ? task.memory.mprotect(args[0], args[1], args[2] | 0) : -EINVAL;
}
