import { CAP_SYS_ADMIN } from '../../abi/capability.js';
import { EACCES, EFAULT, EINVAL } from '../../abi/errno.js';
import { PTRACE_PEEKSIGINFO_SHARED, SYSCALL_INFO_FILLED } from '../../abi/ptrace.js';
import { SIGINFO_BYTES, UNBLOCKABLE_MASK } from '../../abi/signal.js';
import { syscallInfo, syscallInfoOp } from '../../kernel/ptrace/syscall-info.js';
import { Stop } from '../../kernel/ptrace/tracing.js';
import { parseSignalInfo, writeSignalInfo } from '../../kernel/signals/siginfo.js';
import type { Request } from './ptrace.js';

const SIGNAL_SET_BYTES = 8;
/** struct ptrace_peeksiginfo_args */
const PEEK_BYTES = 16;

/** PTRACE_GETSIGINFO. */
export function getSignalInfo({ tracer, stop, data }: Request): number {
  const { info } = stop;
  if (info === null) return -EINVAL;
  const view = tracer.memory.scratch(SIGINFO_BYTES);
  writeSignalInfo(view, 0, info);
  if (stop.kind !== Stop.Signal) {
    // Who stops, where a signal of that number would have an address.
    view.setInt32(16, info.pid, true);
    view.setUint32(20, info.uid, true);
  }
  return tracer.memory.writeStruct(data, SIGINFO_BYTES) ? 0 : -EFAULT;
}

/** PTRACE_SETSIGINFO: what the signal is delivered with, if it is. */
export function setSignalInfo({ tracer, stop, data }: Request): number {
  const view = tracer.memory.readStruct(data, SIGINFO_BYTES);
  if (view === null) return -EFAULT;
  if (stop.info === null) return -EINVAL;
  stop.info = parseSignalInfo(view);
  return 0;
}

/** PTRACE_PEEKSIGINFO: how many signals of the queue were copied, which stay in it. */
export function peekSignalInfo({ tracer, tracee, address, data }: Request): number {
  const view = tracer.memory.readStruct(address, PEEK_BYTES);
  if (view === null) return -EFAULT;
  const first = view.getUint32(4, true) * 0x1_0000_0000 + view.getUint32(0, true);
  const flags = view.getUint32(8, true);
  const count = view.getInt32(12, true);
  if (flags & ~PTRACE_PEEKSIGINFO_SHARED || count < 0) return -EINVAL;
  const source = flags & PTRACE_PEEKSIGINFO_SHARED ? tracee.group.sharedPending : tracee.pending;
  let copied = 0;
  for (const info of source.slice(first, count)) {
    const out = tracer.memory.scratch(SIGINFO_BYTES);
    writeSignalInfo(out, 0, info);
    if (!tracer.memory.writeStruct(data + copied * SIGINFO_BYTES, SIGINFO_BYTES)) return copied > 0 ? copied : -EFAULT;
    copied++;
  }
  return copied;
}

/** PTRACE_GETSIGMASK. */
export function getSignalMask({ tracer, tracee, address, data }: Request): number {
  if (address !== SIGNAL_SET_BYTES) return -EINVAL;
  const mask = tracee.savedMaskActive ? tracee.savedMask : tracee.signalMask;
  const view = tracer.memory.scratch(SIGNAL_SET_BYTES);
  view.setUint32(0, mask[0], true);
  view.setUint32(4, mask[1], true);
  return tracer.memory.writeStruct(data, SIGNAL_SET_BYTES) ? 0 : -EFAULT;
}

/** PTRACE_SETSIGMASK. */
export function setSignalMask({ tracer, tracee, address, data }: Request): number {
  if (address !== SIGNAL_SET_BYTES) return -EINVAL;
  const view = tracer.memory.readStruct(data, SIGNAL_SET_BYTES);
  if (view === null) return -EFAULT;
  // Also instead of one that a call would bring back.
  tracee.savedMaskActive = false;
  tracee.signalMask[0] = view.getUint32(0, true) & ~UNBLOCKABLE_MASK;
  tracee.signalMask[1] = view.getUint32(4, true);
  return 0;
}

/** PTRACE_GET_SYSCALL_INFO: copies at most `address` bytes; how many there are. */
export function getSyscallInfo({ tracer, tracee, stop, address, data }: Request): number {
  const filled = SYSCALL_INFO_FILLED[syscallInfoOp(stop)];
  const length = address < 0 ? filled : Math.min(address, filled);
  const bytes = syscallInfo(tracee, stop);
  return tracer.memory.copyOut(data, bytes, 0, length) < length ? -EFAULT : filled;
}

/** PTRACE_SECCOMP_GET_FILTER: for checkpointing, which is for administrators; and the filters of this kernel are its own. */
export function getFilter({ tracer }: Request): number {
  return tracer.capable(CAP_SYS_ADMIN) ? -EINVAL : -EACCES;
}
