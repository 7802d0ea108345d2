import { SIGINFO_BYTES } from '../../abi/signal.js';
import { signalInfo } from '../../kernel/signals/pending.js';
import type { Task } from '../../kernel/task.js';
import type { SignalInfo } from '../../kernel/types.js';

/** A signal set, read into the two fields. */
export const signalSet = { low: 0, high: 0 };

/** Reads a sigset_t of 8 bytes into `signalSet`; false on EFAULT. */
export function readSignalSet(task: Task, address: number): boolean {
  const low = task.memory.readU32(address);
  const high = task.memory.readU32(address + 4);
  if (Number.isNaN(low) || Number.isNaN(high)) return false;
  signalSet.low = low;
  signalSet.high = high;
  return true;
}

export function writeSignalSet(task: Task, address: number, low: number, high: number): boolean {
  return task.memory.writeU32(address, low >>> 0) && task.memory.writeU32(address + 4, high >>> 0);
}

/** Reads the siginfo of sigqueue(3): code, pid, uid and value; null on EFAULT. */
export function readSignalInfo(task: Task, address: number, signal: number): SignalInfo | null {
  const view = task.memory.readStruct(address, SIGINFO_BYTES);
  if (view === null) return null;
  const info = signalInfo(signal, view.getInt32(8, true), view.getInt32(16, true), view.getUint32(20, true));
  info.value = view.getInt32(28, true) * 0x1_0000_0000 + view.getUint32(24, true);
  return info;
}
