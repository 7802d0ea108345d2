import { EAGAIN, EDEADLK, EFAULT, EINVAL, EPERM, ERESTARTNOINTR, ESRCH } from '../../abi/errno.js';
import * as F from '../../abi/futex.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import type { FutexKey } from '../../mm/types.js';
import { type FutexWait, findKey, keepWaiting, key, readWait, targetKey, waiterOf } from './futex-support.js';

/** Takes a PI futex if it is free (or its owner died): 0, 1 when somebody holds it, or -errno. */
function tryLock(task: Task, address: number, markWaiters: boolean): number {
  let word = task.memory.readU32(address);
  for (;;) {
    if (Number.isNaN(word)) return -EFAULT;
    const owner = word & F.FUTEX_TID_MASK;
    if (owner === task.tid) return -EDEADLK;
    let replacement: number;
    if (owner === 0) {
      const flags = word & (F.FUTEX_WAITERS | F.FUTEX_OWNER_DIED);
      replacement = (flags | task.tid) >>> 0;
    } else {
      if (!markWaiters || word & F.FUTEX_WAITERS) return 1;
      replacement = (word | F.FUTEX_WAITERS) >>> 0;
    }
    const seen = task.memory.compareExchangeU32(address, word, replacement);
    if (seen === word) return owner === 0 ? 0 : 1;
    word = seen;
  }
}

/** FUTEX_LOCK_PI: no priorities are inherited (the host schedules), but the ownership protocol is the same. */
export function lockPi(task: Task, args: SyscallArguments, shared: boolean, realtime: boolean): number {
  let state = task.state as FutexWait | null;
  const waiter = waiterOf(task);
  if (state !== null && !waiter.queued) {
    // Woken by an unlock, which has written our tid already.
    waiter.priorityInheritance = false;
    return 0;
  }
  const found = findKey(task, args[0], shared, key);
  if (found < 0) return leavePi(task, found);
  const taken = tryLock(task, args[0], true);
  if (taken <= 0) return leavePi(task, taken);
  const owner = (task.memory.readU32(args[0]) & F.FUTEX_TID_MASK) >>> 0;
  if (!task.kernel.tasks.has(owner)) return leavePi(task, -ESRCH);
  if (state === null) {
    const read = readWait(task, args[3], true, realtime);
    if (typeof read === 'number') return read;
    state = read;
    task.setState(state);
    waiter.priorityInheritance = true;
    task.kernel.futexes.enqueue(waiter, key, F.FUTEX_BITSET_MATCH_ANY);
  }
  const result = keepWaiting(task, state, -ERESTARTNOINTR);
  if (!waiter.queued) waiter.priorityInheritance = false;
  return result;
}

function leavePi(task: Task, result: number): number {
  const waiter = waiterOf(task);
  task.kernel.futexes.dequeue(waiter);
  waiter.priorityInheritance = false;
  return result;
}

/** FUTEX_UNLOCK_PI: hands the futex to its first waiter. */
export function unlockPi(task: Task, args: SyscallArguments, shared: boolean): number {
  const found = findKey(task, args[0], shared, key);
  if (found < 0) return found;
  let word = task.memory.readU32(args[0]);
  for (;;) {
    if (Number.isNaN(word)) return -EFAULT;
    if ((word & F.FUTEX_TID_MASK) !== task.tid) return -EPERM;
    const { futexes } = task.kernel;
    const next = futexes.firstOwnershipWaiter(key);
    let replacement = 0;
    if (next) {
      futexes.dequeue(next);
      const more = futexes.firstOwnershipWaiter(key) !== null;
      replacement = (next.task.tid | (more ? F.FUTEX_WAITERS : 0)) >>> 0;
    }
    const seen = task.memory.compareExchangeU32(args[0], word, replacement);
    if (seen === word) {
      next?.task.wake();
      return 0;
    }
    if (next) futexes.enqueue(next, key, F.FUTEX_BITSET_MATCH_ANY);
    word = seen;
  }
}

/** FUTEX_TRYLOCK_PI: 0, -EAGAIN when somebody has it, -ESRCH when that is nobody, -EDEADLK when it is the caller. */
export function tryLockPi(task: Task, args: SyscallArguments, shared: boolean): number {
  const found = findKey(task, args[0], shared, key);
  if (found < 0) return found;
  const taken = tryLock(task, args[0], false);
  if (taken !== 1) return taken;
  const owner = (task.memory.readU32(args[0]) & F.FUTEX_TID_MASK) >>> 0;
  return task.kernel.tasks.has(owner) ? -EAGAIN : -ESRCH;
}

