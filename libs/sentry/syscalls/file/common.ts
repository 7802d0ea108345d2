/** What the file calls share: descriptors, places, blocking transfers. */
import { EAGAIN, EBADF, EFAULT, EFBIG, ENOENT, ENOTDIR, EPIPE, ERESTARTSYS } from '../../abi/errno.js';
import { AT_FDCWD, O_ACCMODE, O_NONBLOCK, O_PATH, O_RDONLY, O_WRONLY } from '../../abi/fcntl.js';
import { S_IFMT, S_IFREG } from '../../abi/stat.js';
import type { Task } from '../../kernel/types.js';
import { releaseIo } from '../../mm/io.js';
import type { IoBuffer } from '../../mm/types.js';
import type { DentryNode } from '../../vfs/dentry.js';
import { isDirectory, resolve } from '../../vfs/path-walk.js';
import type { FileDescription, Path } from '../../vfs/types.js';
import { POLLIN, POLLOUT, POLLRDHUP } from '../../vfs/wait-queue.js';

export const SIGPIPE = 13;
export const SIGXFSZ = 25;

/** An offset up to here that V8 knows to be an integer is no heap object when it is passed on. */
export const INTEGER_MAX = 0x7fffffff;

/** Descriptor argument as an int. */
export const fdOf = (value: number): number => value | 0;

/** The open file behind a descriptor, or null. O_PATH descriptors are no files for I/O: see `fileForIo`. */
export function fileOf(task: Task, fd: number): FileDescription | null {
  return task.files.get(fd | 0);
}

/** tmpfs has no RWF_NOWAIT. */
export const isRegular = (file: FileDescription | null): boolean =>
  file !== null && (file.inode.mode & S_IFMT) === S_IFREG;

export function readable(file: FileDescription | null): file is FileDescription {
  return file !== null && (file.flags & O_PATH) === 0 && (file.flags & O_ACCMODE) !== O_WRONLY;
}

export function writable(file: FileDescription | null): file is FileDescription {
  return file !== null && (file.flags & O_PATH) === 0 && (file.flags & O_ACCMODE) !== O_RDONLY;
}

/** Where a relative path of an *at call begins: null for the cwd or an absolute path. -EBADF, -ENOTDIR. */
export function startOf(task: Task, dirfd: number, path: string): Path | null | number {
  if (dirfd === AT_FDCWD || path.charCodeAt(0) === 47) return null;
  const file = task.files.get(dirfd);
  if (!file) return -EBADF;
  return isDirectory(file.inode) ? file.path : -ENOTDIR;
}

/**
 * The object an *at call names: `path` from `dirfd`, or the descriptor itself for an empty path when `emptyPath`.
 * Answers a place or -errno.
 */
export function placeAt(task: Task, dirfd: number, path: string, follow: boolean, emptyPath: boolean): Path | number {
  if (path === '' && emptyPath) {
    if (dirfd === AT_FDCWD) return task.fs.cwd;
    const file = task.files.get(dirfd);
    return file ? file.path : -EBADF;
  }
  if (path === '') return -ENOENT;
  const start = startOf(task, dirfd, path);
  if (typeof start === 'number') return start;
  return resolve(task, start, path, follow);
}

export const dentryOf = (path: Path): DentryNode => path.dentry as DentryNode;

/** State of a blocked transfer: the deadline of the socket's timeout, fixed at the first attempt. */
interface Waiting {
  io: IoBuffer;
  /** Bytes the file has accepted: less than `io.done` when it took some and refused them. */
  written: number;
  deadline: number;
}

/** One read into `io`; waits as read(2) does (unless `noWait`). `offset` -1: at the file's own position. */
export function readInto(task: Task, file: FileDescription, io: IoBuffer, offset: number, noWait = false): number {
  if (io.faulted) {
    releaseIo(io);
    return -EFAULT;
  }
  const result = offset < 0 ? file.read(io, task) : file.pread(io, offset, task);
  const { faulted } = io;
  releaseIo(io);
  if (result === -EAGAIN && !(file.flags & O_NONBLOCK) && !noWait) {
    if (file.waitToRead) return file.waitToRead(task);
    const deadline = waitDeadline(task, file.receiveTimeout);
    if (task.kernel.clock.monotonic() >= deadline) return -EAGAIN;
    task.waitOn(file.waitQueue, POLLIN | POLLRDHUP);
    return task.park(deadline, -ERESTARTSYS);
  }
  return result === 0 && faulted ? -EFAULT : result;
}

/** Deadline of a wait with a socket timeout; remembered across attempts. */
function waitDeadline(task: Task, timeout: number | undefined): number {
  if (timeout === undefined || timeout === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  if (typeof task.state === 'number') return task.state;
  const deadline = task.kernel.clock.monotonic() + timeout;
  task.setState(deadline);
  return deadline;
}

/** Writes all of `io`, waiting as write(2) does: a blocking write to a pipe or stream ends only when everything is written. */
export function writeFrom(task: Task, file: FileDescription, fresh: IoBuffer | null, offset: number): number {
  const waiting = task.state as Waiting | null;
  const io = waiting ? waiting.io : fresh;
  if (!io) return -EFAULT;
  if (!waiting && io.faulted) {
    releaseIo(io);
    return -EFAULT;
  }
  const { pollable } = file;
  let written = waiting ? waiting.written : 0;
  for (;;) {
    const result = offset < 0 ? file.write(io, task) : file.pwrite(io, offset, task);
    if (result === -EAGAIN && !(file.flags & O_NONBLOCK)) return waitToWrite(task, file, io, waiting, written);
    if (result > 0) written += result;
    if (result > 0 && pollable && io.remaining > 0 && !io.faulted) continue;
    const { faulted } = io;
    releaseIo(io);
    if (result < 0) {
      if (result === -EPIPE) task.raise(SIGPIPE);
      if (result === -EFBIG && written === 0) task.raise(SIGXFSZ);
      return written > 0 ? written : result;
    }
    return written === 0 && faulted ? -EFAULT : written;
  }
}

function waitToWrite(
  task: Task,
  file: FileDescription,
  io: IoBuffer,
  waiting: Waiting | null,
  written: number,
): number {
  const now = task.kernel.clock.monotonic();
  const deadline = waiting?.deadline ?? now + (file.sendTimeout ?? Number.POSITIVE_INFINITY);
  if (now >= deadline) return written > 0 ? written : -EAGAIN;
  if (waiting) waiting.written = written;
  else task.setState({ io, deadline, written } satisfies Waiting);
  task.waitOn(file.waitQueue, POLLOUT);
  return task.park(deadline, written > 0 ? written : -ERESTARTSYS);
}

/** Writes a 64-bit value; negative numbers as two's complement. */
export function setU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true);
  view.setInt32(offset + 4, Math.floor(value / 4294967296), true);
}

const TWO_32 = 0x1_0000_0000;

/** A 64-bit value as two words; what is stored in an Int32Array is taken modulo 2^32. */
export function setLong(words: Int32Array, at: number, value: number): void {
  words[at] = value;
  words[at + 1] = value >= 0 && value < TWO_32 ? 0 : Math.floor(value / TWO_32);
}
