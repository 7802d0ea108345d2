import { EINVAL, ENODEV, ENOTDIR, ENOTTY, ENXIO, EOPNOTSUPP, EPERM, ESPIPE } from '../abi/errno.js';
import type { IoBuffer, Mappable } from '../mm/types.js';
import type { Bytes } from '../platform/platform.js';
import type {
  AttributeChange,
  Caller,
  CloseListener,
  Dentry,
  DirectoryVisitor,
  FileDescription,
  FileSystem,
  FileTime,
  Inode,
  Mount,
  Path,
  Stat,
  StatFs,
} from './types.js';
import { WaitQueue } from './wait-queue.js';

export const O_ACCMODE = 3;
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_APPEND = 0o2000;
export const O_NONBLOCK = 0o4000;
export const O_ASYNC = 0o20000;
export const O_DIRECT = 0o40000;
export const O_NOATIME = 0o1000000;
export const O_CLOEXEC = 0o2000000;
/** What fcntl(F_SETFL) may change. */
export const SETFL_MASK = O_APPEND | O_NONBLOCK | O_ASYNC | O_DIRECT | O_NOATIME;

export const S_IFIFO = 0o010000;
export const S_IFSOCK = 0o140000;

/**
 * File systems nobody mounts: pipefs, sockfs, anon_inodefs. They exist so that pipes, sockets and event descriptors have
 * an inode and a path like every other file.
 */
class PseudoFileSystem implements FileSystem {
  readonly readOnly = false;
  readonly root: Inode;
  readonly mount: Mount;

  constructor(
    readonly type: string,
    readonly device: number,
    private readonly magic: number,
  ) {
    this.root = new AnonymousInode(this, 1, 0o040000 | 0o755);
    const root: Dentry = { name: '', parent: null, inode: this.root, deleted: false };
    this.mount = { fileSystem: this, root, mountPoint: null, source: type, options: '' };
  }

  statfs(out: StatFs): void {
    out.type = this.magic;
    out.blockSize = 4096;
    out.blocks = 0;
    out.blocksFree = 0;
    out.files = 0;
    out.filesFree = 0;
    out.nameMax = 255;
    out.flags = 0;
  }
}

/** The inode of one pipe, socket or event descriptor. Has no names below it and no data of its own. */
export class AnonymousInode implements Inode {
  uid = 0;
  gid = 0;
  private readonly created: FileTime;

  constructor(
    readonly fileSystem: FileSystem,
    readonly number: number,
    public mode: number,
  ) {
    const now = Date.now();
    this.created = { seconds: Math.floor(now / 1000), nanoseconds: (now % 1000) * 1e6 };
  }

  /** A place that shows this inode: no name, in the pseudo mount. */
  path(mount: Mount): Path {
    return { mount, dentry: { name: '', parent: null, inode: this, deleted: false } };
  }

  stat(out: Stat): void {
    out.device = this.fileSystem.device;
    out.inode = this.number;
    out.mode = this.mode;
    out.links = 1;
    out.uid = this.uid;
    out.gid = this.gid;
    out.rdev = 0;
    out.size = 0;
    out.blockSize = 4096;
    out.blocks = 0;
    for (const time of [out.atime, out.mtime, out.ctime, out.btime]) {
      time.seconds = this.created.seconds;
      time.nanoseconds = this.created.nanoseconds;
    }
  }

  setAttributes(change: AttributeChange, _caller: Caller): number {
    if (change.size !== undefined) return -EINVAL;
    if (change.mode !== undefined) this.mode = (this.mode & ~0o7777) | (change.mode & 0o7777);
    if (change.uid !== undefined) this.uid = change.uid;
    if (change.gid !== undefined) this.gid = change.gid;
    return 0;
  }

