import { EFAULT, EINVAL, ENOMEM, EPERM } from '../abi/errno.js';
import { MAX_MAP_COUNT, MMAP_MIN_ADDR, MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE } from '../abi/mman.js';
import { type Bytes, type GuestAddress, PAGE_SIZE } from '../platform/platform.js';
import type { MemoryManager } from './memory-manager.js';
import { pageUp } from './page-table.js';
import { VM_GROWSDOWN, VM_LOCKED, type Vma } from './vma.js';

/**
 * mremap(2): the new address, or -EINVAL (arguments, overlap), -EFAULT (the old range is not one mapping),
 * -ENOMEM (no room, limits). With oldLength 0 a shared mapping is mapped a second time.
 */
export function mremap(
  memory: MemoryManager,
  oldAddress: GuestAddress,
  oldLengthArgument: Bytes,
  newLengthArgument: Bytes,
  flags: number,
  newAddress: GuestAddress,
): number {
  if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0) return -EINVAL;
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) !== 0 && (flags & MREMAP_MAYMOVE) === 0) return -EINVAL;
  if (oldAddress % PAGE_SIZE !== 0 || oldAddress < 0 || oldLengthArgument < 0) return -EINVAL;
  const oldLength = pageUp(oldLengthArgument);
  const newLength = pageUp(newLengthArgument);
  if (newLength <= 0 || newLength > memory.space.maxAddress) return -EINVAL;
  const dontUnmap = (flags & MREMAP_DONTUNMAP) !== 0;
  if (dontUnmap && oldLength !== newLength) return -EINVAL;
  const fixed = (flags & MREMAP_FIXED) !== 0;
  if (fixed) {
    if (newAddress % PAGE_SIZE !== 0 || newAddress < 0) return -EINVAL;
    if (newAddress + newLength > memory.space.maxAddress) return -EINVAL;
    if (newAddress < MMAP_MIN_ADDR) return -EPERM;
    if (newAddress < oldAddress + oldLength && oldAddress < newAddress + newLength) return -EINVAL;
  }
  const vma = memory.vmas.find(oldAddress);
  if (vma === null) return -EFAULT;
  if (oldLength === 0 && (!vma.shared || (flags & MREMAP_MAYMOVE) === 0)) return -EINVAL;
  if (dontUnmap && vma.shared) return -EINVAL;

  if (!fixed && !dontUnmap && oldLength > 0 && newLength <= oldLength) {
    if (newLength < oldLength) memory.munmap(oldAddress + newLength, oldLength - newLength);
    return oldAddress;
  }
  // From here on something grows or moves: the old range must be one mapping.
  if (oldAddress + oldLength > vma.end) return -EFAULT;
  const growth = Math.max(0, dontUnmap ? newLength : newLength - oldLength);
  if (growth > 0) {
    const refusal = memory.mayAdd(growth, vma.protection, vma.shared, oldAddress);
    if (refusal < 0) return refusal;
  }
  if (memory.vmas.items.length + 3 > MAX_MAP_COUNT) return -ENOMEM;
  if (!fixed && !dontUnmap && oldLength > 0 && growInPlace(memory, vma, oldAddress, oldLength, newLength)) {
    return oldAddress;
  }
  if ((flags & MREMAP_MAYMOVE) === 0) return -ENOMEM;
  let target = newAddress;
  if (fixed) {
    memory.munmap(newAddress, newLength);
    if (newLength < oldLength) memory.munmap(oldAddress + newLength, oldLength - newLength);
  } else {
    target = memory.findFree(newLength);
    if (target < 0) return -ENOMEM;
  }
  move(memory, oldAddress, Math.min(oldLength, newLength), newLength, target, dontUnmap);
  return target;
}

/** Extends the VMA where its end is the old range's end and the space above is free. */
function growInPlace(
  memory: MemoryManager,
  vma: Vma,
  oldAddress: GuestAddress,
  oldLength: Bytes,
  newLength: Bytes,
): boolean {
  const oldEnd = oldAddress + oldLength;
  const newEnd = oldAddress + newLength;
  if (vma.end !== oldEnd || newEnd > memory.space.maxAddress || !memory.vmas.isFree(oldEnd, newEnd)) return false;
  const more = vma.copyFor(memory);
  more.start = oldEnd;
  more.end = newEnd;
  if (vma.object !== null) more.offset = vma.offset + vma.length;
  memory.addVma(more);
  return true;
}

function move(
  memory: MemoryManager,
  oldAddress: GuestAddress,
  oldLength: Bytes,
  newLength: Bytes,
  target: GuestAddress,
  dontUnmap: boolean,
): void {
  const source = memory.vmas.find(oldAddress)!;
  const copy = source.copyFor(memory);
  copy.start = target;
  copy.end = target + newLength;
  if (source.object !== null) copy.offset = source.offset + (oldAddress - source.start);
  copy.flags &= ~VM_GROWSDOWN;
  memory.addVma(copy);
  if (oldLength === 0) return;
  memory.relocate(oldAddress, oldLength, target);
  if (dontUnmap) memory.changeFlags(oldAddress, oldAddress + oldLength, 0, VM_LOCKED);
  else memory.munmap(oldAddress, oldLength);
}
