import { EBADF, EINVAL, ENODEV, ENOTDIR, ENOTTY, EOPNOTSUPP, ESPIPE } from '../abi/errno.js';
import { O_APPEND, O_ASYNC, O_DIRECT, O_NOATIME, O_NONBLOCK } from '../abi/fcntl.js';
import type { IoBuffer, Mappable } from '../mm/types.js';
import type { Bytes } from '../platform/platform.js';
import { existingLocks } from './locks.js';
import type { Caller, CloseListener, DirectoryVisitor, FileDescription, Inode, Path, Stat } from './types.js';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, WaitQueue } from './wait-queue.js';

/** What fcntl(F_SETFL) may change. */
const SETTABLE_FLAGS = O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK;

/** Base of all file kinds that have an inode: the answers Linux gives for what a kind does not support. */
export abstract class BaseFileDescription implements FileDescription {
  flags: number;
  readonly inode: Inode;
  readonly path: Path;
  private queue: WaitQueue | null = null;
  private references = 1;
  closeListeners: CloseListener | null = null;

  constructor(path: Path, inode: Inode, flags: number) {
    this.path = path;
    this.inode = inode;
    this.flags = flags;
  }

  /** Made when somebody waits: regular files never need one. */
  get waitQueue(): WaitQueue {
    this.queue ??= new WaitQueue();
    return this.queue;
  }

  get pollable(): boolean {
    return false;
  }

  get displayName(): string | null {
    return null;
  }

  retain(): void {
    this.references++;
  }

  release(): void {
    if (--this.references > 0) return;
    let listener = this.closeListeners;
    this.closeListeners = null;
    while (listener) {
      const next: CloseListener | null = listener.nextCloseListener;
      listener.onClose(this);
      listener = next;
    }
    existingLocks(this.inode)?.drop(this);
    this.close();
  }

  /** The last reference is gone. */
  protected close(): void {}

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

  poll(): number {
    return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
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
    return -EOPNOTSUPP;
  }

  sync(): number {
    return -EINVAL;
  }

  readDirectory(_visit: DirectoryVisitor): number {
    return -ENOTDIR;
  }

  setFlags(flags: number): number {
    this.flags = (this.flags & ~SETTABLE_FLAGS) | (flags & SETTABLE_FLAGS);
    return 0;
  }
}

/** open(2) with O_PATH: a place, not a file. I/O gives EBADF (checked by the handlers through O_PATH). */
export class PathDescription extends BaseFileDescription {
  override poll(): number {
    return 0;
  }
  override ioctl(): number {
    return -EBADF;
  }
  override sync(): number {
    return -EBADF;
  }
  override setFlags(): number {
    return -EBADF;
  }
}
