import type { Bytes, GuestAddress, Protection } from '../platform/platform.js';
import type { Mappable, MappingObserver } from './types.js';

export const VM_SHARED = 1;
/** Grows towards lower addresses on faults just below it. */
export const VM_GROWSDOWN = 2;
export const VM_DONTFORK = 4;
export const VM_WIPEONFORK = 8;
export const VM_LOCKED = 16;
export const VM_NORESERVE = 32;
export const VM_DONTDUMP = 64;
/** mbind(2): mode and flags of the policy of a VMA, which on a machine of one node is only remembered. */
export const VM_POLICY_SHIFT = 8;
export const VM_POLICY = 0xffff << VM_POLICY_SHIFT;

/** Who forgets pages when an object behind a VMA is truncated. */
interface VmaOwner {
  invalidate(vma: Vma, firstPage: number, lastPage: number): void;
}

/** A virtual memory area: [start, end) with one protection and one backing. */
export class Vma implements MappingObserver {
  /** Where the last fault-driven allocation ended, and how many pages it took: to see sequential use. */
  faultEnd: GuestAddress = 0;
  window = 0;

  constructor(
    readonly owner: VmaOwner,
    public start: GuestAddress,
    public end: GuestAddress,
    public protection: Protection,
    readonly maxProtection: Protection,
    public flags: number,
    /** null: private anonymous. */
    readonly object: Mappable | null,
    /** Byte offset in the object at `start`. */
    public offset: Bytes,
    /** "[heap]", "[stack]" or "". */
    readonly name: string,
  ) {}

  get shared(): boolean {
    return (this.flags & VM_SHARED) !== 0;
  }

  get length(): Bytes {
    return this.end - this.start;
  }

  /** Page index in the object of a page-aligned address. */
  pageIndex(address: GuestAddress): number {
    return (this.offset + address - this.start) / 4096;
  }

  invalidate(firstPage: number, lastPage: number): void {
    this.owner.invalidate(this, firstPage, lastPage);
  }

  /** Tells the object that this VMA maps it. Each VMA holds one reference. */
  attach(): void {
    if (this.object === null) return;
    this.object.retain();
    this.object.mapped?.(this);
  }

  detach(): void {
    if (this.object === null) return;
    this.object.unmapped?.(this);
    this.object.release();
  }

  /** Whether `next`, which starts where this ends, can become part of it. */
  continues(next: Vma): boolean {
    return (
      this.end === next.start &&
      this.protection === next.protection &&
      this.maxProtection === next.maxProtection &&
      this.flags === next.flags &&
      this.object === next.object &&
      this.name === next.name &&
      (this.object === null || this.offset + this.length === next.offset)
    );
  }

  /** The same area for another owner (fork), not attached. */
  copyFor(owner: VmaOwner): Vma {
    return new Vma(
      owner,
      this.start,
      this.end,
      this.protection,
      this.maxProtection,
      this.flags,
      this.object,
      this.offset,
      this.name,
    );
  }
}

/** A power of two. */
const RECENT = 16;

/** Neighbours share a place, what is a MiB or so apart rarely does. */
function placeOf(address: GuestAddress): number {
  return ((address >>> 16) ^ (address >>> 20)) & (RECENT - 1);
}

/** VMAs in ascending order; they never overlap. */
export class VmaList {
  readonly items: Vma[] = [];
  /** What was found last, by some bits of the address: a call goes back and forth between stack, heap and constants. */
  private readonly recent: (Vma | null)[] = new Array(RECENT).fill(null);

  /** The VMA that contains the address, or null. */
  find(address: GuestAddress): Vma | null {
    const vma = this.recent[placeOf(address)];
    return vma !== null && address >= vma.start && address < vma.end ? vma : this.look(address);
  }

  private look(address: GuestAddress): Vma | null {
    const vma = this.items[this.indexFrom(address)];
    // Not `address < vma.start`: a NaN must find nothing.
    if (vma === undefined || !(address >= vma.start)) return null;
    this.recent[placeOf(address)] = vma;
    return vma;
  }

  /** Index of the first VMA that ends above the address (it may start above it too). */
  indexFrom(address: GuestAddress): number {
    const { items } = this;
    let low = 0;
    let high = items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (items[middle].end <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether nothing is in [start, end). */
  isFree(start: GuestAddress, end: GuestAddress): boolean {
    const vma = this.items[this.indexFrom(start)];
    return vma === undefined || vma.start >= end;
  }

  /** Whether [start, end) is covered without holes. */
  isCovered(start: GuestAddress, end: GuestAddress): boolean {
    for (let index = this.indexFrom(start); start < end; index++) {
      const vma = this.items[index];
      if (vma === undefined || vma.start > start) return false;
      start = vma.end;
    }
    return true;
  }

  /** Adds a VMA to a free range, joining it with its neighbours where it can. Returns the VMA that now covers it. */
  insert(vma: Vma): Vma {
    const index = this.indexFrom(vma.start);
    this.items.splice(index, 0, vma);
    vma.attach();
    return this.merge(index);
  }

  /** Joins the VMA at index with its neighbours where they continue each other. */
  merge(index: number): Vma {
    const { items } = this;
    let vma = items[index];
    const next = items[index + 1];
    if (next !== undefined && vma.continues(next)) {
      vma.end = next.end;
      this.removeAt(index + 1);
    }
    const previous = items[index - 1];
    if (previous?.continues(vma)) {
      previous.end = vma.end;
      this.removeAt(index);
      vma = previous;
    }
    return vma;
  }

  removeAt(index: number): void {
    const [vma] = this.items.splice(index, 1);
    this.recent.fill(null);
    vma.detach();
  }

  /** Makes a VMA boundary at the address if it is inside one. */
  split(address: GuestAddress): void {
    const index = this.indexFrom(address);
    const vma = this.items[index];
    if (vma === undefined || vma.start >= address) return;
    const upper = vma.copyFor(vma.owner);
    upper.start = address;
    upper.offset = vma.object === null ? 0 : vma.offset + (address - vma.start);
    vma.end = address;
    this.items.splice(index + 1, 0, upper);
    upper.attach();
    this.recent.fill(null);
  }

  /** Empties the list, detaching all. */
  clear(): void {
    this.recent.fill(null);
    for (const vma of this.items) vma.detach();
    this.items.length = 0;
  }
}
