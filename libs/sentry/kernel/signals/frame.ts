import {
  EFLAGS_DF,
  EFLAGS_RF,
  EFLAGS_TF,
  FIX_EFLAGS,
  FP_XSTATE_MAGIC1,
  FP_XSTATE_MAGIC2,
  FP_XSTATE_MAGIC2_BYTES,
  FPX_SW_OFFSET,
  FXSAVE_BYTES,
  RED_ZONE_BYTES,
  SA_NODEFER,
  SA_ONSTACK,
  SA_RESTORER,
  SC_CR2,
  SC_CS,
  SC_ERR,
  SC_FPSTATE,
  SC_OLDMASK,
  SC_TRAPNO,
  SIGFRAME_BYTES,
  SIGFRAME_SIGINFO,
  SIGFRAME_UCONTEXT,
  SIGINFO_BYTES,
  SS_AUTODISARM,
  SS_DISABLE,
  SS_ONSTACK,
  UC_FLAGS,
  UC_FP_XSTATE,
  UC_MCONTEXT,
  UC_SIGCONTEXT_SS,
  UC_SIGMASK,
  UC_STACK,
  UC_STRICT_RESTORE_SS,
  UNBLOCKABLE_MASK,
  XSAVE_HEADER_BYTES,
  XSTATE_BV_OFFSET,
} from '../../abi/signal.js';
import { type Context, Reg } from '../../platform/platform.js';
import { getRegister, setRegister, USER_CS, USER_SS } from '../registers.js';
import type { Task } from '../task.js';
import type { SignalInfo } from '../types.js';
import type { SignalAction } from './action.js';
import { writeSignalInfo } from './siginfo.js';

/** General registers in the order of struct sigcontext: 8 bytes each from its start. */
const SIGCONTEXT_REGISTERS: readonly number[] = [
  Reg.R8,
  Reg.R9,
  Reg.R10,
  Reg.R11,
  Reg.R12,
  Reg.R13,
  Reg.R14,
  Reg.R15,
  Reg.RDI,
  Reg.RSI,
  Reg.RBP,
  Reg.RBX,
  Reg.RDX,
  Reg.RAX,
  Reg.RCX,
  Reg.RSP,
  Reg.RIP,
  Reg.EFLAGS,
];
const MCONTEXT = SIGFRAME_UCONTEXT + UC_MCONTEXT;

/** Scratch, one for the whole kernel: frame and xsave area of the task at hand. */
const frame = new DataView(new ArrayBuffer(SIGFRAME_BYTES));
const frameBytes = new Uint8Array(frame.buffer);
let xsave = new Uint8Array(0);
let xsaveView = new DataView(xsave.buffer);

function ensureXsave(size: number): void {
  if (xsave.length >= size + FP_XSTATE_MAGIC2_BYTES) return;
  xsave = new Uint8Array(size + FP_XSTATE_MAGIC2_BYTES);
  xsaveView = new DataView(xsave.buffer);
}

/** State components that an xsave area of this size has room for (as XCR0 without PKRU would say). */
export function stateComponents(size: number): number {
  if (size >= 11008) return 0x600e7;
  if (size > 1088) return 0xe7;
  return size > 576 ? 7 : 3;
}

/** SS_* as sigaltstack(2) shows them for a given stack pointer. */
export function alternateStackFlags(task: Task, stackPointer: number): number {
  const { address, size, flags } = task.alternateStack;
  if (size === 0) return SS_DISABLE;
  if (flags & SS_AUTODISARM) return 0;
  return stackPointer > address && stackPointer - address <= size ? SS_ONSTACK : 0;
}

/** Writes a signed 64-bit number. */
function setI64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value, true);
  view.setInt32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}

function getI64(view: DataView, offset: number): number {
  return view.getInt32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true);
}

/**
 * Builds struct rt_sigframe on the guest's stack, exactly as Linux x86-64 does, and points the registers at the handler.
 * False when the frame cannot be written: the caller forces SIGSEGV.
 */
export function setupFrame(task: Task, info: SignalInfo, action: SignalAction): boolean {
  const { context, memory, alternateStack } = task;
  // Linux has no other way to return from a handler on x86-64.
  if (!(action.flags & SA_RESTORER)) return false;
  const oldStack = getRegister(context, Reg.RSP);
  const stackFlags = alternateStackFlags(task, oldStack);
  let stack = oldStack - RED_ZONE_BYTES;
  let entering = false;
  if (action.flags & SA_ONSTACK && stackFlags === 0) {
    stack = alternateStack.address + alternateStack.size;
    entering = true;
  }
  const size = context.xsaveSize;
  ensureXsave(size);
  const fpstate = floorTo(stack - size - FP_XSTATE_MAGIC2_BYTES, 64);
  const address = floorTo(fpstate - SIGFRAME_BYTES, 16) - 8;
  // Overflow of the alternate stack must not silently write below it.
  if ((entering || stackFlags === SS_ONSTACK) && address <= alternateStack.address) return false;
  if (address < 0) return false;

  const written = context.readXsave(xsave);
  fillSoftwareBytes(size);
  if (written < size) xsave.fill(0, written, size);
  if (memory.copyOut(fpstate, xsave, 0, size + FP_XSTATE_MAGIC2_BYTES) < size + FP_XSTATE_MAGIC2_BYTES) return false;

  fillFrame(task, info, action, fpstate);
  if (memory.copyOut(address, frameBytes, 0, SIGFRAME_BYTES) < SIGFRAME_BYTES) return false;

  if (alternateStack.flags & SS_AUTODISARM) {
    alternateStack.address = 0;
    alternateStack.size = 0;
    alternateStack.flags = 0;
  }
  enterHandler(context, info.signal, action.handler, address);
  blockDuringHandler(task, info.signal, action);
  return true;
}

