import { EBADF, EFAULT, EINVAL } from '../../abi/errno.js';
import { AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_STATX_SYNC_TYPE, AT_SYMLINK_NOFOLLOW } from '../../abi/fcntl.js';
import { major, minor } from '../../abi/stat.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { newStat } from '../../vfs/inode.js';
import { mountIdOf } from '../../vfs/mount-table.js';
import type { FileTime, Mount } from '../../vfs/types.js';
import { fileOf, placeAt, setU64 } from './common.js';

const out = newStat();
const STATX_BYTES = 256;
const STATX_BASIC_STATS = 0x7ff;
const STATX_BTIME = 0x800;
const STATX_MNT_ID = 0x1000;
const STATX_RESERVED = 0x80000000;
const STATX_ATTR_MOUNT_ROOT = 0x2000;

function setTime(view: DataView, offset: number, time: FileTime): void {
  setU64(view, offset, time.seconds);
  view.setUint32(offset + 8, time.nanoseconds, true);
}

/** statx implements Linux syscall statx(2). Unknown mask bits are ignored, as Linux does. */
export function statx(task: Task, args: SyscallArguments): number {
  const dirfd = args[0] | 0;
  const flags = args[2] | 0;
  if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)) return -EINVAL;
  if ((flags & AT_STATX_SYNC_TYPE) === AT_STATX_SYNC_TYPE || args[3] >>> 0 >= STATX_RESERVED) return -EINVAL;
  const path = args[1] === 0 && flags & AT_EMPTY_PATH ? '' : task.pathArgument(1);
  if (typeof path === 'number') return path;
  let isRoot = false;
  let mount: Mount;
  if (path === '' && flags & AT_EMPTY_PATH && dirfd !== AT_FDCWD) {
    const file = fileOf(task, dirfd);
    if (!file) return -EBADF;
    file.stat(out);
    mount = file.path.mount;
  } else {
    const place = placeAt(task, dirfd, path, !(flags & AT_SYMLINK_NOFOLLOW), (flags & AT_EMPTY_PATH) !== 0);
    if (typeof place === 'number') return place;
    place.dentry.inode.stat(out);
    isRoot = place.dentry.parent === null;
    mount = place.mount;
  }
  const view = task.memory.scratch(STATX_BYTES);
  view.setUint32(0, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID, true);
  view.setUint32(4, out.blockSize, true);
  setU64(view, 8, isRoot ? STATX_ATTR_MOUNT_ROOT : 0);
  view.setUint32(16, out.links, true);
  view.setUint32(20, out.uid, true);
  view.setUint32(24, out.gid, true);
  view.setUint16(28, out.mode, true);
  setU64(view, 32, out.inode);
  setU64(view, 40, out.size);
  setU64(view, 48, out.blocks);
  setU64(view, 56, STATX_ATTR_MOUNT_ROOT);
  setTime(view, 64, out.atime);
  setTime(view, 80, out.btime);
  setTime(view, 96, out.ctime);
  setTime(view, 112, out.mtime);
  view.setUint32(128, major(out.rdev), true);
  view.setUint32(132, minor(out.rdev), true);
  view.setUint32(136, major(out.device), true);
  view.setUint32(140, minor(out.device), true);
  setU64(view, 144, mountIdOf(task.kernel.mounts, mount));
  return task.memory.writeStruct(args[4], STATX_BYTES) ? 0 : -EFAULT;
}
