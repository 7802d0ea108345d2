import { AreaPage, HOST_VDSO, HOST_VDSO_BASE_HIGH, PAGE_BYTES, TABLE_SLOTS } from './layout.js';

const PRESENT = 0x1;
const WRITABLE = 0x2;
const USER = 0x4;
const ACCESSED_DIRTY = 0x60;
const NO_EXECUTE = 0x80000000;
/** Entry that leads to another table: rights are the leaves' business. */
export const TABLE_ENTRY = PRESENT | WRITABLE | USER | 0x20;
const KERNEL_TABLE_ENTRY = PRESENT | WRITABLE | 0x20;
const LAST_SLOT = 511;
const KERNEL_SLOT = LAST_SLOT;
const LAST_USER_SLOT = 255;
const WORDS = PAGE_BYTES / 4;
/** That many retired tables are worth making KVM forget all it has cached. */
const RETIRED_MOST = 4096;

/** The pages of the area that hold page tables. A table is known by its page number, which times 4096 is its address. */
export class TableArea {
  readonly words: Uint32Array;
  private readonly pages: number;
  private top: number = AreaPage.FirstFree;
  private free: number[] = [];
  private retired: number[] = [];
  /**
   * Set where KVM keeps copies of tables that it does not bring up to date (shadow paging). A table that was part of a released space
   * must then not be used again before KVM has been made to forget all of them.
   */
  shadowed = false;

  constructor(
    buffer: ArrayBuffer,
    private readonly forgetTables: () => void,
  ) {
    this.words = new Uint32Array(buffer);
    this.pages = buffer.byteLength / PAGE_BYTES;
  }

  /** Tables of the stub's pages. Precondition: the area is zero. */
  start(): void {
    this.top = AreaPage.FirstFree;
    this.free = [];
    this.retired = [];
    const { words } = this;
    const table = AreaPage.KernelTable * WORDS;
    words[table + AreaPage.Text * 2] = AreaPage.Text * PAGE_BYTES + PRESENT + ACCESSED_DIRTY;
    for (const page of [AreaPage.Descriptors, AreaPage.Interrupts, AreaPage.Stack]) {
      words[table + page * 2] = page * PAGE_BYTES + PRESENT + WRITABLE + ACCESSED_DIRTY;
      words[table + page * 2 + 1] = NO_EXECUTE;
    }
    // 0xffffffff80000000: slot 510 of the last pointers, the first of a directory.
    words[AreaPage.KernelDirectory * WORDS] = AreaPage.KernelTable * PAGE_BYTES + KERNEL_TABLE_ENTRY;
    words[AreaPage.KernelPointers * WORDS + 510 * 2] = AreaPage.KernelDirectory * PAGE_BYTES + KERNEL_TABLE_ENTRY;
  }

  /** An empty table; 0 when there is no room. */
  allocate(): number {
    if (this.free.length === 0 && this.top === this.pages) this.recycle();
    const page = this.free.pop();
    if (page !== undefined) {
      this.words.fill(0, page * WORDS, (page + 1) * WORDS);
      return page;
    }
    return this.top < this.pages ? this.top++ : 0;
  }

  /** For every space made from now on: the host's time pages, of so many bytes. */
  showHostTime(length: number): void {
    const first = (HOST_VDSO / PAGE_BYTES) % TABLE_SLOTS;
    for (let page = 0; page < length / PAGE_BYTES; page++) {
      const entry = AreaPage.HostTimeTable * WORDS + (first + page) * 2;
      this.words[entry] = page * PAGE_BYTES + PRESENT + USER + ACCESSED_DIRTY;
      this.words[entry + 1] = HOST_VDSO_BASE_HIGH;
    }
  }

  /** The root of a new space, which has the stub's pages and the time; 0 when there is no room. */
  allocateRoot(): number {
    const root = this.allocate();
    const pointers = this.allocate();
    const directory = this.allocate();
    if (root === 0 || pointers === 0 || directory === 0) {
      for (const page of [root, pointers, directory]) if (page !== 0) this.free.push(page);
      return 0;
    }
    const { words } = this;
    words[root * WORDS + KERNEL_SLOT * 2] = AreaPage.KernelPointers * PAGE_BYTES + KERNEL_TABLE_ENTRY;
    words[root * WORDS + LAST_USER_SLOT * 2] = pointers * PAGE_BYTES + TABLE_ENTRY;
    words[pointers * WORDS + LAST_SLOT * 2] = directory * PAGE_BYTES + TABLE_ENTRY;
    words[directory * WORDS + LAST_SLOT * 2] = AreaPage.HostTimeTable * PAGE_BYTES + TABLE_ENTRY;
    return root;
  }

  /** Frees a root with all below it. Precondition: it is not in use. */
  release(root: number): void {
    this.releaseBelow(root, 3, TABLE_SLOTS / 2);
    if (this.retired.length >= RETIRED_MOST) this.recycle();
  }

  private releaseBelow(table: number, level: number, slots: number): void {
    for (let slot = 0; level > 0 && slot < slots; slot++) {
      const entry = this.words[table * WORDS + slot * 2];
      if (entry >>> 12 >= AreaPage.FirstFree) this.releaseBelow(entry >>> 12, level - 1, TABLE_SLOTS);
    }
    (this.shadowed ? this.retired : this.free).push(table);
  }

  /**
   * Frees the lowest tables below a root in which nothing is left; with shadow paging they can be used after `recycle` only.
   * Precondition: translations are flushed before a guest runs again. Returns how many there were.
   */
  prune(root: number): number {
    return this.pruneBelow(root, 3, TABLE_SLOTS / 2);
  }

  private pruneBelow(table: number, level: number, slots: number): number {
    const { words } = this;
    let pruned = 0;
    for (let slot = 0; slot < slots; slot++) {
      const place = table * WORDS + slot * 2;
      const below = words[place] >>> 12;
      if (below < AreaPage.FirstFree) continue;
      if (level > 1) pruned += this.pruneBelow(below, level - 1, TABLE_SLOTS);
      else if (words.subarray(below * WORDS, (below + 1) * WORDS).every((word) => word === 0)) {
        words[place] = 0;
        (this.shadowed ? this.retired : this.free).push(below);
        pruned++;
      }
    }
    return pruned;
  }

  /** Makes tables of released spaces usable where KVM may still know what was in them. */
  recycle(): void {
    if (this.retired.length === 0) return;
    this.forgetTables();
    this.free.push(...this.retired.splice(0));
  }
}
