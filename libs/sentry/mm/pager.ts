import { EFAULT, ENOMEM } from '../abi/errno.js';
import {
  type Bytes,
  type GuestAddress,
  MEMORY_SOURCE,
  PAGE_SIZE,
  type PlatformAddressSpace,
  PROT_NONE,
  PROT_WRITE,
  type Protection,
} from '../platform/platform.js';
import type { MemoryEnvironment } from './environment.js';
import { COPY_WINDOW, ForkCopies } from './fork-copies.js';
import type { Frames } from './frames.js';
import {
  BLOCK_PAGES,
  BLOCK_SIZE,
  blockOf,
  PageTable,
  PTE_FILE,
  PTE_FRAME,
  PTE_MAPPED,
  PTE_PRESENT,
  PTE_WRITABLE,
} from './page-table.js';
import type { FrameNumber } from './types.js';
import { type Vma, VmaList } from './vma.js';

/** Pages a lone anonymous fault brings in, and the most that sequential faults bring in at a time. */
const FIRST_WINDOW = 16;
const LARGEST_WINDOW = 512;
/** Neighbours are not copied when less than this is left. */
const AMPLE_PAGES = 32 * COPY_WINDOW;
/** Image-file VMAs up to this size are mapped whole: one call costs less than the second fault. */
const WHOLE_FILE_VMA: Bytes = 16 << 20;
/** Private writable file VMAs up to this size are read in when mapped: ld.so writes to nearly all of their pages. */
const EAGER_COPY: Bytes = 128 << 10;
/**
 * The host allows 65530 mappings a process. Each of our calls adds at most two; after this many everything is unmapped
 * once and faults in again, coalesced.
 */
const HOST_CALL_BUDGET = 30_000;

/**
 * Pages of one address space: which frame each has, what the host has mapped of them, copy-on-write.
 *
 * Invariants:
 * - A page of a private VMA is writable in the host only if its frame has exactly one reference, ours.
 * - What the host has mapped at a page never has more rights than its VMA.
 * - An entry outside all VMAs is 0.
 */
export abstract class Pager {
  readonly space: PlatformAddressSpace;
  readonly frames: Frames;
  readonly vmas = new VmaList();
  /** What is written first after a fork. A family of forks has one in common. */
  forkCopies = new ForkCopies();
  /** Mappings that the host may have made by now. */
  private hostCalls = 0;
  /** How often everything was unmapped because they were too many. */
  unmappings = 0;
  /** Changes whenever something was mapped for the guest: tells a stale fault from a real one. */
  protected generation = 0;

  /** `table`: what is known of the pages of a cloned `space`. */
  constructor(
    protected readonly environment: MemoryEnvironment,
    space?: PlatformAddressSpace,
    readonly table = new PageTable(),
  ) {
    this.frames = environment.frames;
    this.space = space ?? environment.createAddressSpace();
  }

  /**
   * The frame of a page of `vma` as it may be read, or, with `write`, as it may be written (copy-on-write broken, and the
   * host's mapping kept in step). -ENOMEM at the limit, -EFAULT past the end of the object (SIGBUS).
   */
  protected frameFor(vma: Vma, page: GuestAddress, write: boolean): FrameNumber {
    const entry = this.table.get(page);
    if ((entry & PTE_PRESENT) === 0) return this.bringIn(vma, page, entry, write);
    const frame = entry & PTE_FRAME;
    if (!write || vma.shared) return frame;
    if (this.frames.references(frame) !== 1) return this.breakCopyOnWrite(vma, page, entry);
    if ((entry & PTE_FILE) !== 0) this.mapFrames(vma, page, 1, frame, false);
    return frame;
  }

  /** The frame of a page for the Sentry to look at, or -errno. */
  readablePage(vma: Vma, page: GuestAddress): FrameNumber {
    return this.frameFor(vma, page, false);
  }

  /** A frame of this address space's own behind a page of a private VMA, mapped, whatever the VMA's protection. -errno. */
  privatePage(vma: Vma, page: GuestAddress): FrameNumber {
    let frame = this.frameFor(vma, page, false);
    if (frame < 0) return frame;
    if (this.frames.references(frame) !== 1) {
      const copy = this.frames.allocateUnzeroed();
      if (copy < 0) return copy;
      this.frames.bytes.copyWithin(copy * PAGE_SIZE, frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE);
      this.frames.release(frame);
      frame = copy;
      this.table.set(page, PTE_PRESENT | frame);
    }
    this.mapFrames(vma, page, 1, frame, false);
    return frame;
  }

