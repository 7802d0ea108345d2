import { EAGAIN, EFAULT, EINVAL, EOPNOTSUPP } from '../../abi/errno.js';
import { SIGALRM, SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SIGEV_THREAD_ID, SIGRTMAX } from '../../abi/signal.js';
import { TIMER_ABSTIME } from '../../abi/time.js';
import type { IntervalValue } from '../../kernel/interval-timers.js';
import { type PosixTimer, posixTimersOf, type TimerNotification } from '../../kernel/posix-timers.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { cpuClock, isReadOnly, isWaitable, readDeadline, readTimespec, writeTimespec } from './support.js';

const SIGEVENT_BYTES = 64;
const value: IntervalValue = { remaining: 0, interval: 0 };

/** Reads struct sigevent: value, signal, notify, thread id. */
function readNotification(task: Task, address: number): TimerNotification | number {
  const view = task.memory.readStruct(address, SIGEVENT_BYTES);
  if (view === null) return -EFAULT;
  const notification: TimerNotification = {
    value: view.getInt32(4, true) * 0x1_0000_0000 + view.getUint32(0, true),
    signal: view.getInt32(8, true),
    notify: view.getInt32(12, true),
    threadId: view.getInt32(16, true),
  };
  const { notify, signal, threadId } = notification;
  if (notify === SIGEV_THREAD_ID) {
    if (task.kernel.tasks.get(threadId)?.group !== task.group) return -EINVAL;
  } else if (notify === SIGEV_THREAD) {
    // The kernel's part of it is a plain signal; libcs use SIGEV_THREAD_ID.
    notification.notify = SIGEV_SIGNAL;
  } else if (notify !== SIGEV_SIGNAL && notify !== SIGEV_NONE) {
    return -EINVAL;
  }
  if (notify !== SIGEV_NONE && (signal < 1 || signal > SIGRTMAX)) return -EINVAL;
  return notification;
}

/** timer_create implements Linux syscall timer_create(2). */
export function timerCreate(task: Task, args: SyscallArguments): number {
  const clock = args[0] | 0;
  const cpuNow = isWaitable(clock) ? null : cpuClock(task, clock);
  if (!isWaitable(clock) && cpuNow === null) return isReadOnly(clock) ? -EOPNOTSUPP : -EINVAL;
  let notification: TimerNotification | number = { notify: SIGEV_SIGNAL, signal: SIGALRM, value: 0, threadId: 0 };
  if (args[1] !== 0) notification = readNotification(task, args[1]);
  if (typeof notification === 'number') return notification;
  const timers = posixTimersOf(task);
  const timer = timers.create(clock, notification, cpuNow);
  if (timer === null) return -EAGAIN;
  // Without a sigevent the value is the timer's id.
  if (args[1] === 0) notification.value = timer.id;
  if (task.memory.writeU32(args[2], timer.id)) return 0;
  timers.delete(timer.id);
  return -EFAULT;
}

function find(task: Task, id: number): PosixTimer | undefined {
  return task.group.posixTimers?.get(id | 0);
}

function write(task: Task, address: number, setting: IntervalValue): number {
  return writeTimespec(task, address, setting.interval) && writeTimespec(task, address + 16, setting.remaining)
    ? 0
    : -EFAULT;
}

/** timer_settime implements Linux syscall timer_settime(2). */
export function timerSettime(task: Task, args: SyscallArguments): number {
  const timer = find(task, args[0]);
  if (args[2] === 0) return -EINVAL;
  const interval = readTimespec(task, args[2]);
  if (interval < 0) return interval;
  const expiry = readTimespec(task, args[2] + 16);
  if (expiry < 0) return expiry;
  if (!timer) return -EINVAL;
  timer.get(value);
  let deadline = Number.POSITIVE_INFINITY;
  if (expiry !== 0) {
    if (!(args[1] & TIMER_ABSTIME)) deadline = timer.now() + expiry;
    else if (timer.cpuNow) deadline = expiry;
    else deadline = readDeadline(task, args[2] + 16, timer.clock);
  }
  timer.set(deadline, interval);
  return args[3] === 0 ? 0 : write(task, args[3], value);
}

/** timer_gettime implements Linux syscall timer_gettime(2). */
export function timerGettime(task: Task, args: SyscallArguments): number {
  const timer = find(task, args[0]);
  if (!timer) return -EINVAL;
  timer.get(value);
  return write(task, args[1], value);
}

/** timer_getoverrun implements Linux syscall timer_getoverrun(2). */
export function timerGetoverrun(task: Task, args: SyscallArguments): number {
  return find(task, args[0])?.lastOverrun ?? -EINVAL;
}

/** timer_delete implements Linux syscall timer_delete(2). */
export function timerDelete(task: Task, args: SyscallArguments): number {
  return task.group.posixTimers?.delete(args[0] | 0) ? 0 : -EINVAL;
}
