import { EFAULT } from '../../abi/errno.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { PAGE_SIZE } from '../../platform/platform.js';

const SYSINFO_BYTES = 112;
/** Load averages are fixed-point numbers (SI_LOAD_SHIFT). */
const LOAD_ONE = 65536;

/** sysinfo implements Linux syscall sysinfo(2). Memory is the sandbox's limit and what is left of it; there is no swap. */
export function sysinfo(task: Task, args: SyscallArguments): number {
  const { memory, kernel } = task;
  const { frames, clock } = kernel;
  const view = memory.scratch(SYSINFO_BYTES);
  const put = (offset: number, value: number): void => {
    view.setUint32(offset, value % 0x1_0000_0000, true);
    view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
  };
  put(0, Math.floor((clock.monotonic() - kernel.bootTime) / 1e9));
  kernel.loadAverage.update(clock.monotonic());
  for (const [index, load] of kernel.loadAverage.values.entries()) put(8 + 8 * index, Math.round(load * LOAD_ONE));
  put(32, frames.limit);
  put(40, Math.max(0, frames.limit - frames.committed));
  put(48, frames.sharedFrames * PAGE_SIZE);
  view.setUint16(80, Math.min(kernel.tasks.size, 0xffff), true);
  view.setUint32(104, 1, true);
  return memory.writeStruct(args[0], SYSINFO_BYTES) ? 0 : -EFAULT;
}
