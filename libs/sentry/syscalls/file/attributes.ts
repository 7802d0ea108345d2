/** chmod, chown and the utime family. */
import { EACCES, EBADF, EFAULT, EINVAL, EPERM, EROFS } from '../../abi/errno.js';
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_PATH, W_OK } from '../../abi/fcntl.js';
import { S_IFLNK, S_IFMT, S_ISGID, S_ISUID } from '../../abi/stat.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { notifyAttributes } from '../../vfs/notify.js';
import { CAP_CHOWN, CAP_FOWNER, CAP_FSETID, checkAccess, isOwner } from '../../vfs/permissions.js';
import type { AttributeChange, FileTime, Path } from '../../vfs/types.js';
import { fileOf, placeAt } from './common.js';

function apply(task: Task, place: Path, change: AttributeChange): number {
  if (place.mount?.fileSystem.readOnly) return -EROFS;
  const result = place.dentry.inode.setAttributes(change, task);
  if (result === 0) notifyAttributes(place.dentry);
  return result;
}

function setMode(task: Task, place: Path, mode: number): number {
  const { inode } = place.dentry;
  if (!isOwner(inode, task.credentials)) return -EPERM;
  let granted = mode & 0o7777;
  const { credentials } = task;
  const inGroup = credentials.fsgid === inode.gid || credentials.groups.includes(inode.gid);
  if (!inGroup && !task.capable(CAP_FSETID)) granted &= ~S_ISGID;
  return apply(task, place, { mode: granted });
}

/** The object of a path or (empty path with AT_EMPTY_PATH) of a descriptor. */
function target(task: Task, dirfd: number, index: number, flags: number): Path | number {
  const path = task.pathArgument(index);
  if (typeof path === 'number') return path;
  return placeAt(task, dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), (flags & AT_EMPTY_PATH) !== 0);
}

/** chmod implements Linux syscall chmod(2). */
export function chmod(task: Task, args: SyscallArguments): number {
  const place = target(task, AT_FDCWD, 0, 0);
  return typeof place === 'number' ? place : setMode(task, place, args[1]);
}

/** fchmod implements Linux syscall fchmod(2). */
export function fchmod(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  return !file || file.flags & O_PATH ? -EBADF : setMode(task, file.path, args[1]);
}

/** fchmodat implements Linux syscall fchmodat(2): the kernel's call has no flags. */
export function fchmodat(task: Task, args: SyscallArguments): number {
  const place = target(task, args[0] | 0, 1, 0);
  return typeof place === 'number' ? place : setMode(task, place, args[2]);
}

/** fchmodat2 implements Linux syscall fchmodat2(2). */
export function fchmodat2(task: Task, args: SyscallArguments): number {
  const flags = args[3] | 0;
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  const place = target(task, args[0] | 0, 1, flags);
  if (typeof place === 'number') return place;
  if ((place.dentry.inode.mode & S_IFMT) === S_IFLNK) return -95; /* EOPNOTSUPP */
  return setMode(task, place, args[2]);
}

function setOwner(task: Task, place: Path, uid: number, gid: number): number {
  const { inode } = place.dentry;
  const { credentials } = task;
  if (!task.capable(CAP_CHOWN)) {
    const owner = credentials.fsuid === inode.uid;
    if (uid !== -1 && (uid !== inode.uid || !owner)) return -EPERM;
    const ownGroup = gid === credentials.fsgid || credentials.groups.includes(gid) || gid === inode.gid;
    if (gid !== -1 && (!owner || !ownGroup)) return -EPERM;
  }
  // Even a chown that changes nothing takes set-user-ID and set-group-ID away.
  const same = inode.mode & (S_ISUID | S_ISGID) ? inode.uid : undefined;
  return apply(task, place, { uid: uid === -1 ? same : uid >>> 0, gid: gid === -1 ? undefined : gid >>> 0 });
}

/** chown implements Linux syscall chown(2). */
export function chown(task: Task, args: SyscallArguments): number {
  const place = target(task, AT_FDCWD, 0, 0);
  return typeof place === 'number' ? place : setOwner(task, place, args[1] | 0, args[2] | 0);
}

/** lchown implements Linux syscall lchown(2). */
export function lchown(task: Task, args: SyscallArguments): number {
  const place = target(task, AT_FDCWD, 0, AT_SYMLINK_NOFOLLOW);
  return typeof place === 'number' ? place : setOwner(task, place, args[1] | 0, args[2] | 0);
}

/** fchown implements Linux syscall fchown(2). */
export function fchown(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  return !file || file.flags & O_PATH ? -EBADF : setOwner(task, file.path, args[1] | 0, args[2] | 0);
}