  private bringIn(vma: Vma, page: GuestAddress, entry: number, write: boolean): FrameNumber {
    const { object } = vma;
    if (object === null) return this.allocateAround(vma, page);
    const index = vma.pageIndex(page);
    const size = object.size();
    if (index * PAGE_SIZE >= size) return -EFAULT;
    if (object.page) {
      const frame = object.page(index, true);
      if (frame < 0) return frame;
      this.frames.retain(frame);
      this.table.set(page, PTE_PRESENT | frame);
      this.bringNeighbours(vma, page);
      return write && !vma.shared ? this.breakCopyOnWrite(vma, page, PTE_PRESENT | frame) : frame;
    }
    if (write || !this.space.mapsFiles) return this.readAround(vma, page);
    const frame = this.frames.allocateUnzeroed();
    if (frame < 0) return frame;
    if (!this.readObject(vma, page, 1, frame)) {
      this.frames.release(frame);
      return -EFAULT;
    }
    this.table.set(page, PTE_PRESENT | frame | (entry & (PTE_MAPPED | PTE_FILE)));
    return frame;
  }

  /** Notes the frames that the object already has around the page, so that one call maps them all. */
  private bringNeighbours(vma: Vma, page: GuestAddress): void {
    const object = vma.object!;
    const lowest = Math.max(vma.start, page - (page % (FIRST_WINDOW * PAGE_SIZE)));
    const highest = Math.min(
      this.objectEnd(vma),
      page - (page % (FIRST_WINDOW * PAGE_SIZE)) + FIRST_WINDOW * PAGE_SIZE,
    );
    for (let at = lowest; at < highest; at += PAGE_SIZE) {
      if (this.table.get(at) !== 0) continue;
      const frame = object.page!(vma.pageIndex(at), false);
      if (frame <= 0) continue;
      this.frames.retain(frame);
      this.table.set(at, PTE_PRESENT | frame);
    }
  }

  /** Copies a page of an image file, and the untouched ones around it, into frames and maps them. */
  private readAround(vma: Vma, page: GuestAddress): FrameNumber {
    const lowest = Math.max(vma.start, page - (page % (FIRST_WINDOW * PAGE_SIZE)));
    const highest = Math.min(
      this.objectEnd(vma),
      page - (page % (FIRST_WINDOW * PAGE_SIZE)) + FIRST_WINDOW * PAGE_SIZE,
    );
    let start = page;
    while (start > lowest && (this.table.get(start - PAGE_SIZE) & PTE_PRESENT) === 0) start -= PAGE_SIZE;
    let end = page + PAGE_SIZE;
    while (end < highest && (this.table.get(end) & PTE_PRESENT) === 0) end += PAGE_SIZE;
    const hadHitLimit = this.frames.limitHit;
    let frame = this.frames.allocateRun((end - start) / PAGE_SIZE);
    if (frame < 0) {
      start = page;
      end = page + PAGE_SIZE;
      frame = this.frames.allocate();
      if (frame < 0) return frame;
      this.frames.limitHit = hadHitLimit;
    }
    const count = (end - start) / PAGE_SIZE;
    if (!this.readObject(vma, start, count, frame)) {
      for (let index = 0; index < count; index++) this.frames.release(frame + index);
      return -EFAULT;
    }
    for (let index = 0; index < count; index++) {
      const at = start + index * PAGE_SIZE;
      this.table.set(at, PTE_PRESENT | (frame + index) | (this.table.get(at) & (PTE_MAPPED | PTE_FILE)));
    }
    this.mapFrames(vma, start, count, frame, false);
    return frame + (page - start) / PAGE_SIZE;
  }

  /** Fills frames with `count` pages of the host file behind the VMA; zeros past its end. */
  private readObject(vma: Vma, page: GuestAddress, count: number, frame: FrameNumber): boolean {
    const fd = vma.object?.hostFile;
    if (fd === undefined) return false;
    const length = count * PAGE_SIZE;
    const offset = frame * PAGE_SIZE;
    let done = 0;
    while (done < length) {
      const read = this.environment.readFile(fd, offset + done, length - done, vma.offset + page - vma.start + done);
      if (read < 0) return false;
      if (read === 0) break;
      done += read;
    }
    if (done < length) this.frames.bytes.fill(0, offset + done, offset + length);
    return true;
  }

