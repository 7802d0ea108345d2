import { ENOSPC } from '../../abi/errno.js';
import type { FrameAllocator, FrameNumber, IoBuffer } from '../../mm/types.js';
import { type Bytes, PAGE_SHIFT, PAGE_SIZE } from '../../platform/platform.js';

/** Files leave this much of the memory limit (at most an eighth of it) to programs: a full disk must not kill them. */
const RESERVE: Bytes = 16 << 20;
const BLOCK_SHIFT = 9;
const BLOCK_PAGES = 1 << BLOCK_SHIFT;
/** Holes filled together. */
const RUN_PAGES = 16;

/**
 * Contents of a file in memory: frames of the memory file by page, sparse. Guest mappings of the file share these frames.
 * A page without a frame is a hole and reads as zeros.
 */
export class FileData {
  private readonly blocks = new Map<number, Int32Array>();
  /** Frames held, for st_blocks. */
  frames = 0;
  private lastBlock: Int32Array | null = null;
  private lastIndex = -1;

  constructor(private readonly allocator: FrameAllocator) {}

  /** Frame of a page, 0 for a hole. */
  page(index: number): FrameNumber {
    const block = this.block(index);
    return block ? block[index & (BLOCK_PAGES - 1)] : 0;
  }

  /** Frame of a page, made when it is a hole. -ENOSPC at the sandbox's memory limit. */
  ensure(index: number): FrameNumber {
    const present = this.page(index);
    if (present !== 0) return present;
    const frame = this.full(1) ? -ENOSPC : this.allocator.allocate();
    if (frame < 0) return -ENOSPC;
    this.put(index, frame);
    return frame;
  }

  /** Pages of [first, last) that are no holes. */
  count(first: number, last: number): number {
    let found = 0;
    for (const [key, block] of this.blocks) {
      const base = key * BLOCK_PAGES;
      if (base + BLOCK_PAGES <= first || base >= last) continue;
      const to = Math.min(BLOCK_PAGES, last - base);
      for (let index = Math.max(0, first - base); index < to; index++) if (block[index] !== 0) found++;
    }
    return found;
  }

  /** Bytes [offset, offset + min(remaining, size - offset)) to io. Returns bytes moved. */
  read(io: IoBuffer, offset: Bytes, size: Bytes): Bytes {
    const before = io.done;
    let at = offset;
    while (at < size && io.remaining > 0 && !io.faulted) {
      const index = Math.floor(at / PAGE_SIZE);
      const inPage = at - index * PAGE_SIZE;
      const frame = this.page(index);
      const run = this.runLength(index, frame, Math.ceil((size - at + inPage) / PAGE_SIZE), io.remaining + inPage);
      const wanted = Math.min(run * PAGE_SIZE - inPage, size - at);
      const moved =
        frame === 0 ? io.putZeros(wanted) : io.put(this.allocator.bytes, frame * PAGE_SIZE + inPage, wanted);
      if (moved === 0) break;
      at += moved;
    }
    return io.done - before;
  }

  /** Bytes of io at `offset`, as many as fit in memory. Bytes moved, or -ENOSPC when not even one did. */
  write(io: IoBuffer, offset: Bytes, length: Bytes): Bytes {
    const before = io.done;
    let at = offset;
    const end = offset + length;
    while (at < end && io.remaining > 0 && !io.faulted) {
      const index = Math.floor(at / PAGE_SIZE);
      const inPage = at - index * PAGE_SIZE;
      const wholePages = inPage === 0 ? Math.floor(Math.min(end - at, io.remaining) / PAGE_SIZE) : 0;
      if (wholePages > 1 && this.page(index) === 0) {
        const moved = this.fillHoles(io, index, wholePages);
        if (moved < 0) return io.done > before ? io.done - before : moved;
        at += moved;
        if (moved > 0) continue;
      }
      const wantedPages = Math.ceil((end - at + inPage) / PAGE_SIZE);
      const frame = this.ensureRun(index, wantedPages);
      if (frame < 0) return io.done > before ? io.done - before : frame;
      const run = this.runLength(index, frame, wantedPages, end - at + inPage);
      const moved = io.take(
        this.allocator.bytes,
        frame * PAGE_SIZE + inPage,
        Math.min(run * PAGE_SIZE - inPage, end - at),
      );
      if (moved === 0) break;
      at += moved;
    }
    return io.done - before;
  }

  /**
   * Whole pages of io where the file has holes, without zeroing first what is overwritten at once. Bytes moved; 0 where the general
   * way must be taken; -ENOSPC.
   */
  private fillHoles(io: IoBuffer, index: number, wholePages: number): Bytes {
    const { allocator } = this;
    const most = Math.min(wholePages, RUN_PAGES);
    let holes = 1;
    while (holes < most && this.page(index + holes) === 0) holes++;
    if (holes === 1 || this.full(holes)) return 0;
    const frame = allocator.allocateRun(holes, false);
    if (frame < 0) return 0;
    for (let at = 0; at < holes; at++) this.put(index + at, frame + at);
    const start = frame * PAGE_SIZE;
    const length = holes * PAGE_SIZE;
    const { fresh } = allocator;
    const moved =
      fresh && io.runBytes === allocator.bytes
        ? this.copyFresh(io, start, length)
        : io.take(allocator.bytes, start, length);
    // The guest's memory ended early: what it did not give must not be what an earlier owner left.
    if (moved < length && !fresh) allocator.bytes.fill(0, start + moved, start + length);
    return moved;
  }

