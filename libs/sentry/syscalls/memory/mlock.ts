import { EINVAL } from '../../abi/errno.js';
import { MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT, MLOCK_ONFAULT } from '../../abi/mman.js';
import { RLIMIT_MEMLOCK } from '../../abi/resource.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import type { Bytes } from '../../platform/platform.js';

const CAP_IPC_LOCK = 14;

function lockLimit(task: Task): Bytes {
  return task.capable(CAP_IPC_LOCK) ? Number.POSITIVE_INFINITY : task.rlimit(RLIMIT_MEMLOCK);
}

/** mlock implements Linux syscall mlock(2): only accounted, since guest memory is never paged out. */
export function mlock(task: Task, args: SyscallArguments): number {
  return task.memory.lock(args[0], args[1], true, lockLimit(task));
}

/** mlock2 implements Linux syscall mlock2(2). */
export function mlock2(task: Task, args: SyscallArguments): number {
  if ((args[2] & ~MLOCK_ONFAULT) !== 0) return -EINVAL;
  return task.memory.lock(args[0], args[1], true, lockLimit(task));
}

/** munlock implements Linux syscall munlock(2). */
export function munlock(task: Task, args: SyscallArguments): number {
  return task.memory.lock(args[0], args[1], false, Number.POSITIVE_INFINITY);
}

/** mlockall implements Linux syscall mlockall(2). */
export function mlockall(task: Task, args: SyscallArguments): number {
  const flags = args[0] | 0;
  if (flags === 0 || flags === MCL_ONFAULT || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) !== 0) return -EINVAL;
  return task.memory.lockAll((flags & MCL_CURRENT) !== 0, (flags & MCL_FUTURE) !== 0, lockLimit(task));
}

/** munlockall implements Linux syscall munlockall(2). */
export function munlockall(task: Task, _args: SyscallArguments): number {
  return task.memory.lockAll(false, false, Number.POSITIVE_INFINITY);
}
