import type { SyscallArguments, Task } from '../../kernel/types.js';

/** madvise implements Linux syscall madvise(2). */
export function madvise(task: Task, args: SyscallArguments): number {
  return task.memory.madvise(args[0], args[1], args[2] | 0);
}

/** msync implements Linux syscall msync(2). */
export function msync(task: Task, args: SyscallArguments): number {
  return task.memory.msync(args[0], args[1], args[2] | 0);
}

/** mincore implements Linux syscall mincore(2). */
export function mincore(task: Task, args: SyscallArguments): number {
  return task.memory.mincore(args[0], args[1], args[2]);
}
