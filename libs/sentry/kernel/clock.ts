import { CLOCK_REALTIME } from '../abi/time.js';
import type { Nanoseconds, Platform } from '../platform/platform.js';
import type { Clock } from './types.js';

/** Fills [seconds, nanoseconds] of one of the host's clocks (CLOCK_*). */
export type HostClock = (clock: number, out: Float64Array) => void;

/** The sandbox's clocks: monotonic as the platform's, realtime as the host's. */
export class KernelClock implements Clock {
  private readonly time = new Float64Array(2);

  constructor(
    private readonly platform: Platform,
    private readonly host: HostClock,
  ) {}

  monotonic(): Nanoseconds {
    return this.platform.now();
  }

  read(clock: number, out: { seconds: number; nanoseconds: number }): void {
    this.host(clock, this.time);
    out.seconds = this.time[0];
    out.nanoseconds = this.time[1];
  }

  realtimeSeconds(): number {
    this.host(CLOCK_REALTIME, this.time);
    return this.time[0];
  }

  realtimeToMonotonic(seconds: number, nanoseconds: number): Nanoseconds {
    this.host(CLOCK_REALTIME, this.time);
    return this.platform.now() + (seconds - this.time[0]) * 1e9 + (nanoseconds - this.time[1]);
  }
}
