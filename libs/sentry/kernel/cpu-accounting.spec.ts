import { CpuAccounting } from '@cordon/sentry/kernel/cpu-accounting';
import type { Kernel } from '@cordon/sentry/kernel/kernel';
import { RunState } from '@cordon/sentry/kernel/run-state';
import type { Task } from '@cordon/sentry/kernel/task';
import { describe, expect, it } from 'vitest';

const MS = 1e6;

/** A kernel of one task, whose clocks stand still unless told. */
function setUp() {
  const clock = { now: 0, used: 0 };
  const task = { runState: RunState.Ready, systemTime: 0, group: { deadSystemTime: 0 }, userTime: () => 0 };
  const kernel = { bootTime: 0, platform: { tick: () => Float64Array.of(clock.now) }, tasks: new Map([[1, task]]) };
  const accounting = new CpuAccounting(kernel as unknown as Kernel, () => clock.used);
  const enter = (wall: number, used: number, times = 1): void => {
    for (let entry = 0; entry < times; entry++) {
      const timed = accounting.enter();
      clock.now += wall;
      clock.used += used;
      if (timed) accounting.charge(task as unknown as Task);
    }
  };
  return { clock, task, enter, total: () => accounting.total().system };
}

describe('system time', () => {
  it('is that of the entries that are timed and of those between them', () => {
    const { task, enter, total } = setUp();
    enter(0.01 * MS, 0.01 * MS, 700);
    expect(task.systemTime).toBeCloseTo(7 * MS, -4);
    expect(total()).toBe(task.systemTime);
  });

  it('is no more than has passed, and no more than the Sentry has used', () => {
    const { clock, task, enter } = setUp();
    enter(0.001 * MS, 0.001 * MS, 6);
    // A guest that sleeps; when it wakes, the host lets others run for long in the middle of its call.
    clock.now += 1000 * MS;
    enter(140 * MS, 0.05 * MS);
    expect(task.systemTime).toBeLessThan(0.1 * MS);
    // A call that really takes so long counts once.
    enter(0.001 * MS, 0.001 * MS, 6);
    enter(50 * MS, 50 * MS);
    expect(task.systemTime).toBeGreaterThan(49 * MS);
    expect(task.systemTime).toBeLessThan(51 * MS);
  });
});
