import { EFAULT, EINVAL, EOPNOTSUPP, EOVERFLOW } from '../../abi/errno.js';
import { AT_EMPTY_PATH, AT_SYMLINK_FOLLOW } from '../../abi/fcntl.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { newStat } from '../../vfs/inode.js';
import { mountIdOf } from '../../vfs/mount-table.js';
import { placeAt, setU64 } from './common.js';

const MAX_HANDLE_BYTES = 128;
/** FILEID_INO64_GEN, as the memory file systems of Linux use it: inode number and generation. */
const HANDLE_TYPE = 0x81;
const HANDLE_BYTES = 12;
const HEADER_BYTES = 8;
const stat = newStat();

/**
 * name_to_handle_at implements Linux syscall name_to_handle_at(2): equal handles mean the same file. -EOVERFLOW, with the
 * size that is needed, for too small a handle; -EOPNOTSUPP where inodes come and go (proc).
 */
export function nameToHandleAt(task: Task, args: SyscallArguments): number {
  const [directory, , address, mountAddress] = args;
  const flags = args[4] | 0;
  if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) return -EINVAL;
  const path = task.pathArgument(1);
  if (typeof path === 'number') return path;
  const place = placeAt(task, directory | 0, path, (flags & AT_SYMLINK_FOLLOW) !== 0, (flags & AT_EMPTY_PATH) !== 0);
  if (typeof place === 'number') return place;
  const room = task.memory.readU32(address);
  if (Number.isNaN(room)) return -EFAULT;
  if (room > MAX_HANDLE_BYTES) return -EINVAL;
  const { inode } = place.dentry;
  if (inode.fileSystem.type === 'proc') return -EOPNOTSUPP;
  inode.stat(stat);
  const fits = room >= HANDLE_BYTES;
  const view = task.memory.scratch(HEADER_BYTES + HANDLE_BYTES);
  view.setUint32(0, HANDLE_BYTES, true);
  view.setInt32(4, fits ? HANDLE_TYPE : 0, true);
  setU64(view, 8, stat.inode);
  view.setUint32(16, stat.device >>> 0, true);
  if (!task.memory.writeStruct(address, fits ? HEADER_BYTES + HANDLE_BYTES : 4)) return -EFAULT;
  if (!task.memory.writeU32(mountAddress, mountIdOf(task.kernel.mounts, place.mount))) return -EFAULT;
  return fits ? 0 : -EOVERFLOW;
}
