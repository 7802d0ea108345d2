import { EINVAL } from '../../abi/errno.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';

/** close implements Linux syscall close(2). */
export function close(task: Task, args: SyscallArguments): number {
  return task.files.close(args[0] | 0);
}

const CLOSE_RANGE_UNSHARE = 2;
const CLOSE_RANGE_CLOEXEC = 4;

/** close_range implements Linux syscall close_range(2). CLOSE_RANGE_UNSHARE is refused (EINVAL): callers fall back to a loop. */
export function closeRange(task: Task, args: SyscallArguments): number {
  const first = args[0] >>> 0;
  const last = args[1] >>> 0;
  const flags = args[2] >>> 0;
  if (flags & ~CLOSE_RANGE_CLOEXEC || first > last || flags & CLOSE_RANGE_UNSHARE) return -EINVAL;
  for (const fd of task.files.descriptors()) {
    if (fd < first || fd > last) continue;
    if (flags & CLOSE_RANGE_CLOEXEC) task.files.setCloseOnExec(fd, true);
    else task.files.close(fd);
  }
  return 0;
}
