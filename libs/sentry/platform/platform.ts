/**
 * The platform: how guest instructions run natively and how their traps come back.
 * After gVisor's Platform / AddressSpace / Context split. Three implementations share this interface
 * (ptrace, systrap, kvm); the kernel above never knows which one runs.
 *
 * Conventions of the whole Sentry:
 * - Guest addresses and lengths are JavaScript numbers (user addresses have 47 bits, so they are exact).
 * - Times are nanoseconds of the host's CLOCK_MONOTONIC as numbers.
 * - Nothing here allocates per trap.
 */

/** A guest virtual address, in bytes. */
export type GuestAddress = number;
/** A length or offset in bytes. */
export type Bytes = number;
/** Nanoseconds of CLOCK_MONOTONIC (or a span of them). */
export type Nanoseconds = number;
/** A descriptor number of the host (never of the guest). */
export type HostFd = number;

/** Protection bits, the values of PROT_READ, PROT_WRITE and PROT_EXEC of mmap(2). */
export type Protection = number;
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;

export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;

/** Indexes into `Context.registers64`: the layout of `struct user_regs_struct`. */
export const Reg = {
  R15: 0,
  R14: 1,
  R13: 2,
  R12: 3,
  RBP: 4,
  RBX: 5,
  R11: 6,
  R10: 7,
  R9: 8,
  R8: 9,
  RAX: 10,
  RCX: 11,
  RDX: 12,
  RSI: 13,
  RDI: 14,
  ORIG_RAX: 15,
  RIP: 16,
  CS: 17,
  EFLAGS: 18,
  RSP: 19,
  SS: 20,
  FS_BASE: 21,
  GS_BASE: 22,
  DS: 23,
  ES: 24,
  FS: 25,
  GS: 26,
} as const;
export const REGISTER_COUNT = 27;

/** Why a context came back from `Platform.next`. */
export const Trap = {
  /** A `syscall` instruction: number in ORIG_RAX, arguments in RDI RSI RDX R10 R8 R9, RIP after the instruction. RAX takes the result. */
  Syscall: 1,
  /** A page fault: `faultAddress`, `faultAccess`. RIP at the faulting instruction. Resume retries it. */
  Fault: 2,
  /** Any other processor exception or synchronous signal: `signal`, `signalCode`, `faultAddress`. */
  Exception: 3,
  /** `interrupt` took effect; registers are those of the interrupted guest code. */
  Interrupted: 4,
  /** A 32-bit entry (int 0x80). Must not be run as a 64-bit call: the kernel records it and answers. Number in ORIG_RAX. */
  LegacySyscall: 5,
  /** The host process behind the context is gone (killed from outside); the context cannot be resumed. */
  Died: 6,
} as const;
export type TrapKind = (typeof Trap)[keyof typeof Trap];

/** What a fault tried to do, where the platform can tell. */
export const Access = { Unknown: 0, Read: 1, Write: 2, Execute: 3 } as const;
export type AccessKind = (typeof Access)[keyof typeof Access];

/** Places in `Context.times`. */
export const TRAPPED_AT = 0;
export const RESUMED_AT = 1;

/** One guest thread's processor state. Created by the platform, owned by a task, released by it. */
export interface Context {
  /** Halves of the registers, low half first: register r is [2r] (unsigned) and [2r+1]. Shared with the native side. */
  readonly registersLow: Uint32Array;
  /** The same bytes, signed: use [2r+1] for the signed high half. */
  readonly registersHigh: Int32Array;
  /** The same bytes as 64-bit values. Slow (BigInt): for signal frames and copies. */
  readonly registers64: BigUint64Array;
  trap: TrapKind;
  faultAddress: GuestAddress;
  faultAccess: AccessKind;
  /** For Exception (and Fault that turns into a signal): the Linux signal number and si_code. */
  signal: number;
  signalCode: number;
  /** After a Syscall trap: it came the long way, and `Platform.shortCall` may be for its site. */
  readonly patchable: boolean;
  /** When it trapped last (`TRAPPED_AT`), and when it went on last (`RESUMED_AT`), in nanoseconds; 0 where the platform does not keep these times. */
  readonly times: Float64Array;
  /** For the kernel: the task that owns this context. The platform never looks at it. */
  owner: unknown;
  /** True between resume and the trap. */
  readonly running: boolean;

  /** Size of the xsave area in bytes (constant per machine). */
  readonly xsaveSize: Bytes;
  /** Copies the xsave area (standard format) into destination; returns the bytes written. Only while not running. */
  readXsave(destination: Uint8Array): Bytes;
  /** Loads an xsave area; the platform clears bits the host does not support. False if it is malformed. Only while not running. */
  writeXsave(source: Uint8Array): boolean;
  /** Resets FPU/SSE/AVX state to the initial one (execve). */
  resetXsave(): void;
  /** Registers and xsave of another context (clone, fork). Both must be stopped. */
  copyFrom(other: Context): void;
  /** CPU time this guest thread has used in guest code, as precisely as the platform knows, in nanoseconds. */
  cpuTime(): Nanoseconds;
  /** Detaches from any address space and frees host resources. Must be stopped, or it is killed. */
  release(): void;
}

/** Where mapped bytes come from. */
export type MapSource =
  /** The memory file: offset is the offset in it. */
  | { readonly kind: 'memory' }
  /** A host file of the image, mapped read-only straight from its descriptor (one page cache for all sandboxes). */
  | { readonly kind: 'file'; readonly fd: HostFd };

