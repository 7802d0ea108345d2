import { EFAULT, ENOSPC } from '../../abi/errno.js';
import type { IoBuffer } from '../../mm/types.js';
import { type Bytes, type HostFd, PAGE_SIZE } from '../../platform/platform.js';
import type { Caller } from '../../vfs/types.js';
import { MemoryRegularFile } from '../tmpfs/memory-file.js';

/** A regular file whose contents come from elsewhere until it is first changed; then it is a file in memory (copy-up). */
export abstract class BackedFile extends MemoryRegularFile {
  private backed = true;

  /** Bytes at `offset` to io, at most to the end; bytes moved or -errno. */
  protected abstract readBacking(io: IoBuffer, offset: Bytes): number;
  /** Fills the memory file at [memoryOffset, +length) with the bytes at `offset`; 0 or -errno. */
  protected abstract fill(memoryOffset: Bytes, length: Bytes, offset: Bytes): number;
  /** The backing is not needed any more. */
  protected abstract dropBacking(): void;

  protected get isBacked(): boolean {
    return this.backed;
  }

  override readAt(io: IoBuffer, offset: Bytes): number {
    if (!this.backed) return super.readAt(io, offset);
    if (offset >= this.length) return 0;
    const moved = this.readBacking(io, offset);
    return moved === 0 && io.faulted ? -EFAULT : moved;
  }

  override writeAt(io: IoBuffer, offset: Bytes, caller: Caller): number {
    const failed = this.copyUp(this.length);
    return failed || super.writeAt(io, offset, caller);
  }

  protected override resize(size: Bytes, caller: Caller): number {
    const failed = this.copyUp(Math.max(0, Math.min(size, this.length)));
    return failed || super.resize(size, caller);
  }

  override allocateRange(mode: number, offset: Bytes, length: Bytes, caller: Pick<Caller, 'fileSizeLimit'>): number {
    const failed = this.copyUp(this.length);
    return failed || super.allocateRange(mode, offset, length, caller);
  }

  /** What has a backing is taken for cached: only the host knows. */
  override cachedPages(first: number, last: number): number {
    if (!this.backed) return super.cachedPages(first, last);
    return Math.max(0, Math.min(last, Math.ceil(this.length / PAGE_SIZE)) - first);
  }

  override seekData(offset: Bytes, hole: boolean): number {
    if (!this.backed) return super.seekData(offset, hole);
    if (offset < 0 || offset >= this.length) return -6; /* ENXIO */
    return hole ? this.length : offset;
  }

  /** Where a mapping needs a frame (a platform that cannot map host files, or after copy-up). */
  override mappedPage(index: number, allocate: boolean): number {
    if (!this.backed || !allocate || index * PAGE_SIZE >= this.length) return super.mappedPage(index, allocate);
    const present = this.data.page(index);
    return present !== 0 ? present : this.load(index);
  }

  private load(index: number): number {
    const frame = this.data.ensure(index);
    if (frame < 0) return frame;
    const failed = this.fill(
      frame * PAGE_SIZE,
      Math.min(PAGE_SIZE, this.length - index * PAGE_SIZE),
      index * PAGE_SIZE,
    );
    return failed || frame;
  }

  /** Takes the first `keep` bytes into memory and forgets the backing. 0, -ENOSPC, or the host's error. */
  private copyUp(keep: Bytes): number {
    if (!this.backed) return 0;
    for (let index = 0; index * PAGE_SIZE < keep; index++) {
      if (this.data.page(index) !== 0) continue;
      const frame = this.load(index);
      if (frame < 0) return frame === -ENOSPC ? -ENOSPC : frame;
    }
    this.backed = false;
    this.invalidate(0, Number.POSITIVE_INFINITY);
    this.dropBacking();
    return 0;
  }

  override dropped(): void {
    super.dropped();
    this.backed = false;
    this.dropBacking();
  }

  override get mappedHostFile(): HostFd | undefined {
    return undefined;
  }
}
