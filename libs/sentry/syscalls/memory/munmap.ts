import type { SyscallArguments, Task } from '../../kernel/types.js';

/** munmap implements Linux syscall munmap(2). */
export function munmap(task: Task, args: SyscallArguments): number {
  return task.memory.munmap(args[0], args[1]);
}
