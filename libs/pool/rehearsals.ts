const AGAIN_MS = 60_000;
const AGAIN_MAX_MS = 30 * 60_000;

/**
 * How many guests the next zygote runs before its first fork. They make every child some two times faster, but nothing depends on them: when a
 * zygote died of them (or hung) the next one starts without, and they are tried again later, at pauses that double.
 */
export class Rehearsals {
  private failures = 0;
  private againAt = 0;

  /** @param againMs the first pause, in milliseconds */
  constructor(
    private readonly wanted: number,
    private readonly againMs = AGAIN_MS,
  ) {}

  /** For a zygote that starts now; `working`: there is one that it is to take the place of, and can fail to. */
  next(now: number, working: boolean): number {
    return this.failures === 0 || (working && now >= this.againAt) ? this.wanted : 0;
  }

  /** A zygote that was to do so many did not start. */
  failed(count: number, now: number): void {
    if (count === 0) return;
    this.againAt = now + Math.min(this.againMs * 2 ** this.failures, AGAIN_MAX_MS);
    this.failures++;
  }

  succeeded(count: number): void {
    if (count > 0) this.failures = 0;
  }

  /** Whether a zygote that did so many should make way for one that does them all. */
  due(count: number, now: number): boolean {
    return count < this.wanted && now >= this.againAt;
  }
}
