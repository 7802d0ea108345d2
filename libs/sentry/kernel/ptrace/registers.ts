import { EIO } from '../../abi/errno.js';
import { USER_BYTES, USER_DEBUG_REGISTERS, USER_DEBUG_REGISTERS_END, USER_REGISTERS_BYTES } from '../../abi/ptrace.js';
import { FIX_EFLAGS } from '../../abi/signal.js';
import { type Context, Reg } from '../../platform/platform.js';
import { USER_CS, USER_SS } from '../registers.js';

/** One past the highest user address (47 bits, less the guard page): a base of FS or GS beyond would fault in the host's kernel. */
const TASK_SIZE_MAX = 0x7fff_ffff_f000n;
const WORD = 8;

/** What a segment register of 64-bit guest code holds: there is nothing else to load. */
const SELECTORS = new Map<number, bigint>([
  [Reg.CS, BigInt(USER_CS)],
  [Reg.SS, BigInt(USER_SS)],
  [Reg.DS, 0n],
  [Reg.ES, 0n],
  [Reg.FS, 0n],
  [Reg.GS, 0n],
]);

/** Sets a general register as PTRACE_SETREGS does (Linux's putreg). `value`: 64 bits, unsigned. 0 or -EIO. */
export function putRegister(context: Context, register: number, value: bigint): number {
  const selector = SELECTORS.get(register);
  if (selector !== undefined) return value === selector || value === context.registers64[register] ? 0 : -EIO;
  if ((register === Reg.FS_BASE || register === Reg.GS_BASE) && value >= TASK_SIZE_MAX) return -EIO;
  if (register === Reg.EFLAGS) {
    const flags = context.registersLow[2 * register];
    context.registersLow[2 * register] = (flags & ~FIX_EFLAGS) | (Number(value & 0xffffffffn) & FIX_EFLAGS);
    return 0;
  }
  context.registers64[register] = value;
  return 0;
}

/** struct user_regs_struct of a stopped thread: a copy. */
export function generalRegisters(context: Context): Uint8Array {
  const words = context.registers64;
  return new Uint8Array(words.buffer, words.byteOffset, USER_REGISTERS_BYTES).slice();
}

/** Sets the first registers of struct user_regs_struct, as many as there are whole ones in `bytes`. 0 or -EIO at the first that is refused. */
export function setGeneralRegisters(context: Context, bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let offset = 0; offset + WORD <= Math.min(bytes.length, USER_REGISTERS_BYTES); offset += WORD) {
    const failed = putRegister(context, offset / WORD, view.getBigUint64(offset, true));
    if (failed) return failed;
  }
  return 0;
}

function isInUser(offset: number): boolean {
  return offset >= 0 && offset % WORD === 0 && offset < USER_BYTES;
}

function isDebugRegister(offset: number): boolean {
  return offset >= USER_DEBUG_REGISTERS && offset < USER_DEBUG_REGISTERS_END;
}

/** PTRACE_PEEKUSER: the word at an offset of struct user, or null (EIO). All but the general registers is zero. */
export function peekUser(context: Context, offset: number): bigint | null {
  if (!isInUser(offset)) return null;
  return offset < USER_REGISTERS_BYTES ? context.registers64[offset / WORD] : 0n;
}

/**
 * PTRACE_POKEUSER: 0 or -EIO. There are no hardware breakpoints: debug registers take what sets none.
 */
export function pokeUser(context: Context, offset: number, value: bigint): number {
  if (!isInUser(offset)) return -EIO;
  if (offset < USER_REGISTERS_BYTES) return putRegister(context, offset / WORD, value);
  return isDebugRegister(offset) && value === 0n ? 0 : -EIO;
}
