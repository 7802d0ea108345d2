import { ENOMEM } from '../abi/errno.js';
import { type Bytes, type MemoryFile, PAGE_SHIFT, PAGE_SIZE } from '../platform/platform.js';
import type { FrameAllocator, FrameNumber } from './types.js';

/** Frames per chunk: 64 KiB, the unit in which free memory is looked for. */
const CHUNK_FRAMES = 16;
const CHUNK_SHIFT = 4;
const FULL_CHUNK = 0xffff;
/** Free frames that the host still holds memory for. Recycling them is three times cheaper than new ones, but other sandboxes may need it. */
const KEPT_DIRTY_FRAMES = (64 << 20) / PAGE_SIZE;

/**
 * Frames of the memory file. All state is plain data in typed arrays that are zero at first, so that building this in the zygote
 * touches nothing. A free frame is either clean (the host gives zeros) or dirty (an earlier owner's bytes: zeroed when it is
 * handed out again). Frame 0 is never handed out: it stays zero and stands for holes.
 */
export class Frames implements FrameAllocator {
  limit: Bytes = Number.POSITIVE_INFINITY;
  limitHit = false;
  limitHits = 0;
  onStarved: FrameAllocator['onStarved'] = null;
  sharedFrames = 0;
  /** Whether all frames of the last allocation had host memory behind them already: mapping them with populate pays. */
  recycled = false;
  fresh = false;

  private readonly counts: Int32Array;
  /** Per chunk: which frames are free (only meaningful below `top`), which of all frames are dirty. */
  private readonly freeMask: Uint16Array;
  private readonly dirtyMask: Uint16Array;
  /** Chunks [0, top) have been handed out at least once; those above are clean and free. */
  private top = 1;
  /** The chunk that single frames come from, and a stack of chunks that may have free frames (stale entries are skipped). */
  private current = 0;
  private readonly partial: Int32Array;
  private readonly inPartial: Uint8Array;
  private partialCount = 0;
  /** Wholly free chunks below `top`, and where the search for them goes on. */
  private freeChunks = 0;
  private cursor = 1;
  private used = 0;
  private most = 0;
  /** Free frames that are dirty. */
  private dirtyFree = 0;
  private readonly chunkCapacity: number;

  constructor(private readonly memory: MemoryFile) {
    const frames = Math.floor(memory.capacity / PAGE_SIZE);
    this.chunkCapacity = frames >>> CHUNK_SHIFT;
    this.counts = new Int32Array(frames);
    this.freeMask = new Uint16Array(this.chunkCapacity);
    this.dirtyMask = new Uint16Array(this.chunkCapacity);
    this.partial = new Int32Array(this.chunkCapacity);
    this.inPartial = new Uint8Array(this.chunkCapacity);
  }

  get bytes(): Uint8Array {
    return this.memory.bytes;
  }

  get committed(): Bytes {
    return this.used * PAGE_SIZE;
  }

  get peak(): Bytes {
    return this.most * PAGE_SIZE;
  }

  allocate(): FrameNumber {
    return this.take(true);
  }

  /** As `allocate`, but the contents are whatever they are: for a caller that overwrites all 4096 bytes. */
  allocateUnzeroed(): FrameNumber {
    return this.take(false);
  }

  private take(zeroed: boolean): FrameNumber {
    if (!this.mayUse(1)) return -ENOMEM;
    let chunk = this.current;
    if (this.freeMask[chunk] === 0) {
      chunk = this.nextPartial();
      if (chunk < 0) return -ENOMEM;
      this.current = chunk;
    }
    const mask = this.freeMask[chunk];
    if (mask === FULL_CHUNK) this.freeChunks--;
    const bit = 31 - Math.clz32(mask & -mask);
    this.occupy(chunk, 1 << bit);
    const frame = (chunk << CHUNK_SHIFT) + bit;
    this.counts[frame] = 1;
    if (zeroed && this.recycled) this.memory.bytes.fill(0, frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE);
    return frame;
  }

  allocateRun(count: number, zeroed = true): FrameNumber {
    if (count === 1) return this.take(zeroed);
    if (!this.mayUse(count)) return -ENOMEM;
    if (count < CHUNK_FRAMES) {
      const frame = this.runWithinCurrent(count, zeroed);
      if (frame > 0) return frame;
    }
    const chunks = (count + CHUNK_FRAMES - 1) >>> CHUNK_SHIFT;
    const first = this.findChunks(chunks);
    if (first < 0) return -ENOMEM;
    this.freeChunks -= chunks;
    let recycled = true;
    let fresh = true;
    let left = count;
    for (let chunk = first; chunk < first + chunks; chunk++) {
      const wanted = left >= CHUNK_FRAMES ? FULL_CHUNK : (1 << left) - 1;
      const dirty = this.dirtyMask[chunk] & wanted;
      if (dirty !== 0 && zeroed) this.zeroDirty(chunk, dirty);
      if (dirty !== wanted) recycled = false;
      if (dirty !== 0) fresh = false;
      this.occupy(chunk, wanted);
      if (wanted !== FULL_CHUNK) this.offerPartial(chunk);
      left -= CHUNK_FRAMES;
    }
    this.recycled = recycled;
    this.fresh = fresh;
    const frame = first << CHUNK_SHIFT;
    this.counts.fill(1, frame, frame + count);
    return frame;
  }

  copyToFresh(to: Bytes, from: Bytes, length: Bytes): void {
    this.memory.copyToFresh(to, from, length);
  }

  retain(frame: FrameNumber): void {
    this.counts[frame]++;
  }