/** fchownat implements Linux syscall fchownat(2). */
export function fchownat(task: Task, args: SyscallArguments): number {
  const flags = args[4] | 0;
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  const place = target(task, args[0] | 0, 1, flags);
  return typeof place === 'number' ? place : setOwner(task, place, args[2] | 0, args[3] | 0);
}

const UTIME_NOW = 0x3fffffff;
const UTIME_OMIT = 0x3ffffffe;
type NewTime = FileTime | 'now' | undefined;

/** utimensat's rules: the owner may set any time, a writer only "now". */
function setTimes(task: Task, place: Path, atime: NewTime, mtime: NewTime): number {
  if (atime === undefined && mtime === undefined) return 0;
  const { inode } = place.dentry;
  if (!isOwner(inode, task.credentials)) {
    if (atime !== 'now' || mtime !== 'now') return -EPERM;
    if (checkAccess(inode, W_OK, task.credentials) !== 0) return -EACCES;
  }
  return apply(task, place, { atime, mtime });
}

function timespec(view: DataView, offset: number): NewTime | number {
  const nanoseconds = view.getInt32(offset + 8, true) + view.getInt32(offset + 12, true) * 4294967296;
  if (nanoseconds === UTIME_NOW) return 'now';
  if (nanoseconds === UTIME_OMIT) return undefined;
  if (nanoseconds < 0 || nanoseconds > 999999999) return -EINVAL;
  return { seconds: view.getInt32(offset + 4, true) * 4294967296 + view.getUint32(offset, true), nanoseconds };
}

/** utimensat implements Linux syscall utimensat(2): a null path means the descriptor itself. */
export function utimensat(task: Task, args: SyscallArguments): number {
  const flags = args[3] | 0;
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  let atime: NewTime | number = 'now';
  let mtime: NewTime | number = 'now';
  if (args[2] !== 0) {
    const view = task.memory.readStruct(args[2], 32);
    if (!view) return -EFAULT;
    atime = timespec(view, 0);
    mtime = timespec(view, 16);
    if (typeof atime === 'number') return atime;
    if (typeof mtime === 'number') return mtime;
  }
  if (args[1] === 0 && (args[0] | 0) !== AT_FDCWD) {
    const file = fileOf(task, args[0]);
    return file && !(file.flags & O_PATH) ? setTimes(task, file.path, atime, mtime) : -EBADF;
  }
  const place = target(task, args[0] | 0, 1, flags);
  return typeof place === 'number' ? place : setTimes(task, place, atime, mtime);
}

/** Two struct timeval at `address` (null: now). */
function timevals(task: Task, address: number): [NewTime, NewTime] | number {
  if (address === 0) return ['now', 'now'];
  const view = task.memory.readStruct(address, 32);
  if (!view) return -EFAULT;
  const times: FileTime[] = [];
  for (const offset of [0, 16]) {
    const microseconds = view.getInt32(offset + 12, true) * 4294967296 + view.getUint32(offset + 8, true);
    if (microseconds < 0 || microseconds > 999999) return -EINVAL;
    const seconds = view.getInt32(offset + 4, true) * 4294967296 + view.getUint32(offset, true);
    times.push({ seconds, nanoseconds: microseconds * 1000 });
  }
  return [times[0], times[1]];
}

/** utimes implements Linux syscall utimes(2). */
export function utimes(task: Task, args: SyscallArguments): number {
  const times = timevals(task, args[1]);
  if (typeof times === 'number') return times;
  const place = target(task, AT_FDCWD, 0, 0);
  return typeof place === 'number' ? place : setTimes(task, place, times[0], times[1]);
}

/** futimesat implements Linux syscall futimesat(2). */
export function futimesat(task: Task, args: SyscallArguments): number {
  const times = timevals(task, args[2]);
  if (typeof times === 'number') return times;
  if (args[1] === 0) {
    const file = fileOf(task, args[0]);
    return file ? setTimes(task, file.path, times[0], times[1]) : -EBADF;
  }
  const place = target(task, args[0] | 0, 1, 0);
  return typeof place === 'number' ? place : setTimes(task, place, times[0], times[1]);
}

/** utime implements Linux syscall utime(2). */
export function utime(task: Task, args: SyscallArguments): number {
  let atime: NewTime = 'now';
  let mtime: NewTime = 'now';
  if (args[1] !== 0) {
    const view = task.memory.readStruct(args[1], 16);
    if (!view) return -EFAULT;
    atime = { seconds: view.getInt32(4, true) * 4294967296 + view.getUint32(0, true), nanoseconds: 0 };
    mtime = { seconds: view.getInt32(12, true) * 4294967296 + view.getUint32(8, true), nanoseconds: 0 };
  }
  const place = target(task, AT_FDCWD, 0, 0);
  return typeof place === 'number' ? place : setTimes(task, place, atime, mtime);
}

export { CAP_FOWNER };
