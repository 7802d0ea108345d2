import type { Task } from '../task.js';

/**
 * A task that waits for an IPC object. Whoever changes the object does the waiter's work for it and sets `result`, as
 * Linux does, so that nobody can come between: the woken call only reports.
 */
export class IpcWaiter {
  result: number | undefined;

  constructor(readonly task: Task) {}

  finish(result: number): void {
    this.result = result;
    this.task.wake();
  }
}

/**
 * Waits until the waiter is served: its result; or, after taking it out of `list`, `expired` at the deadline and
 * `interrupted` when a signal is pending; or BLOCKED.
 */
export function awaitTurn<T extends IpcWaiter>(
  waiter: T,
  list: T[],
  deadline: number,
  expired: number,
  interrupted: number,
): number {
  if (waiter.result !== undefined) return waiter.result;
  const { task } = waiter;
  const late = deadline !== Number.POSITIVE_INFINITY && task.kernel.clock.monotonic() >= deadline;
  if (!late && !task.signalPending()) return task.park(deadline, interrupted);
  take(list, waiter);
  return late ? expired : interrupted;
}

export function take<T>(list: T[], item: T): void {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}
