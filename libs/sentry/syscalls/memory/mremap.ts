import type { SyscallArguments, Task } from '../../kernel/types.js';

/** mremap implements Linux syscall mremap(2). */
export function mremap(task: Task, args: SyscallArguments): number {
  return task.memory.mremap(args[0], args[1], args[2], args[3] | 0, args[4]);
}
