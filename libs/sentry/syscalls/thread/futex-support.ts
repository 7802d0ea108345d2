import { EINVAL, ETIMEDOUT } from '../../abi/errno.js';
import { CLOCK_MONOTONIC, CLOCK_REALTIME } from '../../abi/time.js';
import { FutexWaiter } from '../../kernel/futex.js';
import type { Task } from '../../kernel/task.js';
import type { FutexKey } from '../../mm/types.js';
import { readDeadline, readTimespec } from '../time/support.js';

/** Scratch keys: used up before a handler returns. */
export const key: FutexKey = { object: {}, offset: 0 };
export const targetKey: FutexKey = { object: {}, offset: 0 };

/** The task's own place in a queue. */
export function waiterOf(task: Task): FutexWaiter {
  task.futexWaiter ??= new FutexWaiter(task);
  return task.futexWaiter;
}

/** Fills `out`; 0, -EINVAL for a misaligned word, -EFAULT. */
export function findKey(task: Task, address: number, shared: boolean, out: FutexKey): number {
  if (address % 4 !== 0) return -EINVAL;
  return task.memory.futexKey(address, shared, out);
}

/** A deadline kept by a waiting call. An object, so that null stays "first time". */
export interface FutexWait {
  readonly deadline: number;
}

/** One wait without a time-out, shared by all: most waits are such. */
export const NO_DEADLINE: FutexWait = { deadline: Number.POSITIVE_INFINITY };

/** Goes on with a wait: 0 once woken, -ETIMEDOUT, `interrupted` for a signal, or BLOCKED. */
export function keepWaiting(task: Task, wait: FutexWait, interrupted: number): number {
  const waiter = waiterOf(task);
  if (!waiter.queued) return 0;
  const expired = wait !== NO_DEADLINE && task.kernel.clock.monotonic() >= wait.deadline;
  if (expired || task.signalPending()) {
    task.kernel.futexes.dequeue(waiter);
    return expired ? -ETIMEDOUT : interrupted;
  }
  return task.park(wait.deadline, interrupted);
}

/** The time-out argument of a wait: relative for FUTEX_WAIT, absolute for the others. -EFAULT, -EINVAL. */
export function readWait(task: Task, address: number, absolute: boolean, realtime: boolean): FutexWait | number {
  if (address === 0) return NO_DEADLINE;
  if (absolute) {
    const deadline = readDeadline(task, address, realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC);
    return deadline < 0 ? deadline : { deadline };
  }
  const span = readTimespec(task, address);
  return span < 0 ? span : { deadline: task.kernel.clock.monotonic() + span };
}
