import { EBADF, EINVAL, ESRCH } from '../../abi/errno.js';
import { PidFile } from '../../fs/anon/pidfd.js';
import { RunState } from '../../kernel/run-state.js';
import type { Task } from '../../kernel/task.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { SyscallArguments } from '../../kernel/types.js';

/** A thread of the process that still has its memory. */
function liveTask(group: ThreadGroup): Task | null {
  for (const task of group.tasks) if (task.runState !== RunState.Dead) return task;
  return null;
}

/**
 * process_mrelease implements Linux syscall process_mrelease(2). -ESRCH: its memory is gone already; -EINVAL: it, or another process
 * with the same memory, is not being killed.
 */
export function processMrelease(task: Task, args: SyscallArguments): number {
  if ((args[1] | 0) !== 0) return -EINVAL;
  const file = task.files.get(args[0] | 0);
  if (!(file instanceof PidFile)) return -EBADF;
  const group = file.group as ThreadGroup | null;
  const target = group && liveTask(group);
  if (!target) return -ESRCH;
  for (const other of task.kernel.tasks.values()) {
    if (other.runState !== RunState.Dead && other.memory === target.memory && !other.group.exiting) return -EINVAL;
  }
  target.memory.reap();
  return 0;
}