  private breakCopyOnWrite(vma: Vma, page: GuestAddress, entry: number): FrameNumber {
    this.forkCopies.note(page);
    if (vma.object === null || vma.object.hostFile !== undefined) {
      const frame = this.breakAround(vma, page);
      if (frame > 0) return frame;
    }
    const old = entry & PTE_FRAME;
    const frame = this.frames.allocateUnzeroed();
    if (frame < 0) return frame;
    this.frames.bytes.copyWithin(frame * PAGE_SIZE, old * PAGE_SIZE, (old + 1) * PAGE_SIZE);
    this.frames.release(old);
    this.table.set(page, PTE_PRESENT | frame);
    if ((entry & PTE_MAPPED) !== 0) this.mapFrames(vma, page, 1, frame, false);
    return frame;
  }

  /**
   * Copies a shared page together with its shared neighbours: a fault costs as much as copying dozens of pages, and what is
   * written after a fork lies close together. 0 where that would be none, or memory is short.
   */
  private breakAround(vma: Vma, page: GuestAddress): FrameNumber {
    const { frames, table } = this;
    if ((frames.limit - frames.committed) / PAGE_SIZE < AMPLE_PAGES) return 0;
    const aligned = page - (page % (COPY_WINDOW * PAGE_SIZE));
    const lowest = Math.max(vma.start, aligned);
    const highest = Math.min(vma.end, aligned + COPY_WINDOW * PAGE_SIZE);
    let start = page;
    while (start > lowest && this.isShared(table.get(start - PAGE_SIZE))) start -= PAGE_SIZE;
    let end = page + PAGE_SIZE;
    while (end < highest && this.isShared(table.get(end))) end += PAGE_SIZE;
    const count = (end - start) / PAGE_SIZE;
    if (count === 1) return 0;
    const first = frames.allocateRun(count, false);
    if (first < 0) return 0;
    let mapped = false;
    for (let at = start, frame = first; at < end; at += PAGE_SIZE, frame++) {
      const entry = table.get(at);
      const old = entry & PTE_FRAME;
      frames.bytes.copyWithin(frame * PAGE_SIZE, old * PAGE_SIZE, (old + 1) * PAGE_SIZE);
      frames.release(old);
      table.set(at, PTE_PRESENT | frame);
      if ((entry & PTE_MAPPED) !== 0) mapped = true;
    }
    if (mapped) this.mapFrames(vma, start, count, first, false);
    return first + (page - start) / PAGE_SIZE;
  }

  private isShared(entry: number): boolean {
    return (entry & (PTE_PRESENT | PTE_FILE)) === PTE_PRESENT && this.frames.references(entry & PTE_FRAME) > 1;
  }

  /** Anonymous memory: as many pages around the fault as its pattern of use suggests, mapped in one call. */
  private allocateAround(vma: Vma, page: GuestAddress): FrameNumber {
    const left = (this.frames.limit - this.frames.committed) / PAGE_SIZE;
    let window = page === vma.faultEnd ? Math.min(vma.window * 2, LARGEST_WINDOW) : FIRST_WINDOW;
    // Near the limit every page counts: never let pages nobody asked for push a sandbox over it.
    while (window > 1 && window * 8 > left) window >>>= 1;
    const sequential = page === vma.faultEnd;
    const lowest = sequential ? page : Math.max(vma.start, page - (page % (window * PAGE_SIZE)));
    const highest = Math.min(vma.end, sequential ? page + window * PAGE_SIZE : lowest + window * PAGE_SIZE);
    let start = page;
    while (start > lowest && this.table.get(start - PAGE_SIZE) === 0) start -= PAGE_SIZE;
    let end = page + PAGE_SIZE;
    while (end < highest && this.table.get(end) === 0) end += PAGE_SIZE;
    let count = (end - start) / PAGE_SIZE;
    const hadHitLimit = this.frames.limitHit;
    let first = this.frames.allocateRun(count);
    if (first < 0 && count > 1) {
      // The memory file may be fragmented: one frame is always worth a try.
      start = page;
      end = page + PAGE_SIZE;
      count = 1;
      first = this.frames.allocate();
      if (first >= 0) this.frames.limitHit = hadHitLimit;
    }
    if (first < 0) return -ENOMEM;
    vma.faultEnd = end;
    vma.window = Math.max(window, FIRST_WINDOW);
    for (let at = start, frame = first; at < end; at += PAGE_SIZE, frame++) this.table.set(at, PTE_PRESENT | frame);
    this.mapFrames(vma, start, count, first, this.frames.recycled && count >= FIRST_WINDOW);
    return first + (page - start) / PAGE_SIZE;
  }

