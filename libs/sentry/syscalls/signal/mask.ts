import { EAGAIN, EFAULT, EINTR, EINVAL, ERESTARTNOHAND } from '../../abi/errno.js';
import { SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGINFO_BYTES, UNBLOCKABLE_MASK } from '../../abi/signal.js';
import { dequeueSignal } from '../../kernel/signals/delivery.js';
import { writeSignalInfo } from '../../kernel/signals/siginfo.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { POLLIN } from '../../vfs/wait-queue.js';
import { readTimespec } from '../time/support.js';
import { readSignalSet, signalSet, writeSignalSet } from './support.js';

/** rt_sigprocmask implements Linux syscall rt_sigprocmask(2). */
export function rtSigprocmask(task: Task, args: SyscallArguments): number {
  if (args[3] !== 8) return -EINVAL;
  const mask = task.signalMask;
  const oldLow = mask[0];
  const oldHigh = mask[1];
  if (args[1] !== 0) {
    if (!readSignalSet(task, args[1])) return -EFAULT;
    const low = signalSet.low & ~UNBLOCKABLE_MASK;
    const { high } = signalSet;
    switch (args[0] | 0) {
      case SIG_BLOCK:
        mask[0] |= low;
        mask[1] |= high;
        break;
      case SIG_UNBLOCK:
        mask[0] &= ~low;
        mask[1] &= ~high;
        break;
      case SIG_SETMASK:
        mask[0] = low;
        mask[1] = high;
        break;
      default:
        return -EINVAL;
    }
  }
  return args[2] === 0 || writeSignalSet(task, args[2], oldLow, oldHigh) ? 0 : -EFAULT;
}

/** rt_sigpending implements Linux syscall rt_sigpending(2): pending and blocked. */
export function rtSigpending(task: Task, args: SyscallArguments): number {
  const size = args[1];
  if (size < 0 || size > 8) return -EINVAL;
  const shared = task.group.sharedPending;
  const out = task.memory.scratch(8);
  out.setUint32(0, (task.pending.low | shared.low) & task.signalMask[0], true);
  out.setUint32(4, (task.pending.high | shared.high) & task.signalMask[1], true);
  return size === 0 || task.memory.writeStruct(args[0], size) ? 0 : -EFAULT;
}

/** rt_sigsuspend implements Linux syscall rt_sigsuspend(2). */
export function rtSigsuspend(task: Task, args: SyscallArguments): number {
  if (args[1] !== 8) return -EINVAL;
  if (!readSignalSet(task, args[0])) return -EFAULT;
  task.setTemporarySignalMask(signalSet.low & ~UNBLOCKABLE_MASK, signalSet.high);
  return task.park(Number.POSITIVE_INFINITY, -ERESTARTNOHAND);
}

/** pause implements Linux syscall pause(2). */
export function pause(task: Task): number {
  return task.park(Number.POSITIVE_INFINITY, -ERESTARTNOHAND);
}

/** What a waiting rt_sigtimedwait keeps: the set as it was at the call, and until when. */
interface SignalWait {
  readonly low: number;
  readonly high: number;
  readonly deadline: number;
}

/** rt_sigtimedwait implements Linux syscall rt_sigtimedwait(2). */
export function rtSigtimedwait(task: Task, args: SyscallArguments): number {
  let wait = task.state as SignalWait | null;
  if (wait === null) {
    if (args[3] !== 8) return -EINVAL;
    if (!readSignalSet(task, args[0])) return -EFAULT;
    let deadline = Number.POSITIVE_INFINITY;
    const low = signalSet.low & ~UNBLOCKABLE_MASK;
    const { high } = signalSet;
    if (args[2] !== 0) {
      const timeout = readTimespec(task, args[2]);
      if (timeout < 0) return timeout;
      deadline = task.kernel.clock.monotonic() + timeout;
    }
    wait = { low, high, deadline };
    task.setState(wait);
  }
  const info = dequeueSignal(task, wait.low, wait.high);
  if (info !== null) {
    if (args[1] === 0) return info.signal;
    const out = task.memory.scratch(SIGINFO_BYTES);
    writeSignalInfo(out, 0, info);
    return task.memory.writeStruct(args[1], SIGINFO_BYTES) ? info.signal : -EFAULT;
  }
  if (task.kernel.clock.monotonic() >= wait.deadline) return -EAGAIN;
  task.waitOn(task.group.signalQueue, POLLIN);
  return task.park(wait.deadline, -EINTR);
}
