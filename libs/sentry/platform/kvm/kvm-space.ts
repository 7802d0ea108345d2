import {
  type Bytes,
  type GuestAddress,
  type MapSource,
  type Nanoseconds,
  PAGE_SIZE,
  type PlatformAddressSpace,
  PlatformError,
  PROT_EXEC,
  PROT_WRITE,
  type Protection,
} from '../platform.js';
import type { NumberedSpace } from '../stubs/stub-platform.js';
import { AreaPage, LEAF_BYTES, MAX_ADDRESS, MEMORY_BASE_HIGH, MIN_ADDRESS, TABLE_SLOTS } from './layout.js';
import { TABLE_ENTRY, type TableArea } from './table-area.js';

const TABLE_WORDS = TABLE_SLOTS * 2;
/** Present, for ring 3, accessed, dirty: the processor has nothing to write back. */
const PTE_BASE = 0x1 | 0x4 | 0x20 | 0x40;
const PTE_WRITABLE = 0x2;
const PTE_NO_EXECUTE = 0x80000000;
const PTE_ADDRESS = 0xfffff000;
const TWO_32 = 4294967296;

/** What an address space needs of the machine. */
export interface Machine {
  readonly tables: TableArea;
  readonly spaces: Set<KvmAddressSpace>;
  createSpace(root: number): number;
  releaseSpace(index: number): void;
  spaceTime(index: number): Nanoseconds;
  /** Something that was mapped is no longer, or otherwise. */
  flush(): void;
  /** The same where KVM does not notice by itself: frames [first, first + count) of the memory file leave its own tables. */
  drop(offset: Bytes, length: Bytes): void;
}

/**
 * A guest address space: four levels of page tables in the area. No guest code runs while they are changed, so that order does not
 * matter; entries of the upper levels are never changed once made (KVM may have followed them).
 */
export class KvmAddressSpace implements NumberedSpace {
  readonly minAddress = MIN_ADDRESS;
  readonly maxAddress = MAX_ADDRESS;
  readonly mapsFiles = false;
  readonly index: number;
  private readonly words: Uint32Array;
  private lastBlock = -1;
  private lastLeaf = 0;
  /** Of the run of frames that must leave KVM's tables. */
  private dropStart = 0;
  private dropEnd = 0;
  private changed = false;

  private constructor(
    private readonly machine: Machine,
    private readonly root: number,
  ) {
    this.words = machine.tables.words;
    this.index = machine.createSpace(root * PAGE_SIZE);
    machine.spaces.add(this);
  }

  /** Null when there is no room for one more. */
  static create(machine: Machine): KvmAddressSpace | null {
    const root = machine.tables.allocateRoot();
    return root === 0 ? null : new KvmAddressSpace(machine, root);
  }

  map(address: GuestAddress, length: Bytes, source: MapSource, offset: Bytes, protection: Protection): void {
    if (source.kind !== 'memory') throw new PlatformError('KVM maps the memory file only');
    const flags = PTE_BASE | ((protection & PROT_WRITE) !== 0 ? PTE_WRITABLE : 0);
    const high = ((protection & PROT_EXEC) !== 0 ? 0 : PTE_NO_EXECUTE) + MEMORY_BASE_HIGH;
    const { words } = this;
    let from = offset;
    for (let at = address; at < address + length; ) {
      let entry = this.entryOf(at, true);
      const stop = Math.min(address + length, at - (at % LEAF_BYTES) + LEAF_BYTES);
      for (; at < stop; at += PAGE_SIZE, from += PAGE_SIZE, entry += 2) {
        const low = (from | flags) >>> 0;
        const top = (high + Math.floor(from / TWO_32)) >>> 0;
        if (words[entry] !== 0) this.replace(entry, low, top);
        words[entry] = low;
        words[entry + 1] = top;
      }
    }
    this.settle();
  }

  unmap(address: GuestAddress, length: Bytes): void {
    const { words } = this;
    const end = Math.min(address + length, MAX_ADDRESS);
    for (let at = address; at < end; ) {
      let entry = this.entryOf(at, false);
      const stop = Math.min(end, at - (at % LEAF_BYTES) + this.span);
      if (entry < 0) {
        at = stop;
        continue;
      }
      for (; at < stop; at += PAGE_SIZE, entry += 2) {
        if (words[entry] === 0) continue;
        this.replace(entry, 0, 0);
        words[entry] = 0;
        words[entry + 1] = 0;
      }
    }
    this.settle();
  }

  protect(address: GuestAddress, length: Bytes, protection: Protection): void {
    const writable = (protection & PROT_WRITE) !== 0 ? PTE_WRITABLE : 0;
    const noExecute = (protection & PROT_EXEC) !== 0 ? 0 : PTE_NO_EXECUTE;
    const { words } = this;
    for (let at = address; at < address + length; ) {
      let entry = this.entryOf(at, false);
      const stop = Math.min(address + length, at - (at % LEAF_BYTES) + LEAF_BYTES);
      if (entry < 0) throw new PlatformError('protecting what is not mapped');
      for (; at < stop; at += PAGE_SIZE, entry += 2) {
        if (words[entry] === 0) throw new PlatformError('protecting what is not mapped');
        const low = ((words[entry] & ~PTE_WRITABLE) | writable) >>> 0;
        const top = ((words[entry + 1] & ~PTE_NO_EXECUTE) | noExecute) >>> 0;
        this.replace(entry, low, top);
        words[entry] = low;
        words[entry + 1] = top;
      }
    }
    this.settle();
  }

