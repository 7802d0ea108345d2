import { EFAULT } from '../abi/errno.js';
import { type Bytes, PAGE_SIZE } from '../platform/platform.js';
import type { FrameAllocator, FrameNumber, Mappable, MappingObserver } from './types.js';

/** Pages that come into being together, where memory is plentiful. */
const CHUNK = 16;

let nextInode = 1;

/** What MAP_SHARED | MAP_ANONYMOUS maps: frames that live as long as any mapping of them. */
export class SharedAnonymous implements Mappable {
  readonly device = 1;
  private readonly number = nextInode++;
  private readonly pages = new Map<number, FrameNumber>();
  private readonly observers = new Set<MappingObserver>();
  private references = 0;

  constructor(
    private readonly frames: FrameAllocator,
    private readonly length: Bytes,
  ) {}

  get inode(): number {
    return this.number;
  }

  get residentBytes(): Bytes {
    return this.pages.size * PAGE_SIZE;
  }

  page(index: number, allocate: boolean): FrameNumber {
    const known = this.pages.get(index);
    if (known !== undefined) return known;
    if (index * PAGE_SIZE >= this.length) return -EFAULT;
    if (!allocate) return 0;
    return this.allocateAround(index);
  }

  private allocateAround(index: number): FrameNumber {
    let frame = -1;
    const start = index - (index % CHUNK);
    const room = this.frames.limit - this.frames.committed;
    if (room > 8 * CHUNK * PAGE_SIZE && (start + CHUNK) * PAGE_SIZE <= this.length) {
      let empty = true;
      for (let at = start; at < start + CHUNK; at++) if (this.pages.has(at)) empty = false;
      if (empty) frame = this.frames.allocateRun(CHUNK);
    }
    if (frame > 0) {
      for (let at = 0; at < CHUNK; at++) this.pages.set(start + at, frame + at);
      this.frames.sharedFrames += CHUNK;
      return frame + index - start;
    }
    frame = this.frames.allocate();
    if (frame > 0) {
      this.pages.set(index, frame);
      this.frames.sharedFrames++;
    }
    return frame;
  }

  size(): Bytes {
    return this.length;
  }

  mapped(observer: MappingObserver): void {
    this.observers.add(observer);
  }

  unmapped(observer: MappingObserver): void {
    this.observers.delete(observer);
  }

  /** Whole pages only, as mappings have them. */
  punch(offset: Bytes, length: Bytes): number {
    const first = offset / PAGE_SIZE;
    const last = first + length / PAGE_SIZE;
    for (const observer of this.observers) observer.invalidate(first, last);
    for (const [index, frame] of this.pages) {
      if (index < first || index >= last) continue;
      this.pages.delete(index);
      this.frames.release(frame);
      this.frames.sharedFrames--;
    }
    return 0;
  }

  retain(): void {
    this.references++;
  }

  release(): void {
    if (--this.references !== 0) return;
    for (const frame of this.pages.values()) this.frames.release(frame);
    this.frames.sharedFrames -= this.pages.size;
    this.pages.clear();
  }

  mapName(): string {
    return '/dev/zero (deleted)';
  }
}