  lookup(_name: string): Inode | number {
    return -ENOTDIR;
  }
  create(): number {
    return -ENOTDIR;
  }
  mkdir(): number {
    return -ENOTDIR;
  }
  mknod(): number {
    return -ENOTDIR;
  }
  symlink(): number {
    return -ENOTDIR;
  }
  link(): number {
    return -EPERM;
  }
  unlink(): number {
    return -ENOTDIR;
  }
  rmdir(): number {
    return -ENOTDIR;
  }
  rename(): number {
    return -ENOTDIR;
  }
  createUnnamed(): number {
    return -EOPNOTSUPP;
  }
  readlink(): number {
    return -EINVAL;
  }
  /** /proc/self/fd/N of what cannot be opened a second time (sockets, event descriptors). Pipes override. */
  open(_path: Path, _flags: number, _caller: Caller): FileDescription | number {
    return -ENXIO;
  }
  getXattr(): number {
    return -EOPNOTSUPP;
  }
  setXattr(): number {
    return -EOPNOTSUPP;
  }
  removeXattr(): number {
    return -EOPNOTSUPP;
  }
  listXattr(): readonly string[] {
    return [];
  }
}

const pipefs = new PseudoFileSystem('pipefs', 0xd, 0x50495045);
const sockfs = new PseudoFileSystem('sockfs', 0x8, 0x534f434b);
const anonInodefs = new PseudoFileSystem('anon_inodefs', 0xe, 0x09041934);

export const PSEUDO_FILE_SYSTEMS = { pipefs, sockfs, anonInodefs } as const;
export type PseudoFileSystemName = keyof typeof PSEUDO_FILE_SYSTEMS;

/** Fills in for eventfd, epoll and the like, which share one inode in Linux too. */
const sharedAnonymousInode = new AnonymousInode(anonInodefs, 2, 0o600);
const sharedAnonymousPath = sharedAnonymousInode.path(anonInodefs.mount);

/**
 * Base of descriptions that are no files of a tree: pipes, sockets, epoll, eventfd, timerfd, signalfd, inotify.
 * Answers what Linux answers where a kind does not support an operation.
 */
export abstract class AnonymousFile implements FileDescription {
  flags: number;
  readonly inode: Inode;
  readonly path: Path;
  readonly waitQueue: WaitQueue;
  readonly pollable: boolean = true;
  closeListeners: CloseListener | null = null;
  private references = 1;

  protected constructor(flags: number, path: Path, waitQueue: WaitQueue = new WaitQueue()) {
    this.flags = flags;
    this.path = path;
    this.inode = path.dentry.inode;
    this.waitQueue = waitQueue;
  }

  get referenceCount(): number {
    return this.references;
  }

  retain(): void {
    this.references++;
  }

  release(): void {
    if (--this.references !== 0) return;
    let listener = this.closeListeners;
    this.closeListeners = null;
    while (listener) {
      const next = listener.nextCloseListener;
      listener.nextCloseListener = null;
      listener.onClose(this);
      listener = next;
    }
    this.close();
  }

  /** The last reference is gone. */
  protected abstract close(): void;

  abstract poll(): number;
  abstract readonly displayName: string | null;

  get nonBlocking(): boolean {
    return (this.flags & O_NONBLOCK) !== 0;
  }

  read(_io: IoBuffer, _caller: Caller): number {
    return -EINVAL;
  }
  write(_io: IoBuffer, _caller: Caller): number {
    return -EINVAL;
  }
  pread(_io: IoBuffer, _offset: Bytes, _caller: Caller): number {
    return -ESPIPE;
  }
  pwrite(_io: IoBuffer, _offset: Bytes, _caller: Caller): number {
    return -ESPIPE;
  }
  seek(_offset: number, _whence: number): number {
    return -ESPIPE;
  }
  ioctl(_request: number, _argument: number, _caller: Caller): number {
    return -ENOTTY;
  }
  mappable(): Mappable | number {
    return -ENODEV;
  }
  stat(out: Stat): void {
    this.inode.stat(out);
  }
  truncate(_length: Bytes, _caller: Caller): number {
    return -EINVAL;
  }
  allocate(_mode: number, _offset: Bytes, _length: Bytes, _caller: Caller): number {
    return -ENODEV;
  }
  sync(): number {
    return -EINVAL;
  }
  readDirectory(_visit: DirectoryVisitor): number {
    return -ENOTDIR;
  }
  setFlags(flags: number): number {
    this.flags = (this.flags & ~SETFL_MASK) | (flags & SETFL_MASK);
    return 0;
  }
}

/** Path for a description of the anonymous inode file system: one shared inode, as in Linux. */
export function anonymousPath(): Path {
  return sharedAnonymousPath;
}