  clone(): PlatformAddressSpace | null {
    const { tables } = this.machine;
    const root = tables.allocateRoot();
    if (root === 0) return null;
    if (this.copyBelow(this.root, root, 3, TABLE_SLOTS / 2)) return new KvmAddressSpace(this.machine, root);
    tables.release(root);
    return null;
  }

  cpuTime(): Nanoseconds {
    return this.machine.spaceTime(this.index);
  }

  release(): void {
    this.machine.spaces.delete(this);
    this.machine.releaseSpace(this.index);
    this.machine.tables.release(this.root);
  }

  /** Copies what is below a table; false when there is no room. */
  private copyBelow(from: number, to: number, level: number, slots: number): boolean {
    const { words } = this;
    const source = from * TABLE_WORDS;
    if (level === 0) {
      words.copyWithin(to * TABLE_WORDS, source, source + TABLE_WORDS);
      return true;
    }
    for (let slot = 0; slot < slots; slot++) {
      const entry = words[source + slot * 2];
      // Shared by all spaces: the new one has it.
      if (entry >>> 12 < AreaPage.FirstFree) continue;
      const place = to * TABLE_WORDS + slot * 2;
      let table = words[place] >>> 12;
      if (table === 0) {
        table = this.machine.tables.allocate();
        if (table === 0) return false;
        words[place] = (table * PAGE_SIZE + TABLE_ENTRY) >>> 0;
      }
      if (!this.copyBelow(entry >>> 12, table, level - 1, TABLE_SLOTS)) return false;
    }
    return true;
  }

  /** After `entryOf`: how far from the start of the block nothing else is, where there was no table. */
  private span: Bytes = LEAF_BYTES;

  /** Place of the address's entry in the area; -1 where no table is and none shall be made. */
  private entryOf(address: GuestAddress, create: boolean): number {
    const block = Math.floor(address / LEAF_BYTES);
    const slot = (address / PAGE_SIZE) % TABLE_SLOTS;
    this.span = LEAF_BYTES;
    if (block === this.lastBlock) return this.lastLeaf * TABLE_WORDS + slot * 2;
    const { words } = this;
    let table = this.root;
    for (let unit = LEAF_BYTES * TABLE_SLOTS * TABLE_SLOTS; unit >= LEAF_BYTES; unit /= TABLE_SLOTS) {
      const entry = table * TABLE_WORDS + (Math.floor(address / unit) % TABLE_SLOTS) * 2;
      if (words[entry] === 0) {
        if (!create) {
          // All of this unit is empty.
          this.span = unit - (address % unit) + (address % LEAF_BYTES);
          return -1;
        }
        const below = this.machine.tables.allocate() || this.tableFromOthers();
        words[entry] = (below * PAGE_SIZE + TABLE_ENTRY) >>> 0;
      }
      table = words[entry] >>> 12;
    }
    this.lastBlock = block;
    this.lastLeaf = table;
    return table * TABLE_WORDS + slot * 2;
  }

  /** Spaces keep the tables of what they have unmapped; when there is no room for more, those go. */
  private tableFromOthers(): number {
    const { machine } = this;
    machine.flush();
    for (const space of machine.spaces) {
      space.lastBlock = -1;
      machine.tables.prune(space.root);
    }
    machine.tables.recycle();
    const table = machine.tables.allocate();
    if (table === 0) throw new PlatformError('no room for page tables');
    return table;
  }

  /** Notes what a change of a present entry asks of the machine. */
  private replace(entry: number, low: number, top: number): void {
    const { words } = this;
    const oldLow = words[entry];
    const oldTop = words[entry + 1];
    if (oldLow === low && oldTop === top) return;
    this.changed = true;
    if (!this.machine.tables.shadowed) return;
    const sameFrame = ((oldLow ^ low) & PTE_ADDRESS) === 0 && ((oldTop ^ top) & ~PTE_NO_EXECUTE) === 0;
    const fewerRights = (oldLow & ~low & PTE_WRITABLE) !== 0 || (top & ~oldTop & PTE_NO_EXECUTE) !== 0;
    if (low !== 0 && sameFrame && !fewerRights) return;
    const frame = ((oldLow & PTE_ADDRESS) >>> 0) + ((oldTop & ~PTE_NO_EXECUTE) - MEMORY_BASE_HIGH) * TWO_32;
    if (frame !== this.dropEnd || this.dropEnd === 0) {
      this.flushDrops();
      this.dropStart = frame;
    }
    this.dropEnd = frame + PAGE_SIZE;
  }

  private flushDrops(): void {
    if (this.dropEnd > this.dropStart) this.machine.drop(this.dropStart, this.dropEnd - this.dropStart);
    this.dropStart = 0;
    this.dropEnd = 0;
  }

  private settle(): void {
    this.flushDrops();
    if (this.changed) this.machine.flush();
    this.changed = false;
  }
}
