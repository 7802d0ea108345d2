import { EAGAIN, EDEADLK } from '../abi/errno.js';
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../abi/fcntl.js';
import { POLLIN, WaitQueue } from './wait-queue.js';

/** One locked range: [start, end) of bytes; owner is a descriptor table (POSIX) or a description (OFD). */
export interface RecordLock {
  readonly owner: object;
  readonly pid: number;
  readonly type: number;
  readonly start: number;
  readonly end: number;
}

/** fcntl(2) record locks and flock(2) locks of one inode. */
export class FileLocks {
  private records: RecordLock[] = [];
  private readonly holders = new Map<object, number>();
  /** Woken when something is unlocked. */
  readonly released = new WaitQueue();

  /** The first lock of another owner that conflicts, or null: F_GETLK. */
  conflict(owner: object, type: number, start: number, end: number): RecordLock | null {
    for (const lock of this.records) {
      if (lock.owner === owner || lock.start >= end || lock.end <= start) continue;
      if (type === F_WRLCK || lock.type === F_WRLCK) return lock;
    }
    return null;
  }

  /** F_SETLK: 0 or -EAGAIN. Replaces, splits and merges the owner's own ranges. */
  set(owner: object, pid: number, type: number, start: number, end: number): number {
    if (type !== F_UNLCK && this.conflict(owner, type, start, end)) return -EAGAIN;
    const kept: RecordLock[] = [];
    let changed = false;
    for (const lock of this.records) {
      if (lock.owner !== owner || lock.start >= end || lock.end <= start) {
        kept.push(lock);
        continue;
      }
      changed = true;
      if (lock.start < start) kept.push({ ...lock, end: start });
      if (lock.end > end) kept.push({ ...lock, start: end });
    }
    if (type === F_RDLCK || type === F_WRLCK) join(kept, { owner, pid, type, start, end });
    this.records = kept;
    if (changed) this.released.wake(POLLIN);
    return 0;
  }

  /** Everything an owner holds goes (close, exit). */
  drop(owner: object): void {
    const kept = this.records.filter((lock) => lock.owner !== owner);
    const changed = kept.length !== this.records.length || this.holders.delete(owner);
    this.records = kept;
    if (changed) this.released.wake(POLLIN);
  }

  /** flock(2): exclusive = 2, shared = 1, 0 unlocks. 0 or -EAGAIN. */
  flock(owner: object, kind: 0 | 1 | 2): number {
    if (kind === 0) {
      if (this.holders.delete(owner)) this.released.wake(POLLIN);
      return 0;
    }
    for (const [holder, held] of this.holders) {
      if (holder !== owner && (kind === 2 || held === 2)) return -EAGAIN;
    }
    const before = this.holders.get(owner);
    this.holders.set(owner, kind);
    if (before === 2 && kind === 1) this.released.wake(POLLIN);
    return 0;
  }

  get empty(): boolean {
    return this.records.length === 0 && this.holders.size === 0;
  }
}

/** Adds a lock, made one with those of its owner and type that touch it. */
function join(records: RecordLock[], added: RecordLock): void {
  let { start, end } = added;
  for (let at = records.length - 1; at >= 0; at--) {
    const other = records[at];
    if (other.owner !== added.owner || other.type !== added.type || other.start > end || other.end < start) continue;
    start = Math.min(start, other.start);
    end = Math.max(end, other.end);
    records.splice(at, 1);
  }
  records.push({ ...added, start, end });
}

const lockTables = new WeakMap<object, FileLocks>();

/** The locks of an inode, made on first use. */
export function locksOf(inode: object): FileLocks {
  let locks = lockTables.get(inode);
  if (!locks) {
    locks = new FileLocks();
    lockTables.set(inode, locks);
  }
  return locks;
}

/** The locks of an inode if it ever had any: for the cheap path of close. */
export function existingLocks(inode: object): FileLocks | undefined {
  return lockTables.get(inode);
}

/** Who waits for whose lock: F_SETLKW refuses to complete a circle. */
const waiting = new Map<object, object>();

/** 0, or -EDEADLK when waiting for `holder` would close a circle. */
export function beginWait(owner: object, holder: object): number {
  for (let next: object | undefined = holder; next; next = waiting.get(next)) if (next === owner) return -EDEADLK;
  waiting.set(owner, holder);
  return 0;
}

export function endWait(owner: object): void {
  waiting.delete(owner);
}
