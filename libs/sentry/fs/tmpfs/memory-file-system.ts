import { TMPFS_MAGIC } from '../../abi/stat.js';
import type { FrameAllocator } from '../../mm/types.js';
import { PAGE_SIZE } from '../../platform/platform.js';
import type { FileSystem, Inode, Path, StatFs } from '../../vfs/types.js';
import { MemoryDirectory } from './memory-directory.js';

/** A file system in memory frames: tmpfs, and the writable side of the image overlay. */
export class MemoryFileSystem implements FileSystem {
  readonly root: Inode;
  readonly readOnly = false;
  /** Root that names in /proc/pid/maps are relative to; set by boot. */
  nameRoot: Path | null = null;
  /** Set for file systems that are nowhere in the tree (memfds): names are shown from here. */
  detachedRoot: Path | null = null;
  private numbers: number;

  constructor(
    readonly type: string,
    readonly device: number,
    readonly frames: FrameAllocator,
    mode: number,
    firstNumber = 1,
    private readonly magic = TMPFS_MAGIC,
  ) {
    this.numbers = firstNumber;
    const root = new MemoryDirectory(this, this.nextNumber(), mode, 0, 0);
    this.root = root;
  }

  nextNumber(): number {
    return this.numbers++;
  }

  statfs(out: StatFs): void {
    const { limit, committed } = this.frames;
    const blocks = Number.isFinite(limit) ? Math.floor(limit / PAGE_SIZE) : 2 ** 40;
    out.type = this.magic;
    out.blockSize = PAGE_SIZE;
    out.blocks = blocks;
    out.blocksFree = Math.max(0, blocks - Math.ceil(committed / PAGE_SIZE));
    out.files = blocks;
    out.filesFree = out.blocksFree;
    out.nameMax = 255;
    out.flags = 0;
  }
}
