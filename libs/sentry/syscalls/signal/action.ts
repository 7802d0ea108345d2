import { EFAULT, EINVAL, ENOMEM, EPERM } from '../../abi/errno.js';
import {
  MINSIGSTKSZ,
  SA_KNOWN,
  SIG_DFL,
  SIG_IGN,
  SIGKILL,
  SIGRTMAX,
  SIGSTOP,
  SS_AUTODISARM,
  SS_DISABLE,
  SS_ONSTACK,
  UNBLOCKABLE_MASK,
} from '../../abi/signal.js';
import { getRegister } from '../../kernel/registers.js';
import { SignalAction } from '../../kernel/signals/action.js';
import { alternateStackFlags, restoreFrame } from '../../kernel/signals/frame.js';
import { forceSegv, isIgnoredByDefault } from '../../kernel/signals/send.js';
import type { Task } from '../../kernel/task.js';
import { NO_RETURN, type SyscallArguments } from '../../kernel/types.js';
import { Reg } from '../../platform/platform.js';

const SIGACTION_BYTES = 32;

/** rt_sigaction implements Linux syscall rt_sigaction(2). struct: handler, flags, restorer, mask. */
export function rtSigaction(task: Task, args: SyscallArguments): number {
  const signal = args[0] | 0;
  if (args[3] !== 8 || signal < 1 || signal > SIGRTMAX) return -EINVAL;
  if (args[1] !== 0 && (signal === SIGKILL || signal === SIGSTOP)) return -EINVAL;
  const { handlers } = task.group;
  const { handler, flags, restorer, maskLow, maskHigh } = handlers.actions[signal];
  if (args[1] !== 0) {
    const view = task.memory.readStruct(args[1], SIGACTION_BYTES);
    if (view === null) return -EFAULT;
    const word = (offset: number): number =>
      view.getInt32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true);
    const action = new SignalAction(
      word(0),
      view.getUint32(8, true) & SA_KNOWN,
      word(16),
      view.getUint32(24, true) & ~UNBLOCKABLE_MASK,
      view.getUint32(28, true),
    );
    handlers.set(signal, action);
    if (action.handler === SIG_IGN || (action.handler === SIG_DFL && isIgnoredByDefault(signal))) flush(task, signal);
  }
  if (args[2] === 0) return 0;
  const out = task.memory.scratch(SIGACTION_BYTES);
  const store = (offset: number, value: number): void => {
    out.setUint32(offset, value, true);
    out.setInt32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
  };
  store(0, handler);
  out.setUint32(8, flags, true);
  store(16, restorer);
  out.setUint32(24, maskLow, true);
  out.setUint32(28, maskHigh, true);
  return task.memory.writeStruct(args[2], SIGACTION_BYTES) ? 0 : -EFAULT;
}

/** POSIX: a pending signal that becomes ignored is discarded, blocked or not. */
function flush(task: Task, signal: number): void {
  const low = signal <= 32 ? 1 << (signal - 1) : 0;
  const high = signal > 32 ? 1 << (signal - 33) : 0;
  task.group.sharedPending.flush(low, high);
  for (const other of task.group.tasks) other.pending.flush(low, high);
}

/** sigaltstack implements Linux syscall sigaltstack(2). */
export function sigaltstack(task: Task, args: SyscallArguments): number {
  const stack = task.alternateStack;
  const current = alternateStackFlags(task, getRegister(task.context, Reg.RSP));
  const { address, size, flags } = stack;
  if (args[0] !== 0) {
    const newAddress = task.memory.readU64(args[0]);
    const newFlags = task.memory.readU32(args[0] + 8);
    const newSize = task.memory.readU64(args[0] + 16);
    if (Number.isNaN(newAddress) || Number.isNaN(newFlags) || Number.isNaN(newSize)) return -EFAULT;
    if (current === SS_ONSTACK) return -EPERM;
    const mode = (newFlags & ~SS_AUTODISARM) >>> 0;
    if (mode !== 0 && mode !== SS_ONSTACK && mode !== SS_DISABLE) return -EINVAL;
    if (mode === SS_DISABLE) {
      stack.address = 0;
      stack.size = 0;
      stack.flags = 0;
    } else {
      if (newSize < MINSIGSTKSZ) return -ENOMEM;
      stack.address = newAddress;
      stack.size = newSize;
      stack.flags = newFlags & SS_AUTODISARM;
    }
  }
  if (args[1] === 0) return 0;
  const out = task.memory.scratch(24);
  out.setUint32(0, address, true);
  out.setInt32(4, Math.floor(address / 0x1_0000_0000), true);
  out.setUint32(8, (current | flags) >>> 0, true);
  out.setUint32(16, size, true);
  out.setInt32(20, Math.floor(size / 0x1_0000_0000), true);
  return task.memory.writeStruct(args[1], 24) ? 0 : -EFAULT;
}

/** rt_sigreturn implements Linux syscall rt_sigreturn(2). */
export function rtSigreturn(task: Task): number {
  task.restartBlock.handler = null;
  if (!restoreFrame(task)) forceSegv(task, 0);
  return NO_RETURN;
}
