/** Poll event bits, as poll(2) and epoll(7) share them. */
export const POLLIN = 0x001;
export const POLLPRI = 0x002;
export const POLLOUT = 0x004;
export const POLLERR = 0x008;
export const POLLHUP = 0x010;
export const POLLNVAL = 0x020;
export const POLLRDNORM = 0x040;
export const POLLRDBAND = 0x080;
export const POLLWRNORM = 0x100;
export const POLLWRBAND = 0x200;
export const POLLRDHUP = 0x2000;

/** Whoever waits: a parked task, an epoll item. */
export interface Waiter {
  /**
   * Called synchronously by `wake`. May remove entries (also its own) but must not wake the same queue again. True from an exclusive
   * entry: somebody deals with it, no other exclusive one need hear of it.
   */
  onWake(entry: WaitEntry, events: number): unknown;
}

/** A place in a queue. Owned and reused by its waiter, so that waiting allocates nothing in steady state. */
export class WaitEntry {
  queue: WaitQueue | null = null;
  events = 0;
  /** EPOLLEXCLUSIVE. */
  exclusive = false;
  next: WaitEntry | null = null;
  previous: WaitEntry | null = null;

  constructor(readonly waiter: Waiter) {}
}

/**
 * First-in first-out list of those who wait for something to become ready. Level triggered: a waiter checks the
 * condition itself after each wake, so spurious wakes are harmless and lost ones impossible (one thread).
 */
export class WaitQueue {
  private head: WaitEntry | null = null;
  private tail: WaitEntry | null = null;
  /** Where a wake in progress stands, so that removal during it is safe. */
  private cursor: WaitEntry | null = null;

  get empty(): boolean {
    return this.head === null;
  }

  /** Precondition: the entry is in no queue. */
  add(entry: WaitEntry, events: number): void {
    entry.queue = this;
    entry.events = events;
    entry.previous = this.tail;
    entry.next = null;
    if (this.tail) this.tail.next = entry;
    else this.head = entry;
    this.tail = entry;
  }

  remove(entry: WaitEntry): void {
    if (entry.queue !== this) return;
    if (this.cursor === entry) this.cursor = entry.next;
    if (entry.previous) entry.previous.next = entry.next;
    else this.head = entry.next;
    if (entry.next) entry.next.previous = entry.previous;
    else this.tail = entry.previous;
    entry.queue = null;
    entry.next = null;
    entry.previous = null;
  }

  /**
   * Wakes, in order, those whose events intersect (error and hang-up reach everybody), of the exclusive ones no more after the
   * first that deals with it. Returns how many.
   */
  wake(events: number): number {
    let woken = 0;
    const all = (events & (POLLERR | POLLHUP)) !== 0;
    let dealtWith = false;
    const last = this.tail;
    let entry = this.head;
    while (entry) {
      this.cursor = entry.next;
      const isLast = entry === last;
      if (all || (entry.events & events && !(dealtWith && entry.exclusive))) {
        woken++;
        if (entry.waiter.onWake(entry, events) === true && entry.exclusive) dealtWith = true;
      }
      if (isLast) break;
      entry = this.cursor;
    }
    this.cursor = null;
    return woken;
  }
}
