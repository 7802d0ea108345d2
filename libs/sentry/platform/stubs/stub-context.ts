import type { AccessKind, Bytes, Context, GuestAddress, Nanoseconds, TrapKind } from '../platform.js';
import { PlatformError } from '../platform.js';
import { NO_ARGUMENT, type StubNative } from './stub-native.js';

/** 64-bit words of one context in the slab shared with native/ptrace.c and native/systrap.c: 27 registers, then what the trap was. */
const WORDS = 32;
/** 32-bit words: the trap; access (low half) and whether the call site is patchable (high half); and so on. */
const TRAP = 54;
const ACCESS = 55;
const FAULT_ADDRESS = 56;
const SIGNAL = 58;
const SIGNAL_CODE = 59;
/** 64-bit words, two of them. */
const TIMES = 30;

/** One guest thread's processor state. Its registers are memory shared with the native side. */
export class StubContext implements Context {
  readonly registersLow: Uint32Array;
  readonly registersHigh: Int32Array;
  readonly registers64: BigUint64Array;
  readonly times: Float64Array;
  private readonly all: Int32Array;
  owner: unknown = null;
  running = false;
  released = false;

  constructor(
    private readonly native: StubNative,
    slab: ArrayBuffer,
    /** Place in the slab. */
    readonly index: number,
  ) {
    const start = index * WORDS * 8;
    this.registersLow = new Uint32Array(slab, start, 54);
    this.registersHigh = new Int32Array(slab, start, 54);
    this.registers64 = new BigUint64Array(slab, start, 27);
    this.all = new Int32Array(slab, start, WORDS * 2);
    this.times = new Float64Array(slab, start + TIMES * 8, 2);
  }

  get trap(): TrapKind {
    return this.all[TRAP] as TrapKind;
  }

  get faultAddress(): GuestAddress {
    return this.all[FAULT_ADDRESS + 1] * 4294967296 + (this.all[FAULT_ADDRESS] >>> 0);
  }

  get faultAccess(): AccessKind {
    return (this.all[ACCESS] & 0xffff) as AccessKind;
  }

  get patchable(): boolean {
    return this.all[ACCESS] >>> 16 !== 0;
  }

  get signal(): number {
    return this.all[SIGNAL];
  }

  get signalCode(): number {
    return this.all[SIGNAL_CODE];
  }

  get xsaveSize(): Bytes {
    return this.native.xsaveBytes();
  }

  readXsave(destination: Uint8Array): Bytes {
    const count = this.native.readXsave(this.index, destination);
    if (count < 0) throw new PlatformError(`reading the xsave area: errno ${-count}`);
    return count;
  }

  writeXsave(source: Uint8Array): boolean {
    return this.native.writeXsave(this.index, source) === 0;
  }

  resetXsave(): void {
    this.native.writeXsave(this.index, NO_ARGUMENT);
  }

  copyFrom(other: Context): void {
    const from = other as StubContext;
    this.registers64.set(from.registers64);
    const result = this.native.copyXsave(from.index, this.index);
    if (result < 0) throw new PlatformError(`copying the xsave area: errno ${-result}`);
  }

  cpuTime(): Nanoseconds {
    return this.native.contextTime(this.index);
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    this.running = false;
    this.native.releaseContext(this.index);
  }
}
