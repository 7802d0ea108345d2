import { EFAULT, EINVAL } from '../../abi/errno.js';
import { MXCSR_MASK, MXCSR_OFFSET } from '../../abi/ptrace.js';
import { FPX_SW_OFFSET, FXSAVE_BYTES, XSAVE_HEADER_BYTES, XSTATE_BV_OFFSET } from '../../abi/signal.js';
import type { Bytes, Context } from '../../platform/platform.js';
import { stateComponents } from '../signals/frame.js';

const X87 = 1;
const SSE = 2;
/** FCW after FNINIT. */
const INITIAL_FCW = 0x37f;
/** The x87 part of the legacy area before MXCSR, and its registers; those of SSE follow. */
const ST_OFFSET = 32;
const XMM_OFFSET = 160;

/** NT_X86_XSTATE: the xsave area in standard format; which components there can be stands where the processor leaves room for software. */
export function extendedState(context: Context): Uint8Array {
  const state = new Uint8Array(context.xsaveSize);
  context.readXsave(state);
  const view = new DataView(state.buffer);
  const present = view.getUint32(XSTATE_BV_OFFSET, true);
  // A component in its initial state may not have been written down.
  if (!(present & X87)) {
    state.fill(0, 0, MXCSR_OFFSET);
    view.setUint16(0, INITIAL_FCW, true);
    state.fill(0, ST_OFFSET, XMM_OFFSET);
  }
  if (!(present & SSE)) state.fill(0, XMM_OFFSET, FPX_SW_OFFSET);
  state.fill(0, FPX_SW_OFFSET, FXSAVE_BYTES);
  view.setUint32(FPX_SW_OFFSET, stateComponents(state.length), true);
  return state;
}

/** NT_PRFPREG: struct user_fpregs_struct, the first 512 bytes of that. */
export function floatingPointState(context: Context): Uint8Array {
  const state = extendedState(context).subarray(0, FXSAVE_BYTES);
  state.fill(0, FPX_SW_OFFSET);
  return state;
}

function isValidMxcsr(view: DataView): boolean {
  return (view.getUint32(MXCSR_OFFSET, true) & ~MXCSR_MASK) === 0;
}

/** Takes over as much of struct user_fpregs_struct as there is: 0, or -EINVAL for control bits that no processor has. */
export function setFloatingPointState(context: Context, bytes: Uint8Array): number {
  const state = extendedState(context);
  state.set(bytes.subarray(0, FXSAVE_BYTES));
  state.fill(0, FPX_SW_OFFSET, FXSAVE_BYTES);
  const view = new DataView(state.buffer);
  if (!isValidMxcsr(view)) return -EINVAL;
  view.setUint32(XSTATE_BV_OFFSET, view.getUint32(XSTATE_BV_OFFSET, true) | X87 | SSE, true);
  return context.writeXsave(state) ? 0 : -EINVAL;
}

/**
 * Takes over an xsave area: 0; -EFAULT if it is not all there, -EINVAL for a header or control bits that would fault (Linux's
 * copy_uabi_to_xstate).
 */
export function setExtendedState(context: Context, bytes: Uint8Array): number {
  const size: Bytes = context.xsaveSize;
  if (bytes.length !== size) return -EFAULT;
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  const header = bytes.subarray(XSTATE_BV_OFFSET + 8, XSTATE_BV_OFFSET + XSAVE_HEADER_BYTES);
  if (header.some((byte) => byte !== 0) || !isValidMxcsr(view)) return -EINVAL;
  bytes.fill(0, FPX_SW_OFFSET, FXSAVE_BYTES);
  return replaceState(context, extendedState(context), bytes);
}

/** A platform that refuses a state leaves the initial one behind: the tracee keeps what it had. */
function replaceState(context: Context, old: Uint8Array, state: Uint8Array): number {
  if (context.writeXsave(state)) return 0;
  old.fill(0, FPX_SW_OFFSET, FXSAVE_BYTES);
  context.writeXsave(old);
  return -EINVAL;
}
