import { EINVAL, ESPIPE } from '../abi/errno.js';
import { O_NONBLOCK } from '../abi/fcntl.js';
import { BaseFileDescription } from './file-description.js';
import { BaseInode } from './inode.js';
import type {
  AttributeChange,
  Caller,
  Dentry,
  FileSystem,
  FileTime,
  Inode,
  Mount,
  Path,
  Stat,
  StatFs,
} from './types.js';
import { WaitQueue } from './wait-queue.js';

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
export class AnonymousInode extends BaseInode {
  uid = 0;
  gid = 0;
  private readonly created: FileTime;

  constructor(
    readonly fileSystem: FileSystem,
    readonly number: number,
    public mode: number,
  ) {
    super();
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

  override setAttributes(change: AttributeChange, _caller: Caller): number {
    if (change.size !== undefined) return -EINVAL;
    if (change.mode !== undefined) this.mode = (this.mode & ~0o7777) | (change.mode & 0o7777);
    if (change.uid !== undefined) this.uid = change.uid;
    if (change.gid !== undefined) this.gid = change.gid;
    return 0;
  }
}

const pipefs = new PseudoFileSystem('pipefs', 0xd, 0x50495045);
const sockfs = new PseudoFileSystem('sockfs', 0x8, 0x534f434b);
const anonInodefs = new PseudoFileSystem('anon_inodefs', 0xe, 0x09041934);
const mqueue = new PseudoFileSystem('mqueue', 0xf, 0x19800202);

export const PSEUDO_FILE_SYSTEMS = { pipefs, sockfs, anonInodefs, mqueue } as const;
export type PseudoFileSystemName = keyof typeof PSEUDO_FILE_SYSTEMS;

/** Fills in for eventfd, epoll and the like, which share one inode in Linux too. */
const sharedAnonymousInode = new AnonymousInode(anonInodefs, 2, 0o600);
const sharedAnonymousPath = sharedAnonymousInode.path(anonInodefs.mount);

/**
 * Base of descriptions that are no files of a tree: pipes, sockets, epoll, eventfd, timerfd, signalfd, inotify.
 * Answers what Linux answers where a kind does not support an operation.
 */
export abstract class AnonymousFile extends BaseFileDescription {
  private readonly ownQueue: WaitQueue;

  /** `waitQueue`: of the object behind it, when several descriptions share one. */
  protected constructor(flags: number, path: Path, waitQueue: WaitQueue = new WaitQueue()) {
    super(path, path.dentry.inode, flags);
    this.ownQueue = waitQueue;
  }

  override get waitQueue(): WaitQueue {
    return this.ownQueue;
  }

  override get pollable(): boolean {
    return true;
  }

  get nonBlocking(): boolean {
    return (this.flags & O_NONBLOCK) !== 0;
  }

  /** noop_llseek for what shares the anonymous inode: a position that is always 0. */
  override seek(_offset: number, _whence: number): number {
    return this.inode === sharedAnonymousInode ? 0 : -ESPIPE;
  }

  abstract override get displayName(): string | null;
  abstract override poll(): number;
}

/** Path for a description of the anonymous inode file system: one shared inode, as in Linux. */
export function anonymousPath(): Path {
  return sharedAnonymousPath;
}
