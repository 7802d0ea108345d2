import { EACCES, EBADF, EFAULT, EINVAL, ENOENT, ENOTDIR, EPERM, ERANGE } from '../../abi/errno.js';
import { X_OK } from '../../abi/fcntl.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { isDirectory, pathName, resolve } from '../../vfs/path-walk.js';
import { checkAccess } from '../../vfs/permissions.js';
import type { Path } from '../../vfs/types.js';
import { fileOf, setLong } from './common.js';

const CAP_SYS_CHROOT = 18;
const DELETED = ' (deleted)';

/** getcwd implements Linux syscall getcwd(2): the length with its NUL. */
export function getcwd(task: Task, args: SyscallArguments): number {
  const { cwd, root } = task.fs;
  if (cwd.dentry.deleted) return -ENOENT;
  const name = pathName(cwd, root);
  const text = name.endsWith(DELETED) && cwd.dentry.deleted ? name.slice(0, -DELETED.length) : name;
  if (args[1] >= 0 && text.length + 1 > args[1]) return -ERANGE;
  const bytes = Buffer.from(`${text}\0`, 'latin1');
  return task.memory.copyOut(args[0], bytes, 0, bytes.length) === bytes.length ? bytes.length : -EFAULT;
}

function enter(task: Task, place: Path): number {
  if (!isDirectory(place.dentry.inode)) return -ENOTDIR;
  const allowed = checkAccess(place.dentry.inode, X_OK, task.credentials);
  if (allowed !== 0) return -EACCES;
  task.fs.cwd = place;
  return 0;
}

/** chdir implements Linux syscall chdir(2). */
export function chdir(task: Task): number {
  const path = task.pathArgument(0);
  if (typeof path === 'number') return path;
  const place = resolve(task, null, path, true);
  return typeof place === 'number' ? place : enter(task, place);
}

/** fchdir implements Linux syscall fchdir(2). */
export function fchdir(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  return file ? enter(task, file.path) : -EBADF;
}

/** chroot implements Linux syscall chroot(2). */
export function chroot(task: Task): number {
  const path = task.pathArgument(0);
  if (typeof path === 'number') return path;
  const place = resolve(task, null, path, true);
  if (typeof place === 'number') return place;
  if (!isDirectory(place.inode)) return -ENOTDIR;
  if (!task.capable(CAP_SYS_CHROOT)) return -EPERM;
  task.fs.root = place;
  return 0;
}

/** umask implements Linux syscall umask(2). */
export function umask(task: Task, args: SyscallArguments): number {
  const old = task.fs.umask;
  task.fs.umask = args[0] & 0o777;
  return old;
}

const records = new Uint8Array(65536);
const recordWords = new Int32Array(records.buffer);

/** One record at `at`, `length` bytes (a multiple of 8), but for its type. `header`: bytes before the name. */
function putRecord(at: number, length: number, header: number, name: string, inode: number, next: number): void {
  const word = at >>> 2;
  // What the name does not fill: at most the last eight bytes.
  setLong(recordWords, word + (length >>> 2) - 2, 0);
  setLong(recordWords, word, inode);
  setLong(recordWords, word + 2, next);
  records[at + 16] = length;
  records[at + 17] = length >>> 8;
  const start = at + header;
  for (let index = 0; index < name.length; index++) records[start + index] = name.charCodeAt(index);
}

/** Writes directory records up to `limit` bytes; the layout is linux_dirent64's, or linux_dirent's with the type last. */
function listDirectory(task: Task, args: SyscallArguments, old: boolean): number {
  const file = fileOf(task, args[0]);
  if (!file) return -EBADF;
  const limit = Math.min(args[2] >>> 0, records.length);
  const header = old ? 18 : 19;
  let used = 0;
  let tooSmall = false;
  const result = file.readDirectory((name, inode, type, next) => {
    const length = (header + name.length + 1 + (old ? 1 : 0) + 7) & ~7;
    if (used + length > limit) {
      tooSmall = used === 0;
      return false;
    }
    putRecord(used, length, header, name, inode, next);
    records[old ? used + length - 1 : used + 18] = type;
    used += length;
    return true;
  });
  if (result < 0) return result;
  if (tooSmall) return -EINVAL;
  return task.memory.copyOut(args[1], records, 0, used) === used ? used : -EFAULT;
}

/** getdents64 implements Linux syscall getdents64(2). */
export function getdents64(task: Task, args: SyscallArguments): number {
  return listDirectory(task, args, false);
}

/** getdents implements Linux syscall getdents(2). */
export function getdents(task: Task, args: SyscallArguments): number {
  return listDirectory(task, args, true);
}
