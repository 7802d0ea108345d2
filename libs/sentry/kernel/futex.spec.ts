import { FutexTable, FutexWaiter } from '@cordon/sentry/kernel/futex';
import type { Task } from '@cordon/sentry/kernel/task';
import { describe, expect, it } from 'vitest';

function waiters(count: number): { waiters: FutexWaiter[]; woken: number[] } {
  const woken: number[] = [];
  const list = Array.from({ length: count }, (_, index) => {
    return new FutexWaiter({ wake: () => woken.push(index) } as unknown as Task);
  });
  return { waiters: list, woken };
}

describe('FutexTable', () => {
  const object = {};

  it('wakes first in, first out, by key and bitset', () => {
    const table = new FutexTable();
    const { waiters: w, woken } = waiters(4);
    table.enqueue(w[0], { object, offset: 64 }, 1);
    table.enqueue(w[1], { object, offset: 64 }, 2);
    table.enqueue(w[2], { object: {}, offset: 64 }, -1);
    table.enqueue(w[3], { object, offset: 64 }, 3);
    expect(table.wake({ object, offset: 64 }, 10, 2)).toBe(2);
    expect(woken).toEqual([1, 3]);
    expect(table.wake({ object, offset: 64 }, 10, -1)).toBe(1);
    expect(w[2].queued).toBe(true);
  });

  it('requeues to a futex of the same hash bucket without going round for ever', () => {
    const table = new FutexTable();
    const { waiters: w, woken } = waiters(3);
    const from = { object, offset: 128 };
    // Another object at the same offset shares the bucket.
    const to = { object: {}, offset: 128 };
    for (const waiter of w) table.enqueue(waiter, from, -1);
    expect(table.requeue(from, to, 100)).toBe(3);
    expect(table.wake(from, 100, -1)).toBe(0);
    expect(table.wake(to, 2, -1)).toBe(2);
    expect(woken).toEqual([0, 1]);
    table.dequeue(w[2]);
    expect(table.wake(to, 2, -1)).toBe(0);
  });
});
