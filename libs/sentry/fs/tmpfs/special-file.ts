import { ENXIO } from '../../abi/errno.js';
import { S_IFIFO, S_IFLNK, S_IFMT } from '../../abi/stat.js';
import type { Caller, FileDescription, Path, Stat } from '../../vfs/types.js';
import type { MemoryFileSystem } from './memory-file-system.js';
import { MemoryInode } from './memory-inode.js';

/** A symbolic link. */
export class MemorySymlink extends MemoryInode {
  constructor(
    fileSystem: MemoryFileSystem,
    number: number,
    readonly target: string,
    uid: number,
    gid: number,
  ) {
    super(fileSystem, number, S_IFLNK | 0o777, uid, gid);
  }

  protected override get size(): number {
    return this.target.length;
  }

  override readlink(): string {
    this.accessed();
    return this.target;
  }
}

/** Opens a FIFO: set by fs/pipe, which knows pipes (this folder must not). */
export type FifoOpener = (inode: MemoryInode, path: Path, flags: number, caller: Caller) => FileDescription | number;
let openFifo: FifoOpener = () => -ENXIO;

export function registerFifo(opener: FifoOpener): void {
  openFifo = opener;
}

/** A FIFO or the name of a bound socket. */
export class SpecialFile extends MemoryInode {
  constructor(
    fileSystem: MemoryFileSystem,
    number: number,
    mode: number,
    uid: number,
    gid: number,
    private readonly rdev: number,
  ) {
    super(fileSystem, number, mode, uid, gid);
  }

  override stat(out: Stat): void {
    super.stat(out);
    out.rdev = this.rdev;
  }

  override open(path: Path, flags: number, caller: Caller): FileDescription | number {
    return (this.mode & S_IFMT) === S_IFIFO ? openFifo(this, path, flags, caller) : -ENXIO;
  }
}
