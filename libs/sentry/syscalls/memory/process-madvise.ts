import { CAP_SYS_NICE } from '../../abi/capability.js';
import { EBADF, EINVAL, EPERM, ESRCH } from '../../abi/errno.js';
import { MADV_COLD, MADV_COLLAPSE, MADV_PAGEOUT, MADV_WILLNEED } from '../../abi/mman.js';
import { PidFile } from '../../fs/anon/pidfd.js';
import { mayInspect } from '../../kernel/access.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { Direction, releaseIo, vectorIo } from '../../mm/io.js';

const REMOTE = [MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED, MADV_COLLAPSE];

/**
 * process_madvise implements Linux syscall process_madvise(2): the bytes advised. On the own memory any advice; on that of others
 * the four that lose nothing. What madvise(2) refuses for the first range is the answer, later it ends the call short.
 */
export function processMadvise(task: Task, args: SyscallArguments): number {
  const [pidfd, vector, count, advice, flags] = args;
  if (flags !== 0) return -EINVAL;
  // Checks the array; the ranges themselves are read again below, because they may be of another process's memory.
  const checked = vectorIo(task.memory, vector, count, Direction.ToGuest);
  if (typeof checked === 'number') return checked;
  releaseIo(checked);
  const file = task.files.get(pidfd | 0);
  if (!(file instanceof PidFile)) return -EBADF;
  const target = file.group?.state === 'dead' || !file.group ? undefined : task.kernel.tasks.get(file.group.pid);
  if (!target) return -ESRCH;
  const own = target.memory === task.memory;
  if (!own && !REMOTE.includes(advice | 0)) return -EINVAL;
  if (!mayInspect(task, target) || (!own && !task.capable(CAP_SYS_NICE))) return -EPERM;
  let advised = 0;
  for (let index = 0; index < count; index++) {
    const base = task.memory.readU64(vector + index * 16);
    const length = task.memory.readU64(vector + index * 16 + 8);
    const result = target.memory.madvise(base, length, advice | 0);
    if (result < 0) return advised > 0 ? advised : result;
    advised += length;
  }
  return advised;
}
