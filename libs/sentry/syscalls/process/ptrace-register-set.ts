import { EFAULT, EINVAL } from '../../abi/errno.js';
import { NT_PRFPREG, NT_PRSTATUS, NT_X86_XSTATE, USER_REGISTERS_BYTES } from '../../abi/ptrace.js';
import { FXSAVE_BYTES } from '../../abi/signal.js';
import * as extended from '../../kernel/ptrace/extended-state.js';
import { generalRegisters, setGeneralRegisters } from '../../kernel/ptrace/registers.js';
import type { Bytes, Context } from '../../platform/platform.js';
import type { Request } from './ptrace.js';

/** All of them come in words of this many bytes. */
const WORD: Bytes = 8;

interface RegisterSet {
  readonly size: (context: Context) => Bytes;
  readonly get: (context: Context) => Uint8Array;
  /** 0 or -errno. */
  readonly set: (context: Context, bytes: Uint8Array) => number;
}

const SETS: Readonly<Record<number, RegisterSet>> = {
  [NT_PRSTATUS]: { size: () => USER_REGISTERS_BYTES, get: generalRegisters, set: setGeneralRegisters },
  [NT_PRFPREG]: {
    size: () => FXSAVE_BYTES,
    get: extended.floatingPointState,
    set: extended.setFloatingPointState,
  },
  [NT_X86_XSTATE]: {
    size: (context) => context.xsaveSize,
    get: extended.extendedState,
    set: extended.setExtendedState,
  },
};

/** The set that the address names, and the struct iovec at `data`; or -errno. */
function prepare({
  tracer,
  tracee,
  address,
  data,
}: Request): { set: RegisterSet; base: number; length: Bytes } | number {
  const view = tracer.memory.readStruct(data, 16);
  if (view === null) return -EFAULT;
  const base = view.getInt32(4, true) * 0x1_0000_0000 + view.getUint32(0, true);
  const length = view.getUint32(12, true) * 0x1_0000_0000 + view.getUint32(8, true);
  const set = SETS[address];
  if (set === undefined || length % WORD !== 0) return -EINVAL;
  return { set, base, length: Math.min(length, set.size(tracee.context)) };
}

/** PTRACE_GETREGSET: as much of the set as there is room for; the iovec says then how much that was. */
export function getRegisterSet(request: Request): number {
  const found = prepare(request);
  if (typeof found === 'number') return found;
  const { set, base, length } = found;
  const { tracer, tracee, data } = request;
  const bytes = set.get(tracee.context);
  if (tracer.memory.copyOut(base, bytes, 0, length) < length) return -EFAULT;
  return tracer.memory.writeU64(data + 8, length) ? 0 : -EFAULT;
}

/** PTRACE_SETREGSET. */
export function setRegisterSet(request: Request): number {
  const found = prepare(request);
  if (typeof found === 'number') return found;
  const { set, base, length } = found;
  const { tracer, tracee, data } = request;
  const bytes = new Uint8Array(length);
  if (tracer.memory.copyIn(base, bytes, 0, length) < length) return -EFAULT;
  const failed = set.set(tracee.context, bytes);
  if (failed) return failed;
  return tracer.memory.writeU64(data + 8, length) ? 0 : -EFAULT;
}
