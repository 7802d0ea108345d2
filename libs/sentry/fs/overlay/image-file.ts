import { O_RDONLY } from '../../abi/fcntl.js';
import { S_IFREG } from '../../abi/stat.js';
import type { IoBuffer, MappingObserver } from '../../mm/types.js';
import { host, StatField } from '../../platform/host.js';
import type { Bytes, HostFd } from '../../platform/platform.js';
import type { Caller, FileDescription, Path } from '../../vfs/types.js';
import type { MemoryFileSystem } from '../tmpfs/memory-file-system.js';
import { BackedFile } from './backed-file.js';

/** Image files held open at once. Those that are mapped stay open beyond it. */
const OPEN_MAX = 512;
const openFiles = new Set<ImageFile>();
const staging = new Uint8Array(65536);

/** A file of the image: read from the host by descriptor, mapped from it, never written. */
export class ImageFile extends BackedFile {
  private fd: HostFd = -1;
  private users = 0;

  constructor(
    fileSystem: MemoryFileSystem,
    private readonly root: HostFd,
    /** Below `root`; "" when `root` is the file itself. */
    private readonly name: string,
    attributes: Float64Array,
  ) {
    super(
      fileSystem,
      attributes[StatField.Inode],
      S_IFREG | (attributes[StatField.Mode] & 0o7777),
      attributes[StatField.Uid],
      attributes[StatField.Gid],
    );
    this.length = attributes[StatField.Size];
    this.hostBlocks = attributes[StatField.Blocks];
    this.links = attributes[StatField.Links];
  }

  private readonly hostBlocks: number;

  protected override get blocks(): number {
    return this.isBacked ? this.hostBlocks : super.blocks;
  }

  /** Opens the host's file, keeping few open. The descriptor or -errno. */
  private descriptor(): HostFd {
    if (this.fd >= 0) return this.fd;
    if (this.name === '') {
      this.fd = this.root;
      return this.fd;
    }
    const fd = host.openBeneath(this.root, this.name, O_RDONLY);
    if (fd < 0) return fd;
    this.fd = fd;
    openFiles.add(this);
    if (openFiles.size > OPEN_MAX) closeOne(this);
    return fd;
  }

  close(): void {
    if (this.fd >= 0 && this.name !== '') host.close(this.fd);
    this.fd = -1;
    openFiles.delete(this);
  }

  get busy(): boolean {
    return this.users > 0;
  }

  override open(path: Path, flags: number, caller: Caller): FileDescription | number {
    if (this.isBacked) {
      const fd = this.descriptor();
      if (fd < 0) return fd;
    }
    return super.open(path, flags, caller);
  }

  protected override readBacking(io: IoBuffer, offset: Bytes): number {
    const fd = this.descriptor();
    if (fd < 0) return fd;
    const before = io.done;
    let at = offset;
    while (io.remaining > 0 && at < this.length) {
      const left = this.length - at;
      const run = io.run(Math.min(io.remaining, left));
      let moved: number;
      if (run > 0) {
        moved = host.preadMemory(fd, io.runOffset, run, at);
        if (moved > 0) io.advance(moved);
      } else {
        if (io.faulted) break;
        moved = host.pread(fd, staging, 0, Math.min(staging.length, io.remaining, left), at);
        if (moved > 0) moved = io.put(staging, 0, moved);
      }
      if (moved < 0) return io.done > before ? io.done - before : moved;
      if (moved === 0) break;
      at += moved;
    }
    return io.done - before;
  }

  protected override fill(memoryOffset: Bytes, length: Bytes, offset: Bytes): number {
    const fd = this.descriptor();
    if (fd < 0) return fd;
    const moved = host.preadMemory(fd, memoryOffset, length, offset);
    return moved < 0 ? moved : 0;
  }

  protected override dropBacking(): void {
    this.close();
  }

  override get mappedHostFile(): HostFd | undefined {
    if (!this.isBacked) return undefined;
    const fd = this.descriptor();
    return fd < 0 ? undefined : fd;
  }

  override addObserver(observer: MappingObserver): void {
    this.users++;
    super.addObserver(observer);
  }

  override removeObserver(observer: MappingObserver): void {
    this.users--;
    super.removeObserver(observer);
  }
}

/** Closes all. Of a kernel that is no more: its numbers are others' soon. */
export function closeImageFiles(): void {
  for (const file of [...openFiles]) file.close();
}

/** Makes room for one more open file: the one opened longest ago that no mapping needs. */
function closeOne(keep: ImageFile): void {
  for (const file of openFiles) {
    if (file === keep || file.busy) continue;
    file.close();
    return;
  }
}
