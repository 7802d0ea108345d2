import { EACCES, EBADF, EFAULT, EFBIG, EINVAL, ENXIO, EOPNOTSUPP, EPERM } from '../../abi/errno.js';
import {
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  O_ACCMODE,
  O_APPEND,
  O_NOATIME,
  O_RDONLY,
  O_WRONLY,
  SEEK_CUR,
  SEEK_DATA,
  SEEK_END,
  SEEK_HOLE,
  SEEK_SET,
} from '../../abi/fcntl.js';
import type { IoBuffer, Mappable, MappingObserver } from '../../mm/types.js';
import { type Bytes, type HostFd, PAGE_SIZE } from '../../platform/platform.js';
import type { DentryNode } from '../../vfs/dentry.js';
import { BaseFileDescription } from '../../vfs/file-description.js';
import { FileLeases } from '../../vfs/leases.js';
import { notifyAccess, notifyClose, notifyGone, notifyModify } from '../../vfs/notify.js';
import { pathName } from '../../vfs/path-walk.js';
import type { Caller, FileDescription, Path } from '../../vfs/types.js';
import { FileData } from './file-data.js';
import type { MemoryFileSystem } from './memory-file-system.js';
import { MemoryInode } from './memory-inode.js';

/** Largest file offset: what JavaScript counts exactly. */
const SIZE_MAX = Number.MAX_SAFE_INTEGER;

/** A regular file in memory. Also the object that mappings of it share. */
export class MemoryRegularFile extends MemoryInode {
  protected readonly data: FileData;
  protected length: Bytes = 0;
  private readonly observers = new Set<MappingObserver>();
  /** fcntl(F_ADD_SEALS); F_SEAL_SEAL from the start unless memfd_create allowed sealing. */
  seals = F_SEAL_SEAL;
  /** Open descriptions that may write, and that may only read: for leases. */
  writers = 0;
  readers = 0;
  leases: FileLeases | null = null;
  /** Shared mappings: a write seal is refused while there are any. */
  private mappings = 0;

  constructor(fileSystem: MemoryFileSystem, number: number, mode: number, uid: number, gid: number) {
    super(fileSystem, number, mode, uid, gid);
    this.data = new FileData(fileSystem.frames);
  }

  override get size(): number {
    return this.length;
  }

  protected override get blocks(): number {
    return this.data.frames * 8;
  }

  ensureLeases(): FileLeases {
    this.leases ??= new FileLeases();
    return this.leases;
  }

  override open(path: Path, flags: number, _caller: Caller): FileDescription | number {
    return new RegularFileDescription(path, this, flags);
  }

  readAt(io: IoBuffer, offset: Bytes): number {
    if (offset >= this.length) return 0;
    const moved = this.data.read(io, offset, this.length);
    return moved === 0 && io.faulted ? -EFAULT : moved;
  }

  /** -EFBIG over the caller's RLIMIT_FSIZE, -ENOSPC, -EPERM when sealed. */
  writeAt(io: IoBuffer, offset: Bytes, caller: Caller): number {
    if (this.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) return -EPERM;
    let length = io.remaining;
    if (length === 0) return 0;
    const limit = Math.min(caller.fileSizeLimit, SIZE_MAX);
    if (offset >= limit) return -EFBIG;
    if (offset + length > limit) length = limit - offset;
    if (this.seals & F_SEAL_GROW && offset + length > this.length) {
      if (offset >= this.length) return -EPERM;
      length = this.length - offset;
    }
    if (offset > this.length) this.data.zeroTail(this.length);
    const moved = this.data.write(io, offset, length);
    if (moved < 0) return moved;
    if (moved === 0) return io.faulted ? -EFAULT : 0;
    if (offset + moved > this.length) this.length = offset + moved;
    this.dropSetIds(caller);
    this.modified();
    return moved;
  }

  protected override resize(size: Bytes, caller: Caller): number {
    if (size < 0) return -EINVAL;
    if (size > this.length && size > Math.min(caller.fileSizeLimit, SIZE_MAX)) return -EFBIG;
    if (size < this.length && this.seals & F_SEAL_SHRINK) return -EPERM;
    if (size > this.length && this.seals & F_SEAL_GROW) return -EPERM;
    if (size < this.length) {
      this.length = size;
      this.invalidate(Math.ceil(size / PAGE_SIZE), Number.POSITIVE_INFINITY);
      this.data.truncate(size);
    } else if (size > this.length) {
      this.data.zeroTail(this.length);
      this.length = size;
    }
    this.dropSetIds(caller);
    this.modified();
    return 0;
  }