  release(frame: FrameNumber): void {
    if (frame === 0 || --this.counts[frame] !== 0) return;
    const chunk = frame >>> CHUNK_SHIFT;
    const mask = this.freeMask[chunk] | (1 << (frame & (CHUNK_FRAMES - 1)));
    this.freeMask[chunk] = mask;
    this.used--;
    this.dirtyFree++;
    if (mask === FULL_CHUNK) {
      this.freeChunks++;
      if (this.dirtyFree > KEPT_DIRTY_FRAMES) this.trim();
    }
    this.offerPartial(chunk);
  }

  references(frame: FrameNumber): number {
    return this.counts[frame];
  }

  private mayUse(count: number): boolean {
    if ((this.used + count) * PAGE_SIZE <= this.limit) return true;
    this.limitHit = true;
    this.limitHits++;
    return false;
  }

  /** Marks frames of a chunk as used and dirty; `recycled` says whether they all were dirty. */
  private occupy(chunk: number, mask: number): void {
    const dirty = this.dirtyMask[chunk] & mask;
    this.recycled = dirty === mask;
    this.fresh = dirty === 0;
    this.freeMask[chunk] &= ~mask;
    this.dirtyMask[chunk] |= mask;
    this.dirtyFree -= bitCount(dirty);
    this.used += bitCount(mask);
    if (this.used > this.most) this.most = this.used;
  }

  private zeroDirty(chunk: number, dirty: number): void {
    const base = chunk << CHUNK_SHIFT;
    if (dirty === FULL_CHUNK) {
      this.memory.bytes.fill(0, base * PAGE_SIZE, (base + CHUNK_FRAMES) * PAGE_SIZE);
      return;
    }
    for (let bit = 0; bit < CHUNK_FRAMES; bit++) {
      if ((dirty & (1 << bit)) === 0) continue;
      this.memory.bytes.fill(0, (base + bit) * PAGE_SIZE, (base + bit + 1) * PAGE_SIZE);
    }
  }

  private offerPartial(chunk: number): void {
    if (this.inPartial[chunk] !== 0) return;
    this.inPartial[chunk] = 1;
    this.partial[this.partialCount++] = chunk;
  }

  /** A chunk with a free frame: used ones first, then new ones. -1 when the memory file is full. */
  private nextPartial(): number {
    while (this.partialCount > 0) {
      const chunk = this.partial[--this.partialCount];
      this.inPartial[chunk] = 0;
      if (this.freeMask[chunk] !== 0) return chunk;
    }
    return this.grow(1);
  }

  /** Brings `chunks` new chunks into use, as free ones. */
  private grow(chunks: number): number {
    const first = this.top;
    if (first + chunks > this.chunkCapacity) return -1;
    this.top = first + chunks;
    this.memory.ensure(this.top * CHUNK_FRAMES * PAGE_SIZE);
    this.freeMask.fill(FULL_CHUNK, first, this.top);
    this.freeChunks += chunks;
    return first;
  }

  /** First fit of a run shorter than a chunk in the current chunk. 0 when there is none. */
  private runWithinCurrent(count: number, zeroed: boolean): FrameNumber {
    const chunk = this.current;
    const mask = this.freeMask[chunk];
    const run = (1 << count) - 1;
    for (let bit = 0; bit + count <= CHUNK_FRAMES; bit++) {
      const wanted = run << bit;
      if ((mask & wanted) !== wanted) continue;
      if (mask === FULL_CHUNK) this.freeChunks--;
      const dirty = this.dirtyMask[chunk] & wanted;
      if (dirty !== 0 && zeroed) this.zeroDirty(chunk, dirty);
      this.occupy(chunk, wanted);
      const frame = (chunk << CHUNK_SHIFT) + bit;
      this.counts.fill(1, frame, frame + count);
      return frame;
    }
    return 0;
  }

  /** First of `chunks` wholly free chunks in a row (recycled before new), or -1. */
  private findChunks(chunks: number): number {
    if (this.freeChunks >= chunks) {
      const end = this.top;
      let run = 0;
      for (let step = 0, chunk = this.cursor; step < end + chunks; step++, chunk++) {
        if (chunk >= end) {
          chunk = 1;
          run = 0;
        }
        if (this.freeMask[chunk] !== FULL_CHUNK) {
          run = 0;
        } else if (++run === chunks) {
          this.cursor = chunk + 1;
          return chunk - chunks + 1;
        }
      }
    }
    return this.grow(chunks);
  }

  /** Gives wholly free dirty chunks back to the host until half of what may be kept is left. */
  private trim(): void {
    const end = this.top;
    for (let chunk = 1; chunk < end && this.dirtyFree > KEPT_DIRTY_FRAMES / 2; chunk++) {
      if (this.freeMask[chunk] !== FULL_CHUNK || this.dirtyMask[chunk] === 0) continue;
      const first = chunk;
      while (chunk < end && this.freeMask[chunk] === FULL_CHUNK && this.dirtyMask[chunk] !== 0) {
        this.dirtyFree -= bitCount(this.dirtyMask[chunk]);
        this.dirtyMask[chunk] = 0;
        chunk++;
      }
      const shift = PAGE_SHIFT + CHUNK_SHIFT;
      this.memory.discard(first * 2 ** shift, (chunk - first) * 2 ** shift);
    }
  }
}

function bitCount(mask: number): number {
  mask -= (mask >>> 1) & 0x5555;
  mask = (mask & 0x3333) + ((mask >>> 2) & 0x3333);
  mask = (mask + (mask >>> 4)) & 0x0f0f;
  return (mask + (mask >>> 8)) & 0x1f;
}
