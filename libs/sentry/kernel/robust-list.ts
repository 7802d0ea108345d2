import {
  FUTEX_BITSET_MATCH_ANY,
  FUTEX_OWNER_DIED,
  FUTEX_TID_MASK,
  FUTEX_WAITERS,
  ROBUST_LIST_LIMIT,
} from '../abi/futex.js';
import type { FutexKey } from '../mm/types.js';
import type { Task } from './task.js';

const key: FutexKey = { object: {}, offset: 0 };

/**
 * Marks the robust mutexes that a dying thread holds as ownerless and wakes one waiter each (get_robust_list(2)).
 * The list is the guest's memory: it may loop, lie or point anywhere, so the walk is bounded and ends at the first fault.
 */
export function walkRobustList(task: Task): void {
  const head = task.robustList;
  if (head === 0) return;
  task.robustList = 0;
  const memory = task.memory;
  let entry = memory.readU64(head);
  const offset = memory.readU64(head + 8);
  const pending = memory.readU64(head + 16);
  if (Number.isNaN(entry) || Number.isNaN(offset) || Number.isNaN(pending)) return;
  for (let count = 0; count < ROBUST_LIST_LIMIT; count++) {
    // The lowest bit of a pointer marks a PI mutex.
    const address = entry - (entry & 1);
    if (address === head) break;
    const next = memory.readU64(address);
    if (entry !== pending && !ownerDied(task, address + offset, (entry & 1) !== 0)) return;
    if (Number.isNaN(next)) return;
    entry = next;
  }
  if (pending !== 0) ownerDied(task, pending - (pending & 1) + offset, (pending & 1) !== 0);
}

/** False when the futex word cannot be reached. */
function ownerDied(task: Task, address: number, priorityInheritance: boolean): boolean {
  if (address % 4 !== 0) return false;
  const memory = task.memory;
  let word = memory.readU32(address);
  for (;;) {
    if (Number.isNaN(word)) return false;
    if ((word & FUTEX_TID_MASK) !== task.tid) return true;
    const replacement = ((word & FUTEX_WAITERS) | FUTEX_OWNER_DIED) >>> 0;
    const seen = memory.compareExchangeU32(address, word, replacement);
    if (seen === word) break;
    word = seen;
  }
  if ((word & FUTEX_WAITERS) !== 0) {
    const futexes = task.kernel.futexes;
    // The word may be waited for by private and by shared key.
    for (const shared of [true, false]) {
      if (memory.futexKey(address, shared, key) < 0) continue;
      if (priorityInheritance) futexes.firstOwnershipWaiter(key)?.task.wake();
      else futexes.wake(key, 1, FUTEX_BITSET_MATCH_ANY);
    }
  }
  return true;
}

/** set_tid_address(2), CLONE_CHILD_CLEARTID: zero at the address and one waiter woken (pthread_join). */
export function clearChildTid(task: Task): void {
  const address = task.clearChildTid;
  if (address === 0) return;
  task.clearChildTid = 0;
  if (!task.memory.writeU32(address, 0)) return;
  for (const shared of [true, false]) {
    if (task.memory.futexKey(address, shared, key) === 0) task.kernel.futexes.wake(key, 1, FUTEX_BITSET_MATCH_ANY);
  }
}