  truncateTo(size: Bytes, caller: Caller): number {
    return this.resize(size, caller);
  }

  /** fallocate(2): allocation is lazy, but running out of memory is found here. */
  allocateRange(mode: number, offset: Bytes, length: Bytes, caller: Pick<Caller, 'fileSizeLimit'>): number {
    if (offset < 0 || length <= 0) return -EINVAL;
    if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) return -EOPNOTSUPP;
    if (mode & FALLOC_FL_PUNCH_HOLE && !(mode & FALLOC_FL_KEEP_SIZE)) return -EOPNOTSUPP;
    if (this.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) return -EPERM;
    const end = offset + length;
    if (end > SIZE_MAX || (end > this.length && end > caller.fileSizeLimit)) return -EFBIG;
    if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
      const last = Math.min(end, Math.ceil(this.length / PAGE_SIZE) * PAGE_SIZE);
      if (last > offset) {
        this.data.punch(offset, last - offset);
        this.invalidate(Math.floor(offset / PAGE_SIZE), Math.ceil(end / PAGE_SIZE));
      }
    }
    if (!(mode & FALLOC_FL_PUNCH_HOLE)) {
      for (let index = Math.floor(offset / PAGE_SIZE); index * PAGE_SIZE < end; index++) {
        const frame = this.data.ensure(index);
        if (frame < 0) return frame;
      }
    }
    if (!(mode & FALLOC_FL_KEEP_SIZE) && end > this.length) {
      if (this.seals & F_SEAL_GROW) return -EPERM;
      this.data.zeroTail(this.length);
      this.length = end;
    }
    this.modified();
    return 0;
  }

  /** Pages of [first, last) that are in memory: cachestat(2). */
  cachedPages(first: number, last: number): number {
    return this.data.count(first, last);
  }

  /** SEEK_DATA / SEEK_HOLE: an offset or -ENXIO. */
  seekData(offset: Bytes, hole: boolean): number {
    if (offset < 0 || offset >= this.length) return -ENXIO;
    const found = this.data.seek(Math.floor(offset / PAGE_SIZE), hole, Math.ceil(this.length / PAGE_SIZE));
    const at = Math.max(offset, found * PAGE_SIZE);
    if (at >= this.length) return hole ? this.length : -ENXIO;
    return at;
  }

  /** Whether seals forbid to change contents, through new shared mappings too. */
  get writeSealed(): boolean {
    return (this.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0;
  }

  addSeals(seals: number): number {
    if (seals & ~0x3f) return -EINVAL;
    if (this.seals & F_SEAL_SEAL) return -EPERM;
    if (seals & F_SEAL_WRITE && this.mappings > 0) return -16; /* EBUSY */
    this.seals |= seals;
    return 0;
  }

  override dropped(): void {
    this.data.truncate(0);
    this.length = 0;
  }

  // What mappings need (Mappable).

  /** Pages wholly past the end do not exist. */
  mappedPage(index: number, allocate: boolean): number {
    if (index * PAGE_SIZE >= this.length) return -EFAULT;
    return allocate ? this.data.ensure(index) : this.data.page(index);
  }

  get mappedHostFile(): HostFd | undefined {
    return undefined;
  }

  addObserver(observer: MappingObserver): void {
    this.observers.add(observer);
    if (observer.shared) this.mappings++;
  }

  removeObserver(observer: MappingObserver): void {
    this.observers.delete(observer);
    if (observer.shared) this.mappings--;
  }

  protected invalidate(first: number, last: number): void {
    for (const observer of this.observers) observer.invalidate(first, last);
  }
}

/** A regular file as mmap sees it through one description: keeps that description alive. */
class FileMapping implements Mappable {
  constructor(
    private readonly description: RegularFileDescription,
    private readonly file: MemoryRegularFile,
  ) {}

  get hostFile(): HostFd | undefined {
    return this.file.mappedHostFile;
  }

  /** Whoever opened it: a futex in a file is the same for all. */
  get identity(): object {
    return this.file;
  }

  get device(): number {
    return this.file.fileSystem.device;
  }

  get inode(): number {
    return this.file.number;
  }

  /** Absent while the host's file can be mapped: then nothing is copied into frames. */
  get page(): ((index: number, allocate: boolean) => number) | undefined {
    return this.hostFile === undefined ? this.pageOf : undefined;
  }