function floorTo(value: number, alignment: number): number {
  return Math.floor(value / alignment) * alignment;
}

/** fpx_sw_bytes: tells a restorer that the area is an xsave one, and how long. */
function fillSoftwareBytes(size: number): void {
  xsave.fill(0, FPX_SW_OFFSET, FXSAVE_BYTES);
  xsaveView.setUint32(FPX_SW_OFFSET, FP_XSTATE_MAGIC1, true);
  xsaveView.setUint32(FPX_SW_OFFSET + 4, size + FP_XSTATE_MAGIC2_BYTES, true);
  xsaveView.setUint32(FPX_SW_OFFSET + 8, stateComponents(size), true);
  xsaveView.setUint32(FPX_SW_OFFSET + 16, size, true);
  // Linux marks x87 and SSE as in use, so that a handler that edits them has its edits loaded.
  xsaveView.setUint32(XSTATE_BV_OFFSET, xsaveView.getUint32(XSTATE_BV_OFFSET, true) | 3, true);
  xsaveView.setUint32(size, FP_XSTATE_MAGIC2, true);
}

function fillFrame(task: Task, info: SignalInfo, action: SignalAction, fpstate: number): void {
  const { context, alternateStack } = task;
  frameBytes.fill(0);
  setI64(frame, 0, action.restorer);
  const uc = SIGFRAME_UCONTEXT;
  setI64(frame, uc + UC_FLAGS, UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS);
  setI64(frame, uc + UC_STACK, alternateStack.address);
  const flags = alternateStackFlags(task, getRegister(context, Reg.RSP)) | alternateStack.flags;
  frame.setUint32(uc + UC_STACK + 8, flags, true);
  setI64(frame, uc + UC_STACK + 16, alternateStack.size);
  for (let index = 0; index < SIGCONTEXT_REGISTERS.length; index++) {
    const register = 2 * SIGCONTEXT_REGISTERS[index];
    frame.setUint32(MCONTEXT + 8 * index, context.registersLow[register], true);
    frame.setUint32(MCONTEXT + 8 * index + 4, context.registersLow[register + 1], true);
  }
  frame.setUint16(MCONTEXT + SC_CS, USER_CS, true);
  frame.setUint16(MCONTEXT + SC_CS + 6, USER_SS, true);
  setI64(frame, MCONTEXT + SC_ERR, task.trapError);
  setI64(frame, MCONTEXT + SC_TRAPNO, task.trapNumber);
  const mask = task.savedMaskActive ? task.savedMask : task.signalMask;
  frame.setUint32(MCONTEXT + SC_OLDMASK, mask[0], true);
  frame.setUint32(MCONTEXT + SC_OLDMASK + 4, mask[1], true);
  setI64(frame, MCONTEXT + SC_CR2, task.faultAddress);
  setI64(frame, MCONTEXT + SC_FPSTATE, fpstate);
  frame.setUint32(uc + UC_SIGMASK, mask[0], true);
  frame.setUint32(uc + UC_SIGMASK + 4, mask[1], true);
  writeSignalInfo(frame, SIGFRAME_SIGINFO, info);
}

function enterHandler(context: Context, signal: number, handler: number, address: number): void {
  setRegister(context, Reg.RDI, signal);
  setRegister(context, Reg.RSI, address + SIGFRAME_SIGINFO);
  setRegister(context, Reg.RDX, address + SIGFRAME_UCONTEXT);
  setRegister(context, Reg.RAX, 0);
  setRegister(context, Reg.RSP, address);
  setRegister(context, Reg.RIP, handler);
  setRegister(context, Reg.CS, USER_CS);
  setRegister(context, Reg.SS, USER_SS);
  context.registersLow[2 * Reg.EFLAGS] &= ~(EFLAGS_DF | EFLAGS_RF | EFLAGS_TF);
}

function blockDuringHandler(task: Task, signal: number, action: SignalAction): void {
  task.savedMaskActive = false;
  const mask = task.signalMask;
  mask[0] |= action.maskLow & ~UNBLOCKABLE_MASK;
  mask[1] |= action.maskHigh;
  if (action.flags & SA_NODEFER) return;
  if (signal <= 32) mask[0] |= 1 << (signal - 1);
  else mask[1] |= 1 << (signal - 33);
}

