import { EFAULT, EINVAL } from '../../abi/errno.js';
import * as TIME from '../../abi/time.js';
import type { Task } from '../../kernel/task.js';
import type { Nanoseconds } from '../../platform/platform.js';

const realtime = { seconds: 0, nanoseconds: 0 };

/** The longest span a deadline can hold exactly enough (292 years, Linux's KTIME_MAX). */
const LONGEST = 9.2e18;

/** Nanoseconds of the `struct timespec` at `address`; -EFAULT, or -EINVAL when out of range. */
export function readTimespec(task: Task, address: number): Nanoseconds {
  const seconds = task.memory.readU64(address);
  const nanoseconds = task.memory.readU64(address + 8);
  if (Number.isNaN(seconds) || Number.isNaN(nanoseconds)) return -EFAULT;
  if (seconds < 0 || nanoseconds < 0 || nanoseconds >= TIME.NANOSECONDS_PER_SECOND) return -EINVAL;
  return Math.min(LONGEST, seconds * TIME.NANOSECONDS_PER_SECOND + nanoseconds);
}

/** Nanoseconds of the `struct timeval` at `address`; -EFAULT, or -EINVAL when out of range. */
export function readTimeval(task: Task, address: number): Nanoseconds {
  const seconds = task.memory.readU64(address);
  const microseconds = task.memory.readU64(address + 8);
  if (Number.isNaN(seconds) || Number.isNaN(microseconds)) return -EFAULT;
  if (seconds < 0 || microseconds < 0 || microseconds >= 1_000_000) return -EINVAL;
  return Math.min(LONGEST, seconds * TIME.NANOSECONDS_PER_SECOND + microseconds * 1000);
}

export function writePair(task: Task, address: number, first: number, second: number): boolean {
  const { memory } = task;
  const at = memory.wordsAt(address, 16, true);
  if (at < 0) return memory.writeU64(address, first) && memory.writeU64(address + 8, second);
  const { words } = memory;
  words[at] = first;
  words[at + 1] = Math.floor(first / 2 ** 32);
  words[at + 2] = second;
  words[at + 3] = Math.floor(second / 2 ** 32);
  return true;
}

export function writeTimespec(task: Task, address: number, span: Nanoseconds): boolean {
  const seconds = Math.floor(span / TIME.NANOSECONDS_PER_SECOND);
  return writePair(task, address, seconds, Math.floor(span - seconds * TIME.NANOSECONDS_PER_SECOND));
}

/** Whether the clock follows CLOCK_REALTIME (its absolute times must be converted, see `deadlineOf`). */
export function isRealtime(clock: number): boolean {
  return clock === TIME.CLOCK_REALTIME || clock === TIME.CLOCK_REALTIME_ALARM || clock === TIME.CLOCK_TAI;
}

/** Clocks of real time that one can sleep on and make timers for. */
export function isWaitable(clock: number): boolean {
  return (
    isRealtime(clock) ||
    clock === TIME.CLOCK_MONOTONIC ||
    clock === TIME.CLOCK_BOOTTIME ||
    clock === TIME.CLOCK_BOOTTIME_ALARM
  );
}

/** Clocks that can only be read. */
export function isReadOnly(clock: number): boolean {
  return (
    clock === TIME.CLOCK_MONOTONIC_RAW || clock === TIME.CLOCK_REALTIME_COARSE || clock === TIME.CLOCK_MONOTONIC_COARSE
  );
}

/** Monotonic deadline of the absolute time at `address` in `clock` (a waitable one); -EFAULT, -EINVAL. */
export function readDeadline(task: Task, address: number, clock: number): Nanoseconds {
  if (!isRealtime(clock)) return readTimespec(task, address);
  const seconds = task.memory.readU64(address);
  const nanoseconds = task.memory.readU64(address + 8);
  if (Number.isNaN(seconds) || Number.isNaN(nanoseconds)) return -EFAULT;
  if (seconds < 0 || nanoseconds < 0 || nanoseconds >= TIME.NANOSECONDS_PER_SECOND) return -EINVAL;
  // Apart until the difference is taken: a double holds a realtime in nanoseconds only to some 200 ns.
  return Math.max(0, task.kernel.clock.realtimeToMonotonic(seconds, nanoseconds));
}

export function readRealtime(task: Task): { readonly seconds: number; readonly nanoseconds: number } {
  task.kernel.clock.read(TIME.CLOCK_REALTIME, realtime);
  return realtime;
}

/**
 * Reads a CPU clock: CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID and the dynamic ids of clock_getcpuclockid(3).
 * A function, so that timers can read it again; null when the id names no CPU clock (or nobody).
 */
export function cpuClock(task: Task, clock: number): (() => Nanoseconds) | null {
  if (clock === TIME.CLOCK_PROCESS_CPUTIME_ID) return () => task.group.cpuTime();
  if (clock === TIME.CLOCK_THREAD_CPUTIME_ID) return () => task.cpuTime();
  if (clock >= 0 || (clock & TIME.CPUCLOCK_KIND) === TIME.CPUCLOCK_KIND) return null;
  const pid = ~(clock >> 3);
  if (clock & TIME.CPUCLOCK_PERTHREAD) {
    const target = pid === 0 ? task : task.kernel.tasks.get(pid);
    return target && target.group === task.group ? () => target.cpuTime() : null;
  }
  const group = pid === 0 ? task.group : task.kernel.groups.get(pid);
  return group ? () => group.cpuTime() : null;
}
