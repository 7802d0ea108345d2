import { EBADF, EFAULT, ENOTTY } from '../../abi/errno.js';
import { O_ASYNC, O_NONBLOCK, O_PATH } from '../../abi/fcntl.js';
import { FIOGETOWN, FIOSETOWN, SIOCGPGRP, SIOCSPGRP } from '../../abi/ioctl.js';
import { S_IFMT, S_IFREG } from '../../abi/stat.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { SocketFile } from '../../net/socket-file.js';
import { newStat } from '../../vfs/inode.js';
import type { FileDescription } from '../../vfs/types.js';
import { fileOf } from './common.js';
import { FS_IOC_FIEMAP, fiemap } from './fiemap.js';
import { getOwner, setOwner, setStatusFlags } from './file-owner.js';

const FIOCLEX = 0x5451;
const FIONCLEX = 0x5450;
const FIONBIO = 0x5421;
const FIOASYNC = 0x5452;
const FIONREAD = 0x541b;
const stat = newStat();

/** ioctl implements Linux syscall ioctl(2): what every file has here, the rest is the file's own. */
export function ioctl(task: Task, args: SyscallArguments): number {
  const fd = args[0] | 0;
  const request = args[1] >>> 0;
  const file = fileOf(task, fd);
  if (!file || file.flags & O_PATH) return -EBADF;
  switch (request) {
    case FIOCLEX:
    case FIONCLEX:
      task.files.setCloseOnExec(fd, request === FIOCLEX);
      return 0;
    case FIONBIO:
      return setFlag(task, file, fd, O_NONBLOCK, args[2]);
    case FIOASYNC:
      return setFlag(task, file, fd, O_ASYNC, args[2]);
    case FIOSETOWN:
    case SIOCSPGRP:
    case FIOGETOWN:
    case SIOCGPGRP:
      if (!(file instanceof SocketFile)) return file.ioctl(request, args[2], task);
      return socketOwner(task, file, request === FIOSETOWN || request === SIOCSPGRP, args[2]);
    case FS_IOC_FIEMAP:
      return (file.inode.mode & S_IFMT) === S_IFREG ? fiemap(task, file, args[2]) : file.ioctl(request, args[2], task);
    case FIONREAD: {
      const own = file.ioctl(request, args[2], task);
      return own === -ENOTTY && (file.inode.mode & S_IFMT) === S_IFREG ? unread(task, file, args[2]) : own;
    }
    default:
      return file.ioctl(request, args[2], task);
  }
}

function setFlag(task: Task, file: FileDescription, fd: number, flag: number, address: number): number {
  const value = task.memory.readI32(address);
  if (Number.isNaN(value)) return -EFAULT;
  return setStatusFlags(task, file, fd, value ? file.flags | flag : file.flags & ~flag);
}

/** SIOCSPGRP and the like: F_SETOWN and F_GETOWN of sockets, with the id in memory. */
function socketOwner(task: Task, file: SocketFile, set: boolean, address: number): number {
  if (!set) return task.memory.writeU32(address, getOwner(task, file)) ? 0 : -EFAULT;
  const id = task.memory.readI32(address);
  return Number.isNaN(id) ? -EFAULT : setOwner(task, file, id);
}

/** FIONREAD of a regular file: bytes after the position. */
function unread(task: Task, file: FileDescription, address: number): number {
  file.stat(stat);
  const at = file.seek(0, 1);
  return task.memory.writeU32(address, Math.max(0, stat.size - at) >>> 0) ? 0 : -EFAULT;
}