  private readonly pageOf = (index: number, allocate: boolean): number => this.file.mappedPage(index, allocate);

  size(): Bytes {
    return this.file.size;
  }

  mapped(observer: MappingObserver): void {
    this.file.addObserver(observer);
  }

  unmapped(observer: MappingObserver): void {
    this.file.removeObserver(observer);
  }

  punch(offset: Bytes, length: Bytes): number {
    return this.file.allocateRange(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length, {
      fileSizeLimit: Number.POSITIVE_INFINITY,
    });
  }

  retain(): void {
    this.description.retain();
  }

  release(): void {
    this.description.release();
  }

  mapName(): string {
    const { detachedRoot, nameRoot } = this.file.fileSystem;
    return pathName(this.description.path, detachedRoot ?? nameRoot ?? this.description.path);
  }
}

export class RegularFileDescription extends BaseFileDescription {
  private offset: Bytes = 0;
  private mapping: FileMapping | null = null;

  constructor(
    path: Path,
    readonly file: MemoryRegularFile,
    flags: number,
  ) {
    super(path, file, flags);
    (path.dentry as DentryNode).users++;
    file.opened();
    if ((flags & O_ACCMODE) === O_RDONLY) file.readers++;
    else file.writers++;
  }

  protected override close(): void {
    if ((this.flags & O_ACCMODE) === O_RDONLY) this.file.readers--;
    else this.file.writers--;
    this.file.closed();
    const node = this.path.dentry as DentryNode;
    node.users--;
    notifyClose(node, (this.flags & O_ACCMODE) !== O_RDONLY);
    if (node.users === 0 && this.file.links === 0) notifyGone(node);
  }

  override read(io: IoBuffer, _caller: Caller): number {
    const moved = this.file.readAt(io, this.offset);
    if (moved > 0) {
      this.offset += moved;
      this.noteRead();
    }
    return moved;
  }

  override write(io: IoBuffer, caller: Caller): number {
    if (this.flags & O_APPEND) this.offset = this.file.size;
    const moved = this.file.writeAt(io, this.offset, caller);
    if (moved > 0) {
      this.offset += moved;
      notifyModify(this.path.dentry);
    }
    return moved;
  }

  override pread(io: IoBuffer, offset: Bytes, _caller: Caller): number {
    const moved = this.file.readAt(io, offset);
    if (moved > 0) this.noteRead();
    return moved;
  }

  /** A memfd is nowhere in the tree. */
  override get displayName(): string | null {
    const { detachedRoot } = this.file.fileSystem;
    return detachedRoot === null ? null : pathName(this.path, detachedRoot);
  }

  private noteRead(): void {
    if (!(this.flags & O_NOATIME)) this.file.accessed();
    notifyAccess(this.path.dentry);
  }

  override pwrite(io: IoBuffer, offset: Bytes, caller: Caller): number {
    const moved = this.file.writeAt(io, this.flags & O_APPEND ? this.file.size : offset, caller);
    if (moved > 0) notifyModify(this.path.dentry);
    return moved;
  }

  override seek(offset: number, whence: number): number {
    let target: number;
    switch (whence) {
      case SEEK_SET:
        target = offset;
        break;
      case SEEK_CUR:
        target = this.offset + offset;
        break;
      case SEEK_END:
        target = this.file.size + offset;
        break;
      case SEEK_DATA:
      case SEEK_HOLE:
        target = this.file.seekData(offset, whence === SEEK_HOLE);
        if (target < 0) return target;
        break;
      default:
        return -EINVAL;
    }
    if (target < 0 || target > SIZE_MAX) return -EINVAL;
    this.offset = target;
    return target;
  }

  override mappable(): Mappable | number {
    if ((this.flags & O_ACCMODE) === O_WRONLY) return -EACCES;
    this.mapping ??= new FileMapping(this, this.file);
    return this.mapping;
  }

  override truncate(length: Bytes, caller: Caller): number {
    if ((this.flags & O_ACCMODE) === O_RDONLY) return -EINVAL;
    const result = this.file.truncateTo(length, caller);
    if (result === 0) notifyModify(this.path.dentry);
    return result;
  }

  override allocate(mode: number, offset: Bytes, length: Bytes, caller: Caller): number {
    if ((this.flags & O_ACCMODE) === O_RDONLY) return -EBADF;
    return this.file.allocateRange(mode, offset, length, caller);
  }

  override sync(): number {
    return 0;
  }
}
