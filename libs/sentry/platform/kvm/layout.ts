/**
 * Where the virtual machine has its own things (native/kvm-layout.h says the same). The *area* is memory of the Sentry's at
 * guest-physical 0: descriptor tables, stub, page tables. Guest memory, the memory file, follows at 4 GiB.
 */
import type { GuestAddress } from '../platform.js';

export const PAGE_BYTES = 4096;
/** Guest-physical address of the memory file, in units of 2^32. */
export const MEMORY_BASE_HIGH = 1;
/** The same of the host's time pages. */
export const HOST_VDSO_BASE_HIGH = 4;
/** Where guests have them, as in the stubs of other platforms (native/host-vdso.h). */
export const HOST_VDSO: GuestAddress = 0x7ffffffe0000;

/** Pages of the area. */
export const AreaPage = {
  /** Nothing: a table's number is never 0. */
  None: 0,
  Text: 1,
  Descriptors: 2,
  Interrupts: 3,
  Stack: 4,
  /** Page tables of KERNEL_BASE, part of every address space. */
  KernelTable: 5,
  KernelDirectory: 6,
  KernelPointers: 7,
  /** The host's time pages: the last 2 MiB of every address space's lower half. */
  HostTimeTable: 8,
  FirstFree: 9,
} as const;

/** Its upper half, the same for all: 0xffffffff80000000. */
export const KERNEL_BASE_HIGH = 0xffffffff;
export const KERNEL_BASE_LOW = 0x80000000;

/** Offsets in the text page. */
export const Stub = { Syscall: 0x000, Legacy: 0x010, Enter: 0x020, Switch: 0x030, Vectors: 0x100 } as const;
export const STUB_VECTOR_BYTES = 8;
export const EXCEPTIONS = 32;
/** Stub vectors behind the exceptions: what stops a guest, and int 0x80. */
export const KICK_VECTOR = 32;
export const LEGACY_VECTOR = 33;
export const INT_80 = 0x80;

/** In the stack page: exceptions push below it. */
export const EXCEPTION_STACK = 0x800;

export const TABLE_SLOTS = 512;
/** What one table of the lowest level maps. */
export const LEAF_BYTES = TABLE_SLOTS * PAGE_BYTES;

/** Guest memory ends here, as on systrap. */
export const MAX_ADDRESS: GuestAddress = 0x7ffff0000000;
export const MIN_ADDRESS: GuestAddress = 0x10000;

/** Low half of the address of one of the area's first pages as ring 0 sees it. */
export function kernelAddressLow(page: number): number {
  return (KERNEL_BASE_LOW + page * PAGE_BYTES) >>> 0;
}