/**
 * FUTEX_WAIT_REQUEUE_PI: waits on one futex to be given, or moved to, the PI futex that a condition variable's mutex is. 0: the PI futex
 * is the caller's. -EAGAIN: the word has another value, or a signal came after the move. -ETIMEDOUT, -EINVAL, -EFAULT.
 */
export function waitRequeuePi(task: Task, args: SyscallArguments, shared: boolean, realtime: boolean): number {
  const waiter = waiterOf(task);
  let state = task.state as FutexWait | null;
  if (state === null) {
    const found = findKey(task, args[0], shared, key) || findKey(task, args[4], shared, targetKey);
    if (found < 0) return found;
    if (sameKey(key, targetKey)) return -EINVAL;
    const read = readWait(task, args[3], true, realtime);
    if (typeof read === 'number') return read;
    state = read;
    const value = task.memory.readU32(args[0]);
    if (Number.isNaN(value)) return -EFAULT;
    if (value !== args[2] >>> 0) return -EAGAIN;
    task.setState(state);
    waiter.requeueTarget = { object: targetKey.object, offset: targetKey.offset };
    task.kernel.futexes.enqueue(waiter, key, F.FUTEX_BITSET_MATCH_ANY);
  }
  const result = keepWaiting(task, state, waiter.priorityInheritance ? -EAGAIN : -ERESTARTNOINTR);
  if (!waiter.queued) {
    waiter.requeueTarget = null;
    waiter.priorityInheritance = false;
  }
  return result;
}

function sameKey(one: FutexKey, other: FutexKey): boolean {
  return one.object === other.object && one.offset === other.offset;
}

/**
 * FUTEX_CMP_REQUEUE_PI: gives the PI futex to the first who waits in FUTEX_WAIT_REQUEUE_PI if it is free, and makes up to `val2` more wait
 * for it. How many in all; -EAGAIN for another value, -EINVAL for waiters of another kind, -ESRCH when its owner is gone.
 */
export function cmpRequeuePi(task: Task, args: SyscallArguments, shared: boolean): number {
  const moveCount = args[3] | 0;
  if ((args[2] | 0) !== 1 || moveCount < 0) return -EINVAL;
  const found = findKey(task, args[0], shared, key) || findKey(task, args[4], shared, targetKey);
  if (found < 0) return found;
  if (sameKey(key, targetKey)) return -EINVAL;
  const value = task.memory.readU32(args[0]);
  if (Number.isNaN(value)) return -EFAULT;
  if (value !== args[5] >>> 0) return -EAGAIN;
  const { futexes } = task.kernel;
  const waiters = futexes.waitersOf(key, moveCount + 1);
  if (waiters.length === 0) return 0;
  if (!waiters.every(({ requeueTarget }) => requeueTarget !== null && sameKey(requeueTarget, targetKey)))
    return -EINVAL;
  const taken = takeFor(task, args[4], waiters[0].task.tid, waiters.length > 1);
  if (taken < 0) return taken;
  waiters.forEach((waiter, index) => {
    futexes.dequeue(waiter);
    waiter.requeueTarget = null;
    if (index === 0 && taken === 1) {
      waiter.task.wake();
      return;
    }
    waiter.priorityInheritance = true;
    futexes.enqueue(waiter, targetKey, F.FUTEX_BITSET_MATCH_ANY);
  });
  return waiters.length;
}

/** Takes the PI futex for another task: 1, or 0 when somebody has it and is told of waiters; -EFAULT, -EDEADLK, -ESRCH. */
function takeFor(task: Task, address: number, tid: number, more: boolean): number {
  let word = task.memory.readU32(address);
  for (;;) {
    if (Number.isNaN(word)) return -EFAULT;
    const owner = (word & F.FUTEX_TID_MASK) >>> 0;
    if (owner === tid) return -EDEADLK;
    if (owner !== 0 && !task.kernel.tasks.has(owner)) return -ESRCH;
    const replacement = owner === 0 ? (tid | (more ? F.FUTEX_WAITERS : 0)) >>> 0 : (word | F.FUTEX_WAITERS) >>> 0;
    const seen = task.memory.compareExchangeU32(address, word, replacement);
    if (seen === word) return owner === 0 ? 1 : 0;
    word = seen;
  }
}
