/**
 * What the rest of the kernel sees of guest memory. The implementation is `MemoryManager` in memory-manager.ts;
 * frames and reference counts are in frames.ts.
 */
import type {
  AccessKind,
  Bytes,
  GuestAddress,
  HostFd,
  PlatformAddressSpace,
  Protection,
} from '../platform/platform.js';

/** Index of a 4 KiB frame in the memory file: byte offset / 4096. */
export type FrameNumber = number;

/** Allocates frames of the memory file and counts references and commitment. One per sandbox. */
export interface FrameAllocator {
  /** A zeroed frame with reference count 1, or -ENOMEM when the sandbox's memory limit is reached. */
  allocate(): FrameNumber;
  /**
   * `count` zeroed frames in a row (as contiguous as possible for mapping in one go), or -ENOMEM.
   * Returns the first; all have reference count 1. With `zeroed` false the contents are whatever they are: for a caller that
   * overwrites all of it.
   */
  allocateRun(count: number, zeroed?: boolean): FrameNumber;
  /** Whether no frame of the last `allocateRun` has host memory behind it yet: `copyToFresh` pays. */
  readonly fresh: boolean;
  /** `MemoryFile.copyToFresh`; byte offsets in `bytes`. */
  copyToFresh(to: Bytes, from: Bytes, length: Bytes): void;
  retain(frame: FrameNumber): void;
  /** Drops a reference; the last one returns the frame to the pool. */
  release(frame: FrameNumber): void;
  references(frame: FrameNumber): number;
  /** The bytes of the frame live at [frame * 4096, +4096) of this. */
  readonly bytes: Uint8Array;
  /** Frames in use now, the most ever, and the limit, in bytes. */
  readonly committed: Bytes;
  readonly peak: Bytes;
  limit: Bytes;
  /** Frames that hold contents of files and of shared memory: kept by those who take them for that. */
  sharedFrames: number;
  /** How often the limit was hit. */
  limitHits: number;
  /** Set once an allocation failed on the limit; the Sentry ends the run as memory_exceeded if the guest dies of it. */
  limitHit: boolean;
  /** Told when the limit left a page of guest memory, which the Sentry was to read or write, without a frame. */
  onStarved: ((memory: GuestMemory) => void) | null;
}

/** Something that can back a mapping: a tmpfs file, an image file, a device, a shared anonymous object. */
export interface Mappable {
  /**
   * Frame holding page `index` of the object, allocating it when `allocate` (a hole otherwise gives 0, meaning zeros).
   * The caller retains it if it keeps it. -errno: -ENOMEM, or -EFAULT past the end (the guest gets SIGBUS).
   * Absent when pages are only reachable through `hostFile`.
   */
  page?(index: number, allocate: boolean): FrameNumber;
  /** Host descriptor whose pages may be mapped read-only straight into the guest (immutable image files). */
  readonly hostFile?: HostFd;
  /** Size in bytes now: pages wholly beyond it fault with SIGBUS. */
  size(): Bytes;
  /** Called as mappings come and go, so that truncate can find them (`MemoryManager.invalidate`). */
  mapped?(mapping: MappingObserver): void;
  unmapped?(mapping: MappingObserver): void;
  /** Makes the bytes a hole, for MADV_REMOVE: 0 or -errno. Absent for what has no holes. */
  punch?(offset: Bytes, length: Bytes): number;
  /** Keeps the file description or inode alive while mapped. */
  retain(): void;
  release(): void;
  /** What all mappings of the same bytes have in common, for shared futex keys; absent when that is this object. */
  readonly identity?: object;
  /** For /proc/pid/maps. */
  readonly device: number;
  readonly inode: number;
  /** Path as /proc/pid/maps shows it (byte string). */
  mapName(): string;
}

export interface MappingObserver {
  /** A MAP_SHARED mapping. */
  readonly shared?: boolean;
  /** Pages [firstPage, lastPage) of the object changed identity (truncated, copied up): forget what was mapped of them. */
  invalidate(firstPage: number, lastPage: number): void;
}

export interface MmapRequest {
  /** Hint or fixed address. */
  address: GuestAddress;
  length: Bytes;
  protection: Protection;
  /** MAP_* flags of mmap(2) (abi/mman.ts). */
  flags: number;
  /** null = anonymous. */
  object: Mappable | null;
  /** Byte offset in the object. */
  offset: Bytes;
  /** Highest protection mprotect may later give (a shared mapping of a read-only description cannot become writable). */
  maxProtection: Protection;
}

/** One region as /proc/pid/maps and smaps show it. */
export interface RegionInfo {
  start: GuestAddress;
  end: GuestAddress;
  protection: Protection;
  shared: boolean;
  offset: Bytes;
  device: number;
  inode: number;
  name: string;
  residentBytes: Bytes;
}

/**
 * Copy-in and copy-out. None of these throw on bad addresses. They fault pages in as a guest access would
 * (copy-on-write included) and respect VMA protections.
 */
