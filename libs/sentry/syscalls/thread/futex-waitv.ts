import { EAGAIN, EFAULT, EINVAL, ERESTARTSYS, ETIMEDOUT } from '../../abi/errno.js';
import { FUTEX_BITSET_MATCH_ANY, FUTEX_PRIVATE_FLAG } from '../../abi/futex.js';
import { CLOCK_MONOTONIC, CLOCK_REALTIME } from '../../abi/time.js';
import { FutexWaiter } from '../../kernel/futex.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { readDeadline } from '../time/support.js';
import { findKey, key } from './futex-support.js';

/** struct futex_waitv: val u64, uaddr u64, flags u32, reserved u32. */
const ENTRY_BYTES = 24;
const FUTEX_WAITV_MAX = 128;
/** Four-byte words are the only size there is. */
const FUTEX2_SIZE_U32 = 2;

interface Entry {
  readonly address: number;
  readonly value: number;
  readonly shared: boolean;
}

interface VectorWait {
  readonly deadline: number;
}

/**
 * futex_waitv implements Linux syscall futex_waitv(2): waits for any of up to 128 futexes. The index of one that was woken; -EAGAIN when a
 * word has another value, -ETIMEDOUT, -EINVAL for flags, counts, clocks and misaligned words, -EFAULT.
 */
export function futexWaitv(task: Task, args: SyscallArguments): number {
  const state = task.state as VectorWait | null;
  return state === null ? begin(task, args) : goOn(task, state);
}

function begin(task: Task, args: SyscallArguments): number {
  const count = args[1] >>> 0;
  const clock = args[4] | 0;
  if ((args[2] | 0) !== 0 || count === 0 || count > FUTEX_WAITV_MAX || args[0] === 0) return -EINVAL;
  let deadline = Number.POSITIVE_INFINITY;
  if (args[3] !== 0) {
    if (clock !== CLOCK_MONOTONIC && clock !== CLOCK_REALTIME) return -EINVAL;
    deadline = readDeadline(task, args[3], clock);
    if (deadline < 0) return deadline;
  }
  const entries = readEntries(task, args[0], count);
  if (typeof entries === 'number') return entries;
  const waiters = entries.map(() => new FutexWaiter(task));
  task.futexVector = waiters;
  for (const [index, entry] of entries.entries()) {
    const failure = enqueue(task, entry, waiters[index]);
    if (failure < 0) {
      leave(task);
      return failure;
    }
  }
  const state = { deadline };
  task.setState(state);
  return goOn(task, state);
}

function readEntries(task: Task, address: number, count: number): Entry[] | number {
  const entries: Entry[] = [];
  for (let at = address; at < address + count * ENTRY_BYTES; at += ENTRY_BYTES) {
    const value = task.memory.readU64(at);
    const word = task.memory.readU64(at + 8);
    const flags = task.memory.readU32(at + 16);
    const reserved = task.memory.readU32(at + 20);
    if (Number.isNaN(value) || Number.isNaN(word) || Number.isNaN(flags) || Number.isNaN(reserved)) return -EFAULT;
    if ((flags & ~FUTEX_PRIVATE_FLAG) !== FUTEX2_SIZE_U32 || reserved !== 0) return -EINVAL;
    if (value < 0 || value > 0xffffffff) return -EINVAL;
    entries.push({ address: word, value, shared: (flags & FUTEX_PRIVATE_FLAG) === 0 });
  }
  return entries;
}

function enqueue(task: Task, { address, value, shared }: Entry, waiter: FutexWaiter): number {
  const found = findKey(task, address, shared, key);
  if (found < 0) return found;
  const now = task.memory.readU32(address);
  if (Number.isNaN(now)) return -EFAULT;
  if (now !== value) return -EAGAIN;
  task.kernel.futexes.enqueue(waiter, key, FUTEX_BITSET_MATCH_ANY);
  return 0;
}

function goOn(task: Task, { deadline }: VectorWait): number {
  const woken = (task.futexVector ?? []).findIndex((waiter) => !waiter.queued);
  if (woken >= 0) {
    leave(task);
    return woken;
  }
  if (task.kernel.clock.monotonic() >= deadline) {
    leave(task);
    return -ETIMEDOUT;
  }
  if (task.signalPending()) leave(task);
  return task.park(deadline, -ERESTARTSYS);
}

function leave(task: Task): void {
  for (const waiter of task.futexVector ?? []) task.kernel.futexes.dequeue(waiter);
  task.futexVector = null;
}
