import { type Context, Reg } from '../platform/platform.js';

/** Segment selectors of 64-bit user code and data on Linux. */
export const USER_CS = 0x33;
export const USER_SS = 0x2b;

/** Where the arguments of a system call are. */
export const ARGUMENT_REGISTERS = [Reg.RDI, Reg.RSI, Reg.RDX, Reg.R10, Reg.R8, Reg.R9] as const;

const TWO_32 = 0x1_0000_0000;

/** A register as a signed 64-bit number (exact within 2^53, which all valid addresses are). */
export function getRegister(context: Context, register: number): number {
  return context.registersHigh[2 * register + 1] * TWO_32 + context.registersLow[2 * register];
}

/** Stores a number as a signed 64-bit value. */
export function setRegister(context: Context, register: number, value: number): void {
  context.registersLow[2 * register] = value;
  context.registersHigh[2 * register + 1] = Math.floor(value / TWO_32);
}
