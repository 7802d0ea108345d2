/**
 * What the rest of the kernel sees of files. Paths and names are byte strings (one char code per byte).
 * Nothing here blocks: an operation that would block answers -EAGAIN and whoever called it waits on the
 * description's `waitQueue` and tries again (see kernel/types.ts, `Task.park`).
 */
import type { GuestMemory, IoBuffer, Mappable } from '../mm/types.js';
import type { Bytes, Nanoseconds } from '../platform/platform.js';
import type { LandlockDomain } from './landlock.js';
import type { FileLeases } from './leases.js';
import type { WaitQueue } from './wait-queue.js';

export interface Credentials {
  uid: number;
  gid: number;
  euid: number;
  egid: number;
  suid: number;
  sgid: number;
  fsuid: number;
  fsgid: number;
  groups: readonly number[];
  /** Capability sets as [low, high] 32-bit halves; root has all within the sandbox. */
  capabilities: {
    effective: number[];
    permitted: number[];
    inheritable: number[];
    bounding: number[];
    ambient: number[];
  };
  noNewPrivs: boolean;
  /** How the thread has restricted itself (landlock(7)); null: not at all. */
  landlock: LandlockDomain | null;
}

/** Who calls into the file layer: what files may need to know of a task. `Task` is one. */
export interface Caller {
  readonly credentials: Credentials;
  readonly memory: GuestMemory;
  /** umask(2). */
  readonly umask: number;
  /** RLIMIT_FSIZE in bytes (Infinity = none). */
  readonly fileSizeLimit: Bytes;
}

/** Time as the file layer keeps it: seconds and nanoseconds of CLOCK_REALTIME. */
export interface FileTime {
  seconds: number;
  nanoseconds: number;
}

/** Everything stat(2) and statx(2) show; filled in place, never allocated per call. */
export interface Stat {
  device: number;
  inode: number;
  mode: number;
  links: number;
  uid: number;
  gid: number;
  /** Device number of a device node (makedev). */
  rdev: number;
  size: Bytes;
  blockSize: number;
  /** 512-byte blocks. */
  blocks: number;
  atime: FileTime;
  mtime: FileTime;
  ctime: FileTime;
  btime: FileTime;
}

/** fallocate(2), truncate(2) and friends live on inodes; times and owners too. Undefined = leave as it is. */
export interface AttributeChange {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: Bytes;
  /** 'now' sets the current time. */
  atime?: FileTime | 'now';
  mtime?: FileTime | 'now';
}

export interface StatFs {
  type: number;
  blockSize: number;
  blocks: number;
  blocksFree: number;
  files: number;
  filesFree: number;
  nameMax: number;
  flags: number;
}

/** A mounted file system instance. */
export interface FileSystem {
  /** "tmpfs", "proc", "overlay" … as /proc/mounts shows it. */
  readonly type: string;
  readonly device: number;
  readonly root: Inode;
  readonly readOnly: boolean;
  statfs(out: StatFs): void;
}

/**
 * One file object of a file system. Permission checks are done by the VFS before these are called; the
 * implementation checks what only it can know. All return an object or 0 on success, -errno otherwise.
 */
export interface Inode {
  readonly fileSystem: FileSystem;
  readonly number: number;
  /** S_IFMT | permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  stat(out: Stat): void;
  setAttributes(change: AttributeChange, caller: Caller): number;
  /** Directories. -ENOENT when absent, -ENOTDIR when this is none. */
  lookup(name: string): Inode | number;
  create(name: string, mode: number, caller: Caller): Inode | number;
  mkdir(name: string, mode: number, caller: Caller): Inode | number;
  mknod(name: string, mode: number, rdev: number, caller: Caller): Inode | number;
  symlink(name: string, target: string, caller: Caller): Inode | number;
  link(name: string, target: Inode): number;
  unlink(name: string): number;
  rmdir(name: string): number;
  /** Moves `name` of this directory to `newName` of `newParent` (same file system). flags: RENAME_*. */
  rename(name: string, newParent: Inode, newName: string, flags: number): number;
  /** Without a name it may still get one by linkat(2): O_TMPFILE without O_EXCL. */
  linkable?: boolean;
  /** An inode without a name (O_TMPFILE). -EOPNOTSUPP where impossible. */
  createUnnamed(mode: number, caller: Caller): Inode | number;
  /** Target of a symbolic link; -EINVAL otherwise. Magic links (/proc/self/fd/3) answer `followTo` instead. */
  readlink(caller: Caller): string | number;
  /** Magic link: the place itself, or null for ordinary links, or -errno. */
  followTo?(caller: Caller): Path | null | number;
  /** Opens. flags are O_*; the VFS has handled O_CREAT, O_EXCL, O_TRUNC, O_NOFOLLOW and permissions. */
  open(path: Path, flags: number, caller: Caller): FileDescription | number;
  /** Regular files: leases that an open may have to wait for. */
  readonly leases?: FileLeases | null;
  /** Extended attributes; -EOPNOTSUPP where there are none, -ENODATA when absent. */
  getXattr(name: string): Uint8Array | number;
  setXattr(name: string, value: Uint8Array, flags: number): number;
  removeXattr(name: string): number;
  listXattr(): readonly string[];
}

/** A name in the tree: one directory entry as walked, with its parent, so that `..` and getcwd work. */
export interface Dentry {
  /** Name in the parent ("" for a root). */
  readonly name: string;
  readonly parent: Dentry | null;
  readonly inode: Inode;
  /** True once unlinked or replaced: paths show " (deleted)". */
  readonly deleted: boolean;
}