  /**
   * Maps `count` present pages with consecutive frames into the guest. Preconditions: the entries are PRESENT, and all frames
   * are alike: either all or none may be written by the guest.
   */
  mapFrames(vma: Vma, page: GuestAddress, count: number, frame: FrameNumber, populate: boolean): void {
    if (vma.protection === PROT_NONE) return;
    this.countHostCall();
    const writable =
      (vma.protection & PROT_WRITE) !== 0 && (vma.shared || this.frames.references(frame) === 1) ? PTE_WRITABLE : 0;
    const protection = writable !== 0 ? vma.protection : vma.protection & ~PROT_WRITE;
    this.space.map(page, count * PAGE_SIZE, MEMORY_SOURCE, frame * PAGE_SIZE, protection, populate);
    for (let index = 0; index < count; index++) {
      this.table.set(page + index * PAGE_SIZE, PTE_PRESENT | PTE_MAPPED | writable | (frame + index));
    }
  }

  /** Maps the page, which has a frame, together with the neighbours that can come along in the same call. */
  protected mapAround(vma: Vma, page: GuestAddress): void {
    const entry = this.table.get(page);
    const frame = entry & PTE_FRAME;
    const writable = this.mayWrite(vma, frame);
    let first = page;
    const lowest = Math.max(vma.start, page - (LARGEST_WINDOW - 1) * PAGE_SIZE);
    while (first > lowest && this.joins(vma, first - PAGE_SIZE, frame - (page - first) / PAGE_SIZE - 1, writable)) {
      first -= PAGE_SIZE;
    }
    let end = page + PAGE_SIZE;
    const highest = Math.min(vma.end, page + LARGEST_WINDOW * PAGE_SIZE);
    while (end < highest && this.joins(vma, end, frame + (end - page) / PAGE_SIZE, writable)) end += PAGE_SIZE;
    this.mapFrames(vma, first, (end - first) / PAGE_SIZE, frame - (page - first) / PAGE_SIZE, false);
  }

  private mayWrite(vma: Vma, frame: FrameNumber): boolean {
    return (vma.protection & PROT_WRITE) !== 0 && (vma.shared || this.frames.references(frame) === 1);
  }

  private joins(vma: Vma, page: GuestAddress, frame: FrameNumber, writable: boolean): boolean {
    const entry = this.table.get(page);
    return (
      (entry & (PTE_PRESENT | PTE_MAPPED)) === PTE_PRESENT &&
      (entry & PTE_FRAME) === frame &&
      this.mayWrite(vma, frame) === writable
    );
  }

  /**
   * Maps a page without a frame straight from the image file, with as much around it as is untouched. False if the object is none
   * the platform can map.
   */
  protected mapFileAround(vma: Vma, page: GuestAddress): boolean {
    const { object } = vma;
    if (object?.hostFile === undefined || object.page || !this.space.mapsFiles) return false;
    let lowest = vma.start;
    let highest = vma.end;
    if (vma.length > WHOLE_FILE_VMA) {
      lowest = Math.max(lowest, page - (page % BLOCK_SIZE));
      highest = Math.min(highest, page - (page % BLOCK_SIZE) + BLOCK_SIZE);
    }
    highest = Math.min(highest, this.objectEnd(vma));
    let start = page;
    while (start > lowest && this.table.get(start - PAGE_SIZE) === 0) start -= PAGE_SIZE;
    let end = page + PAGE_SIZE;
    while (end < highest && this.table.get(end) === 0) end += PAGE_SIZE;
    this.mapFileRange(vma, start, end);
    return true;
  }

