import { EAGAIN, EBADF, EDEADLK, EFAULT, EINVAL, EOVERFLOW, ERESTARTSYS } from '../../abi/errno.js';
import {
  F_ADD_SEALS,
  F_DUPFD,
  F_DUPFD_CLOEXEC,
  F_GET_SEALS,
  F_GETFD,
  F_GETFL,
  F_GETLEASE,
  F_GETLK,
  F_GETOWN,
  F_GETOWN_EX,
  F_GETPIPE_SZ,
  F_GETSIG,
  F_NOTIFY,
  F_OFD_GETLK,
  F_OFD_SETLK,
  F_OFD_SETLKW,
  F_RDLCK,
  F_SETFD,
  F_SETFL,
  F_SETLEASE,
  F_SETLK,
  F_SETLKW,
  F_SETOWN,
  F_SETOWN_EX,
  F_SETPIPE_SZ,
  F_SETSIG,
  F_UNLCK,
  F_WRLCK,
  FD_CLOEXEC,
  O_ACCMODE,
  O_LARGEFILE,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from '../../abi/fcntl.js';
import { RLIMIT_NOFILE } from '../../abi/resource.js';
import { MemoryRegularFile } from '../../fs/tmpfs/memory-file.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { AnonymousInode } from '../../vfs/anonymous-file.js';
import { newStat } from '../../vfs/inode.js';
import { beginWait, endWait, locksOf } from '../../vfs/locks.js';
import type { FileDescription } from '../../vfs/types.js';
import { POLLIN } from '../../vfs/wait-queue.js';
import { fileOf, setU64 } from './common.js';
import { duplicate } from './dup.js';
import {
  getOwner,
  getOwnerEx,
  getSignal,
  notifyDirectory,
  setOwner,
  setOwnerEx,
  setSignal,
  setStatusFlags,
} from './file-owner.js';
import { getLease, setLease } from './lease.js';

/** What a description may offer for F_SETPIPE_SZ / F_GETPIPE_SZ. */
interface PipeSize {
  setPipeSize(bytes: number, task: Task): number;
  getPipeSize(): number;
}

function isPipe(file: FileDescription): file is FileDescription & PipeSize {
  return 'getPipeSize' in file && 'setPipeSize' in file;
}

/** fcntl implements Linux syscall fcntl(2). */
export function fcntl(task: Task, args: SyscallArguments): number {
  const fd = args[0] | 0;
  const command = args[1] | 0;
  const file = fileOf(task, fd);
  if (!file) return -EBADF;
  const argument = args[2];
  if (file.flags & O_PATH && ![F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL].includes(command)) return -EBADF;
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
      if (argument < 0 || argument >= task.rlimit(RLIMIT_NOFILE)) return -EINVAL;
      return duplicate(task, fd, argument, command === F_DUPFD_CLOEXEC);
    case F_GETFD:
      return task.files.closeOnExec(fd) ? FD_CLOEXEC : 0;
    case F_SETFD:
      task.files.setCloseOnExec(fd, (argument & FD_CLOEXEC) !== 0);
      return 0;
    case F_GETFL:
      // Set by open(2) on x86-64, so not on what other calls make: pipes, sockets, eventfds.
      return file.flags | (file.flags & O_PATH || file.inode instanceof AnonymousInode ? 0 : O_LARGEFILE);
    case F_SETFL:
      return setStatusFlags(task, file, fd, argument | 0);
    case F_GETLK:
    case F_OFD_GETLK:
      return getLock(task, file, argument, command === F_OFD_GETLK);
    case F_SETLK:
    case F_OFD_SETLK:
      return setLock(task, file, argument, command === F_OFD_SETLK, false);
    case F_SETLKW:
    case F_OFD_SETLKW:
      return setLock(task, file, argument, command === F_OFD_SETLKW, true);
    case F_SETOWN:
      return setOwner(task, file, argument);
    case F_GETOWN:
      return getOwner(task, file);
    case F_SETOWN_EX:
      return setOwnerEx(task, file, argument);
    case F_GETOWN_EX:
      return getOwnerEx(task, file, argument);
    case F_SETSIG:
      return setSignal(task, file, argument);
    case F_GETSIG:
      return getSignal(file);
    case F_NOTIFY:
      return notifyDirectory(task, file, fd, argument | 0);
    case F_SETLEASE:
      return setLease(task, file, fd, argument | 0);
    case F_GETLEASE:
      return getLease(file);
    case F_SETPIPE_SZ:
      return isPipe(file) ? file.setPipeSize(argument, task) : -EBADF;
    case F_GETPIPE_SZ:
      return isPipe(file) ? file.getPipeSize() : -EBADF;
    case F_ADD_SEALS:
      if ((file.flags & O_ACCMODE) === O_RDONLY) return -1; /* EPERM */
      return file.inode instanceof MemoryRegularFile ? file.inode.addSeals(argument | 0) : -EINVAL;
    case F_GET_SEALS:
      return file.inode instanceof MemoryRegularFile ? file.inode.seals : -EINVAL;
    default:
      return -EINVAL;
  }
}

