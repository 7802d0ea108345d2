/** Extended attributes: user., trusted. and security. names on files in memory. */
import {
  E2BIG,
  EACCES,
  EBADF,
  EFAULT,
  EINVAL,
  ENAMETOOLONG,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  EROFS,
} from '../../abi/errno.js';
import { AT_FDCWD, O_PATH, R_OK, W_OK } from '../../abi/fcntl.js';
import { S_IFDIR, S_IFMT, S_IFREG } from '../../abi/stat.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { checkAccess, isOwner } from '../../vfs/permissions.js';
import type { Inode, Path } from '../../vfs/types.js';
import { fileOf, placeAt } from './common.js';

const XATTR_NAME_MAX = 255;
const XATTR_SIZE_MAX = 65536;
const CAP_SYS_ADMIN = 21;

/** How the object is named: by path, by path without following, by descriptor. */
const Way = { Follow: 0, NoFollow: 1, Descriptor: 2 } as const;
type Way = (typeof Way)[keyof typeof Way];

function objectOf(task: Task, way: Way, args: SyscallArguments): Path | number {
  if (way === Way.Descriptor) {
    const file = fileOf(task, args[0]);
    return !file || file.flags & O_PATH ? -EBADF : file.path;
  }
  const path = task.pathArgument(0);
  if (typeof path === 'number') return path;
  return placeAt(task, AT_FDCWD, path, way === Way.Follow, false);
}

function nameOf(task: Task): string | number {
  const name = task.pathArgument(1);
  if (typeof name === 'number') return name === -ENAMETOOLONG ? -ERANGE : name;
  return name.length === 0 || name.length > XATTR_NAME_MAX ? -ERANGE : name;
}

const PREFIXES = ['user.', 'trusted.', 'security.'];

/** xattr(7): user.* only on files and directories, with the file's permissions; trusted.* for root only. */
function allowed(task: Task, inode: Inode, name: string, write: boolean): number {
  if (PREFIXES.includes(name)) return -EINVAL;
  if (name.startsWith('trusted.')) return task.capable(CAP_SYS_ADMIN) ? 0 : write ? -EPERM : -61; /* ENODATA */
  if (name.startsWith('user.')) {
    const type = inode.mode & S_IFMT;
    if (type !== S_IFREG && type !== S_IFDIR) return write ? -EPERM : -61;
    return checkAccess(inode, write ? W_OK : R_OK, task.credentials) === 0 ? 0 : -EACCES;
  }
  if (name.startsWith('security.')) return !write || isOwner(inode, task.credentials) ? 0 : -EPERM;
  return -EOPNOTSUPP;
}

function get(task: Task, args: SyscallArguments, way: Way): number {
  const place = objectOf(task, way, args);
  if (typeof place === 'number') return place;
  const name = nameOf(task);
  if (typeof name === 'number') return name;
  const refused = allowed(task, place.dentry.inode, name, false);
  if (refused) return refused;
  const value = place.dentry.inode.getXattr(name);
  return typeof value === 'number' ? value : give(task, value, args[2], args[3]);
}

/** A size of 0 only asks how much there is. */
function give(task: Task, bytes: Uint8Array, address: number, size: number): number {
  if (size === 0) return bytes.length;
  if (bytes.length > size) return -ERANGE;
  return task.memory.copyOut(address, bytes, 0, bytes.length) === bytes.length ? bytes.length : -EFAULT;
}

function set(task: Task, args: SyscallArguments, way: Way): number {
  const flags = args[4] | 0;
  if (flags & ~3) return -EINVAL;
  const name = nameOf(task);
  if (typeof name === 'number') return name;
  if (args[3] < 0 || args[3] > XATTR_SIZE_MAX) return -E2BIG;
  const value = new Uint8Array(args[3]);
  if (task.memory.copyIn(args[2], value, 0, value.length) !== value.length) return -EFAULT;
  const place = objectOf(task, way, args);
  if (typeof place === 'number') return place;
  const refused = place.mount?.fileSystem.readOnly ? -EROFS : allowed(task, place.dentry.inode, name, true);
  return refused || place.dentry.inode.setXattr(name, value, flags);
}

function remove(task: Task, args: SyscallArguments, way: Way): number {
  const name = nameOf(task);
  if (typeof name === 'number') return name;
  const place = objectOf(task, way, args);
  if (typeof place === 'number') return place;
  const refused = place.mount?.fileSystem.readOnly ? -EROFS : allowed(task, place.dentry.inode, name, true);
  return refused || place.dentry.inode.removeXattr(name);
}

function list(task: Task, args: SyscallArguments, way: Way): number {
  const place = objectOf(task, way, args);
  if (typeof place === 'number') return place;
  const admin = task.capable(CAP_SYS_ADMIN);
  const names = place.dentry.inode.listXattr().filter((name) => admin || !name.startsWith('trusted.'));
  return give(task, Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1'), args[1], args[2]);
}

/** getxattr implements Linux syscall getxattr(2). */
export const getxattr = (task: Task, args: SyscallArguments): number => get(task, args, Way.Follow);
/** lgetxattr implements Linux syscall lgetxattr(2). */
export const lgetxattr = (task: Task, args: SyscallArguments): number => get(task, args, Way.NoFollow);
/** fgetxattr implements Linux syscall fgetxattr(2). */
export const fgetxattr = (task: Task, args: SyscallArguments): number => get(task, args, Way.Descriptor);
/** setxattr implements Linux syscall setxattr(2). */
export const setxattr = (task: Task, args: SyscallArguments): number => set(task, args, Way.Follow);
/** lsetxattr implements Linux syscall lsetxattr(2). */
export const lsetxattr = (task: Task, args: SyscallArguments): number => set(task, args, Way.NoFollow);
/** fsetxattr implements Linux syscall fsetxattr(2). */
export const fsetxattr = (task: Task, args: SyscallArguments): number => set(task, args, Way.Descriptor);
/** removexattr implements Linux syscall removexattr(2). */
export const removexattr = (task: Task, args: SyscallArguments): number => remove(task, args, Way.Follow);
/** lremovexattr implements Linux syscall lremovexattr(2). */
export const lremovexattr = (task: Task, args: SyscallArguments): number => remove(task, args, Way.NoFollow);
/** fremovexattr implements Linux syscall fremovexattr(2). */
export const fremovexattr = (task: Task, args: SyscallArguments): number => remove(task, args, Way.Descriptor);
/** listxattr implements Linux syscall listxattr(2). */
export const listxattr = (task: Task, args: SyscallArguments): number => list(task, args, Way.Follow);
/** llistxattr implements Linux syscall llistxattr(2). */
export const llistxattr = (task: Task, args: SyscallArguments): number => list(task, args, Way.NoFollow);
/** flistxattr implements Linux syscall flistxattr(2). */
export const flistxattr = (task: Task, args: SyscallArguments): number => list(task, args, Way.Descriptor);
