import type { EndReport } from '@cordon/pool';
import { CLOCK_ID, monotonic } from '@cordon/queue';
import { describe, expect, it } from 'vitest';
import { Timeline } from './timeline.js';

const REPORT: EndReport = {
  reason: 'exited',
  exitCode: 0,
  signal: null,
  detail: null,
  usage: { wallMs: 1, cpuMs: 1, memoryPeakBytes: 1, syscalls: 1 },
  auditTruncated: false,
  platform: 'systrap',
};

describe('Timeline', () => {
  it('takes readings of one clock as they are', () => {
    const taken = monotonic();
    const start = { clock: CLOCK_ID, accepted: taken - 5e6, queued: taken - 4e6, wall: 0 };
    expect(new Timeline(start, taken).finish()).toMatchObject({ clocks: 'one', queued: 1000, taken: 5000 });
  });

  it('sets the times of two hosts apart by their times of day', () => {
    const taken = monotonic();
    const start = { clock: 'of another host', accepted: 7e9, queued: 7e9 + 2e6, wall: Date.now() - 3000 };
    const timeline = new Timeline(start, taken);
    timeline.ran({ asked: taken + 1e6, forked: taken, given: taken + 1e6, ended: taken + 9e6 }, REPORT);
    const told = timeline.finish();
    expect(told).toMatchObject({ clocks: 'two', queued: 2000, sentry: 'spare', platformReady: null, execDone: null });
    expect(told.taken).toBeGreaterThanOrEqual(3_000_000);
    expect(told.taken).toBeLessThan(60_000_000);
    expect(told.given).toBe(told.taken + 1000);
    expect(told.reported).toBe(told.taken + 9000);
  });

  it('never lets a worker whose time of day is behind take what was not queued', () => {
    const start = { clock: 'of another host', accepted: 7e9, queued: 7e9 + 2e6, wall: Date.now() + 60_000 };
    expect(new Timeline(start, monotonic()).finish()).toMatchObject({ queued: 2000, taken: 2000 });
  });

  it('knows nothing of a run that never was', () => {
    const start = { clock: CLOCK_ID, accepted: monotonic(), queued: monotonic(), wall: Date.now() };
    expect(new Timeline(start, monotonic()).finish()).toMatchObject({ sentry: null, given: null, reported: null });
  });
});
