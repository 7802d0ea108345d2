import { native } from './native/index.js';
import type { Nanoseconds } from './platform.js';

export interface HostCallTally {
  readonly name: string;
  count: number;
  time: Nanoseconds;
}

type Call = (...args: unknown[]) => unknown;

/** The clock measures; a Sentry that waits does so in `next`, which its caller measures. */
const UNCOUNTED = new Set(['now', 'tick', 'next']);

/**
 * From now on counts and times what the Sentry asks of its host through the addon: calls of a platform's native half are named
 * `map`, `createSpace` and so on as in stub-native.ts, the others as in host.ts. For this process, for good: only a run that is measured
 * does it.
 */
export function countHostCalls(platform: string, now: () => Nanoseconds): readonly HostCallTally[] {
  const tallies: HostCallTally[] = [];
  const count = (calls: Record<string, unknown>): void => {
    for (const [name, call] of Object.entries(calls)) {
      if (typeof call !== 'function' || UNCOUNTED.has(name)) continue;
      const tally: HostCallTally = { name, count: 0, time: 0 };
      tallies.push(tally);
      calls[name] = (...args: unknown[]): unknown => {
        const start = now();
        const result = (call as Call)(...args);
        tally.time += now() - start;
        tally.count++;
        return result;
      };
    }
  };
  count(native as Record<string, unknown>);
  count(native[platform] as Record<string, unknown>);
  return tallies;
}
