import { EFAULT, EINVAL, ERESTART_RESTARTBLOCK, ERESTARTNOHAND } from '../../abi/errno.js';
import { RLIMIT_NOFILE } from '../../abi/resource.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import type { Nanoseconds } from '../../platform/platform.js';
import { POLLERR, POLLHUP, POLLNVAL } from '../../vfs/wait-queue.js';
import { applySignalMask, deadlineOf, readTimespec, writeRemaining } from './support.js';

/** `struct pollfd`: s32 fd, s16 events, s16 revents. */
const POLLFD_SIZE = 8;
/** Copies of the guest's array: grows to the largest usual one; larger ones are allocated for the call. */
const KEPT_ENTRIES = 4096;
let scratch = new Uint8Array(64 * POLLFD_SIZE);
let view = new DataView(scratch.buffer);

function scratchFor(count: number): void {
  const bytes = count * POLLFD_SIZE;
  if (scratch.length >= bytes && (scratch.length <= KEPT_ENTRIES * POLLFD_SIZE || bytes > scratch.length / 2)) return;
  scratch = new Uint8Array(Math.max(bytes, 64 * POLLFD_SIZE));
  view = new DataView(scratch.buffer);
}

/** What the parked poll had found when a signal came: nothing. Everything else is decided here. */
const MUST_WAIT = -0x20000;

/** Of a poll that does not wait: nobody needs the clock for it. */
const PAST: Nanoseconds = 0;

/** One look at all descriptors: how many have events, or MUST_WAIT; registers for waiting when `wait`. */
function pollOnce(task: Task, args: SyscallArguments, count: number, wait: boolean): number {
  scratchFor(count);
  const buffer = scratch;
  const entries = view;
  const bytes = count * POLLFD_SIZE;
  if (task.memory.copyInAt(args, 0, buffer, 0, bytes) !== bytes) return -EFAULT;
  let ready = 0;
  for (let at = 0; at < bytes; at += POLLFD_SIZE) {
    const fd = entries.getInt32(at, true);
    let found = 0;
    if (fd >= 0) {
      const file = task.files.get(fd);
      found = file ? file.poll() & (entries.getUint16(at + 4, true) | POLLERR | POLLHUP) : POLLNVAL;
      if (found) ready++;
    }
    // Only revents go back, and only where they differ: the guest may change the rest meanwhile.
    if (entries.getUint16(at + 6, true) === found) entries.setInt32(at, -1, true);
    else {
      entries.setInt32(at, -2, true);
      entries.setUint16(at + 6, found, true);
    }
  }
  if (ready === 0 && wait) {
    if (task.memory.copyInAt(args, 0, buffer, 0, bytes) !== bytes) return -EFAULT;
    for (let at = 0; at < bytes; at += POLLFD_SIZE) {
      const fd = entries.getInt32(at, true);
      const file = fd < 0 ? null : task.files.get(fd);
      if (file) task.waitOn(file.waitQueue, entries.getUint16(at + 4, true) | POLLERR | POLLHUP);
    }
    return MUST_WAIT;
  }
  for (let at = 0; at < bytes; at += POLLFD_SIZE)
    if (entries.getInt32(at, true) === -2 && task.memory.copyOut(args[0] + at + 6, buffer, at + 6, 2) !== 2)
      return -EFAULT;
  return ready;
}

function pollUntil(task: Task, args: SyscallArguments, deadline: Nanoseconds, interrupted: number): number {
  const count = args[1];
  if (count < 0 || count > task.rlimit(RLIMIT_NOFILE)) return -EINVAL;
  const expired = deadline === PAST || (deadline !== Infinity && deadline <= task.kernel.clock.monotonic());
  const result = pollOnce(task, args, count, !expired);
  if (result !== MUST_WAIT) return result;
  task.setState(deadline);
  return task.park(deadline, interrupted);
}

/** poll implements Linux syscall poll(2). */
export function poll(task: Task, args: SyscallArguments): number {
  const timeout = args[2] | 0;
  const deadline = timeout === 0 ? PAST : deadlineOf(task, timeout < 0 ? Infinity : timeout * 1e6);
  if (task.signalPending()) {
    task.restartBlock.handler = restartPoll;
    task.restartBlock.state = deadline;
  }
  return pollUntil(task, args, deadline, -ERESTART_RESTARTBLOCK);
}

/** A poll that a stop or an ignored signal broke off goes on to its first deadline. */
function restartPoll(task: Task, args: SyscallArguments): number {
  return pollUntil(task, args, task.restartBlock.state as Nanoseconds, -ERESTART_RESTARTBLOCK);
}

/** ppoll implements Linux syscall ppoll(2), which (unlike glibc's) writes back the time that is left. */
export function ppoll(task: Task, args: SyscallArguments): number {
  const timeoutAddress = args[2];
  let deadline = Infinity;
  if (timeoutAddress !== 0) {
    if (typeof task.state === 'number') deadline = task.state;
    else {
      const timeout = readTimespec(task, timeoutAddress);
      if (timeout < 0) return timeout;
      deadline = deadlineOf(task, timeout);
    }
  }
  const masked = applySignalMask(task, args[3], args[4]);
  if (masked < 0) return masked;
  const result = pollUntil(task, args, deadline, -ERESTARTNOHAND);
  if (timeoutAddress !== 0 && (result >= 0 || result === -ERESTARTNOHAND))
    writeRemaining(task, timeoutAddress, deadline, 1);
  return result;
}
