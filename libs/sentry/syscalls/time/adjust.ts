import { CAP_SYS_TIME } from '../../abi/capability.js';
import { EFAULT, EINVAL, EOPNOTSUPP, EPERM } from '../../abi/errno.js';
import * as TIME from '../../abi/time.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { isWaitable, readRealtime } from './support.js';

const TIMEX_BYTES = 208;
const STA_UNSYNC = 0x40;
const TIME_ERROR = 5;
/** NTP_PHASE_LIMIT of a clock that nobody disciplines, in us. */
const UNKNOWN_ERROR = 16_000_000;

/** Reads; a change is refused whatever the caller's rights: nobody sets a sandbox's clock. */
function adjust(task: Task, address: number): number {
  const given = task.memory.readStruct(address, TIMEX_BYTES);
  if (given === null) return -EFAULT;
  if (given.getUint32(0, true) !== 0) return task.capable(CAP_SYS_TIME) ? -EOPNOTSUPP : -EPERM;
  const now = readRealtime(task);
  const out = task.memory.scratch(TIMEX_BYTES);
  const set = (offset: number, value: number): void => out.setBigInt64(offset, BigInt(value), true);
  set(24, UNKNOWN_ERROR); // maxerror
  set(32, UNKNOWN_ERROR); // esterror
  out.setInt32(40, STA_UNSYNC, true);
  set(48, 2); // constant
  set(56, 1); // precision, us
  set(64, 32_768_000); // tolerance: 500 ppm
  set(72, now.seconds);
  set(80, Math.floor(now.nanoseconds / 1000));
  set(88, 10_000); // tick, us
  return task.memory.writeStruct(address, TIMEX_BYTES) ? TIME_ERROR : -EFAULT;
}

/** adjtimex implements Linux syscall adjtimex(2): an undisciplined clock, to be read only. */
export function adjtimex(task: Task, args: SyscallArguments): number {
  return adjust(task, args[0]);
}

/** clock_adjtime implements Linux syscall clock_adjtime(2): CLOCK_REALTIME as adjtimex, other clocks cannot be adjusted. */
export function clockAdjtime(task: Task, args: SyscallArguments): number {
  const clock = args[0] | 0;
  if (task.memory.readStruct(args[1], TIMEX_BYTES) === null) return -EFAULT;
  if (clock === TIME.CLOCK_REALTIME) return adjust(task, args[1]);
  return clock < 0 || clock > TIME.CLOCK_TAI ? -EINVAL : isWaitable(clock) || clock < 8 ? -EOPNOTSUPP : -EINVAL;
}
