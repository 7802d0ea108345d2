import { ENOSPC, EPERM } from '../../abi/errno.js';
import { O_NOCTTY } from '../../abi/fcntl.js';
import { makedev, S_IFCHR } from '../../abi/stat.js';
import type { FrameAllocator, IoBuffer, Mappable } from '../../mm/types.js';
import type { Bytes } from '../../platform/platform.js';
import { BaseFileDescription } from '../../vfs/file-description.js';
import type { AttributeChange, Caller, FileDescription, Path, Stat } from '../../vfs/types.js';
import { type SyntheticFileSystem, SyntheticInode } from '../synthetic/file-system.js';

const MEMORY_MAJOR = 1;

/** Opens a device; `inode` is its node in /dev. */
export type OpenDevice = (path: Path, inode: DeviceInode, flags: number, caller: Caller) => FileDescription | number;

/** A character device node. */
export class DeviceInode extends SyntheticInode {
  constructor(
    fileSystem: SyntheticFileSystem,
    permissions: number,
    readonly rdev: number,
    private readonly openDevice: OpenDevice,
    number?: number,
  ) {
    super(fileSystem, S_IFCHR | permissions, number);
  }

  override stat(out: Stat): void {
    super.stat(out);
    out.rdev = this.rdev;
    out.blockSize = 4096;
  }

  /** Times and O_TRUNC change nothing; the owner and mode stay. */
  override setAttributes(change: AttributeChange, _caller: Caller): number {
    return change.mode !== undefined || change.uid !== undefined || change.gid !== undefined ? -EPERM : 0;
  }

  override open(path: Path, flags: number, caller: Caller): FileDescription | number {
    return this.openDevice(path, this, flags & ~O_NOCTTY, caller);
  }
}

/** Devices without a position: seeking succeeds and changes nothing. */
abstract class MemoryDevice extends BaseFileDescription {
  override seek(): number {
    return 0;
  }
  override pread(io: IoBuffer, _offset: Bytes, caller: Caller): number {
    return this.read(io, caller);
  }
  override pwrite(io: IoBuffer, _offset: Bytes, caller: Caller): number {
    return this.write(io, caller);
  }
}

const sink = new Uint8Array(65536);

/** What is written is gone; the bytes are looked at, so that a wild pointer gives EFAULT. */
function swallow(io: IoBuffer): number {
  let done = 0;
  while (io.remaining > 0) {
    const got = io.take(sink, 0, Math.min(io.remaining, sink.length));
    if (got <= 0) break;
    done += got;
  }
  return done;
}

/** null(4): end of file, and a sink. Linux does not even look at what is written. */
class NullDescription extends MemoryDevice {
  override read(): number {
    return 0;
  }
  override write(io: IoBuffer): number {
    const length = io.remaining;
    io.advance(length);
    return length;
  }
}

/** zero(4). */
class ZeroDescription extends MemoryDevice {
  constructor(
    path: Path,
    inode: DeviceInode,
    flags: number,
    private readonly frames: FrameAllocator,
  ) {
    super(path, inode, flags);
  }
  override read(io: IoBuffer): number {
    return io.putZeros(io.remaining);
  }
  override write(io: IoBuffer): number {
    const length = io.remaining;
    io.advance(length);
    return length;
  }
  override mappable(): Mappable {
    return new ZeroMappable(this.frames, this.inode.fileSystem.device, this.inode.number);
  }
}

/** full(4): zeros to read, never room to write. */
class FullDescription extends MemoryDevice {
  override read(io: IoBuffer): number {
    return io.putZeros(io.remaining);
  }
  override write(io: IoBuffer): number {
    return io.remaining === 0 ? 0 : -ENOSPC;
  }
}

/** random(4) and urandom: the same, and never blocking. */
class RandomDescription extends MemoryDevice {
  constructor(
    path: Path,
    inode: DeviceInode,
    flags: number,
    private readonly random: (destination: Uint8Array) => void,
  ) {
    super(path, inode, flags);
  }
  override read(io: IoBuffer): number {
    const bytes = new Uint8Array(Math.min(io.remaining, 65536));
    let done = 0;
    while (io.remaining > 0) {
      const part = io.remaining < bytes.length ? bytes.subarray(0, io.remaining) : bytes;
      this.random(part);
      const put = io.put(part, 0, part.length);
      done += put;
      if (put < part.length) break;
    }
    return done;
  }
  override write(io: IoBuffer): number {
    return swallow(io);
  }
}

/** A mapping of /dev/zero: each mmap(2) is an object of its own, shared by the processes that inherit it. */
class ZeroMappable implements Mappable {
  private readonly pages = new Map<number, number>();
  private references = 1;

  constructor(
    private readonly frames: FrameAllocator,
    readonly device: number,
    readonly inode: number,
  ) {}

  page(index: number, allocate: boolean): number {
    const known = this.pages.get(index);
    if (known !== undefined || !allocate) return known ?? 0;
    const frame = this.frames.allocate();
    if (frame > 0) this.pages.set(index, frame);
    return frame;
  }

  size(): Bytes {
    return Number.MAX_SAFE_INTEGER;
  }

  retain(): void {
    this.references++;
  }

  release(): void {
    if (--this.references > 0) return;
    for (const frame of this.pages.values()) this.frames.release(frame);
    this.pages.clear();
  }

  mapName(): string {
    return '/dev/zero';
  }
}

/** The devices of mem(4) that a sandbox has: name, minor number, how they open. */
export function memoryDevices(
  frames: FrameAllocator,
  random: (destination: Uint8Array) => void,
): readonly (readonly [name: string, rdev: number, open: OpenDevice])[] {
  const device = (minor: number): number => makedev(MEMORY_MAJOR, minor);
  const randomness: OpenDevice = (path, inode, flags) => new RandomDescription(path, inode, flags, random);
  return [
    ['null', device(3), (path, inode, flags) => new NullDescription(path, inode, flags)],
    ['zero', device(5), (path, inode, flags) => new ZeroDescription(path, inode, flags, frames)],
    ['full', device(7), (path, inode, flags) => new FullDescription(path, inode, flags)],
    ['random', device(8), randomness],
    ['urandom', device(9), randomness],
  ];
}
