import { EINVAL } from '../abi/errno.js';
import { FUTEX_BITSET_MATCH_ANY } from '../abi/futex.js';
import type { FutexKey } from '../mm/types.js';
import type { Task } from './task.js';

const BUCKETS = 256;

/** A task's place in a futex queue. One per task, reused: a task waits for one futex at a time. */
export class FutexWaiter {
  object: object | null = null;
  offset = 0;
  bitset = FUTEX_BITSET_MATCH_ANY;
  /** Waits for the ownership of a PI futex. */
  priorityInheritance = false;
  /** Waits in FUTEX_WAIT_REQUEUE_PI: for the PI futex it is to be moved to. */
  requeueTarget: FutexKey | null = null;
  queued = false;
  next: FutexWaiter | null = null;
  previous: FutexWaiter | null = null;

  constructor(readonly task: Task) {}
}

/**
 * All futex queues of the sandbox: a fixed hash table of first-in first-out lists, so that waiting allocates nothing.
 * Traps are handled one at a time, so "compare, then wait" is atomic against every wake call.
 */
export class FutexTable {
  private readonly heads: (FutexWaiter | null)[] = new Array(BUCKETS).fill(null);
  private readonly tails: (FutexWaiter | null)[] = new Array(BUCKETS).fill(null);

  /** Precondition: not queued. */
  enqueue(waiter: FutexWaiter, key: FutexKey, bitset: number): void {
    waiter.object = key.object;
    waiter.offset = key.offset;
    waiter.bitset = bitset;
    waiter.queued = true;
    this.append(waiter, bucketOf(key.offset));
  }

  /** No-op when it is not queued. */
  dequeue(waiter: FutexWaiter): void {
    if (!waiter.queued) return;
    this.unlink(waiter);
    waiter.queued = false;
    waiter.object = null;
  }

  /** Wakes up to `count` waiters whose bitset matches; how many, or -EINVAL at one that only a PI command may wake. */
  wake(key: FutexKey, count: number, bitset: number): number {
    let woken = 0;
    let waiter = this.heads[bucketOf(key.offset)];
    while (waiter && woken < count) {
      const next = waiter.next;
      if (waiter.object === key.object && waiter.offset === key.offset) {
        if (waiter.priorityInheritance || waiter.requeueTarget !== null) return -EINVAL;
        if ((waiter.bitset & bitset) === 0) {
          waiter = next;
          continue;
        }
        this.dequeue(waiter);
        waiter.task.wake();
        woken++;
      }
      waiter = next;
    }
    return woken;
  }

  /** Moves up to `count` waiters to another futex; how many, or -EINVAL at one that only a PI command may move. */
  requeue(key: FutexKey, target: FutexKey, count: number): number {
    let moved = 0;
    let waiter = this.heads[bucketOf(key.offset)];
    // The target may share the bucket: what is appended then lies behind `last`.
    const last = this.tails[bucketOf(key.offset)];
    while (waiter && moved < count) {
      const next = waiter.next;
      const isLast = waiter === last;
      if (waiter.object === key.object && waiter.offset === key.offset) {
        if (waiter.priorityInheritance || waiter.requeueTarget !== null) return -EINVAL;
        this.unlink(waiter);
        waiter.object = target.object;
        waiter.offset = target.offset;
        this.append(waiter, bucketOf(target.offset));
        moved++;
      }
      if (isLast) break;
      waiter = next;
    }
    return moved;
  }

  /** First who waits for a PI futex, or null. */
  firstOwnershipWaiter(key: FutexKey): FutexWaiter | null {
    let waiter = this.heads[bucketOf(key.offset)];
    while (waiter) {
      if (waiter.object === key.object && waiter.offset === key.offset && waiter.priorityInheritance) return waiter;
      waiter = waiter.next;
    }
    return null;
  }

  /** The first `count` waiters of a futex. */
  waitersOf(key: FutexKey, count: number): FutexWaiter[] {
    const found: FutexWaiter[] = [];
    for (let waiter = this.heads[bucketOf(key.offset)]; waiter && found.length < count; waiter = waiter.next) {
      if (waiter.object === key.object && waiter.offset === key.offset) found.push(waiter);
    }
    return found;
  }

  private append(waiter: FutexWaiter, bucket: number): void {
    const tail = this.tails[bucket];
    waiter.previous = tail;
    waiter.next = null;
    if (tail) tail.next = waiter;
    else this.heads[bucket] = waiter;
    this.tails[bucket] = waiter;
  }

  private unlink(waiter: FutexWaiter): void {
    const bucket = bucketOf(waiter.offset);
    if (waiter.previous) waiter.previous.next = waiter.next;
    else this.heads[bucket] = waiter.next;
    if (waiter.next) waiter.next.previous = waiter.previous;
    else this.tails[bucket] = waiter.previous;
    waiter.next = null;
    waiter.previous = null;
  }
}

function bucketOf(offset: number): number {
  const word = (offset >>> 2) ^ (offset / 4096);
  return (word ^ (word >>> 8)) & (BUCKETS - 1);
}
