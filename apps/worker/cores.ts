/** A place for a guest: given back once. */
export type Leave = () => void;

interface Waiting {
  readonly enter: (leave: Leave) => void;
}

/**
 * As many guests at once as there are cores for them, so that none shares its core with another and what one is measured to take does not
 * depend on the others. Slots of the queue come first; further tests of a submission take what is left, one test at a time.
 */
export class Cores {
  private busy = 0;
  private readonly slots: Waiting[] = [];
  private readonly extras: Waiting[] = [];

  constructor(private readonly count: number) {}

  /** A place is left. */
  get free(): boolean {
    return this.busy < this.count;
  }

  /** For a slot of the queue. */
  enter(): Promise<Leave> {
    return new Promise((enter) => {
      this.slots.push({ enter });
      this.next();
    });
  }

  /** For one more test of a submission that has a place already; null when `gone` comes first. */
  enterExtra(gone: AbortSignal): Promise<Leave | null> {
    return new Promise((resolve) => {
      if (gone.aborted) return resolve(null);
      const waiting: Waiting = {
        enter: (leave) => {
          gone.removeEventListener('abort', withdraw);
          resolve(leave);
        },
      };
      const withdraw = (): void => {
        const place = this.extras.indexOf(waiting);
        if (place >= 0) this.extras.splice(place, 1);
        resolve(null);
      };
      gone.addEventListener('abort', withdraw, { once: true });
      this.extras.push(waiting);
      this.next();
    });
  }

  private next(): void {
    while (this.busy < this.count) {
      const waiting = this.slots.shift() ?? this.extras.shift();
      if (!waiting) return;
      this.busy++;
      let left = false;
      waiting.enter(() => {
        if (left) return;
        left = true;
        this.busy--;
        this.next();
      });
    }
  }
}
