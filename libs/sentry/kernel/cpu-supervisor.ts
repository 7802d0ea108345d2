import { RLIMIT_CPU } from '../abi/resource.js';
import { SI_KERNEL, SIGKILL, SIGXCPU } from '../abi/signal.js';
import type { Nanoseconds } from '../platform/platform.js';
import type { Kernel } from './kernel.js';
import { signalInfo } from './signals/pending.js';
import { killGroup } from './signals/send.js';
import type { ThreadGroup } from './thread-group.js';
import type { Timer } from './types.js';

/** How often CPU time is looked at while a process has a timer or limit on it. */
const TIMER_PERIOD: Nanoseconds = 10_000_000;
/** For the sandbox's own limit: near its end often, far from it seldom. */
const SHORTEST_PERIOD: Nanoseconds = 2_000_000;
const LONGEST_PERIOD: Nanoseconds = 100_000_000;
/** How often the load average is brought up to date while guest code runs, as in Linux. */
const LOAD_PERIOD: Nanoseconds = 5_000_000_000;

/**
 * Watches CPU time from outside the guest: the sandbox's limit, RLIMIT_CPU, CPU timers, the load. It looks only while guest code runs: when
 * all tasks are blocked the timer stays unarmed until `guestRuns`.
 */
export class CpuSupervisor {
  private readonly timer: Timer;
  private readonly watched = new Set<ThreadGroup>();
  private limit: Nanoseconds = Number.POSITIVE_INFINITY;
  /** True when the timer must be armed at the next resume. */
  idle = false;

  constructor(private readonly kernel: Kernel) {
    this.timer = kernel.createTimer((now) => this.check(now), true);
  }

  /** CPU time of all guest code; Infinity = none. */
  setLimit(limit: Nanoseconds): void {
    this.limit = limit;
    this.idle = true;
  }

  /** A process with a CPU timer or RLIMIT_CPU. */
  watch(group: ThreadGroup): void {
    this.watched.add(group);
    this.timer.set(Math.min(this.timer.deadline, this.kernel.clock.monotonic() + TIMER_PERIOD));
    this.idle = false;
  }

  /** Called at a resume when `idle`. */
  guestRuns(): void {
    this.idle = false;
    const now = this.kernel.clock.monotonic();
    // Until now nobody was busy.
    this.kernel.loadAverage.update(now);
    this.timer.set(now + this.period());
  }

  private period(): Nanoseconds {
    if (this.watched.size > 0) return TIMER_PERIOD;
    if (this.limit === Number.POSITIVE_INFINITY) return LOAD_PERIOD;
    const { platform, cpus } = this.kernel;
    // All processors may be used at once, and where threads are not bound to the sandbox's own, more of them.
    const left = (this.limit - platform.cpuTime()) / (2 * cpus);
    return Math.min(LONGEST_PERIOD, Math.max(SHORTEST_PERIOD, left));
  }

  private check(now: Nanoseconds): void {
    const { kernel } = this;
    if (this.limit !== Number.POSITIVE_INFINITY && kernel.platform.cpuTime() >= this.limit) {
      kernel.end('cpu_exceeded');
      return;
    }
    for (const group of this.watched) if (!this.checkGroup(group)) this.watched.delete(group);
    const busy = kernel.runningTasks > 0;
    if (!busy || kernel.loadAverage.age(now) >= LOAD_PERIOD) kernel.loadAverage.update(now);
    if (busy) this.timer.set(now + this.period());
    else this.idle = true;
  }

  /** False when nothing of the process needs watching any more. */
  private checkGroup(group: ThreadGroup): boolean {
    if (group.tasks.size === 0) return false;
    const used = group.cpuTime();
    group.intervalTimers?.checkCpuTime();
    group.posixTimers?.checkCpuTime();
    let limit = group.rlimits[RLIMIT_CPU];
    if (used >= limit.hard * 1e9) {
      killGroup(group, SIGKILL);
      return false;
    }
    if (used >= limit.soft * 1e9) {
      group.sendSignal(signalInfo(SIGXCPU, SI_KERNEL));
      // Once a second from here on, as Linux does.
      limit = { soft: Math.floor(used / 1e9) + 1, hard: limit.hard };
      group.rlimits[RLIMIT_CPU] = limit;
    }
    return (
      limit.soft !== Number.POSITIVE_INFINITY ||
      limit.hard !== Number.POSITIVE_INFINITY ||
      (group.intervalTimers?.needsCpuTime ?? false) ||
      (group.posixTimers?.needsCpuTime ?? false)
    );
  }
}
