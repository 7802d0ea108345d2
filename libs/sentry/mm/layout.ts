import { MMAP_MIN_ADDR } from '../abi/mman.js';
import { type Bytes, type GuestAddress, PAGE_SIZE, type PlatformAddressSpace } from '../platform/platform.js';
import type { MemoryLayout } from './types.js';
import type { VmaList } from './vma.js';

/** Room kept for the stack above the mmap area, whatever RLIMIT_STACK says (Linux MIN_GAP, MAX_GAP). */
const MIN_STACK_GAP: Bytes = 128 << 20;
/** Span of the random offsets: 16 GiB below the top for the stack, 1 TiB for the mmap area. */
const STACK_RANDOM: Bytes = 2 ** 34;
const MMAP_RANDOM: Bytes = 2 ** 40;
/** MAP_32BIT takes [1 GiB, 2 GiB) (arch/x86/kernel/sys_x86_64.c). */
const LOW_AREA_START: GuestAddress = 0x40000000;
const LOW_AREA_END: GuestAddress = 0x80000000;

const randomBytes = new Uint8Array(8);
const randomView = new DataView(randomBytes.buffer);

/** A page-aligned random offset in [0, span). */
export function randomOffset(random: (destination: Uint8Array) => void, span: Bytes): Bytes {
  random(randomBytes);
  const pages = Math.floor(span / PAGE_SIZE);
  const value = randomView.getUint32(0, true) * 2 ** 20 + (randomView.getUint32(4, true) >>> 12);
  return (value % pages) * PAGE_SIZE;
}

/** Where things go: the stack near the top, mappings downwards from a random place below it. */
export class AddressLayout {
  readonly stackTop: GuestAddress;
  readonly mmapBase: GuestAddress;
  readonly lowest: GuestAddress;

  constructor(
    readonly highest: GuestAddress,
    lowest: GuestAddress,
    stackTop: GuestAddress,
    mmapBase: GuestAddress,
  ) {
    this.lowest = lowest;
    this.stackTop = stackTop;
    this.mmapBase = mmapBase;
  }

  /** A fresh random layout. `stackLimit`: RLIMIT_STACK. */
  static random(
    space: PlatformAddressSpace,
    random: (destination: Uint8Array) => void,
    stackLimit: Bytes,
  ): AddressLayout {
    const size = space.maxAddress - space.minAddress;
    const stackTop = space.maxAddress - PAGE_SIZE - randomOffset(random, Math.min(STACK_RANDOM, size / 16));
    const gap = Math.min(Math.max(stackLimit, MIN_STACK_GAP), size / 6);
    const base = stackTop - gap - STACK_RANDOM / 1024 - randomOffset(random, Math.min(MMAP_RANDOM, size / 16));
    return new AddressLayout(
      space.maxAddress,
      Math.max(space.minAddress, MMAP_MIN_ADDR),
      stackTop,
      base - (base % PAGE_SIZE),
    );
  }

  /** A free range of `length` bytes: top-down below mmapBase, else anywhere above it. -1 when there is none. */
  find(vmas: VmaList, length: Bytes, low32: boolean): GuestAddress {
    if (low32) return findBelow(vmas, LOW_AREA_START, LOW_AREA_END, length);
    const found = findBelow(vmas, this.lowest, this.mmapBase, length);
    return found >= 0 ? found : findBelow(vmas, this.mmapBase, this.highest, length);
  }
}

/** Highest gap of `length` bytes within [low, high), or -1. */
function findBelow(vmas: VmaList, low: GuestAddress, high: GuestAddress, length: Bytes): GuestAddress {
  const { items } = vmas;
  let index = vmas.indexFrom(high - 1);
  let end = index < items.length ? Math.min(high, items[index].start) : high;
  while (end - length >= low) {
    index--;
    const floor = index < 0 ? low : Math.max(low, items[index].end);
    if (end - length >= floor) return end - length;
    if (index < 0) return -1;
    end = items[index].start;
  }
  return -1;
}

export function emptyLayout(): MemoryLayout {
  return {
    codeStart: 0,
    codeEnd: 0,
    dataStart: 0,
    dataEnd: 0,
    brkStart: 0,
    stackTop: 0,
    argStart: 0,
    argEnd: 0,
    envStart: 0,
    envEnd: 0,
    auxv: new Uint8Array(0),
  };
}