  private mapFileRange(vma: Vma, start: GuestAddress, end: GuestAddress): void {
    this.countHostCall();
    const source = { kind: 'file', fd: vma.object!.hostFile! } as const;
    this.space.map(start, end - start, source, vma.offset + start - vma.start, vma.protection & ~PROT_WRITE, false);
    for (let at = start; at < end; at += PAGE_SIZE) {
      this.table.set(at, (this.table.get(at) & (PTE_PRESENT | PTE_FRAME)) | PTE_MAPPED | PTE_FILE);
    }
  }

  /** End of the part of the VMA that lies within its object. */
  private objectEnd(vma: Vma): GuestAddress {
    if (vma.object === null) return vma.end;
    const pages = Math.ceil(vma.object.size() / PAGE_SIZE) * PAGE_SIZE;
    return Math.max(vma.start, Math.min(vma.end, vma.start + pages - vma.offset));
  }

  /**
   * Maps what a fresh file VMA will need at once. Returns the end of what is now mapped in the host (vma.start if nothing).
   */
  protected mapEagerly(vma: Vma, start: GuestAddress, end: GuestAddress): GuestAddress {
    const { object } = vma;
    if (object?.hostFile === undefined || object.page || vma.protection === PROT_NONE) return start;
    const length = end - start;
    const stop = Math.min(end, this.objectEnd(vma));
    if (stop <= start) return start;
    if (!vma.shared && (vma.protection & PROT_WRITE) !== 0 && length <= EAGER_COPY) {
      const hadHitLimit = this.frames.limitHit;
      const count = (stop - start) / PAGE_SIZE;
      const frame = this.frames.allocateRun(count);
      if (frame > 0) {
        this.table.set(start, 0);
        if (this.readObject(vma, start, count, frame)) {
          for (let at = 0; at < count; at++) this.table.set(start + at * PAGE_SIZE, PTE_PRESENT | (frame + at));
          this.mapFrames(vma, start, count, frame, this.frames.recycled);
          return stop;
        }
        for (let at = 0; at < count; at++) this.frames.release(frame + at);
      }
      this.frames.limitHit = hadHitLimit;
    }
    if (!this.space.mapsFiles || length > WHOLE_FILE_VMA) return start;
    this.mapFileRange(vma, start, stop);
    return stop;
  }

  /** Forgets all pages in the range. Returns whether the host had any of them mapped (and, unless `keepHost`, unmaps them). */
  protected dropPages(start: GuestAddress, end: GuestAddress, keepHost: boolean): boolean {
    let firstMapped = -1;
    let lastMapped = -1;
    this.table.visit(start, end, (block, base, first, last) => {
      for (let slot = first; slot < last; slot++) {
        const entry = block[slot];
        if (entry === 0) continue;
        block[slot] = 0;
        if ((entry & PTE_PRESENT) !== 0) this.frames.release(entry & PTE_FRAME);
        if ((entry & PTE_MAPPED) !== 0) {
          const page = base + slot * PAGE_SIZE;
          if (firstMapped < 0) firstMapped = page;
          lastMapped = page;
        }
      }
      if (first === 0 && last === BLOCK_PAGES) this.table.remove(blockOf(base));
    });
    if (firstMapped < 0) return false;
    if (!keepHost) this.hostUnmap(firstMapped, lastMapped + PAGE_SIZE);
    return true;
  }

  hostUnmap(start: GuestAddress, end: GuestAddress): void {
    if (end <= start) return;
    this.countHostCall();
    this.space.unmap(start, end - start);
  }

  /** Takes the host's mapping away but keeps the frames: they map again on the next fault. */
  protected unmapFromHost(start: GuestAddress, end: GuestAddress): void {
    let firstMapped = -1;
    let lastMapped = -1;
    this.table.visit(start, end, (block, base, first, last) => {
      for (let slot = first; slot < last; slot++) {
        const entry = block[slot];
        if ((entry & PTE_MAPPED) === 0) continue;
        block[slot] = (entry & PTE_PRESENT) !== 0 ? entry & (PTE_PRESENT | PTE_FRAME) : 0;
        const page = base + slot * PAGE_SIZE;
        if (firstMapped < 0) firstMapped = page;
        lastMapped = page;
      }
    });
    if (firstMapped >= 0) this.hostUnmap(firstMapped, lastMapped + PAGE_SIZE);
  }

