import type { Nanoseconds } from '../platform/platform.js';
import type { Kernel } from './kernel.js';
import { RunState } from './run-state.js';
import type { Task } from './task.js';

/** A sample that counts for more than this may be one in which the host ran others: it is held against what the Sentry has used. */
const DOUBTFUL: Nanoseconds = 100e3;

/** Every so many entries into the kernel one is timed, and counts for all of them. Odd: programs repeat even numbers of calls. */
const ENTRIES_TIMED = 7;

/**
 * Who has used how much processor time. User time is what the platform measures; system time is what the kernel works for a task, taken
 * from a sample of its entries, because reading the clock twice for each would cost more than many a call.
 */
export class CpuAccounting {
  /** Of threads that have ended. */
  endedUserTime: Nanoseconds = 0;
  endedSystemTime: Nanoseconds = 0;
  private entriesLeft = ENTRIES_TIMED;
  private timedUntil: Nanoseconds;
  /** System time of all tasks so far. */
  private charged: Nanoseconds = 0;

  /** `used`: processor time of the Sentry itself so far. */
  constructor(
    private readonly kernel: Kernel,
    private readonly used: () => Nanoseconds,
  ) {
    this.timedUntil = kernel.bootTime;
  }

  /** Begins work for a task: the time when this entry is one of those that are timed, else 0. */
  enter(): Nanoseconds {
    if (--this.entriesLeft > 0) return 0;
    this.entriesLeft = ENTRIES_TIMED;
    return this.kernel.platform.now();
  }

  /**
   * A timed entry is done: its time, for itself and for those that were not timed, is system time of its task. Never more than has
   * passed since the last one, so that a single long call does not count several times, and never more in all than the Sentry has used:
   * on a busy machine most of a long entry is others' time.
   */
  charge(task: Task, entered: Nanoseconds): void {
    const now = this.kernel.platform.now();
    let time = Math.min(ENTRIES_TIMED * (now - entered), now - this.timedUntil);
    if (time > DOUBTFUL) time = Math.min(time, Math.max(0, this.used() - this.charged));
    this.timedUntil = now;
    this.charged += time;
    task.systemTime += time;
    if (task.runState !== RunState.Dead) return;
    task.group.deadSystemTime += time;
    this.endedSystemTime += time;
  }

  /** CPU time of all tasks since the start, those that have ended included. It never goes back. */
  total(): { user: Nanoseconds; system: Nanoseconds } {
    let user = this.endedUserTime;
    let system = this.endedSystemTime;
    for (const task of this.kernel.tasks.values()) {
      if (task.runState === RunState.Dead) continue;
      user += task.userTime();
      system += task.systemTime;
    }
    return { user, system };
  }
}