const FLOCK_BYTES = 32;
const stat = newStat();
/** The struct flock being worked on: type, [start, end), pid. */
const lock = { type: 0, start: 0, end: 0, pid: 0 };

/** Reads struct flock (x86-64): 0 or -errno. A length of 0 reaches to infinity; a negative one lies before the start. */
function readLock(task: Task, file: FileDescription, address: number): number {
  const view = task.memory.readStruct(address, FLOCK_BYTES);
  if (!view) return -EFAULT;
  lock.type = view.getInt16(0, true);
  const whence = view.getInt16(2, true);
  let start = view.getInt32(12, true) * 4294967296 + view.getUint32(8, true);
  const length = view.getInt32(20, true) * 4294967296 + view.getUint32(16, true);
  lock.pid = view.getInt32(24, true);
  if (lock.type !== F_RDLCK && lock.type !== F_WRLCK && lock.type !== F_UNLCK) return -EINVAL;
  if (whence === SEEK_CUR) {
    const at = file.seek(0, SEEK_CUR);
    if (at < 0) return at;
    start += at;
  } else if (whence === SEEK_END) {
    file.stat(stat);
    start += stat.size;
  } else if (whence !== SEEK_SET) {
    return -EINVAL;
  }
  let end = length === 0 ? Number.POSITIVE_INFINITY : start + length;
  if (length < 0) [start, end] = [start + length, start];
  if (start < 0) return -EINVAL;
  // Doubles round what is near the end of all files: there, the sum is checked exactly.
  if (length > 0 && end >= 2 ** 62 && BigInt(start) + BigInt(length) > 2n ** 63n) return -EOVERFLOW;
  lock.start = start;
  lock.end = end;
  return 0;
}

function getLock(task: Task, file: FileDescription, address: number, perDescription: boolean): number {
  const failed = readLock(task, file, address);
  if (failed) return failed;
  if (lock.type === F_UNLCK || (perDescription && lock.pid !== 0)) return -EINVAL;
  const owner = perDescription ? file : task.files;
  const found = locksOf(file.inode).conflict(owner, lock.type, lock.start, lock.end);
  const view = task.memory.scratch(FLOCK_BYTES);
  const original = task.memory.readStruct(address, FLOCK_BYTES);
  if (!original) return -EFAULT;
  for (let index = 0; index < FLOCK_BYTES; index++) view.setUint8(index, original.getUint8(index));
  view.setInt16(0, found ? found.type : F_UNLCK, true);
  if (found) {
    view.setInt16(2, SEEK_SET, true);
    setU64(view, 8, found.start);
    setU64(view, 16, found.end === Number.POSITIVE_INFINITY ? 0 : found.end - found.start);
    view.setInt32(24, found.pid, true);
  }
  return task.memory.writeStruct(address, FLOCK_BYTES) ? 0 : -EFAULT;
}

function setLock(task: Task, file: FileDescription, address: number, perDescription: boolean, wait: boolean): number {
  const failed = readLock(task, file, address);
  if (failed) return failed;
  if (perDescription && lock.pid !== 0) return -EINVAL;
  const access = file.flags & O_ACCMODE;
  if (lock.type === F_RDLCK && access === O_WRONLY) return -EBADF;
  if (lock.type === F_WRLCK && access === O_RDONLY) return -EBADF;
  const owner = perDescription ? file : task.files;
  const locks = locksOf(file.inode);
  const pid = perDescription ? -1 : task.group.pid;
  endWait(owner);
  const result = locks.set(owner, pid, lock.type, lock.start, lock.end);
  if (result !== -EAGAIN || !wait) return result;
  const holder = locks.conflict(owner, lock.type, lock.start, lock.end);
  if (holder && !perDescription && beginWait(owner, holder.owner) < 0) return -EDEADLK;
  task.waitOn(locks.released, POLLIN);
  const parked = task.park(Number.POSITIVE_INFINITY, -ERESTARTSYS);
  if (parked === -ERESTARTSYS) endWait(owner);
  return parked;
}
