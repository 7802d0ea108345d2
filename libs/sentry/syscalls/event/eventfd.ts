import { EFD_CLOEXEC, EFD_NONBLOCK, EFD_SEMAPHORE } from '../../abi/epoll.js';
import { EINVAL } from '../../abi/errno.js';
import { EventFile } from '../../fs/anon/eventfd.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { installFile } from './support.js';

/** eventfd implements Linux syscall eventfd(2), the one without flags. */
export function eventfd(task: Task, args: SyscallArguments): number {
  return installFile(task, new EventFile(args[0], 0), false);
}

/** eventfd2 implements Linux syscall eventfd2(2). */
export function eventfd2(task: Task, args: SyscallArguments): number {
  const flags = args[1] | 0;
  if (flags & ~(EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK)) return -EINVAL;
  return installFile(task, new EventFile(args[0], flags), (flags & EFD_CLOEXEC) !== 0);
}
