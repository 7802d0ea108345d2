import type { Nanoseconds, Platform } from '../platform/platform.js';
import type { Clock } from './types.js';

/** Fills [seconds, nanoseconds] of the host's CLOCK_REALTIME. */
export type HostRealtime = (out: Float64Array) => void;

/** The sandbox's clocks: monotonic as the platform's, realtime as the host's. */
export class KernelClock implements Clock {
  private readonly time = new Float64Array(2);

  constructor(
    private readonly platform: Platform,
    private readonly host: HostRealtime,
  ) {}

  monotonic(): Nanoseconds {
    return this.platform.now();
  }

  realtime(out: { seconds: number; nanoseconds: number }): void {
    this.host(this.time);
    out.seconds = this.time[0];
    out.nanoseconds = this.time[1];
  }

  realtimeSeconds(): number {
    this.host(this.time);
    return this.time[0];
  }

  realtimeToMonotonic(seconds: number, nanoseconds: number): Nanoseconds {
    this.host(this.time);
    return this.platform.now() + (seconds - this.time[0]) * 1e9 + (nanoseconds - this.time[1]);
  }
}
