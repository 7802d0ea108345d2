import { EAGAIN, EBADF, EINVAL, ERESTARTSYS } from '../../abi/errno.js';
import { LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, O_PATH } from '../../abi/fcntl.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { locksOf } from '../../vfs/locks.js';
import { POLLIN } from '../../vfs/wait-queue.js';
import { fileOf } from './common.js';

const KINDS: Readonly<Record<number, 0 | 1 | 2>> = { [LOCK_UN]: 0, [LOCK_SH]: 1, [LOCK_EX]: 2 };

/** flock implements Linux syscall flock(2): one lock per open file description. */
export function flock(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  if (!file || file.flags & O_PATH) return -EBADF;
  const operation = args[1] | 0;
  const kind = KINDS[operation & ~LOCK_NB];
  if (kind === undefined) return -EINVAL;
  const locks = locksOf(file.inode);
  const result = locks.flock(file, kind);
  if (result !== -EAGAIN || operation & LOCK_NB) return result;
  task.waitOn(locks.released, POLLIN);
  return task.park(Number.POSITIVE_INFINITY, -ERESTARTSYS);
}
