import type { Nanoseconds } from '../platform/platform.js';

/** Over which spans: 1, 5 and 15 minutes. */
const SPANS: readonly Nanoseconds[] = [60e9, 300e9, 900e9];
/** Closer looks than this would only add up rounding errors. */
const SHORTEST_STEP: Nanoseconds = 1_000_000;

/**
 * How many tasks were busy on average, as in /proc/loadavg (proc(5)): exponentially decayed. Nobody wakes up for it: whoever reads it,
 * and the CPU supervisor when it is awake anyway, give it the time that all tasks together have been busy until now. What was busy in
 * between counts as spread evenly.
 */
export class LoadAverage {
  readonly values: [number, number, number] = [0, 0, 0];
  private busy: Nanoseconds = 0;

  constructor(
    private readonly busyTime: () => Nanoseconds,
    /** Monotonic time of the last update. */
    private updated: Nanoseconds,
  ) {}

  /** Nanoseconds since the last update. */
  age(now: Nanoseconds): Nanoseconds {
    return now - this.updated;
  }

  update(now: Nanoseconds): void {
    const step = now - this.updated;
    if (step < SHORTEST_STEP) return;
    const busy = this.busyTime();
    const load = Math.max(0, busy - this.busy) / step;
    this.busy = busy;
    this.updated = now;
    for (const [index, span] of SPANS.entries()) {
      const kept = Math.exp(-step / span);
      this.values[index] = this.values[index] * kept + load * (1 - kept);
    }
  }
}