  private copyFresh(io: IoBuffer, to: Bytes, length: Bytes): Bytes {
    let done = 0;
    while (done < length) {
      const run = io.run(length - done);
      if (run === 0) break;
      this.allocator.copyToFresh(to + done, io.runOffset, run);
      io.advance(run);
      done += run;
    }
    return done;
  }

  /** Frees all pages from `first` on, and zeroes the bytes of the page before from `tail` on. */
  truncate(size: Bytes): void {
    const first = Math.ceil(size / PAGE_SIZE);
    this.release(first, Number.POSITIVE_INFINITY);
    this.zeroTail(size);
  }

  /** Bytes after `size` in its page: they must read as zeros when the file grows again. */
  zeroTail(size: Bytes): void {
    const inPage = size % PAGE_SIZE;
    if (inPage === 0) return;
    const frame = this.page(Math.floor(size / PAGE_SIZE));
    if (frame !== 0) this.allocator.bytes.fill(0, frame * PAGE_SIZE + inPage, (frame + 1) * PAGE_SIZE);
  }

  /** Makes [offset, offset+length) read as zeros; whole pages become holes. */
  punch(offset: Bytes, length: Bytes): void {
    const end = offset + length;
    const first = Math.ceil(offset / PAGE_SIZE);
    const last = Math.floor(end / PAGE_SIZE);
    if (last > first) this.release(first, last);
    this.zeroPart(offset, Math.min(end, first * PAGE_SIZE));
    if (last >= first) this.zeroPart(last * PAGE_SIZE, end);
  }

  /** First page at or after `index` that is (not) a hole, below `limit`; `limit` when there is none. */
  seek(index: number, hole: boolean, limit: number): number {
    let at = index;
    while (at < limit) {
      const block = this.block(at);
      if (!block) {
        if (hole) return at;
        at = ((at >> BLOCK_SHIFT) + 1) << BLOCK_SHIFT;
        continue;
      }
      if ((block[at & (BLOCK_PAGES - 1)] === 0) === hole) return at;
      at++;
    }
    return limit;
  }

  private full(pages: number): boolean {
    const { limit, committed } = this.allocator;
    return committed + pages * PAGE_SIZE > limit - Math.min(RESERVE, limit / 8);
  }

  private zeroPart(start: Bytes, end: Bytes): void {
    if (end <= start) return;
    const index = Math.floor(start / PAGE_SIZE);
    const frame = this.page(index);
    if (frame === 0) return;
    const base = (frame - index) * PAGE_SIZE;
    this.allocator.bytes.fill(0, base + start, base + end);
  }

  private release(first: number, last: number): void {
    this.lastIndex = -1;
    for (const [key, block] of this.blocks) {
      const base = key * BLOCK_PAGES;
      if (base + BLOCK_PAGES <= first || base >= last) continue;
      for (let index = 0; index < BLOCK_PAGES; index++) {
        if (block[index] === 0 || base + index < first || base + index >= last) continue;
        this.allocator.release(block[index]);
        block[index] = 0;
        this.frames--;
        this.allocator.sharedFrames--;
      }
      if (base >= first && base + BLOCK_PAGES <= last) this.blocks.delete(key);
    }
  }

  private block(index: number): Int32Array | null {
    const key = Math.floor(index / BLOCK_PAGES);
    if (key === this.lastIndex) return this.lastBlock;
    const block = this.blocks.get(key) ?? null;
    if (block) {
      this.lastBlock = block;
      this.lastIndex = key;
    }
    return block;
  }

  private put(index: number, frame: FrameNumber): void {
    let block = this.block(index);
    if (!block) {
      block = new Int32Array(BLOCK_PAGES);
      const key = Math.floor(index / BLOCK_PAGES);
      this.blocks.set(key, block);
      this.lastBlock = block;
      this.lastIndex = key;
    }
    block[index & (BLOCK_PAGES - 1)] = frame;
    this.frames++;
    this.allocator.sharedFrames++;
  }

  /** Like ensure, but fills up to 16 holes in a row with frames in a row: one copy instead of many. */
  private ensureRun(index: number, pages: number): FrameNumber {
    const present = this.page(index);
    if (present !== 0) return present;
    let holes = 1;
    const most = Math.min(pages, RUN_PAGES);
    while (holes < most && this.page(index + holes) === 0) holes++;
    if (holes === 1) return this.ensure(index);
    const frame = this.full(holes) ? -ENOSPC : this.allocator.allocateRun(holes);
    if (frame < 0) return this.ensure(index);
    for (let at = 0; at < holes; at++) this.put(index + at, frame + at);
    return frame;
  }

  /** Pages from `index` on whose frames follow each other in the memory file (or are all holes). */
  private runLength(index: number, frame: FrameNumber, limit: number, bytes: Bytes): number {
    const most = Math.min(limit, (Math.min(bytes, 1 << 22) + PAGE_SIZE - 1) >> PAGE_SHIFT);
    let run = 1;
    while (run < most && this.page(index + run) === (frame === 0 ? 0 : frame + run)) run++;
    return run;
  }
}