  /**
   * Brings the host's rights in [start, end), part of one VMA whose protection was `before`, to its protection now
   * (and takes the right to write from private pages whose frames have become shared).
   */
  protectPages(vma: Vma, start: GuestAddress, end: GuestAddress, before: Protection): void {
    if (vma.protection === PROT_NONE) {
      this.unmapFromHost(start, end);
      return;
    }
    let runStart = -1;
    let runEnd = 0;
    let runProtection = 0;
    this.table.visit(start, end, (block, base, first, last) => {
      for (let slot = first; slot < last; slot++) {
        const entry = block[slot];
        if ((entry & PTE_MAPPED) === 0) continue;
        const writable = (entry & PTE_FILE) === 0 && this.mayWrite(vma, entry & PTE_FRAME);
        const wanted = writable ? vma.protection : vma.protection & ~PROT_WRITE;
        const had = (entry & PTE_WRITABLE) !== 0 ? before : before & ~PROT_WRITE;
        block[slot] = writable ? entry | PTE_WRITABLE : entry & ~PTE_WRITABLE;
        const page = base + slot * PAGE_SIZE;
        // mprotect(2) stops at the first hole, so a run must not have any.
        if (runStart >= 0 && (wanted !== runProtection || page !== runEnd)) {
          const unmapped = this.hostProtect(runStart, runEnd, runProtection);
          runStart = -1;
          // This page, too.
          if (unmapped) continue;
        }
        if (runStart >= 0) {
          runEnd = page + PAGE_SIZE;
        } else if (wanted !== had) {
          runStart = page;
          runEnd = page + PAGE_SIZE;
          runProtection = wanted;
        }
      }
    });
    if (runStart >= 0) this.hostProtect(runStart, runEnd, runProtection);
  }

  /** Whether the budget ran out instead: nothing is mapped any more, and there is nothing to protect. */
  private hostProtect(start: GuestAddress, end: GuestAddress, protection: Protection): boolean {
    if (this.countHostCall()) return true;
    this.space.protect(start, end - start, protection);
    return false;
  }

  /** Whether the budget ran out, so that everything has been unmapped. */
  private countHostCall(): boolean {
    this.generation++;
    if (++this.hostCalls < HOST_CALL_BUDGET) return false;
    this.hostCalls = 1;
    this.unmappings++;
    this.unmapFromHost(0, this.space.maxAddress);
    return true;
  }

  /** For fork into a cloned space: the calls that made the mappings it has. */
  inheritHostCalls(parent: Pager): void {
    this.hostCalls = parent.hostCalls;
  }

  /** Moves the pages of [from, from+length) to `to`, whose entries are empty. They fault in again at the new place. */
  protected movePages(from: GuestAddress, length: Bytes, to: GuestAddress): void {
    this.unmapFromHost(from, from + length);
    this.table.visit(from, from + length, (block, base, first, last) => {
      for (let slot = first; slot < last; slot++) {
        const entry = block[slot];
        if (entry === 0) continue;
        block[slot] = 0;
        this.table.set(base + slot * PAGE_SIZE - from + to, entry);
      }
    });
  }

  /** An object behind a VMA was truncated or replaced: its pages go, except private copies still within it. */
  invalidate(vma: Vma, firstPage: number, lastPage: number): void {
    const offsetPage = vma.offset / PAGE_SIZE;
    const start = Math.max(vma.start, vma.start + (firstPage - offsetPage) * PAGE_SIZE);
    const end = Math.min(vma.end, vma.start + (lastPage - offsetPage) * PAGE_SIZE);
    if (start >= end) return;
    if (vma.shared) {
      this.dropPages(start, end, false);
      return;
    }
    const within = Math.min(end, this.objectEnd(vma));
    if (within < end) this.dropPages(Math.max(start, within), end, false);
    for (let page = start; page < within; page += PAGE_SIZE) {
      const entry = this.table.get(page);
      if (entry === 0) continue;
      if ((entry & PTE_PRESENT) !== 0 && this.frames.references(entry & PTE_FRAME) === 1) continue;
      this.dropPages(page, page + PAGE_SIZE, false);
    }
  }

  /** Bytes of the range that have a frame or are mapped from a file. */
  protected residentIn(start: GuestAddress, end: GuestAddress): Bytes {
    let pages = 0;
    this.table.visit(start, end, (block, _base, first, last) => {
      for (let slot = first; slot < last; slot++) if (block[slot] !== 0) pages++;
    });
    return pages * PAGE_SIZE;
  }
}
