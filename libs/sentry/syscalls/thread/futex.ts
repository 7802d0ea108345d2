import { EAGAIN, EFAULT, EINVAL, ENOSYS, ERESTART_RESTARTBLOCK, ERESTARTSYS } from '../../abi/errno.js';
import * as F from '../../abi/futex.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments, SyscallHandler } from '../../kernel/types.js';
import { cmpRequeuePi, lockPi, tryLockPi, unlockPi, waitRequeuePi } from './futex-pi.js';
import {
  type FutexWait,
  findKey,
  keepWaiting,
  key,
  NO_DEADLINE,
  readWait,
  targetKey,
  waiterOf,
} from './futex-support.js';

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

/** Commands that know FUTEX_CLOCK_REALTIME; FUTEX_LOCK_PI has that clock anyway. */
const TAKES_REALTIME: ReadonlySet<number> = new Set([
  F.FUTEX_WAIT,
  F.FUTEX_WAIT_BITSET,
  F.FUTEX_WAIT_REQUEUE_PI,
  F.FUTEX_LOCK_PI2,
]);

/** futex implements Linux syscall futex(2). */
export function futex(task: Task, args: SyscallArguments): number {
  const operation = args[1] | 0;
  const command = operation & F.FUTEX_CMD_MASK;
  const shared = (operation & F.FUTEX_PRIVATE_FLAG) === 0;
  const realtime = (operation & F.FUTEX_CLOCK_REALTIME) !== 0;
  if (realtime && !TAKES_REALTIME.has(command)) return -ENOSYS;
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
    case F.FUTEX_TRYLOCK_PI:
      return tryLockPi(task, args, shared);
    case F.FUTEX_UNLOCK_PI:
      return unlockPi(task, args, shared);
    case F.FUTEX_WAIT_REQUEUE_PI:
      return waitRequeuePi(task, args, shared, realtime);
    case F.FUTEX_CMP_REQUEUE_PI:
      return cmpRequeuePi(task, args, shared);
    default:
      return -ENOSYS;
  }
}