export interface GuestMemory {
  /** Copies guest -> destination[offset, offset+length). Returns bytes copied; short means EFAULT at that point. */
  copyIn(address: GuestAddress, destination: Uint8Array, offset: number, length: Bytes): Bytes;
  /** Copies source[offset, offset+length) -> guest. Returns bytes copied; short means EFAULT at that point. */
  copyOut(address: GuestAddress, source: Uint8Array, offset: number, length: Bytes): Bytes;
  /**
   * As `copyIn` and `copyOut`, for who may look into another's memory (ptrace(2), /proc/pid/mem; Linux's FOLL_FORCE): what the mapping
   * could be made to permit is enough, and what is written to private memory is the process's own copy.
   */
  readForced(address: GuestAddress, destination: Uint8Array, offset: number, length: Bytes): Bytes;
  writeForced(address: GuestAddress, source: Uint8Array, offset: number, length: Bytes): Bytes;
  /** Zeroes guest memory. Returns bytes done. */
  zero(address: GuestAddress, length: Bytes): Bytes;
  /**
   * Copies a small struct in and returns a DataView of it (offset 0), or null on EFAULT. The view is a shared scratch
   * (at most 4096 bytes): valid until the next readStruct. Little endian: pass `true` to its getters.
   */
  readStruct(address: GuestAddress, length: Bytes): DataView | null;
  /** A zeroed scratch view to fill, then `writeStruct(address, length)`. Distinct from readStruct's scratch. */
  scratch(length: Bytes): DataView;
  /**
   * Where a struct lies in `words`, to read or fill it in place: its index there, or -1 when it is not aligned to 4 bytes, crosses a
   * page or is not accessible (then `readStruct` and `writeStruct` know better).
   */
  wordsAt(address: GuestAddress, length: Bytes, write: boolean): number;
  /**
   * As `wordsAt` for reading, for less where it was found for writing since `forgetWords`. Precondition: nothing has run since that but the
   * call that found it. For the audit log, which copies what a handler has just written.
   */
  wordsAgain(address: GuestAddress, length: Bytes): number;
  forgetWords(): void;
  /** The memory file by 32-bit words. */
  readonly words: Int32Array;
  /** Copies the scratch out. False on EFAULT. */
  writeStruct(address: GuestAddress, length: Bytes): boolean;
  /** NaN on EFAULT. U64 is returned as a signed number. */
  readU8(address: GuestAddress): number;
  readU32(address: GuestAddress): number;
  readI32(address: GuestAddress): number;
  readU64(address: GuestAddress): number;
  writeU32(address: GuestAddress, value: number): boolean;
  writeU64(address: GuestAddress, value: number): boolean;
  /** NUL-terminated byte string of at most `max` bytes (without the NUL), or -EFAULT, or -ENAMETOOLONG when no NUL within max. */
  readString(address: GuestAddress, max: Bytes): string | number;
  /**
   * Longest contiguous run of the memory file that backs [address, address+length), faulted in for `write` or read.
   * Sets `runOffset` (offset in FrameAllocator.bytes) and returns its length; 0 = EFAULT. For bulk I/O straight into guest memory.
   * A run over pages that are mapped from a host file is copied into frames first.
   */
  run(address: GuestAddress, length: Bytes, write: boolean): Bytes;
  /** `run` of the address in `at[index]`, an array of the caller's or the arguments of a call: not passed, it need be no heap object. */
  runAt(at: Float64Array, index: number, length: Bytes, write: boolean): Bytes;
  /** `copyIn` from the address in `at[index]`. */
  copyInAt(at: Float64Array, index: number, destination: Uint8Array, offset: number, length: Bytes): Bytes;
  /** Copies the first `count` bytes of the last run, and to them. */
  takeRun(destination: Uint8Array, offset: number, count: Bytes): void;
  putRun(source: Uint8Array, offset: number, count: Bytes): void;
  readonly runOffset: Bytes;
  /** The buffer `runOffset` indexes (the memory file). */
  readonly bytes: Uint8Array;
  /**
   * Atomic compare-and-swap on an aligned u32 (futex words, robust lists). Returns the old value (0..2^32-1), NaN on EFAULT.
   */
  compareExchangeU32(address: GuestAddress, expected: number, replacement: number): number;
}

/** Call sites of an address space that jump instead of trapping. `after`: the address behind the site. */
export interface CallSitePatcher {
  count(after: GuestAddress, number: number): boolean;
  postpone(after: GuestAddress): void;
  patch(after: GuestAddress, number: number, shortCall: number): void;
  disable(): void;
}

