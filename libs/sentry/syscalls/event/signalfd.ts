import { SFD_CLOEXEC, SFD_NONBLOCK } from '../../abi/epoll.js';
import { EBADF, EFAULT, EINVAL } from '../../abi/errno.js';
import { UNBLOCKABLE_MASK } from '../../abi/signal.js';
import { SignalFile } from '../../fs/anon/signalfd.js';
import type { Task as KernelTask } from '../../kernel/task.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { installFile } from './support.js';

function makeSignalFile(task: Task, fd: number, mask: number, size: number, flags: number): number {
  if (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK) || size !== 8) return -EINVAL;
  const low = task.memory.readU32(mask);
  const high = task.memory.readU32(mask + 4);
  if (Number.isNaN(low) || Number.isNaN(high)) return -EFAULT;
  const allowed = low & ~UNBLOCKABLE_MASK;
  if (fd !== -1) {
    const file = task.files.get(fd);
    if (!file) return -EBADF;
    if (!(file instanceof SignalFile)) return -EINVAL;
    file.setMask(allowed, high | 0);
    return fd;
  }
  const { group } = task as KernelTask;
  return installFile(task, new SignalFile(group, allowed, high | 0, flags), (flags & SFD_CLOEXEC) !== 0);
}

/** signalfd implements Linux syscall signalfd(2), the one without flags. */
export function signalfd(task: Task, args: SyscallArguments): number {
  return makeSignalFile(task, args[0] | 0, args[1], args[2], 0);
}

/** signalfd4 implements Linux syscall signalfd4(2). */
export function signalfd4(task: Task, args: SyscallArguments): number {
  return makeSignalFile(task, args[0] | 0, args[1], args[2], args[3] | 0);
}
