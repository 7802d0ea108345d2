import { EACCES, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP, EPERM } from '../abi/errno.js';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
  MS_ASYNC,
  MS_INVALIDATE,
  MS_SYNC,
} from '../abi/mman.js';
import { type Bytes, type GuestAddress, PAGE_SIZE, PROT_WRITE } from '../platform/platform.js';
import type { MemoryManager } from './memory-manager.js';
import { VM_DONTDUMP, VM_DONTFORK, VM_LOCKED, VM_SHARED, VM_WIPEONFORK, type Vma } from './vma.js';

/** What one advice does to one VMA's part [start, end) of the range. 0 or -errno. */
type Advice = (memory: MemoryManager, vma: Vma, start: GuestAddress, end: GuestAddress) => number;

const hint: Advice = () => 0;

function flag(set: number, cleared: number): Advice {
  return (memory, _vma, start, end) => {
    memory.changeFlags(start, end, set, cleared);
    return 0;
  };
}

const dontNeed: Advice = (memory, _vma, start, end) => {
  memory.discard(start, end);
  return 0;
};

/** MADV_REMOVE: a hole in the object behind a mapping that may write to it. -EINVAL, -EACCES, -EOPNOTSUPP. */
const remove: Advice = (_memory, vma, start, end) => {
  const { object } = vma;
  if ((vma.flags & VM_LOCKED) !== 0 || object === null) return -EINVAL;
  if (!vma.shared || (vma.maxProtection & PROT_WRITE) === 0) return -EACCES;
  return object.punch?.(vma.offset + start - vma.start, end - start) ?? -EOPNOTSUPP;
};

/** By advice number. MADV_FREE frees at once, which its page permits, so that the memory limit sees it. */
const ADVICE: Readonly<Record<number, Advice | undefined>> = {
  [MADV_NORMAL]: hint,
  [MADV_RANDOM]: hint,
  [MADV_SEQUENTIAL]: hint,
  [MADV_WILLNEED]: hint,
  [MADV_DONTNEED]: (memory, vma, start, end) =>
    (vma.flags & VM_LOCKED) !== 0 ? -EINVAL : dontNeed(memory, vma, start, end),
  [MADV_DONTNEED_LOCKED]: dontNeed,
  [MADV_FREE]: (memory, vma, start, end) =>
    vma.object !== null || (vma.flags & VM_LOCKED) !== 0 ? -EINVAL : dontNeed(memory, vma, start, end),
  [MADV_REMOVE]: remove,
  [MADV_DONTFORK]: flag(VM_DONTFORK, 0),
  [MADV_DOFORK]: flag(0, VM_DONTFORK),
  [MADV_MERGEABLE]: hint,
  [MADV_UNMERGEABLE]: hint,
  [MADV_HUGEPAGE]: hint,
  [MADV_NOHUGEPAGE]: hint,
  [MADV_DONTDUMP]: flag(VM_DONTDUMP, 0),
  [MADV_DODUMP]: flag(0, VM_DONTDUMP),
  [MADV_WIPEONFORK]: (memory, vma, start, end) =>
    vma.object !== null || (vma.flags & VM_SHARED) !== 0 ? -EINVAL : flag(VM_WIPEONFORK, 0)(memory, vma, start, end),
  [MADV_KEEPONFORK]: flag(0, VM_WIPEONFORK),
  [MADV_COLD]: hint,
  [MADV_PAGEOUT]: hint,
  [MADV_COLLAPSE]: hint,
  [MADV_POPULATE_READ]: (memory, _vma, start, end) => memory.populate(start, end, false),
  [MADV_POPULATE_WRITE]: (memory, _vma, start, end) => memory.populate(start, end, true),
};

/** madvise(2). -EINVAL: unknown advice, bad range, or advice the VMA cannot take; -ENOMEM: parts of the range are unmapped. */
export function advise(memory: MemoryManager, address: GuestAddress, length: Bytes, advice: number): number {
  const apply = ADVICE[advice];
  if (apply === undefined) return advice === 100 || advice === 101 ? -EPERM : -EINVAL;
  if (address % PAGE_SIZE !== 0 || address < 0 || length < 0) return -EINVAL;
  const end = address + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  if (end > memory.space.maxAddress) return length === 0 ? 0 : -ENOMEM;
  let start = address;
  let hole = false;
  while (start < end) {
    const vma = memory.vmas.items[memory.vmas.indexFrom(start)];
    if (vma === undefined || vma.start >= end) return -ENOMEM;
    if (vma.start > start) {
      hole = true;
      start = vma.start;
    }
    const stop = Math.min(end, vma.end);
    const result = apply(memory, vma, start, stop);
    if (result < 0) return result;
    start = stop;
  }
  return hole ? -ENOMEM : 0;
}

/** msync(2): shared pages are the file's own frames, so there is nothing to write back. -EINVAL, -ENOMEM (unmapped). */
export function msync(memory: MemoryManager, address: GuestAddress, length: Bytes, flags: number): number {
  if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) !== 0 || address % PAGE_SIZE !== 0) return -EINVAL;
  if ((flags & MS_ASYNC) !== 0 && (flags & MS_SYNC) !== 0) return -EINVAL;
  if (length === 0) return 0;
  const end = address + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  if (length < 0 || address < 0 || !memory.vmas.isCovered(address, end)) return -ENOMEM;
  return 0;
}

const residency = new Uint8Array(4096);

/** mincore(2). -EINVAL, -ENOMEM (unmapped), -EFAULT (vector). */
export function mincore(memory: MemoryManager, address: GuestAddress, length: Bytes, vector: GuestAddress): number {
  if (address % PAGE_SIZE !== 0) return -EINVAL;
  const end = address + Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
  if (length < 0 || address < 0 || end > memory.space.maxAddress) return -ENOMEM;
  for (let start = address, done = 0; start < end; ) {
    let count = 0;
    for (; count < residency.length && start < end; count++, start += PAGE_SIZE) {
      const vma = memory.vmas.find(start);
      if (vma === null) return -ENOMEM;
      residency[count] = memory.isResident(vma, start) ? 1 : 0;
    }
    if (memory.copyOut(vector + done, residency, 0, count) !== count) return -EFAULT;
    done += count;
  }
  return 0;
}
