import type { Nanoseconds } from '../platform/platform.js';
import type { Kernel } from './kernel.js';
import { RunState } from './run-state.js';
import type { Task } from './task.js';

/** A sample that counts for more than this may be one in which the host ran others: it is held against what the Sentry has used. */
const DOUBTFUL: Nanoseconds = 100e3;

/** Every so many entries into the kernel one is timed, and counts for all of them. Odd: programs repeat even numbers of calls. */
const ENTRIES_TIMED = 7;

/** Places in `times`: when the present entry began, when the last timed one ended, what it counted for, what all tasks have so far. */
const ENTERED = 0;
const UNTIL = 1;
const SPENT = 2;
const CHARGED = 3;

/**
 * Who has used how much processor time. User time is what the platform measures; system time is what the kernel works for a task, taken
 * from a sample of its entries, because reading the clock twice for each would cost more than many a call.
 */
export class CpuAccounting {
  /** Of threads that have ended. */
  endedUserTime: Nanoseconds = 0;
  endedSystemTime: Nanoseconds = 0;
  private entriesLeft = ENTRIES_TIMED;
  /** Typed: as fields or as a result of `enter` they would be heap objects, made anew in each timed entry. */
  private readonly times = new Float64Array(4);

  /** `used`: processor time of the Sentry itself so far. */
  constructor(
    private readonly kernel: Kernel,
    private readonly used: () => Nanoseconds,
  ) {
    this.times[UNTIL] = kernel.bootTime;
  }

  /** Begins work for a task. Whether this entry is one of those that are timed: `charge` ends it then. */
  enter(): boolean {
    if (--this.entriesLeft > 0) return false;
    this.entriesLeft = ENTRIES_TIMED;
    this.times[ENTERED] = this.kernel.platform.tick()[0];
    return true;
  }

  /**
   * A timed entry is done: its time, for itself and for those that were not timed, is system time of its task. Never more than has
   * passed since the last one, so that a single long call does not count several times, and never more in all than the Sentry has used:
   * on a busy machine most of a long entry is others' time.
   */
  charge(task: Task): void {
    const { times } = this;
    const now = this.kernel.platform.tick();
    times[SPENT] = Math.min(ENTRIES_TIMED * (now[0] - times[ENTERED]), now[0] - times[UNTIL]);
    times[UNTIL] = now[0];
    if (times[SPENT] > DOUBTFUL) times[SPENT] = Math.min(times[SPENT], Math.max(0, this.used() - times[CHARGED]));
    times[CHARGED] += times[SPENT];
    task.systemTime += times[SPENT];
    if (task.runState !== RunState.Dead) return;
    task.group.deadSystemTime += times[SPENT];
    this.endedSystemTime += times[SPENT];
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
