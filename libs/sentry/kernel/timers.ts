import type { Nanoseconds } from '../platform/platform.js';
import type { Timer } from './types.js';

/** A timer of the kernel: sits in the heap while armed. Re-arming allocates nothing. */
class HeapTimer implements Timer {
  deadline: Nanoseconds = Number.POSITIVE_INFINITY;
  /** Place in the heap, -1 when unarmed. */
  index = -1;

  constructor(
    private readonly heap: TimerHeap,
    readonly fire: (now: Nanoseconds) => void,
    /** The kernel's own business: nothing of a guest waits for it. */
    readonly housekeeping: boolean,
  ) {}

  set(deadline: Nanoseconds): void {
    this.heap.arm(this, deadline);
  }

  cancel(): void {
    this.heap.arm(this, Number.POSITIVE_INFINITY);
  }
}

/** Binary heap of armed timers by deadline. A timer knows its place, so that moving and removing it is O(log n). */
export class TimerHeap {
  private readonly heap: HeapTimer[] = [];
  private size = 0;
  /** What `next` says. In an array that holds more than numbers it stays one heap object, however often it is asked for. */
  private readonly earliest: [Nanoseconds | null] = [null];

  create(fire: (now: Nanoseconds) => void, housekeeping = false): Timer {
    return new HeapTimer(this, fire, housekeeping);
  }

  /** Whether a guest waits for one of those that are armed. Looks at all of them. */
  get awaited(): boolean {
    return this.heap.some((timer) => !timer.housekeeping);
  }

  /** Earliest deadline, Infinity when nothing is armed. */
  next(): Nanoseconds {
    return this.earliest[0] ?? Number.POSITIVE_INFINITY;
  }

  private noteEarliest(): void {
    const deadline = this.size === 0 ? null : this.heap[0].deadline;
    if (this.earliest[0] !== deadline) this.earliest[0] = deadline;
  }

  /** Fires what is due. A callback may arm and cancel any timer; what it arms in the past fires in the same call. */
  run(now: Nanoseconds): void {
    while (this.size > 0 && this.heap[0].deadline <= now) {
      const timer = this.heap[0];
      this.arm(timer, Number.POSITIVE_INFINITY);
      timer.fire(now);
    }
  }

  arm(timer: HeapTimer, deadline: Nanoseconds): void {
    // NaN would break the order of the heap.
    if (!(deadline < Number.POSITIVE_INFINITY)) {
      timer.deadline = Number.POSITIVE_INFINITY;
      if (timer.index >= 0) this.remove(timer);
      this.noteEarliest();
      return;
    }
    timer.deadline = deadline;
    if (timer.index < 0) {
      timer.index = this.size++;
      this.heap[timer.index] = timer;
    }
    this.up(timer);
    this.down(timer);
    this.noteEarliest();
  }

  private remove(timer: HeapTimer): void {
    const last = this.heap[--this.size];
    const index = timer.index;
    timer.index = -1;
    this.heap.length = this.size;
    if (last === timer) return;
    this.place(last, index);
    this.up(last);
    this.down(last);
  }

  private place(timer: HeapTimer, index: number): void {
    this.heap[index] = timer;
    timer.index = index;
  }

  private up(timer: HeapTimer): void {
    let index = timer.index;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.heap[parent].deadline <= timer.deadline) break;
      this.place(this.heap[parent], index);
      index = parent;
    }
    this.place(timer, index);
  }

  private down(timer: HeapTimer): void {
    let index = timer.index;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= this.size) break;
      if (child + 1 < this.size && this.heap[child + 1].deadline < this.heap[child].deadline) child++;
      if (this.heap[child].deadline >= timer.deadline) break;
      this.place(this.heap[child], index);
      index = child;
    }
    this.place(timer, index);
  }
}