export const MEMORY_SOURCE: MapSource = { kind: 'memory' };

/** A guest address space as the host knows it: only what is mapped *now*; the memory manager holds the VMAs. */
export interface PlatformAddressSpace {
  /** Lowest and one past the highest guest address that can be mapped. */
  readonly minAddress: GuestAddress;
  readonly maxAddress: GuestAddress;
  /** Whether `map` takes {kind:'file'} sources; otherwise the memory manager copies into frames. */
  readonly mapsFiles: boolean;
  /**
   * Maps [address, address+length) (page-aligned) from source, replacing what was there.
   * `populate` pre-faults (use for recycled frames only). Never fails for valid arguments;
   * throws PlatformError if the host is out of memory or mappings (the sandbox ends as `error`).
   */
  map(
    address: GuestAddress,
    length: Bytes,
    source: MapSource,
    offset: Bytes,
    protection: Protection,
    populate: boolean,
  ): void;
  /** Unmaps; holes are fine. */
  unmap(address: GuestAddress, length: Bytes): void;
  /** Changes the protection of the range. All of it must be mapped: mprotect(2) stops at the first hole. */
  protect(address: GuestAddress, length: Bytes, protection: Protection): void;
  /**
   * A new space with all that is mapped here now (fork), where that is cheaper than mapping it again. Null when the host has no
   * room for one more.
   */
  clone?(): PlatformAddressSpace | null;
  /** Total CPU time used by guest code in this address space, in nanoseconds (also of threads that have ended). */
  cpuTime(): Nanoseconds;
  /** Kills the stub and frees everything. Contexts in it must have been released or moved. */
  release(): void;
}

/** Called from inside `next` when a watched host descriptor is ready. `events` are poll(2) bits. */
export type HostWatcher = (events: number) => void;

export interface Platform {
  readonly name: 'ptrace' | 'systrap' | 'kvm';
  readonly memory: MemoryFile;
  createAddressSpace(): PlatformAddressSpace;
  createContext(): Context;
  /**
   * Makes what the next address space will be, a process and a thread of the host, before it is wanted: a third of a millisecond less to wait
   * for it. Nothing where there is one already, or the host has none to spare.
   */
  reserve?(): void;
  /**
   * Gets ready what `context` needs to run in `space`, a thread of the host for one. False when the host has none to spare: the guest's
   * clone(2) then answers EAGAIN, where `resume` could only fail. Not needed before `resume`.
   */
  prepare(context: Context, space: PlatformAddressSpace): boolean;
  /**
   * Hands the guest its turn: runs `context` in `space` from its registers; returns at once.
   * After a Syscall trap RAX holds what the guest sees as the result. Moving a context to another space is allowed (execve).
   */
  resume(context: Context, space: PlatformAddressSpace): void;
  /** Guests that were resumed may not run before `next`; now they do. For a caller that has something else to do meanwhile. */
  letGo(): void;
  /**
   * The one place where the Sentry waits: until a context traps (returned), or until `deadline`
   * (CLOCK_MONOTONIC ns; Infinity = none) or a host descriptor became ready (null).
   * With deadline <= now it only polls.
   */
  next(deadline: Nanoseconds): Context | null;
  /**
   * The host's vdso as guests of this platform can call it: where it is mapped in every address space (above all guest memory), and
   * its bytes. Null where there is none.
   */
  readonly hostVdso: { readonly address: GuestAddress; readonly bytes: ArrayBuffer } | null;
  /** Stops a running context soon: it comes out of `next` with Trap.Interrupted (or with the trap that came first). No-op if not running. */
  interrupt(context: Context): void;
  /** Watches a host descriptor with poll(2) events; replaces an earlier watch; events 0 removes it. */
  watch(fd: HostFd, events: number, watcher: HostWatcher): void;
  /**
   * A call for less: guest code may jump to the address at this offset from GS, with the number in RAX and where to go on in RCX,
   * instead of a `syscall`. 0 where there is no such thing, or where GS is not the platform's.
   */
  shortCall(): number;
  /** CLOCK_MONOTONIC now. */
  now(): Nanoseconds;
  /** The same, in the first place of an array that each call fills anew: a number as a result would be a new heap object. */
  tick(): Float64Array;
  /** CPU time of all guest code of this sandbox so far, in nanoseconds. */
  cpuTime(): Nanoseconds;
  /** Kills every stub. */
  shutdown(): void;
}

/** The memory file: one memfd that holds all guest memory frames, seen by the Sentry as one buffer. */
export interface MemoryFile {
  /** Size in bytes of the address range behind `bytes` (the most the sandbox can ever hold). */
  readonly capacity: Bytes;
  readonly bytes: Uint8Array;
  readonly words32: Int32Array;
  readonly view: DataView;
  /** Makes sure [0, size) may be touched (ftruncate). Idempotent, grows only. */
  ensure(size: Bytes): void;
  /**
   * Copies within the file to whole pages that nobody has touched: the host then neither zeroes them first nor takes a page fault
   * for each, which costs half of what writing through `bytes` does.
   */
  copyToFresh(to: Bytes, from: Bytes, length: Bytes): void;
  /** Gives the host's memory behind a page-aligned range back; it reads as zeros afterwards (hole punch). */
  discard(offset: Bytes, length: Bytes): void;
}

/** The host refused something the platform cannot do without. Ends this sandbox as `error`. */
export class PlatformError extends Error {
  override readonly name = 'PlatformError';
}
