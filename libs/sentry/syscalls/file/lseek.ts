import { EBADF } from '../../abi/errno.js';
import { O_PATH } from '../../abi/fcntl.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { fileOf } from './common.js';

/** lseek implements Linux syscall lseek(2). */
export function lseek(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  if (!file || file.flags & O_PATH) return -EBADF;
  return file.seek(args[1], args[2] | 0);
}
