import { EAGAIN } from '../abi/errno.js';
import { F_RDLCK, F_UNLCK, F_WRLCK, O_ACCMODE, O_RDONLY } from '../abi/fcntl.js';
import type { Nanoseconds } from '../platform/platform.js';
import type { CloseListener, FileDescription } from './types.js';
import { POLLIN, WaitQueue } from './wait-queue.js';

/** What a conflicting open asks of a holder: give the lease up, or (for a reader) make a read lease of it. */
type Demand = 'none' | 'downgrade' | 'unlock';

/** A lease of one open file (fcntl(2), "Leases"). Goes with the last descriptor of it. */
export class Lease implements CloseListener {
  nextCloseListener: CloseListener | null = null;
  demand: Demand = 'none';
  /** When a lease that is asked for is taken away. */
  deadline: Nanoseconds = Number.POSITIVE_INFINITY;

  constructor(
    private readonly leases: FileLeases,
    readonly file: FileDescription,
    public type: number,
    /** Signals the holder that somebody wants the file. */
    readonly tell: () => void,
  ) {}

  /** F_GETLEASE: what it is, or what it is about to become. */
  get target(): number {
    if (this.demand === 'unlock') return F_UNLCK;
    return this.demand === 'downgrade' ? F_RDLCK : this.type;
  }

  onClose(): void {
    this.leases.drop(this);
  }
}

/** The leases of one regular file, and how often it is open: a lease is only for who has no competitor. */
export class FileLeases {
  private readonly held: Lease[] = [];
  /** Woken when a lease is given up, or changed. */
  readonly changed = new WaitQueue();

  of(file: FileDescription): Lease | null {
    return this.held.find((lease) => lease.file === file) ?? null;
  }

  /**
   * F_SETLEASE with F_RDLCK or F_WRLCK: 0, or -EAGAIN while others have the file open in a way that conflicts, or hold a lease.
   * `writers`, `readers`: open descriptions that may write, and that may only read.
   */
  set(file: FileDescription, type: number, writers: number, readers: number, tell: () => void): number {
    if (type === F_RDLCK && writers > 0) return -EAGAIN;
    if (type === F_WRLCK) {
      const writes = (file.flags & O_ACCMODE) !== O_RDONLY;
      if (writers !== (writes ? 1 : 0) || readers !== (writes ? 0 : 1)) return -EAGAIN;
    }
    for (const lease of this.held) {
      if (lease.file !== file && (type === F_WRLCK || lease.demand === 'unlock')) return -EAGAIN;
    }
    const own = this.of(file);
    if (own) {
      own.type = type;
      own.demand = 'none';
      own.deadline = Number.POSITIVE_INFINITY;
      this.changed.wake(POLLIN);
      return 0;
    }
    const lease = new Lease(this, file, type, tell);
    this.held.push(lease);
    lease.nextCloseListener = file.closeListeners;
    file.closeListeners = lease;
    return 0;
  }

  /** F_SETLEASE with F_UNLCK: 0, or -EAGAIN without a lease. */
  remove(file: FileDescription): number {
    const lease = this.of(file);
    if (!lease) return -EAGAIN;
    unlink(file, lease);
    this.drop(lease);
    return 0;
  }

  /** The lease is off its file's list of listeners already. */
  drop(lease: Lease): void {
    this.held.splice(this.held.indexOf(lease), 1);
    this.changed.wake(POLLIN);
  }

  /** Whether an open for reading, or for writing, must wait for a holder. */
  conflict(write: boolean): boolean {
    for (const lease of this.held) if (write || lease.type === F_WRLCK) return true;
    return false;
  }

  /** Asks all who are in the way, once; when they have had their time (`breakTime` 0: never). Precondition: there is a conflict. */
  ask(write: boolean, now: Nanoseconds, breakTime: Nanoseconds): Nanoseconds {
    const demand: Demand = write ? 'unlock' : 'downgrade';
    let deadline = Number.POSITIVE_INFINITY;
    for (const lease of this.held) {
      if (!write && lease.type !== F_WRLCK) continue;
      if (lease.demand === 'none' || (write && lease.demand !== demand)) {
        lease.demand = demand;
        lease.deadline = breakTime === 0 ? Number.POSITIVE_INFINITY : now + breakTime;
        lease.tell();
      }
      deadline = Math.min(deadline, lease.deadline);
    }
    return deadline;
  }

  /** Takes from those who had their time what they were asked for. */
  expire(now: Nanoseconds): void {
    for (const lease of [...this.held]) {
      if (lease.deadline > now) continue;
      if (lease.demand === 'unlock') {
        unlink(lease.file, lease);
        this.drop(lease);
        continue;
      }
      lease.type = F_RDLCK;
      lease.demand = 'none';
      lease.deadline = Number.POSITIVE_INFINITY;
      this.changed.wake(POLLIN);
    }
  }
}

function unlink(file: FileDescription, lease: Lease): void {
  if (file.closeListeners === lease) {
    file.closeListeners = lease.nextCloseListener;
    return;
  }
  for (let at = file.closeListeners; at; at = at.nextCloseListener) {
    if (at.nextCloseListener === lease) at.nextCloseListener = lease.nextCloseListener;
  }
}

/** Why the last open answered -EAGAIN: the leases in its way; null when it was something else. Whoever waits for them takes it. */
export const obstruction: { leases: FileLeases | null } = { leases: null };
