import { type Bytes, type GuestAddress, PAGE_SIZE } from '../platform/platform.js';

/** An entry: frame number in the low bits, and what the host has mapped at the page now. 0: nothing known of the page. */
export const PTE_FRAME = 0x00ffffff;
/** The page has a frame (its number is in PTE_FRAME). */
export const PTE_PRESENT = 1 << 24;
/** The host has something mapped here, with the VMA's protection, except perhaps PROT_WRITE … */
export const PTE_MAPPED = 1 << 25;
/** … which it has if this is set. */
export const PTE_WRITABLE = 1 << 26;
/** What the host has mapped is the image file, not the frame (there may be a frame too: the Sentry's copy of the same bytes). */
export const PTE_FILE = 1 << 27;

/** Pages and bytes of one block: what a page directory entry of the processor covers. */
export const BLOCK_PAGES = 512;
export const BLOCK_SIZE = BLOCK_PAGES * PAGE_SIZE;

/** One past the last index that an address can have. */
const BLOCKS_MAX = 2 ** 47 / BLOCK_SIZE;
/** A power of two. */
const RECENT = 16;

/** Rounds up to a page; wild lengths stay wild. */
export function pageUp(length: Bytes): Bytes {
  const over = length % PAGE_SIZE;
  return over === 0 ? length : length - over + PAGE_SIZE;
}

/** Index of the block an address is in. */
export function blockOf(address: GuestAddress): number {
  return Math.floor(address / BLOCK_SIZE);
}

/** Place in its block: bits 12 to 20. */
function slotOf(address: GuestAddress): number {
  return (address >>> 12) & (BLOCK_PAGES - 1);
}

/** Entries [from, to) of a block whose first is that of the page at `base`. */
export type BlockVisitor = (block: Int32Array, base: GuestAddress, from: number, to: number) => void;

/** Two-level page table: a reservation of any size costs nothing until its pages are used. */
export class PageTable {
  private readonly blocks = new Map<number, Int32Array>();
  /** What was found last, by the low bits of the index: a call goes back and forth between stack, heap and constants. */
  private readonly recentIndexes = new Int32Array(RECENT).fill(-1);
  private readonly recentBlocks: (Int32Array | undefined)[] = new Array(RECENT).fill(undefined);
  /** Indexes of all blocks in ascending order, or null when out of date. */
  private sorted: number[] | null = null;

  /** The entry of the page that the address is in. */
  get(address: GuestAddress): number {
    const block = this.find(Math.floor(address / BLOCK_SIZE));
    return block === undefined ? 0 : block[slotOf(address)];
  }

  set(address: GuestAddress, entry: number): void {
    const index = Math.floor(address / BLOCK_SIZE);
    this.obtain(index)[slotOf(address)] = entry;
  }

  /** The block, if it exists. */
  find(index: number): Int32Array | undefined {
    const place = index & (RECENT - 1);
    return this.recentIndexes[place] === index ? this.recentBlocks[place] : this.look(index);
  }

  private look(index: number): Int32Array | undefined {
    const block = this.blocks.get(index);
    // What no address has as its block would be remembered for another one.
    if (index >= 0 && index < BLOCKS_MAX) this.remember(index, block);
    return block;
  }

  private remember(index: number, block: Int32Array | undefined): void {
    this.recentIndexes[index & (RECENT - 1)] = index;
    this.recentBlocks[index & (RECENT - 1)] = block;
  }

  /** The block, made if absent. */
  obtain(index: number): Int32Array {
    let block = this.find(index);
    if (block === undefined) {
      block = new Int32Array(BLOCK_PAGES);
      this.put(index, block);
    }
    return block;
  }

  /** Shows the parts of blocks that lie in the range, in ascending order. The visitor may remove the block it is shown. */
  visit(start: GuestAddress, end: GuestAddress, visitor: BlockVisitor): void {
    const endBlock = Math.ceil(end / BLOCK_SIZE);
    for (let index = this.next(blockOf(start), endBlock); index >= 0; index = this.next(index + 1, endBlock)) {
      const base = index * BLOCK_SIZE;
      const from = Math.max(0, (start - base) / PAGE_SIZE);
      visitor(this.find(index) as Int32Array, base, from, Math.min(BLOCK_PAGES, (end - base) / PAGE_SIZE));
    }
  }

  put(index: number, block: Int32Array): void {
    this.blocks.set(index, block);
    this.remember(index, block);
    this.sorted = null;
  }

  remove(index: number): void {
    this.blocks.delete(index);
    this.remember(index, undefined);
    this.sorted = null;
  }

  clear(): void {
    this.blocks.clear();
    this.recentIndexes.fill(-1);
    this.recentBlocks.fill(undefined);
    this.sorted = null;
  }

  /** Index of the first existing block in [index, end), or -1. Fast over huge empty ranges. */
  next(index: number, end: number): number {
    if (end - index <= 16) {
      for (; index < end; index++) if (this.blocks.has(index)) return index;
      return -1;
    }
    this.sorted ??= [...this.blocks.keys()].sort((a, b) => a - b);
    const { sorted } = this;
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sorted[middle] < index) low = middle + 1;
      else high = middle;
    }
    return low < sorted.length && sorted[low] < end ? sorted[low] : -1;
  }
}
