import { type Bytes, type GuestAddress, PAGE_SIZE, PROT_WRITE } from '../platform/platform.js';
import type { MemoryManager } from './memory-manager.js';
import { PTE_FRAME, PTE_PRESENT } from './page-table.js';
import type { FrameNumber } from './types.js';
import { VM_DONTFORK, VM_WIPEONFORK, type Vma } from './vma.js';

/** Pages copied together when copy-on-write is broken. */
export const COPY_WINDOW = 8;
/** First writes after a fork that are looked at, by parent and child together. */
const LEARNED = 48;
const PLACES = 32;
/** Nothing is copied in advance when less is left: that is 1 MiB at most. */
const AMPLE: Bytes = 16 << 20;
/** After so many forks what was learned is learned anew: nobody tells when a copy was in vain. */
const FORGET_AFTER = 32;

/** Pages of a parent, in a row, that its child gets copies of. */
export interface EarlyCopy {
  readonly vma: Vma;
  readonly start: GuestAddress;
  readonly count: number;
  readonly first: FrameNumber;
  /** The parent's entries, which are out of its table while the rest of it is shared. */
  readonly entries: readonly number[];
}

/**
 * Where parent and child write at once after a fork: stack, the C library's data, the allocator's. One process forks again and again in the
 * same place, and each first write costs a fault, 10 to 20 us: the next child gets copies of these pages before it runs, and the
 * parent keeps its right to write them (fork and wait of a small process: 8.2 -> 5.3 times native; of Python: 2.7 -> 1.3).
 */
export class ForkCopies {
  /** A page each. */
  private readonly places: GuestAddress[] = [];
  private toLearn = 0;
  private forks = 0;

  /** A page was written to that was shared, or had been. */
  note(page: GuestAddress): void {
    if (this.toLearn === 0) return;
    this.toLearn--;
    const window = Math.floor(page / (COPY_WINDOW * PAGE_SIZE));
    for (const place of this.places) if (Math.floor(place / (COPY_WINDOW * PAGE_SIZE)) === window) return;
    if (this.places.length < PLACES) this.places.push(page);
  }

  /** Copies the pages for a child to be, and takes them out of the parent's table. Followed by `restore`. */
  take(parent: MemoryManager): EarlyCopy[] {
    if (++this.forks % FORGET_AFTER === 0) this.places.length = 0;
    this.toLearn = LEARNED;
    const copies: EarlyCopy[] = [];
    if (parent.frames.limit - parent.frames.committed < AMPLE) return copies;
    for (const place of this.places) {
      const copy = takeAround(parent, place);
      if (copy !== null) copies.push(copy);
    }
    return copies;
  }
}

function takeAround(parent: MemoryManager, page: GuestAddress): EarlyCopy | null {
  const { table, frames } = parent;
  const vma = parent.vmas.find(page);
  if (vma === null || vma.shared || (vma.flags & (VM_DONTFORK | VM_WIPEONFORK)) !== 0) return null;
  if ((vma.protection & PROT_WRITE) === 0) return null;
  const window = page - (page % (COPY_WINDOW * PAGE_SIZE));
  const highest = Math.min(vma.end, window + COPY_WINDOW * PAGE_SIZE);
  let start = Math.max(vma.start, window);
  while (start < highest && (table.get(start) & PTE_PRESENT) === 0) start += PAGE_SIZE;
  let end = start;
  while (end < highest && (table.get(end) & PTE_PRESENT) !== 0) end += PAGE_SIZE;
  const count = (end - start) / PAGE_SIZE;
  if (count === 0) return null;
  const first = frames.allocateRun(count, false);
  if (first < 0) return null;
  const entries: number[] = [];
  for (let index = 0; index < count; index++) {
    const at = start + index * PAGE_SIZE;
    const entry = table.get(at);
    const from = (entry & PTE_FRAME) * PAGE_SIZE;
    frames.bytes.copyWithin((first + index) * PAGE_SIZE, from, from + PAGE_SIZE);
    entries.push(entry);
    table.set(at, 0);
  }
  return { vma, start, count, first, entries };
}

/** Puts the parent's entries back. `unmapped`: the host has nothing mapped any more. */
export function restore(parent: MemoryManager, copies: readonly EarlyCopy[], unmapped: boolean): void {
  const kept = unmapped ? PTE_PRESENT | PTE_FRAME : -1;
  for (const { start, entries } of copies) {
    for (let index = 0; index < entries.length; index++) {
      parent.table.set(start + index * PAGE_SIZE, entries[index] & kept);
    }
  }
}

/** The child has them, in place of what its host process inherited. */
export function give(child: MemoryManager, copies: readonly EarlyCopy[]): void {
  for (const { start, count, first } of copies) {
    for (let index = 0; index < count; index++)
      child.table.set(start + index * PAGE_SIZE, PTE_PRESENT | (first + index));
    child.mapFrames(child.vmas.find(start) as Vma, start, count, first, false);
  }
}

export function discard(parent: MemoryManager, copies: readonly EarlyCopy[]): void {
  for (const { count, first } of copies) {
    for (let index = 0; index < count; index++) parent.frames.release(first + index);
  }
}