export interface Mount {
  readonly fileSystem: FileSystem;
  readonly root: Dentry;
  /** Where it is mounted; null for the root mount. */
  readonly mountPoint: Path | null;
  readonly source: string;
  readonly options: string;
}

/** A place: a dentry as seen through a mount. */
export interface Path {
  readonly mount: Mount;
  readonly dentry: Dentry;
}

/** cwd, root and umask: shared by CLONE_FS. */
export interface FsContext {
  root: Path;
  cwd: Path;
  umask: number;
  references: number;
}

/** Receives directory entries; returns false when it has no room (the entry comes again next time). */
export type DirectoryVisitor = (name: string, inode: number, type: number, nextOffset: number) => boolean;

/**
 * Wants to know when a description's last reference goes (epoll forgets it then). An intrusive list, so that watching
 * allocates nothing; the listener owns the link and takes itself out when it loses interest first.
 */
export interface CloseListener {
  nextCloseListener: CloseListener | null;
  /** Called once, before the file kind closes. Must not change the list. */
  onClose(description: FileDescription): void;
}

/**
 * An open file description (struct file): what dup(2) and fork(2) share. Base class with the answers Linux gives
 * for files that do not support an operation; file kinds override what they can do.
 */
export interface FileDescription {
  /** Access mode and status flags (O_RDONLY … O_NONBLOCK O_APPEND …). fcntl(F_SETFL) changes it through setFlags. */
  flags: number;
  readonly inode: Inode;
  readonly path: Path;
  /** Woken with POLL* bits as readiness changes. */
  readonly waitQueue: WaitQueue;
  /** Reference counting by descriptors, mappings, in-flight SCM_RIGHTS. The last release closes. */
  retain(): void;
  release(): void;
  /** At the current offset, advancing it. -EAGAIN when it would block. 0 = end of file. */
  read(io: IoBuffer, caller: Caller): number;
  /**
   * -EAGAIN, -EPIPE (the caller sends SIGPIPE), -ENOSPC, -EFBIG (the caller sends SIGXFSZ) … Partial counts are results,
   * but a blocking write(2) to a pollable file goes on (with the same `io`) until -EAGAIN, waits, and continues, as pipes and streams want.
   */
  write(io: IoBuffer, caller: Caller): number;
  /** Positional; -ESPIPE where there is no position. */
  pread(io: IoBuffer, offset: Bytes, caller: Caller): number;
  pwrite(io: IoBuffer, offset: Bytes, caller: Caller): number;
  seek(offset: number, whence: number): number;
  /** POLL* bits that are ready now. */
  poll(): number;
  /** epoll_ctl and poll ask: regular files and directories are always ready and give EPERM to epoll. */
  readonly pollable: boolean;
  /** -ENOTTY by default. `argument` is the raw third argument. */
  ioctl(request: number, argument: number, caller: Caller): number;
  /** What mmap maps; -ENODEV by default, -EACCES when the access mode forbids. */
  mappable(): Mappable | number;
  stat(out: Stat): void;
  truncate(length: Bytes, caller: Caller): number;
  allocate(mode: number, offset: Bytes, length: Bytes, caller: Caller): number;
  sync(): number;
  /** Directory entries from `offset`; -ENOTDIR by default. Returns 0 or -errno. */
  readDirectory(visit: DirectoryVisitor): number;
  setFlags(flags: number): number;
  /** Text of /proc/pid/fd/N when it is no path: "pipe:[123]", "socket:[5]", "anon_inode:[eventpoll]"; null: use path. */
  readonly displayName: string | null;
  /** Head of the list that the last `release()` walks (and clears) before it closes the file. */
  closeListeners: CloseListener | null;
  /**
   * FIFOs: open(2) must wait until this answers false (the other end is there). The caller waits on `waitQueue` for
   * POLLIN | POLLOUT, and releases the description when interrupted. Absent for all other kinds.
   */
  openPending?(): boolean;
  /** Message queues: a process (its descriptor table) closes one of its descriptors. Absent for all other kinds. */
  flush?(table: object): void;
  /**
   * Terminals: called instead of the ordinary wait when a blocking read found nothing (VMIN, VTIME). Parks the caller and
   * returns what `Task.park` does; `read` finds what it left in the task's state.
   */
  waitToRead?(caller: Caller): number;
  /** Sockets: SO_RCVTIMEO / SO_SNDTIMEO, how long a blocking read or write waits before -EAGAIN (Infinity = no limit). */
  readonly receiveTimeout?: Nanoseconds;
  readonly sendTimeout?: Nanoseconds;
}

/** Descriptor table: shared by CLONE_FILES. */
export interface FdTable {
  references: number;
  /** Description, or null for EBADF. */
  get(fd: number): FileDescription | null;
  /** Takes over one reference of the description. Lowest free number >= minimum; -EMFILE at `limit`. */
  install(description: FileDescription, closeOnExec: boolean, minimum: number, limit: number): number;
  /** dup2: closes what was there. Takes over one reference. */
  installAt(fd: number, description: FileDescription, closeOnExec: boolean): void;
  /** 0 or -EBADF. `owner` is for releasing POSIX locks of the closing process. */
  close(fd: number): number;
  closeOnExec(fd: number): boolean;
  setCloseOnExec(fd: number, value: boolean): void;
  /** Copy for fork / unshare: every description retained. */
  copy(): FdTable;
  /** execve: closes close-on-exec descriptors. */
  closeMarked(): void;
  /** Drops a reference to the table; the last one closes everything. */
  release(): void;
  /** Numbers from here on have never been in use; select(2) does not look at them. */
  capacity(): number;
  /** Numbers in use, ascending. */
  descriptors(): number[];
}
