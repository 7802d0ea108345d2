import { EFAULT, EINVAL } from '../../abi/errno.js';
import { RUSAGE_BYTES, RUSAGE_CHILDREN, RUSAGE_SELF, RUSAGE_THREAD } from '../../abi/resource.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import type { Bytes, Nanoseconds } from '../../platform/platform.js';

/** Writes struct rusage: user and system time, maxrss in KiB. */
export function writeUsage(
  task: Task,
  address: number,
  user: Nanoseconds,
  system: Nanoseconds,
  resident: Bytes,
): boolean {
  const out = task.memory.scratch(RUSAGE_BYTES);
  const time = (offset: number, span: Nanoseconds): void => {
    const seconds = Math.floor(span / 1e9);
    out.setUint32(offset, seconds, true);
    out.setUint32(offset + 8, Math.floor((span - seconds * 1e9) / 1000), true);
  };
  time(0, user);
  time(16, system);
  out.setUint32(32, Math.floor(resident / 1024), true);
  return task.memory.writeStruct(address, RUSAGE_BYTES);
}

/** getrusage implements Linux syscall getrusage(2). */
export function getrusage(task: Task, args: SyscallArguments): number {
  const { group } = task;
  const resident = Math.max(group.peakResident, task.memory.residentSize());
  group.peakResident = resident;
  let written: boolean;
  switch (args[0] | 0) {
    case RUSAGE_SELF:
      written = writeUsage(task, args[1], group.userTime(), group.systemTime(), resident);
      break;
    case RUSAGE_THREAD:
      written = writeUsage(task, args[1], task.userTime(), task.systemTime, resident);
      break;
    case RUSAGE_CHILDREN:
      written = writeUsage(task, args[1], group.childrenUserTime, group.childrenSystemTime, group.childrenPeakResident);
      break;
    default:
      return -EINVAL;
  }
  return written ? 0 : -EFAULT;
}

/** times implements Linux syscall times(2): clock ticks of 10 ms. */
export function times(task: Task, args: SyscallArguments): number {
  const { group, kernel } = task;
  if (args[0] !== 0) {
    const out = task.memory.scratch(32);
    out.setUint32(0, Math.floor(group.userTime() / 1e7), true);
    out.setUint32(8, Math.floor(group.systemTime() / 1e7), true);
    out.setUint32(16, Math.floor(group.childrenUserTime / 1e7), true);
    out.setUint32(24, Math.floor(group.childrenSystemTime / 1e7), true);
    if (!task.memory.writeStruct(args[0], 32)) return -EFAULT;
  }
  return Math.floor(kernel.clock.monotonic() / 1e7);
}
