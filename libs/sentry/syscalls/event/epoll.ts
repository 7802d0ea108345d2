import { EP_MAX_EVENTS, EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD } from '../../abi/epoll.js';
import { EBADF, EFAULT, EINTR, EINVAL, EPERM } from '../../abi/errno.js';
import { EpollFile } from '../../fs/anon/epoll.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import type { Nanoseconds } from '../../platform/platform.js';
import { POLLIN } from '../../vfs/wait-queue.js';
import { applySignalMask, deadlineOf, installFile, readTimespec } from './support.js';

/** epoll_create implements Linux syscall epoll_create(2). */
export function epollCreate(task: Task, args: SyscallArguments): number {
  return (args[0] | 0) <= 0 ? -EINVAL : installFile(task, new EpollFile(), false);
}

/** epoll_create1 implements Linux syscall epoll_create1(2). */
export function epollCreate1(task: Task, args: SyscallArguments): number {
  const flags = args[0] | 0;
  if (flags & ~EPOLL_CLOEXEC) return -EINVAL;
  return installFile(task, new EpollFile(), flags !== 0);
}

/** epoll_ctl implements Linux syscall epoll_ctl(2). */
export function epollCtl(task: Task, args: SyscallArguments): number {
  const operation = args[1] | 0;
  const fd = args[2] | 0;
  let events = 0;
  let dataLow = 0;
  let dataHigh = 0;
  if (operation !== EPOLL_CTL_DEL) {
    events = task.memory.readU32(args[3]);
    dataLow = task.memory.readU32(args[3] + 4);
    dataHigh = task.memory.readU32(args[3] + 8);
    if (Number.isNaN(events) || Number.isNaN(dataLow) || Number.isNaN(dataHigh)) return -EFAULT;
  }
  const epoll = task.files.get(args[0] | 0);
  const target = task.files.get(fd);
  if (!epoll || !target) return -EBADF;
  // Linux asks whether the target can be polled before it looks at anything else.
  if (!target.pollable) return -EPERM;
  if (!(epoll instanceof EpollFile)) return -EINVAL;
  switch (operation) {
    case EPOLL_CTL_ADD:
      return epoll.add(fd, target, events | 0, dataLow, dataHigh);
    case EPOLL_CTL_MOD:
      return epoll.modify(fd, target, events | 0, dataLow, dataHigh);
    case EPOLL_CTL_DEL:
      return epoll.remove(fd, target);
    default:
      return -EINVAL;
  }
}

function wait(task: Task, args: SyscallArguments, deadline: Nanoseconds): number {
  const maxEvents = args[2] | 0;
  if (maxEvents <= 0 || maxEvents > EP_MAX_EVENTS) return -EINVAL;
  const epoll = task.files.get(args[0] | 0);
  if (!epoll) return -EBADF;
  if (!(epoll instanceof EpollFile)) return -EINVAL;
  const count = epoll.collect(task.memory, args[1], maxEvents);
  if (count !== 0) return count;
  if (deadline !== Infinity && deadline <= task.kernel.clock.monotonic()) return 0;
  task.setState(deadline);
  task.waitOn(epoll.waitQueue, POLLIN);
  return task.park(deadline, -EINTR);
}

/** epoll_wait implements Linux syscall epoll_wait(2). */
export function epollWait(task: Task, args: SyscallArguments): number {
  const timeout = args[3] | 0;
  return wait(task, args, timeout === 0 ? 0 : deadlineOf(task, timeout < 0 ? Infinity : timeout * 1e6));
}

/** epoll_pwait implements Linux syscall epoll_pwait(2). */
export function epollPwait(task: Task, args: SyscallArguments): number {
  const masked = applySignalMask(task, args[4], args[5]);
  return masked < 0 ? masked : epollWait(task, args);
}

/** epoll_pwait2 implements Linux syscall epoll_pwait2(2): the timeout is a timespec. */
export function epollPwait2(task: Task, args: SyscallArguments): number {
  let timeout = Infinity;
  if (args[3] !== 0) {
    timeout = readTimespec(task, args[3]);
    if (timeout < 0) return timeout;
  }
  const masked = applySignalMask(task, args[4], args[5]);
  return masked < 0 ? masked : wait(task, args, deadlineOf(task, timeout));
}
