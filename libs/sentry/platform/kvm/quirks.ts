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
import type { KvmPlatform } from './kvm-platform.js';

const CODE = 0x400000;
const DATA = 0x600000;
/** mov byte [DATA], 1; syscall */
const WRITE_AND_CALL = [0xc6, 0x04, 0x25, 0x00, 0x00, 0x60, 0x00, 0x01, 0x0f, 0x05];
const PATIENCE = 2e9;

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
