import { SI_KERNEL, SIGALRM, SIGPROF, SIGVTALRM } from '../abi/signal.js';
import { ITIMER_PROF, ITIMER_REAL, ITIMER_VIRTUAL } from '../abi/time.js';
import type { Nanoseconds } from '../platform/platform.js';
import { signalInfo } from './signals/pending.js';
import type { ThreadGroup } from './thread-group.js';
import type { Timer } from './types.js';

/** Repeating timers fire at most this often, so that a guest's 1 ns interval does not keep the kernel busy for ever. */
export const SHORTEST_INTERVAL: Nanoseconds = 100_000;

/** What getitimer(2) shows. */
export interface IntervalValue {
  remaining: Nanoseconds;
  interval: Nanoseconds;
}

const SIGNAL_OF = [SIGALRM, SIGVTALRM, SIGPROF];

/** setitimer(2) and alarm(2): one timer on real time, two on the CPU time of the process (which `CpuSupervisor` looks at). */
export class IntervalTimers {
  private readonly real: Timer;
  /** Monotonic for ITIMER_REAL, CPU time of the process for the others (user time for ITIMER_VIRTUAL); Infinity = not set. */
  private readonly deadlines = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  private readonly intervals = [0, 0, 0];

  constructor(private readonly group: ThreadGroup) {
    this.real = group.leader.kernel.createTimer((now) => this.expire(ITIMER_REAL, now));
  }

  private now(which: number): Nanoseconds {
    if (which === ITIMER_REAL) return this.group.leader.kernel.clock.monotonic();
    return which === ITIMER_VIRTUAL ? this.group.userTime() : this.group.cpuTime();
  }

  get(which: number, out: IntervalValue): void {
    out.interval = this.intervals[which];
    const deadline = this.deadlines[which];
    // A set timer never shows 0, which would mean "not set".
    out.remaining = deadline === Number.POSITIVE_INFINITY ? 0 : Math.max(1000, deadline - this.now(which));
  }

  /** `remaining` 0 disarms. */
  set(which: number, remaining: Nanoseconds, interval: Nanoseconds): void {
    this.intervals[which] = interval;
    this.deadlines[which] = remaining === 0 ? Number.POSITIVE_INFINITY : this.now(which) + remaining;
    if (which === ITIMER_REAL) this.real.set(this.deadlines[which]);
    else if (remaining !== 0) this.group.leader.kernel.cpuSupervisor.watch(this.group);
  }

  /** True while a CPU time timer is set. */
  get needsCpuTime(): boolean {
    return (
      this.deadlines[ITIMER_VIRTUAL] !== Number.POSITIVE_INFINITY ||
      this.deadlines[ITIMER_PROF] !== Number.POSITIVE_INFINITY
    );
  }

  checkCpuTime(): void {
    for (let which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
      if (this.deadlines[which] === Number.POSITIVE_INFINITY) continue;
      const used = this.now(which);
      if (this.deadlines[which] <= used) this.expire(which, used);
    }
  }

  private expire(which: number, now: Nanoseconds): void {
    const interval = this.intervals[which];
    let deadline = Number.POSITIVE_INFINITY;
    if (interval > 0) {
      const step = Math.max(interval, SHORTEST_INTERVAL);
      const missed = Math.floor((now - this.deadlines[which]) / step);
      deadline = this.deadlines[which] + (missed + 1) * step;
    }
    this.deadlines[which] = deadline;
    if (which === ITIMER_REAL) this.real.set(deadline);
    this.group.sendSignal(signalInfo(SIGNAL_OF[which], SI_KERNEL));
  }

  cancel(): void {
    this.real.cancel();
    this.deadlines.fill(Number.POSITIVE_INFINITY);
  }
}
