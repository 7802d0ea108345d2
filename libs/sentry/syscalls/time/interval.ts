import { EFAULT, EINVAL } from '../../abi/errno.js';
import { ITIMER_PROF, ITIMER_REAL } from '../../abi/time.js';
import { IntervalTimers, type IntervalValue } from '../../kernel/interval-timers.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { readTimeval, writePair } from './support.js';

const old: IntervalValue = { remaining: 0, interval: 0 };

function timersOf(task: Task): IntervalTimers {
  task.group.intervalTimers ??= new IntervalTimers(task.group);
  return task.group.intervalTimers;
}

function write(task: Task, address: number, value: IntervalValue): boolean {
  const pair = (at: number, span: number): boolean => {
    const seconds = Math.floor(span / 1e9);
    return writePair(task, at, seconds, Math.floor((span - seconds * 1e9) / 1000));
  };
  return pair(address, value.interval) && pair(address + 16, value.remaining);
}

/** getitimer implements Linux syscall getitimer(2). */
export function getitimer(task: Task, args: SyscallArguments): number {
  const which = args[0] | 0;
  if (which < ITIMER_REAL || which > ITIMER_PROF) return -EINVAL;
  timersOf(task).get(which, old);
  return write(task, args[1], old) ? 0 : -EFAULT;
}

/** setitimer implements Linux syscall setitimer(2). */
export function setitimer(task: Task, args: SyscallArguments): number {
  const which = args[0] | 0;
  if (which < ITIMER_REAL || which > ITIMER_PROF) return -EINVAL;
  // Linux takes a null pointer for zeros.
  const interval = args[1] === 0 ? 0 : readTimeval(task, args[1]);
  if (interval < 0) return interval;
  const remaining = args[1] === 0 ? 0 : readTimeval(task, args[1] + 16);
  if (remaining < 0) return remaining;
  const timers = timersOf(task);
  timers.get(which, old);
  timers.set(which, remaining, interval);
  return args[2] === 0 || write(task, args[2], old) ? 0 : -EFAULT;
}

/** alarm implements Linux syscall alarm(2): seconds left of the last one, rounded up to at least 1. */
export function alarm(task: Task, args: SyscallArguments): number {
  const timers = timersOf(task);
  timers.get(ITIMER_REAL, old);
  timers.set(ITIMER_REAL, (args[0] >>> 0) * 1e9, 0);
  if (old.remaining === 0) return 0;
  return Math.max(1, Math.round(old.remaining / 1e9));
}
