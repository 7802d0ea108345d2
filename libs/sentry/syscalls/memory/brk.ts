import type { SyscallArguments, Task } from '../../kernel/types.js';

/** brk implements Linux syscall brk(2): the new break, or the old one when it cannot be moved. */
export function brk(task: Task, args: SyscallArguments): number {
  return task.memory.brk(args[0]);
}
