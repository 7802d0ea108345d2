/** Calls back when nothing was under way for so long; never while something is. */
export class IdleClock {
  private timer: NodeJS.Timeout | null = null;
  private under = 0;
  private stopped = false;

  constructor(
    private readonly milliseconds: number,
    private readonly idle: () => void,
  ) {
    this.rest();
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    this.under++;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    try {
      return await work();
    } finally {
      this.under--;
      if (this.under === 0) this.rest();
    }
  }

  stop(): void {
    this.stopped = true;
    if (this.timer !== null) clearTimeout(this.timer);
  }

  private rest(): void {
    if (!this.stopped) this.timer = setTimeout(this.idle, this.milliseconds);
  }
}
