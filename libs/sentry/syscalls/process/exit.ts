import { killGroup } from '../../kernel/signals/send.js';
import type { Task } from '../../kernel/task.js';
import { leave } from '../../kernel/task-exit.js';
import { NO_RETURN, type SyscallArguments } from '../../kernel/types.js';

/** exit implements Linux syscall exit(2): the calling thread only. */
export function exit(task: Task, args: SyscallArguments): number {
  leave(task, (args[0] & 0xff) << 8);
  return NO_RETURN;
}

/** exit_group implements Linux syscall exit_group(2): threads in guest code are interrupted and exit when they trap. */
export function exitGroup(task: Task, args: SyscallArguments): number {
  const { group } = task;
  killGroup(group, (args[0] & 0xff) << 8);
  leave(task, group.exitCode);
  return NO_RETURN;
}
