import {
  EAGAIN,
  EDEADLK,
  EFAULT,
  EINVAL,
  ENOSYS,
  EPERM,
  ERESTART_RESTARTBLOCK,
  ERESTARTNOINTR,
  ERESTARTSYS,
  ESRCH,
  ETIMEDOUT,
} from '../../abi/errno.js';
import * as F from '../../abi/futex.js';
import { CLOCK_MONOTONIC, CLOCK_REALTIME } from '../../abi/time.js';
import { FutexWaiter } from '../../kernel/futex.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments, SyscallHandler } from '../../kernel/types.js';
import type { FutexKey } from '../../mm/types.js';
import { readDeadline, readTimespec } from '../time/support.js';

/** Scratch keys: used up before a handler returns. */
const key: FutexKey = { object: {}, offset: 0 };
const targetKey: FutexKey = { object: {}, offset: 0 };

function waiterOf(task: Task): FutexWaiter {
  task.futexWaiter ??= new FutexWaiter(task);
  return task.futexWaiter;
}

/** Fills `out`; 0, -EINVAL for a misaligned word, -EFAULT. */
function findKey(task: Task, address: number, shared: boolean, out: FutexKey): number {
  if (address % 4 !== 0) return -EINVAL;
  return task.memory.futexKey(address, shared, out);
}

/** A deadline kept by a waiting call. An object, so that null stays "first time". */
interface FutexWait {
  readonly deadline: number;
}

/** One wait without a time-out, shared by all: most waits are such. */
const NO_DEADLINE: FutexWait = { deadline: Number.POSITIVE_INFINITY };

function keepWaiting(task: Task, wait: FutexWait, interrupted: number): number {
  const waiter = waiterOf(task);
  if (!waiter.queued) return 0;
  const expired = wait !== NO_DEADLINE && task.kernel.clock.monotonic() >= wait.deadline;
  if (expired || task.signalPending()) {
    task.kernel.futexes.dequeue(waiter);
    return expired ? -ETIMEDOUT : interrupted;
  }
  return task.park(wait.deadline, interrupted);
}

/** The time-out argument of a wait: relative for FUTEX_WAIT, absolute for the others. -EFAULT, -EINVAL. */
function readWait(task: Task, address: number, absolute: boolean, realtime: boolean): FutexWait | number {
  if (address === 0) return NO_DEADLINE;
  if (absolute) {
    const deadline = readDeadline(task, address, realtime ? CLOCK_REALTIME : CLOCK_MONOTONIC);
    return deadline < 0 ? deadline : { deadline };
  }
  const span = readTimespec(task, address);
  return span < 0 ? span : { deadline: task.kernel.clock.monotonic() + span };
}

function wait(task: Task, args: SyscallArguments, shared: boolean, bitset: number, absolute: boolean): number {
  let state = task.state as FutexWait | null;
  if (state === null) {
    if (bitset === 0) return -EINVAL;
    const read = readWait(task, args[3], absolute, (args[1] & F.FUTEX_CLOCK_REALTIME) !== 0);
    if (typeof read === 'number') return read;
    state = read;
    const found = findKey(task, args[0], shared, key);
    if (found < 0) return found;
    const value = task.memory.readU32(args[0]);
    if (Number.isNaN(value)) return -EFAULT;
    if (value !== args[2] >>> 0) return -EAGAIN;
    task.setState(state);
    task.kernel.futexes.enqueue(waiterOf(task), key, bitset);
  }
  if (state === NO_DEADLINE || absolute) return keepWaiting(task, state, -ERESTARTSYS);
  const result = keepWaiting(task, state, -ERESTART_RESTARTBLOCK);
  if (result === -ERESTART_RESTARTBLOCK) {
    // The rest of a relative wait: value and address again, with the deadline it has.
    task.restartBlock.handler = restartWait as unknown as SyscallHandler;
    task.restartBlock.state = { deadline: state.deadline, address: args[0], value: args[2] >>> 0, shared };
  }
  return result;
}

interface RestartedWait extends FutexWait {
  readonly address: number;
  readonly value: number;
  readonly shared: boolean;
}

function restartWait(task: Task): number {
  const rest = task.restartBlock.state as RestartedWait;
  if (task.state === null) {
    const found = findKey(task, rest.address, rest.shared, key);
    if (found < 0) return found;
    const value = task.memory.readU32(rest.address);
    if (Number.isNaN(value)) return -EFAULT;
    if (value !== rest.value) return -EAGAIN;
    task.setState(rest);
    task.kernel.futexes.enqueue(waiterOf(task), key, F.FUTEX_BITSET_MATCH_ANY);
  }
  return keepWaiting(task, rest, -ERESTART_RESTARTBLOCK);
}

function wake(task: Task, args: SyscallArguments, shared: boolean, bitset: number): number {
  if (bitset === 0) return -EINVAL;
  const found = findKey(task, args[0], shared, key);
  if (found < 0) return found;
  // At least one, even for a count of 0: Linux checks after the first.
  return task.kernel.futexes.wake(key, Math.max(1, args[2] | 0), bitset);
}

