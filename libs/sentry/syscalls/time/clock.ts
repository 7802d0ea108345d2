import { EFAULT, EINVAL, EPERM } from '../../abi/errno.js';
import * as TIME from '../../abi/time.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { cpuClock, readRealtime, writePair, writeTimespec } from './support.js';

const now = { seconds: 0, nanoseconds: 0 };

/** clock_gettime implements Linux syscall clock_gettime(2). */
export function clockGettime(task: Task, args: SyscallArguments): number {
  const clock = args[0] | 0;
  let written: boolean;
  switch (clock) {
    // The host's own, which programs also read by the vdso.
    case TIME.CLOCK_REALTIME:
    case TIME.CLOCK_REALTIME_COARSE:
    case TIME.CLOCK_REALTIME_ALARM:
    case TIME.CLOCK_TAI:
    case TIME.CLOCK_MONOTONIC:
    case TIME.CLOCK_MONOTONIC_RAW:
    case TIME.CLOCK_MONOTONIC_COARSE:
    case TIME.CLOCK_BOOTTIME:
    case TIME.CLOCK_BOOTTIME_ALARM:
      task.kernel.clock.read(clock, now);
      written = writePair(task, args[1], now.seconds, now.nanoseconds);
      break;
    default: {
      const read = cpuClock(task, clock);
      if (read === null) return -EINVAL;
      written = writeTimespec(task, args[1], read());
    }
  }
  return written ? 0 : -EFAULT;
}

/** clock_getres implements Linux syscall clock_getres(2). */
export function clockGetres(task: Task, args: SyscallArguments): number {
  const clock = args[0] | 0;
  const known = clock >= 0 ? clock <= TIME.CLOCK_TAI && clock !== 10 : cpuClock(task, clock) !== null;
  if (!known) return -EINVAL;
  const coarse = clock === TIME.CLOCK_REALTIME_COARSE || clock === TIME.CLOCK_MONOTONIC_COARSE;
  return args[1] === 0 || writePair(task, args[1], 0, coarse ? TIME.COARSE_RESOLUTION : 1) ? 0 : -EFAULT;
}

/** clock_settime implements Linux syscall clock_settime(2): nobody sets a sandbox's clock. */
export function clockSettime(_task: Task, args: SyscallArguments): number {
  return (args[0] | 0) === TIME.CLOCK_REALTIME ? -EPERM : -EINVAL;
}

/** gettimeofday implements Linux syscall gettimeofday(2). */
export function gettimeofday(task: Task, args: SyscallArguments): number {
  if (args[0] !== 0) {
    const now = readRealtime(task);
    if (!writePair(task, args[0], now.seconds, Math.floor(now.nanoseconds / 1000))) return -EFAULT;
  }
  // The time zone has been zero since time zones moved to user space.
  return args[1] === 0 || task.memory.writeU64(args[1], 0) ? 0 : -EFAULT;
}

/** time implements Linux syscall time(2). */
export function time(task: Task, args: SyscallArguments): number {
  const seconds = task.kernel.clock.realtimeSeconds();
  return args[0] === 0 || task.memory.writeU64(args[0], seconds) ? seconds : -EFAULT;
}
