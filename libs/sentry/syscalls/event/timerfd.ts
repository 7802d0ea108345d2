import { TFD_CLOEXEC, TFD_NONBLOCK, TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET } from '../../abi/epoll.js';
import { EBADF, EFAULT, EINVAL } from '../../abi/errno.js';
import { TimerFile } from '../../fs/anon/timerfd.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { installFile, readTimespec } from './support.js';

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;
const CLOCK_REALTIME_ALARM = 8;
const CLOCK_BOOTTIME_ALARM = 9;

/** timerfd_create implements Linux syscall timerfd_create(2). The alarm clocks need nothing special: nothing suspends here. */
export function timerfdCreate(task: Task, args: SyscallArguments): number {
  const clock = args[0] | 0;
  const flags = args[1] | 0;
  if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK)) return -EINVAL;
  if (
    clock !== CLOCK_REALTIME &&
    clock !== CLOCK_MONOTONIC &&
    clock !== CLOCK_BOOTTIME &&
    clock !== CLOCK_REALTIME_ALARM &&
    clock !== CLOCK_BOOTTIME_ALARM
  )
    return -EINVAL;
  return installFile(task, new TimerFile(task.kernel, clock, flags), (flags & TFD_CLOEXEC) !== 0);
}

function timerOf(task: Task, fd: number): TimerFile | number {
  const file = task.files.get(fd);
  if (!file) return -EBADF;
  return file instanceof TimerFile ? file : -EINVAL;
}

/** Writes `struct itimerspec`: interval, then time to the next expiry. */
function writeSetting(task: Task, address: number, timer: TimerFile): number {
  const out = task.memory.scratch(32);
  const remaining = timer.remaining();
  const { period } = timer;
  out.setUint32(0, Math.floor(period / 1e9), true);
  out.setUint32(8, period % 1e9, true);
  const seconds = Math.floor(remaining / 1e9);
  out.setUint32(16, seconds % 0x100000000, true);
  out.setUint32(20, Math.floor(seconds / 0x100000000), true);
  out.setUint32(24, remaining % 1e9, true);
  return task.memory.writeStruct(address, 32) ? 0 : -EFAULT;
}

/** timerfd_settime implements Linux syscall timerfd_settime(2). */
export function timerfdSettime(task: Task, args: SyscallArguments): number {
  const flags = args[1] | 0;
  if (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) return -EINVAL;
  if (args[2] === 0) return -EFAULT;
  const interval = readTimespec(task, args[2]);
  if (interval < 0) return interval;
  const value = readTimespec(task, args[2] + 16);
  if (value < 0) return value;
  const timer = timerOf(task, args[0] | 0);
  if (typeof timer === 'number') return timer;
  const written = args[3] === 0 ? 0 : writeSetting(task, args[3], timer);
  const { clock } = task.kernel;
  let deadline = Infinity;
  if (value !== 0) {
    if (!(flags & TFD_TIMER_ABSTIME)) deadline = clock.monotonic() + value;
    else if (timer.clockId === CLOCK_REALTIME || timer.clockId === CLOCK_REALTIME_ALARM) {
      // A double holds today's time only to some 200 ns; timers are not more exact than that.
      const seconds = Math.floor(value / 1e9);
      deadline = clock.realtimeToMonotonic(seconds, value - seconds * 1e9);
    } else deadline = value;
  }
  timer.set(deadline, interval);
  return written;
}

/** timerfd_gettime implements Linux syscall timerfd_gettime(2). */
export function timerfdGettime(task: Task, args: SyscallArguments): number {
  const timer = timerOf(task, args[0] | 0);
  return typeof timer === 'number' ? timer : writeSetting(task, args[1], timer);
}
