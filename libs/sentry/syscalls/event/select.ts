import { EBADF, EFAULT, EINVAL, ERESTARTNOHAND } from '../../abi/errno.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import type { Nanoseconds } from '../../platform/platform.js';
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from '../../vfs/wait-queue.js';
import { applySignalMask, deadlineOf, readTimespec, readTimeval, writeRemaining } from './support.js';

/** What makes a descriptor readable, writable, exceptional (POLLIN_SET and so on in fs/select.c). */
const EVENTS = [
  POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR,
  POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR,
  POLLPRI,
] as const;
const EX_WAIT = POLLERR | POLLHUP;

/** The three sets as asked and as answered, each `stride` bytes. Grow to the largest seen. */
let stride = 128;
let asked = new Uint8Array(3 * stride);
let answered = new Uint8Array(3 * stride);

const MUST_WAIT = -0x20000;

function selectOnce(task: Task, args: SyscallArguments, count: number, wait: boolean): number {
  const bytes = Math.ceil(count / 64) * 8;
  if (bytes > stride) {
    stride = bytes;
    asked = new Uint8Array(3 * stride);
    answered = new Uint8Array(3 * stride);
  }
  for (let set = 0; set < 3; set++) {
    const address = args[1 + set];
    const start = set * stride;
    if (address === 0) asked.fill(0, start, start + bytes);
    else if (task.memory.copyIn(address, asked, start, bytes) !== bytes) return -EFAULT;
    answered.fill(0, start, start + bytes);
  }
  let ready = 0;
  for (let byte = 0; byte * 8 < count; byte++) {
    const read = asked[byte];
    const write = asked[stride + byte];
    const except = asked[2 * stride + byte];
    let bits = read | write | except;
    if (byte * 8 + 8 > count) bits &= (1 << (count & 7)) - 1;
    for (let bit = 0; bits !== 0; bit++, bits >>= 1) {
      if ((bits & 1) === 0) continue;
      const file = task.files.get(byte * 8 + bit);
      if (!file) return -EBADF;
      const events = file.poll();
      const mask = 1 << bit;
      if (read & mask && events & EVENTS[0]) {
        answered[byte] |= mask;
        ready++;
      }
      if (write & mask && events & EVENTS[1]) {
        answered[stride + byte] |= mask;
        ready++;
      }
      if (except & mask && events & EVENTS[2]) {
        answered[2 * stride + byte] |= mask;
        ready++;
      }
    }
  }
  if (ready === 0 && wait) {
    register(task, count);
    return MUST_WAIT;
  }
  for (let set = 0; set < 3; set++) {
    const address = args[1 + set];
    if (address !== 0 && task.memory.copyOut(address, answered, set * stride, bytes) !== bytes) return -EFAULT;
  }
  return ready;
}

function register(task: Task, count: number): void {
  for (let byte = 0; byte * 8 < count; byte++) {
    const read = asked[byte];
    const write = asked[stride + byte];
    let bits = read | write | asked[2 * stride + byte];
    if (byte * 8 + 8 > count) bits &= (1 << (count & 7)) - 1;
    for (let bit = 0; bits !== 0; bit++, bits >>= 1) {
      if ((bits & 1) === 0) continue;
      const mask = 1 << bit;
      const events = (read & mask ? EVENTS[0] : 0) | (write & mask ? EVENTS[1] : 0) | EVENTS[2] | EX_WAIT;
      const file = task.files.get(byte * 8 + bit);
      if (file) task.waitOn(file.waitQueue, events);
    }
  }
}

/** The whole call once the deadline is known; `timeAddress` gets what is left, in units of `unit` ns. */
function selectUntil(
  task: Task,
  args: SyscallArguments,
  deadline: Nanoseconds,
  timeAddress: number,
  unit: number,
): number {
  let count = args[0] | 0;
  if (count < 0) return -EINVAL;
  // Bits beyond the table are not looked at, so they are not EBADF either (core_sys_select in fs/select.c).
  count = Math.min(count, task.files.capacity());
  const expired = deadline !== Infinity && deadline <= task.kernel.clock.monotonic();
  let result = selectOnce(task, args, count, !expired);
  if (result === MUST_WAIT) {
    task.setState(deadline);
    result = task.park(deadline, -ERESTARTNOHAND);
  }
  if (timeAddress !== 0 && (result >= 0 || result === -ERESTARTNOHAND))
    writeRemaining(task, timeAddress, deadline, unit);
  return result;
}

/** select implements Linux syscall select(2): the time left is written back. */
export function select(task: Task, args: SyscallArguments): number {
  const address = args[4];
  let deadline = Infinity;
  if (address !== 0) {
    if (typeof task.state === 'number') deadline = task.state;
    else {
      const timeout = readTimeval(task, address);
      if (timeout < 0) return timeout;
      deadline = deadlineOf(task, timeout);
    }
  }
  return selectUntil(task, args, deadline, address, 1000);
}

/** pselect6 implements Linux syscall pselect6(2); the sixth argument points at { mask address, mask size }. */
export function pselect6(task: Task, args: SyscallArguments): number {
  const address = args[4];
  let deadline = Infinity;
  if (address !== 0) {
    if (typeof task.state === 'number') deadline = task.state;
    else {
      const timeout = readTimespec(task, address);
      if (timeout < 0) return timeout;
      deadline = deadlineOf(task, timeout);
    }
  }
  if (args[5] !== 0) {
    const mask = task.memory.readU64(args[5]);
    const size = task.memory.readU64(args[5] + 8);
    if (Number.isNaN(mask) || Number.isNaN(size)) return -EFAULT;
    const masked = applySignalMask(task, mask, size);
    if (masked < 0) return masked;
  }
  return selectUntil(task, args, deadline, address, 1);
}
