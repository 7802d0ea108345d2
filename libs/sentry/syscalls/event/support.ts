/** What the calls of this family share: descriptor installation, timeouts, temporary signal masks. */
import { EFAULT, EINVAL } from '../../abi/errno.js';
import { RLIMIT_NOFILE } from '../../abi/resource.js';
import { UNBLOCKABLE_MASK } from '../../abi/signal.js';
import type { Task } from '../../kernel/types.js';
import type { Nanoseconds } from '../../platform/platform.js';
import type { FileDescription } from '../../vfs/types.js';

const NANOSECONDS_PER_SECOND = 1e9;

/** Gives the description (one reference, taken over in any case) a number, or -EMFILE. */
export function installFile(task: Task, file: FileDescription, closeOnExec: boolean): number {
  const fd = task.files.install(file, closeOnExec, 0, task.rlimit(RLIMIT_NOFILE));
  if (fd < 0) file.release();
  return fd;
}

/** Nanoseconds of the `struct timespec` at `address`; -EFAULT, -EINVAL for what is out of range. */
export function readTimespec(task: Task, address: number): Nanoseconds {
  const seconds = task.memory.readU64(address);
  const nanoseconds = task.memory.readU64(address + 8);
  if (Number.isNaN(seconds) || Number.isNaN(nanoseconds)) return -EFAULT;
  if (seconds < 0 || nanoseconds < 0 || nanoseconds >= NANOSECONDS_PER_SECOND) return -EINVAL;
  return seconds * NANOSECONDS_PER_SECOND + nanoseconds;
}

/** As readTimespec for `struct timeval`; microseconds may exceed a second, as select(2) takes them. */
export function readTimeval(task: Task, address: number): Nanoseconds {
  const seconds = task.memory.readU64(address);
  const microseconds = task.memory.readU64(address + 8);
  if (Number.isNaN(seconds) || Number.isNaN(microseconds)) return -EFAULT;
  if (seconds < 0 || microseconds < 0) return -EINVAL;
  return seconds * NANOSECONDS_PER_SECOND + microseconds * 1000;
}

/** Writes back what is left until `deadline`, in seconds and units of `unit` ns. A fault is ignored, as Linux does. */
export function writeRemaining(task: Task, address: number, deadline: Nanoseconds, unit: number): void {
  const left = Math.max(0, deadline - task.kernel.clock.monotonic());
  const seconds = Math.floor(left / NANOSECONDS_PER_SECOND);
  task.memory.writeU64(address, seconds);
  task.memory.writeU64(address + 8, Math.floor((left - seconds * NANOSECONDS_PER_SECOND) / unit));
}

/**
 * The deadline of this call: computed from `timeout` (ns, Infinity = none) when it starts, kept in `task.state` while it
 * waits.
 */
export function deadlineOf(task: Task, timeout: Nanoseconds): Nanoseconds {
  if (timeout === Infinity) return Infinity;
  if (typeof task.state === 'number') return task.state;
  return task.kernel.clock.monotonic() + timeout;
}

/** Applies the signal mask at `address` (0 = none) for the rest of the call. 0, -EINVAL, -EFAULT. */
export function applySignalMask(task: Task, address: number, size: number): number {
  if (address === 0) return 0;
  if (size !== 8) return -EINVAL;
  const low = task.memory.readU32(address);
  const high = task.memory.readU32(address + 4);
  if (Number.isNaN(low) || Number.isNaN(high)) return -EFAULT;
  task.setTemporarySignalMask(low & ~UNBLOCKABLE_MASK, high);
  return 0;
}
