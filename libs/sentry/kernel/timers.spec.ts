import { TimerHeap } from '@cordon/sentry/kernel/timers';
import type { Timer } from '@cordon/sentry/kernel/types';
import { describe, expect, it } from 'vitest';

describe('TimerHeap', () => {
  it('fires in the order of deadlines, whatever the order of arming, re-arming and cancelling', () => {
    const heap = new TimerHeap();
    const fired: number[] = [];
    const timers: Timer[] = [];
    let seed = 7;
    const random = (): number => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return seed;
    };
    const deadlines = new Map<number, number>();
    for (let index = 0; index < 200; index++) timers.push(heap.create(() => fired.push(index)));
    for (let step = 0; step < 2000; step++) {
      const index = random() % timers.length;
      if (random() % 4 === 0) {
        timers[index].cancel();
        deadlines.delete(index);
      } else {
        const deadline = random() % 100_000;
        timers[index].set(deadline);
        deadlines.set(index, deadline);
      }
      expect(heap.next()).toBe(Math.min(...deadlines.values()));
    }
    heap.run(50_000);
    const due = [...deadlines].filter(([, deadline]) => deadline <= 50_000).sort((a, b) => a[1] - b[1]);
    expect(fired.map((index) => deadlines.get(index))).toEqual(due.map(([, deadline]) => deadline));
    expect(heap.next()).toBeGreaterThan(50_000);
  });

  it('a timer that re-arms itself in the future fires once per run', () => {
    const heap = new TimerHeap();
    let count = 0;
    const timer = heap.create((now) => {
      count++;
      timer.set(now + 1);
    });
    timer.set(5);
    heap.run(10);
    expect(count).toBe(1);
    heap.run(10);
    expect(count).toBe(1);
    heap.run(11);
    expect(count).toBe(2);
  });

  it('NaN and Infinity disarm', () => {
    const heap = new TimerHeap();
    const timer = heap.create(() => {});
    timer.set(Number.NaN);
    expect(heap.next()).toBe(Number.POSITIVE_INFINITY);
    timer.set(3);
    timer.set(Number.POSITIVE_INFINITY);
    expect(heap.next()).toBe(Number.POSITIVE_INFINITY);
  });
});