export interface MemoryManager extends GuestMemory {
  readonly space: PlatformAddressSpace;
  readonly frames: FrameAllocator;
  /** System calls made without a trap where the platform can (call-sites.ts). */
  readonly callSites: CallSitePatcher;
  /** What membarrier(2) has registered: its commands. */
  barriers: number;
  /** mmap(2): address, or -ENOMEM -EINVAL -EEXIST (MAP_FIXED_NOREPLACE) … */
  mmap(request: MmapRequest): number;
  munmap(address: GuestAddress, length: Bytes): number;
  /** shmdt(2): unmaps all pieces of the mapping that began at the address, if `accepts` its object. False: none. */
  detachAll(address: GuestAddress, accepts: (object: Mappable) => boolean): boolean;
  mprotect(address: GuestAddress, length: Bytes, protection: Protection): number;
  mremap(oldAddress: GuestAddress, oldLength: Bytes, newLength: Bytes, flags: number, newAddress: GuestAddress): number;
  madvise(address: GuestAddress, length: Bytes, advice: number): number;
  /** process_mrelease(2): frees all private anonymous memory of a process that is on its way out. */
  reap(): void;
  /** Policies of mbind(2) by VMA: the mode and flags of struct mempolicy; MPOL_DEFAULT where there is none. */
  setPolicy(start: GuestAddress, end: GuestAddress, mode: number): number;
  /** Of the first VMA that ends beyond the address; null when there is none. */
  policyFrom(address: GuestAddress): { mode: number; start: GuestAddress; end: GuestAddress } | null;
  /** Whether the page of the address is in memory; null when nothing is mapped there. */
  isPageResident(address: GuestAddress): boolean | null;
  msync(address: GuestAddress, length: Bytes, flags: number): number;
  mincore(address: GuestAddress, length: Bytes, vector: GuestAddress): number;
  /** mlock(2) and munlock(2); `limit` is RLIMIT_MEMLOCK in bytes. -ENOMEM -EPERM -EINVAL. */
  lock(address: GuestAddress, length: Bytes, locked: boolean, limit: Bytes): number;
  /** mlockall(2) with MCL_CURRENT, MCL_FUTURE; both false = munlockall(2). -ENOMEM -EPERM. */
  lockAll(current: boolean, future: boolean, limit: Bytes): number;
  /** Bytes locked, for /proc/pid/status. */
  readonly lockedSize: Bytes;
  /** brk(2): the new (or unchanged) break. */
  brk(address: GuestAddress): number;
  /**
   * Handles a guest fault. 0: resolved, resume. Otherwise the signal to send, with `faultCode` the si_code
   * (SIGSEGV SEGV_MAPERR/SEGV_ACCERR, SIGBUS BUS_ADRERR, SIGKILL when the memory limit leaves no way out).
   * `faulter` tells threads apart: several may have faulted at one address before the first is answered.
   */
  fault(address: GuestAddress, access: AccessKind, hostCode: number, faulter: number): number;
  readonly faultCode: number;
  /** A copy-on-write copy for fork(2); null when the host has no room for another address space. */
  fork(): MemoryManager | null;
  /** Shared by CLONE_VM tasks; the last release frees everything. */
  retain(): void;
  release(): void;
  /** Key of a futex word: private = this + address; shared = object identity + offset. Byte-comparable string-free: see kernel/futex. -EFAULT if unmapped. */
  futexKey(address: GuestAddress, shared: boolean, out: FutexKey): number;
  regions(visit: (region: RegionInfo) => void): void;
  /** Bytes for /proc/pid/status, statm. */
  readonly virtualSize: Bytes;
  residentSize(): Bytes;
  /** Set by the loader; /proc/pid/stat, cmdline, environ, auxv, prctl(PR_SET_MM). */
  readonly layout: MemoryLayout;
  /** RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK in bytes as the owner's rlimits say (Infinity = none); updated by the kernel. */
  limits: { addressSpace: Bytes; data: Bytes; stack: Bytes };
}

export interface FutexKey {
  /** The memory manager (private), or the mapped object (shared). */
  object: object;
  /** Address, or byte offset in the object. */
  offset: number;
}

export interface MemoryLayout {
  codeStart: GuestAddress;
  codeEnd: GuestAddress;
  dataStart: GuestAddress;
  dataEnd: GuestAddress;
  brkStart: GuestAddress;
  stackTop: GuestAddress;
  argStart: GuestAddress;
  argEnd: GuestAddress;
  envStart: GuestAddress;
  envEnd: GuestAddress;
  auxv: Uint8Array;
}

/**
 * A sequence of guest (or kernel) memory being filled or drained by one read or write, so that files neither know
 * iovecs nor join buffers. `remaining` counts down; a fault makes the transfer short and sets `faulted`.
 */
export interface IoBuffer {
  readonly remaining: Bytes;
  readonly faulted: boolean;
  /** Bytes moved so far. */
  readonly done: Bytes;
  /** File -> guest. Copies source[offset, offset+length) (at most `remaining`); returns bytes copied. */
  put(source: Uint8Array, offset: number, length: Bytes): Bytes;
  /** Guest -> file. Fills destination[offset, offset+length); returns bytes copied. */
  take(destination: Uint8Array, offset: number, length: Bytes): Bytes;
  /** File -> guest zeros (holes, /dev/zero). */
  putZeros(length: Bytes): Bytes;
  /**
   * Direct access: next contiguous run of at most `max` bytes in the memory file, for the direction of this transfer;
   * returns its length (0: nothing left, fault, or not guest memory: use put/take) and sets runOffset. `advance` consumes it.
   */
  run(max: Bytes): Bytes;
  readonly runOffset: Bytes;
  readonly runBytes: Uint8Array;
  advance(length: Bytes): void;
}