/**
 * rt_sigreturn(2): restores mask, registers, xsave state and alternate stack from the frame that the stack pointer is just past
 * the first word of. Everything in it may have been edited. False when it is unreadable or malformed: SIGSEGV.
 */
export function restoreFrame(task: Task): boolean {
  const { context, memory } = task;
  const address = getRegister(context, Reg.RSP) - 8;
  if (memory.copyIn(address, frameBytes, 0, SIGFRAME_BYTES - SIGINFO_BYTES) < SIGFRAME_BYTES - SIGINFO_BYTES)
    return false;
  const uc = SIGFRAME_UCONTEXT;
  task.signalMask[0] = frame.getUint32(uc + UC_SIGMASK, true) & ~UNBLOCKABLE_MASK;
  task.signalMask[1] = frame.getUint32(uc + UC_SIGMASK + 4, true);

  const eflags = context.registersLow[2 * Reg.EFLAGS];
  for (let index = 0; index < SIGCONTEXT_REGISTERS.length; index++) {
    const register = 2 * SIGCONTEXT_REGISTERS[index];
    context.registersLow[register] = frame.getUint32(MCONTEXT + 8 * index, true);
    context.registersLow[register + 1] = frame.getUint32(MCONTEXT + 8 * index + 4, true);
  }
  const restored = context.registersLow[2 * Reg.EFLAGS];
  context.registersLow[2 * Reg.EFLAGS] = (eflags & ~FIX_EFLAGS) | (restored & FIX_EFLAGS);
  context.registersLow[2 * Reg.EFLAGS + 1] = 0;
  // No call that could be restarted.
  setRegister(context, Reg.ORIG_RAX, -1);
  // Only the flat 64-bit segments exist for guests.
  setRegister(context, Reg.CS, USER_CS);
  setRegister(context, Reg.SS, USER_SS);

  // Read before the scratch frame is used by anybody else.
  const stackAddress = getI64(frame, uc + UC_STACK);
  const stackFlags = frame.getUint32(uc + UC_STACK + 8, true);
  const stackSize = getI64(frame, uc + UC_STACK + 16);
  if (!restoreXsave(task, getI64(frame, MCONTEXT + SC_FPSTATE))) return false;
  restoreAlternateStack(task, stackAddress, stackFlags, stackSize);
  return true;
}

function restoreXsave(task: Task, fpstate: number): boolean {
  const { context, memory } = task;
  if (fpstate === 0) {
    context.resetXsave();
    return true;
  }
  const size = context.xsaveSize;
  ensureXsave(size);
  if (memory.copyIn(fpstate, xsave, 0, FXSAVE_BYTES) < FXSAVE_BYTES) return false;
  const extended = xsaveView.getUint32(FPX_SW_OFFSET + 4, true);
  const xstateSize = xsaveView.getUint32(FPX_SW_OFFSET + 16, true);
  const features = xsaveView.getUint32(FPX_SW_OFFSET + 8, true);
  const isExtended =
    xsaveView.getUint32(FPX_SW_OFFSET, true) === FP_XSTATE_MAGIC1 &&
    xstateSize >= FXSAVE_BYTES + XSAVE_HEADER_BYTES &&
    xstateSize <= size &&
    xstateSize <= extended &&
    memory.readU32(fpstate + xstateSize) === FP_XSTATE_MAGIC2;
  if (isExtended) {
    const rest = xstateSize - FXSAVE_BYTES;
    if (memory.copyIn(fpstate + FXSAVE_BYTES, xsave, FXSAVE_BYTES, rest) < rest) return false;
    xsave.fill(0, xstateSize, size);
    xsaveView.setUint32(XSTATE_BV_OFFSET, xsaveView.getUint32(XSTATE_BV_OFFSET, true) & features, true);
  } else {
    // Only the legacy area is there: x87 and SSE from it, everything else initial.
    xsave.fill(0, FXSAVE_BYTES, size);
    xsaveView.setUint32(XSTATE_BV_OFFSET, 3, true);
  }
  xsave.fill(0, FPX_SW_OFFSET, FXSAVE_BYTES);
  return context.writeXsave(xsave.subarray(0, size));
}

/** As sigaltstack(2) with the frame's values; errors are ignored, as Linux does. */
function restoreAlternateStack(task: Task, address: number, flags: number, size: number): void {
  const stack = task.alternateStack;
  if (alternateStackFlags(task, getRegister(task.context, Reg.RSP)) === SS_ONSTACK) return;
  const mode = flags & ~SS_AUTODISARM;
  if (mode !== 0 && mode !== SS_ONSTACK && mode !== SS_DISABLE) return;
  const disable = mode === SS_DISABLE;
  stack.address = disable ? 0 : address;
  stack.size = disable ? 0 : size;
  stack.flags = disable ? 0 : flags & SS_AUTODISARM;
}