function requeue(task: Task, args: SyscallArguments, shared: boolean, compare: boolean): number {
  const wakeCount = args[2] | 0;
  const moveCount = args[3] | 0;
  if (wakeCount < 0 || moveCount < 0) return -EINVAL;
  const found = findKey(task, args[0], shared, key) || findKey(task, args[4], shared, targetKey);
  if (found < 0) return found;
  if (compare) {
    const value = task.memory.readU32(args[0]);
    if (Number.isNaN(value)) return -EFAULT;
    if (value !== args[5] >>> 0) return -EAGAIN;
  }
  const { futexes } = task.kernel;
  const woken = wakeCount === 0 ? 0 : futexes.wake(key, wakeCount, F.FUTEX_BITSET_MATCH_ANY);
  return woken + futexes.requeue(key, targetKey, moveCount);
}

const signExtend12 = (value: number): number => (value << 20) >> 20;

/** FUTEX_WAKE_OP's operation on the second word; undefined = unknown. */
function operate(operation: number, old: number, argument: number): number | undefined {
  switch (operation) {
    case 0:
      return argument >>> 0;
    case 1:
      return (old + argument) >>> 0;
    case 2:
      return (old | argument) >>> 0;
    case 3:
      return (old & ~argument) >>> 0;
    case 4:
      return (old ^ argument) >>> 0;
    default:
      return undefined;
  }
}

function compares(comparison: number, old: number, argument: number): boolean {
  const value = old | 0;
  switch (comparison) {
    case 0:
      return value === argument;
    case 1:
      return value !== argument;
    case 2:
      return value < argument;
    case 3:
      return value <= argument;
    case 4:
      return value > argument;
    default:
      return value >= argument;
  }
}

function wakeOp(task: Task, args: SyscallArguments, shared: boolean): number {
  const encoded = args[5] | 0;
  const found = findKey(task, args[0], shared, key) || findKey(task, args[4], shared, targetKey);
  if (found < 0) return found;
  let argument = signExtend12((encoded >>> 12) & 0xfff);
  if (encoded & 0x80000000) argument = 1 << (argument & 31);
  const operation = (encoded >>> 28) & 7;
  const comparison = (encoded >>> 24) & 15;
  if (comparison > 5) return -ENOSYS;
  let old = task.memory.readU32(args[4]);
  for (;;) {
    if (Number.isNaN(old)) return -EFAULT;
    const replacement = operate(operation, old, argument);
    if (replacement === undefined) return -ENOSYS;
    const seen = task.memory.compareExchangeU32(args[4], old, replacement);
    if (seen === old) break;
    old = seen;
  }
  const { futexes } = task.kernel;
  let woken = futexes.wake(key, Math.max(1, args[2] | 0), F.FUTEX_BITSET_MATCH_ANY);
  if (compares(comparison, old, signExtend12(encoded & 0xfff))) {
    woken += futexes.wake(targetKey, Math.max(1, args[3] | 0), F.FUTEX_BITSET_MATCH_ANY);
  }
  return woken;
}

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
function lockPi(task: Task, args: SyscallArguments, shared: boolean, realtime: boolean): number {
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
function unlockPi(task: Task, args: SyscallArguments, shared: boolean): number {
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

/** futex implements Linux syscall futex(2). */
export function futex(task: Task, args: SyscallArguments): number {
  const operation = args[1] | 0;
  const command = operation & F.FUTEX_CMD_MASK;
  const shared = (operation & F.FUTEX_PRIVATE_FLAG) === 0;
  const realtime = (operation & F.FUTEX_CLOCK_REALTIME) !== 0;
  switch (command) {
    case F.FUTEX_WAIT:
      if (realtime && args[3] !== 0) return -ENOSYS;
      return wait(task, args, shared, F.FUTEX_BITSET_MATCH_ANY, false);
    case F.FUTEX_WAIT_BITSET:
      return wait(task, args, shared, args[5] >>> 0, true);
    case F.FUTEX_WAKE:
      return wake(task, args, shared, F.FUTEX_BITSET_MATCH_ANY);
    case F.FUTEX_WAKE_BITSET:
      return wake(task, args, shared, args[5] >>> 0);
    case F.FUTEX_REQUEUE:
      return requeue(task, args, shared, false);
    case F.FUTEX_CMP_REQUEUE:
      return requeue(task, args, shared, true);
    case F.FUTEX_WAKE_OP:
      return wakeOp(task, args, shared);
    case F.FUTEX_LOCK_PI:
      return lockPi(task, args, shared, true);
    case F.FUTEX_LOCK_PI2:
      return lockPi(task, args, shared, realtime);
    case F.FUTEX_TRYLOCK_PI: {
      const found = findKey(task, args[0], shared, key);
      if (found < 0) return found;
      const taken = tryLock(task, args[0], false);
      return taken === 1 ? -EAGAIN : taken;
    }
    case F.FUTEX_UNLOCK_PI:
      return unlockPi(task, args, shared);
    default:
      return -ENOSYS;
  }
}
