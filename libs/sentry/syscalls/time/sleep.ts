import { EFAULT, EINTR, EINVAL, EOPNOTSUPP, ERESTART_RESTARTBLOCK, ERESTARTNOHAND } from '../../abi/errno.js';
import { TIMER_ABSTIME } from '../../abi/time.js';
import type { Task } from '../../kernel/task.js';
import { BLOCKED, type SyscallArguments, type SyscallHandler } from '../../kernel/types.js';
import { cpuClock, isReadOnly, isWaitable, readDeadline, readTimespec, writeTimespec } from './support.js';

/** A relative sleep under way: where it ends, and where the rest goes when a handler interrupts it. */
interface Sleep {
  readonly deadline: number;
  readonly remaining: number;
}

/** Sleeps until `sleep.deadline`; interrupted, it can be continued by restart_syscall(2). */
function sleepOn(task: Task, sleep: Sleep): number {
  task.setState(sleep);
  if (task.kernel.clock.monotonic() >= sleep.deadline) return 0;
  const result = task.park(sleep.deadline, -ERESTART_RESTARTBLOCK);
  if (result === BLOCKED) return BLOCKED;
  const left = Math.max(0, sleep.deadline - task.kernel.clock.monotonic());
  if (sleep.remaining !== 0 && !writeTimespec(task, sleep.remaining, left)) return -EFAULT;
  task.restartBlock.handler = continueSleep as unknown as SyscallHandler;
  task.restartBlock.state = sleep;
  return result;
}

function continueSleep(task: Task): number {
  return sleepOn(task, (task.state ?? task.restartBlock.state) as Sleep);
}

/** restart_syscall implements Linux syscall restart_syscall(2). */
export function restartSyscall(task: Task, args: SyscallArguments): number {
  const { handler } = task.restartBlock;
  return handler === null ? -EINTR : handler(task, args);
}

/** nanosleep implements Linux syscall nanosleep(2). */
export function nanosleep(task: Task, args: SyscallArguments): number {
  if (task.state !== null) return sleepOn(task, task.state as Sleep);
  const span = readTimespec(task, args[0]);
  if (span < 0) return span;
  return sleepOn(task, { deadline: task.kernel.clock.monotonic() + span, remaining: args[1] });
}

/** clock_nanosleep implements Linux syscall clock_nanosleep(2): clocks of real time. */
export function clockNanosleep(task: Task, args: SyscallArguments): number {
  const clock = args[0] | 0;
  const flags = args[1] | 0;
  if (!isWaitable(clock)) {
    return isReadOnly(clock) || cpuClock(task, clock) !== null ? -EOPNOTSUPP : -EINVAL;
  }
  if (!(flags & TIMER_ABSTIME)) {
    if (task.state !== null) return sleepOn(task, task.state as Sleep);
    const span = readTimespec(task, args[2]);
    if (span < 0) return span;
    return sleepOn(task, { deadline: task.kernel.clock.monotonic() + span, remaining: args[3] });
  }
  // An absolute sleep is simply called again; it reports no rest.
  let deadline = task.state as number | null;
  if (deadline === null) {
    deadline = readDeadline(task, args[2], clock);
    if (deadline < 0) return deadline;
    task.setState(deadline);
  }
  if (task.kernel.clock.monotonic() >= deadline) return 0;
  return task.park(deadline, -ERESTARTNOHAND);
}
