/** First id that comes again after the wrap, as Linux's RESERVED_PIDS: small ids belong to what started at boot. */
const RESERVED_PIDS = 300;
const PID_MAX = 32768;

/**
 * Hands out task, process, group and session ids: one number space, ascending, so that ids are not reused early.
 * An id stays taken while any of a task, a process group or a session bears it.
 */
export class PidTable {
  private next = 1;

  constructor(private readonly taken: (id: number) => boolean) {}

  /** A free id, or 0 when all are taken. */
  allocate(): number {
    for (let tries = 0; tries < PID_MAX; tries++) {
      const id = this.next++;
      if (this.next >= PID_MAX) this.next = RESERVED_PIDS;
      if (!this.taken(id)) return id;
    }
    return 0;
  }

  /** The last id handed out, for /proc/loadavg. */
  get last(): number {
    return this.next - 1;
  }
}
