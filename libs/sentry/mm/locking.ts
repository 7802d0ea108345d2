import { EINVAL, ENOMEM, EPERM } from '../abi/errno.js';
import { type Bytes, type GuestAddress, PAGE_SIZE } from '../platform/platform.js';
import type { MemoryManager } from './memory-manager.js';
import { pageUp } from './page-table.js';
import { VM_LOCKED } from './vma.js';

/**
 * mlock(2), munlock(2): memory is never paged out here, so only the accounting is real. `limit`: RLIMIT_MEMLOCK in bytes.
 * -ENOMEM over the limit or for a range with holes, -EPERM with a limit of 0.
 */
export function lock(
  memory: MemoryManager,
  address: GuestAddress,
  length: Bytes,
  locked: boolean,
  limit: Bytes,
): number {
  if (length < 0 || address < 0 || address + length > memory.space.maxAddress) return length < 0 ? -EINVAL : -ENOMEM;
  const start = address - (address % PAGE_SIZE);
  const end = pageUp(address + length);
  if (start === end) return 0;
  if (locked && limit === 0) return -EPERM;
  if (locked && memory.lockedSize + (end - start) > limit) return -ENOMEM;
  if (!memory.vmas.isCovered(start, end)) return -ENOMEM;
  setLocked(memory, start, end, locked);
  return 0;
}

/** mlockall(2), munlockall(2). */
export function lockAll(memory: MemoryManager, current: boolean, future: boolean, limit: Bytes): number {
  if ((current || future) && limit === 0) return -EPERM;
  if (current && memory.virtualSize > limit) return -ENOMEM;
  memory.lockFuture = future;
  if (current || !future) setLocked(memory, 0, memory.space.maxAddress, current);
  return 0;
}

function setLocked(memory: MemoryManager, start: GuestAddress, end: GuestAddress, locked: boolean): void {
  memory.changeFlags(start, end, locked ? VM_LOCKED : 0, locked ? 0 : VM_LOCKED);
  memory.lockedSize = 0;
  for (const vma of memory.vmas.items) if ((vma.flags & VM_LOCKED) !== 0) memory.lockedSize += vma.length;
}
