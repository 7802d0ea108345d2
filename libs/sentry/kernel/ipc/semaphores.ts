import { EAGAIN, EIDRM, ERANGE } from '../../abi/errno.js';
import { IPC_NOWAIT, SEM_UNDO, SEMAEM, SEMMNI, SEMMNS, SEMVMX } from '../../abi/ipc.js';
import type { Credentials } from '../../vfs/types.js';
import type { Task } from '../task.js';
import type { IpcEnvironment } from './environment.js';
import { IpcObject, IpcTable } from './identifiers.js';
import { IpcWaiter } from './waiter.js';

/** struct sembuf. */
export interface SemaphoreOperation {
  readonly index: number;
  readonly change: number;
  readonly flags: number;
}

/** A semop(2) that waits, or is being tried. */
export class SemaphoreWaiter extends IpcWaiter {
  /** The operation that could not be done. */
  blocking: SemaphoreOperation | null = null;

  constructor(
    task: Task,
    readonly operations: readonly SemaphoreOperation[],
    /** Whether it changes values (it does not when it only waits for zeros). */
    readonly alters: boolean,
    readonly pid: number,
    readonly adjustments: Int32Array | null,
  ) {
    super(task);
  }
}

/** A semaphore set (struct sem_array). */
export class SemaphoreSet extends IpcObject {
  readonly values: Int32Array;
  /** Process of the last operation, per semaphore. */
  readonly pids: Int32Array;
  operationTime = 0;
  changeTime: number;
  readonly waiting: SemaphoreWaiter[] = [];
  /** Lists that hold adjustments for this set. */
  readonly undoLists = new Set<UndoList>();

  constructor(
    key: number,
    mode: number,
    credentials: Credentials,
    count: number,
    private readonly environment: IpcEnvironment,
  ) {
    super(key, mode, credentials);
    this.values = new Int32Array(count);
    this.pids = new Int32Array(count);
    this.changeTime = environment.seconds();
  }

  /** Does all operations of a waiter or none: 0, 1 when it must wait (`blocking` says for what), -EAGAIN, -ERANGE. */
  attempt(waiter: SemaphoreWaiter): number {
    const { operations, adjustments } = waiter;
    let result = 0;
    let done = 0;
    for (; done < operations.length; done++) {
      result = this.apply(operations[done], adjustments);
      if (result !== 0) break;
    }
    if (result === 0) {
      for (const { index } of operations) this.pids[index] = waiter.pid;
      return 0;
    }
    const blocking = operations[done];
    while (--done >= 0) this.revert(operations[done], adjustments);
    if (result < 0) return result;
    waiter.blocking = blocking;
    return (blocking.flags & IPC_NOWAIT) !== 0 ? -EAGAIN : 1;
  }

  private apply({ index, change, flags }: SemaphoreOperation, adjustments: Int32Array | null): number {
    const value = this.values[index] + change;
    if (change === 0 ? value !== 0 : value < 0) return 1;
    if (value > SEMVMX) return -ERANGE;
    if ((flags & SEM_UNDO) !== 0 && adjustments !== null) {
      const adjusted = adjustments[index] - change;
      if (adjusted < -SEMAEM - 1 || adjusted > SEMAEM) return -ERANGE;
      adjustments[index] = adjusted;
    }
    this.values[index] = value;
    return 0;
  }

  private revert({ index, change, flags }: SemaphoreOperation, adjustments: Int32Array | null): void {
    this.values[index] -= change;
    if ((flags & SEM_UNDO) !== 0 && adjustments !== null) adjustments[index] += change;
  }

  /** Values have changed: serves whoever can go on, those who wait for zeros first, then in order of arrival. */
  serve(): void {
    for (let changed = true; changed; ) {
      changed = this.servePass(false) || this.servePass(true);
    }
  }

  /** One look at all waiters that alter (or do not); true once one of them has altered values: look again at all. */
  private servePass(alters: boolean): boolean {
    const { waiting } = this;
    for (let at = 0; at < waiting.length; ) {
      const waiter = waiting[at];
      const result = waiter.alters === alters ? this.attempt(waiter) : 1;
      if (result === 1) {
        at++;
        continue;
      }
      waiting.splice(at, 1);
      if (result === 0) this.operationTime = this.environment.seconds();
      waiter.finish(result);
      if (result === 0 && alters) return true;
    }
    return false;
  }

  /** An operation has been done. */
  touched(altered: boolean): void {
    this.operationTime = this.environment.seconds();
    if (altered) this.serve();
  }

  /** SETVAL, SETALL: nobody's adjustment of these semaphores counts any more. */
  forgetAdjustments(first: number, count: number): void {
    for (const list of this.undoLists) list.adjustments.get(this)?.fill(0, first, first + count);
  }

  /** Tasks that wait for the semaphore to become zero, or to grow. */
  countWaiting(index: number, forZero: boolean): number {
    let count = 0;
    for (const { blocking } of this.waiting) {
      if (blocking !== null && blocking.index === index && (blocking.change === 0) === forZero) count++;
    }
    return count;
  }
}

/** Adjustments to make when the last task that shares the list ends (SEM_UNDO, CLONE_SYSVSEM). */
export class UndoList {
  references = 1;
  readonly adjustments = new Map<SemaphoreSet, Int32Array>();

  /** The adjustments for a set, made when missing. */
  for(set: SemaphoreSet): Int32Array {
    let values = this.adjustments.get(set);
    if (!values) {
      values = new Int32Array(set.values.length);
      this.adjustments.set(set, values);
      set.undoLists.add(this);
    }
    return values;
  }
}

/** All semaphore sets of the sandbox. */
export class Semaphores {
  readonly table = new IpcTable<SemaphoreSet>(SEMMNI);
  /** Semaphores in all sets, at most SEMMNS. */
  used = 0;

  constructor(readonly environment: IpcEnvironment) {}

  hasRoomFor(count: number): boolean {
    return this.used + count <= SEMMNS && this.table.inUse < SEMMNI;
  }

  create(key: number, mode: number, credentials: Credentials, count: number): SemaphoreSet {
    this.used += count;
    return new SemaphoreSet(key, mode, credentials, count, this.environment);
  }

  /** IPC_RMID: whoever waits gets EIDRM. */
  remove(set: SemaphoreSet): void {
    this.table.remove(set);
    this.used -= set.values.length;
    for (const list of set.undoLists) list.adjustments.delete(set);
    set.undoLists.clear();
    for (const waiter of set.waiting.splice(0)) waiter.finish(-EIDRM);
  }
}

/** A task leaves its undo list (exit, unshare(CLONE_SYSVSEM)); the last one makes the adjustments. */
export function leaveUndoList(task: Task): void {
  const list = task.semaphoreUndo;
  if (list === null) return;
  task.semaphoreUndo = null;
  if (--list.references > 0) return;
  for (const [set, adjustments] of list.adjustments) {
    set.undoLists.delete(list);
    for (let index = 0; index < adjustments.length; index++) {
      if (adjustments[index] === 0) continue;
      const value = set.values[index] + adjustments[index];
      set.values[index] = Math.min(SEMVMX, Math.max(0, value));
      set.pids[index] = task.group.pid;
    }
    set.touched(true);
  }
  list.adjustments.clear();
}
