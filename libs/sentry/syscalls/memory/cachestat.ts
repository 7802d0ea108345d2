import { EBADF, EFAULT, EINVAL } from '../../abi/errno.js';
import { O_PATH } from '../../abi/fcntl.js';
import { MemoryRegularFile } from '../../fs/tmpfs/memory-file.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { PAGE_SIZE } from '../../platform/platform.js';

const RANGE_BYTES = 16;
const STAT_BYTES = 40;
const TWO_32 = 0x1_0000_0000;

/**
 * cachestat implements Linux syscall cachestat(2). What lies in memory is its own cache, so nothing of it is ever dirty, written back
 * or evicted; files of the image count as cached whole.
 */
export function cachestat(task: Task, args: SyscallArguments): number {
  const file = task.files.get(args[0] | 0);
  if (!file || file.flags & O_PATH) return -EBADF;
  const range = task.memory.readStruct(args[1], RANGE_BYTES);
  if (range === null) return -EFAULT;
  if ((args[3] | 0) !== 0) return -EINVAL;
  const offset = range.getUint32(4, true) * TWO_32 + range.getUint32(0, true);
  const length = range.getUint32(12, true) * TWO_32 + range.getUint32(8, true);
  const first = Math.floor(offset / PAGE_SIZE);
  const last = length === 0 ? Number.POSITIVE_INFINITY : Math.floor((offset + length - 1) / PAGE_SIZE) + 1;
  const cached = file.inode instanceof MemoryRegularFile ? file.inode.cachedPages(first, last) : 0;
  const out = task.memory.scratch(STAT_BYTES);
  out.setUint32(0, cached % TWO_32, true);
  out.setUint32(4, Math.floor(cached / TWO_32), true);
  return task.memory.writeStruct(args[2], STAT_BYTES) ? 0 : -EFAULT;
}
