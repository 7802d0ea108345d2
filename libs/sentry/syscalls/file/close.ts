import { EINVAL } from '../../abi/errno.js';
import type { Task as KernelTask } from '../../kernel/task.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';

/** close implements Linux syscall close(2). */
export function close(task: Task, args: SyscallArguments): number {
  return task.files.close(args[0] | 0);
}

const CLOSE_RANGE_UNSHARE = 2;
const CLOSE_RANGE_CLOEXEC = 4;

/** close_range implements Linux syscall close_range(2). */
export function closeRange(task: KernelTask, args: SyscallArguments): number {
  const first = args[0] >>> 0;
  const last = args[1] >>> 0;
  const flags = args[2] >>> 0;
  if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last) return -EINVAL;
  if (flags & CLOSE_RANGE_UNSHARE && task.files.references > 1) {
    const copy = task.files.copy();
    task.files.release();
    task.files = copy;
  }
  for (const fd of task.files.descriptors()) {
    if (fd < first || fd > last) continue;
    if (flags & CLOSE_RANGE_CLOEXEC) task.files.setCloseOnExec(fd, true);
    else task.files.close(fd);
  }
  return 0;
}
