import { EFAULT, EINVAL, EPERM, ESRCH } from '../../abi/errno.js';
import { ROBUST_LIST_HEAD_BYTES } from '../../abi/futex.js';
import { mayInspect } from '../../kernel/access.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';

/** set_tid_address implements Linux syscall set_tid_address(2). */
export function setTidAddress(task: Task, args: SyscallArguments): number {
  task.clearChildTid = args[0];
  return task.tid;
}

/** set_robust_list implements Linux syscall set_robust_list(2). */
export function setRobustList(task: Task, args: SyscallArguments): number {
  if (args[1] !== ROBUST_LIST_HEAD_BYTES) return -EINVAL;
  task.robustList = args[0];
  return 0;
}

/** get_robust_list implements Linux syscall get_robust_list(2). */
export function getRobustList(task: Task, args: SyscallArguments): number {
  const pid = args[0] | 0;
  const target = pid === 0 ? task : task.kernel.tasks.get(pid);
  if (!target) return -ESRCH;
  if (!mayInspect(task, target)) return -EPERM;
  const { memory } = task;
  return memory.writeU64(args[1], target.robustList) && memory.writeU64(args[2], ROBUST_LIST_HEAD_BYTES) ? 0 : -EFAULT;
}
