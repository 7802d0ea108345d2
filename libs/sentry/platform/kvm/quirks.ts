import {
  type Context,
  MEMORY_SOURCE,
  PAGE_SIZE,
  type PlatformAddressSpace,
  PlatformError,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  Reg,
  Trap,
} from '../platform.js';
import { vdsoFunctions } from '../vdso-symbols.js';
import type { KvmPlatform } from './kvm-platform.js';

const CODE = 0x400000;
const DATA = 0x600000;
/** mov byte [DATA], 1; syscall */
const WRITE_AND_CALL = [0xc6, 0x04, 0x25, 0x00, 0x00, 0x60, 0x00, 0x01, 0x0f, 0x05];
const PATIENCE = 2e9;

/** call rax; syscall */
const CALL_AND_CALL = [0xff, 0xd0, 0x0f, 0x05];
const CLOCK_MONOTONIC = 1;

function trap(platform: KvmPlatform, context: Context, space: PlatformAddressSpace): number {
  context.registers64[Reg.RIP] = BigInt(CODE);
  platform.resume(context, space);
  if (platform.next(platform.now() + PATIENCE) === context) return context.trap;
  throw new PlatformError('a guest of two instructions did not come back');
}

/**
 * Whether the processor stops using a translation when its entry is gone from memory and CR3 is loaded again, as the manuals say. A
 * KVM with shadow page tables keeps it: it watches the guest's writes to them, not the Sentry's. Borrows two frames, and leaves zeros.
 */
export function noticesRemoval(platform: KvmPlatform): boolean {
  const { bytes } = platform.memory;
  bytes.set(WRITE_AND_CALL, 0);
  const space = platform.createAddressSpace();
  const context = platform.createContext();
  try {
    space.map(CODE, PAGE_SIZE, MEMORY_SOURCE, 0, PROT_READ | PROT_EXEC, false);
    space.map(DATA, PAGE_SIZE, MEMORY_SOURCE, PAGE_SIZE, PROT_READ | PROT_WRITE, false);
    const first = trap(platform, context, space);
    if (first !== Trap.Syscall) throw new PlatformError(`a system call came back as trap ${first}`);
    platform.silently(() => space.unmap(DATA, PAGE_SIZE));
    return trap(platform, context, space) === Trap.Fault;
  } finally {
    context.release();
    space.release();
    bytes.fill(0, 0, WRITE_AND_CALL.length);
    bytes[PAGE_SIZE] = 0;
  }
}

/**
 * Whether the host's vdso, called by a guest, tells the host's time: that takes the host's data pages, and its time stamp counter
 * without an offset. Borrows two frames, and leaves zeros. Where it does not, the platform has to be started anew.
 */
export function tellsTime(platform: KvmPlatform, vdso: NonNullable<KvmPlatform['hostVdso']>): boolean {
  const [offset] = vdsoFunctions(vdso.bytes, ['__vdso_clock_gettime']);
  if (offset === 0) return false;
  const { bytes, view } = platform.memory;
  bytes.set(CALL_AND_CALL, 0);
  const space = platform.createAddressSpace();
  const context = platform.createContext();
  try {
    space.map(CODE, PAGE_SIZE, MEMORY_SOURCE, 0, PROT_READ | PROT_EXEC, false);
    space.map(DATA, PAGE_SIZE, MEMORY_SOURCE, PAGE_SIZE, PROT_READ | PROT_WRITE, false);
    const { registers64 } = context;
    registers64[Reg.RAX] = BigInt(vdso.address + offset);
    registers64[Reg.RDI] = BigInt(CLOCK_MONOTONIC);
    registers64[Reg.RSI] = BigInt(DATA);
    registers64[Reg.RSP] = BigInt(DATA + PAGE_SIZE / 2);
    const before = platform.now();
    // The instruction after the call, not a system call of the host's code.
    if (trap(platform, context, space) !== Trap.Syscall) return false;
    if (registers64[Reg.RIP] !== BigInt(CODE + CALL_AND_CALL.length)) return false;
    const told = Number(view.getBigInt64(PAGE_SIZE, true)) * 1e9 + Number(view.getBigInt64(PAGE_SIZE + 8, true));
    return told >= before && told <= platform.now();
  } catch (error) {
    // KVM may not be able to reach those pages.
    if (error instanceof PlatformError) return false;
    throw error;
  } finally {
    context.release();
    space.release();
    bytes.fill(0, 0, 2 * PAGE_SIZE);
  }
}
