import { EACCES, EEXIST, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP, EPERM } from '../abi/errno.js';
import {
  LEGACY_MAP_MASK,
  MAP_32BIT,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_TYPE,
  MAX_MAP_COUNT,
  MMAP_MIN_ADDR,
  PROT_GROWSDOWN,
  PROT_GROWSUP,
  STACK_GUARD_GAP,
} from '../abi/mman.js';
import {
  Access,
  type AccessKind,
  type Bytes,
  type GuestAddress,
  PAGE_SIZE,
  type PlatformAddressSpace,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  type Protection,
} from '../platform/platform.js';
import { advise, mincore, msync } from './advice.js';
import { CallSites } from './call-sites.js';
import type { MemoryEnvironment } from './environment.js';
import { BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR, SIGBUS, SIGKILL, SIGSEGV } from './fault-codes.js';
import { fork } from './fork.js';
import { GuestAccess, PROT_READABLE } from './guest-access.js';
import { AddressLayout, emptyLayout, randomOffset } from './layout.js';
import { lock, lockAll } from './locking.js';
import { mremap } from './mremap.js';
import { BLOCK_SIZE, PageTable, PTE_MAPPED, PTE_PRESENT, PTE_WRITABLE, pageUp } from './page-table.js';
import { SharedAnonymous } from './shared-anonymous.js';
import type {
  FutexKey,
  Mappable,
  MemoryLayout,
  MemoryManager as MemoryManagerContract,
  MmapRequest,
  RegionInfo,
} from './types.js';
import { VM_GROWSDOWN, VM_LOCKED, VM_NORESERVE, VM_POLICY, VM_POLICY_SHIFT, VM_SHARED, Vma } from './vma.js';

const PROT_ALL = PROT_READ | PROT_WRITE | PROT_EXEC;
/** Most bytes MAP_POPULATE brings in: beyond this it is only a hint. */
const POPULATE_LIMIT: Bytes = 64 << 20;
/** Areas up to this are taken to be touched for writing when the platform cannot tell. */
const SMALL_AREA: Bytes = 256 << 10;
/** Random distance between the program's end and its break. */
const BRK_RANDOM: Bytes = 32 << 20;

/** An address space: VMAs and what mmap(2) and its relatives do with them. Pages are the business of Pager. */
export class MemoryManager extends GuestAccess implements MemoryManagerContract {
  faultCode = 0;
  virtualSize: Bytes = 0;
  lockedSize: Bytes = 0;
  /** mlockall(MCL_FUTURE). */
  lockFuture = false;
  readonly layout: MemoryLayout = emptyLayout();
  readonly limits: { addressSpace: Bytes; data: Bytes; stack: Bytes };
  callSites = new CallSites(this);
  barriers = 0;
  private references = 1;
  private brkEnd: GuestAddress = 0;
  /** Faults (thread and address) answered with "try again" since something was last mapped: the second time it is a real one. */
  private readonly retried = new Set<string>();
  private retriedGeneration = -1;

  constructor(
    environment: MemoryEnvironment,
    readonly addresses?: AddressLayout,
    limits = { addressSpace: Number.POSITIVE_INFINITY, data: Number.POSITIVE_INFINITY, stack: 8 << 20 },
    space?: PlatformAddressSpace,
    table?: PageTable,
  ) {
    super(environment, space, table);
    this.limits = { ...limits };
    this.addresses ??= AddressLayout.random(this.space, (bytes) => environment.random(bytes), limits.stack);
    this.layout.stackTop = this.addresses.stackTop;
  }

  private get places(): AddressLayout {
    return this.addresses!;
  }

  mmap(request: MmapRequest): number {
    const { flags, offset } = request;
    const type = flags & MAP_TYPE;
    if (type !== MAP_SHARED && type !== MAP_PRIVATE && type !== MAP_SHARED_VALIDATE) return -EINVAL;
    if (type === MAP_SHARED_VALIDATE && (flags & ~(LEGACY_MAP_MASK | MAP_FIXED_NOREPLACE)) !== 0) return -EOPNOTSUPP;
    if (request.length === 0) return -EINVAL;
    if ((flags & MAP_HUGETLB) !== 0) return -ENOMEM;
    if (request.length < 0 || request.length > this.space.maxAddress) return -ENOMEM;
    if (offset < 0 || offset % PAGE_SIZE !== 0) return -EINVAL;
    const length = pageUp(request.length);
    const address = this.place(request.address, length, flags);
    if (address < 0) return address;
    const shared = type !== MAP_PRIVATE;
    const protection = request.protection & PROT_ALL;
    const refusal = this.mayAdd(length, protection, shared, address);
    if (refusal < 0) return refusal;

    const isFixed = (flags & MAP_FIXED) !== 0;
    const hadHost = isFixed && this.clear(address, address + length, true);
    const growsDown = (flags & MAP_GROWSDOWN) !== 0 && request.object === null;
    let { object } = request;
    if (object === null && shared) object = new SharedAnonymous(this.frames, length);
    const vma = this.addVma(
      new Vma(
        this,
        address,
        address + length,
        protection,
        request.maxProtection & PROT_ALL,
        (shared ? VM_SHARED : 0) |
          (growsDown ? VM_GROWSDOWN : 0) |
          ((flags & MAP_NORESERVE) !== 0 ? VM_NORESERVE : 0) |
          ((flags & MAP_LOCKED) !== 0 || this.lockFuture ? VM_LOCKED : 0),
        object,
        request.object === null ? 0 : offset,
        '',
      ),
    );
    const mappedTo = object === null ? address : this.mapEagerly(vma, address, address + length);
    // What a fixed mapping replaces stays mapped in the host until here, so that one call replaces it.
    if (hadHost) this.hostUnmap(mappedTo, address + length);
    if ((flags & (MAP_POPULATE | MAP_LOCKED)) !== 0 && (flags & MAP_NONBLOCK) === 0) {
      this.populate(address, address + Math.min(length, POPULATE_LIMIT));
    }
    return address;
  }

  /** Where a mapping goes: an address, or -errno. */
  private place(hint: GuestAddress, length: Bytes, flags: number): number {
    const { maxAddress } = this.space;
    if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0) {
      if (hint % PAGE_SIZE !== 0) return -EINVAL;
      if (hint < 0 || hint + length > maxAddress) return -ENOMEM;
      if (hint < MMAP_MIN_ADDR) return -EPERM;
      if ((flags & MAP_FIXED_NOREPLACE) !== 0 && !this.vmas.isFree(hint, hint + length)) return -EEXIST;
      return hint;
    }
    if (hint > 0) {
      const at = Math.max(hint - (hint % PAGE_SIZE), MMAP_MIN_ADDR);
      const below = (flags & MAP_32BIT) === 0 || at + length <= 0x80000000;
      if (below && at + length <= maxAddress && this.vmas.isFree(at, at + length)) return at;
    }
    const found = this.places.find(this.vmas, length, (flags & MAP_32BIT) !== 0);
    return found < 0 ? -ENOMEM : found;
  }

  /** Checks the limits for `length` more bytes: 0 or -ENOMEM. */
  mayAdd(length: Bytes, protection: Protection, shared: boolean, _address: GuestAddress): number {
    if (this.virtualSize + length > this.limits.addressSpace) return -ENOMEM;
    if (this.vmas.items.length >= MAX_MAP_COUNT) return -ENOMEM;
    if (!shared && (protection & PROT_WRITE) !== 0 && this.dataSize() + length > this.limits.data) return -ENOMEM;
    return 0;
  }

  /** Private writable bytes (RLIMIT_DATA); only counted when there is a limit. */
  private dataSize(): Bytes {
    if (this.limits.data === Number.POSITIVE_INFINITY) return 0;
    let size = 0;
    for (const vma of this.vmas.items) {
      const stack = (vma.flags & VM_GROWSDOWN) !== 0;
      if (!vma.shared && !stack && (vma.protection & PROT_WRITE) !== 0) size += vma.length;
    }
    return size;
  }

  addVma(vma: Vma): Vma {
    this.virtualSize += vma.length;
    if ((vma.flags & VM_LOCKED) !== 0) this.lockedSize += vma.length;
    return this.vmas.insert(vma);
  }

  /** Removes all VMAs and pages in the range. Returns whether the host had something mapped there (left mapped with `keepHost`). */
  clear(start: GuestAddress, end: GuestAddress, keepHost: boolean): boolean {
    const { items } = this.vmas;
    let index = this.vmas.indexFrom(start);
    if (index === items.length || items[index].start >= end) return false;
    this.vmas.split(start);
    this.vmas.split(end);
    index = this.vmas.indexFrom(start);
    const hadHost = this.dropPages(start, end, keepHost);
    while (index < items.length && items[index].start < end) {
      const vma = items[index];
      this.virtualSize -= vma.length;
      if ((vma.flags & VM_LOCKED) !== 0) this.lockedSize -= vma.length;
      this.vmas.removeAt(index);
    }
    return hadHost;
  }

  munmap(address: GuestAddress, length: Bytes): number {
    if (address % PAGE_SIZE !== 0 || address < 0 || length <= 0) return -EINVAL;
    const end = address + pageUp(length);
    if (end > this.space.maxAddress) return -EINVAL;
    // A hole in the middle of a VMA makes one more of it.
    if (this.vmas.items.length >= MAX_MAP_COUNT) {
      const vma = this.vmas.find(address);
      if (vma !== null && vma.start < address && vma.end > end) return -ENOMEM;
    }
    this.clear(address, end, false);
    return 0;
  }

  /**
   * shmdt(2): unmaps what is left of the mapping of one object that began at the address. The first VMA found decides
   * which object; `accepts` says whether it is one that can be detached. False when there is none.
   */
  detachAll(address: GuestAddress, accepts: (object: Mappable) => boolean): boolean {
    const { items } = this.vmas;
    let index = this.vmas.indexFrom(address);
    const isPiece = (vma: Vma): boolean => vma.start - vma.offset === address;
    while (index < items.length) {
      const { object } = items[index];
      if (object !== null && accepts(object) && isPiece(items[index])) break;
      index++;
    }
    if (index === items.length) return false;
    const first = items[index];
    const object = first.object as Mappable;
    const limit = address + object.size();
    // The first piece goes whole, also when mremap(2) has made it longer than the object.
    this.clear(first.start, first.end, false);
    index = this.vmas.indexFrom(address);
    while (index < items.length && items[index].end <= limit) {
      const vma = items[index];
      if (vma.object === object && isPiece(vma)) this.clear(vma.start, vma.end, false);
      else index++;
    }
    return true;
  }

  mprotect(address: GuestAddress, length: Bytes, protection: Protection): number {
    if (address % PAGE_SIZE !== 0) return -EINVAL;
    const growth = protection & (PROT_GROWSDOWN | PROT_GROWSUP);
    if (growth === (PROT_GROWSDOWN | PROT_GROWSUP)) return -EINVAL;
    if (length === 0) return 0;
    if (length < 0 || address < 0 || address + pageUp(length) > this.space.maxAddress) return -ENOMEM;
    const wanted = protection & ~growth;
    if ((wanted & ~PROT_ALL) !== 0) return -EINVAL;
    let start = address;
    const end = address + pageUp(length);
    const first = this.vmas.items[this.vmas.indexFrom(start)];
    if (first === undefined || first.start >= end) return -ENOMEM;
    if (growth === PROT_GROWSDOWN) {
      if ((first.flags & VM_GROWSDOWN) === 0) return -EINVAL;
      start = first.start;
    } else if (first.start > start) {
      return -ENOMEM;
    }
    if (this.vmas.items.length + 2 > MAX_MAP_COUNT) return -ENOMEM;
    while (start < end) {
      const vma = this.vmas.find(start);
      if (vma === null) return -ENOMEM;
      if ((wanted & ~vma.maxProtection) !== 0) return -EACCES;
      const stop = Math.min(end, vma.end);
      if (vma.protection !== wanted) {
        const piece = this.isolate(start, stop);
        const before = piece.protection;
        if (
          !piece.shared &&
          (wanted & PROT_WRITE) !== 0 &&
          (before & PROT_WRITE) === 0 &&
          this.dataSize() + piece.length > this.limits.data
        ) {
          return -ENOMEM;
        }
        piece.protection = wanted;
        this.protectPages(piece, start, stop, before);
        this.vmas.merge(this.vmas.indexFrom(start));
      }
      start = stop;
    }
    return 0;
  }

  /** The VMA that is exactly [start, end), split off. Precondition: the range lies within one VMA. */
  isolate(start: GuestAddress, end: GuestAddress): Vma {
    this.vmas.split(start);
    this.vmas.split(end);
    return this.vmas.find(start)!;
  }

  mremap(
    oldAddress: GuestAddress,
    oldLength: Bytes,
    newLength: Bytes,
    flags: number,
    newAddress: GuestAddress,
  ): number {
    return mremap(this, oldAddress, oldLength, newLength, flags, newAddress);
  }

  /** For mremap: a free range, or -ENOMEM. */
  findFree(length: Bytes): number {
    const found = this.places.find(this.vmas, length, false);
    return found < 0 ? -ENOMEM : found;
  }

  /** For mremap. */
  relocate(from: GuestAddress, length: Bytes, to: GuestAddress): void {
    this.movePages(from, length, to);
  }

  /** For madvise: forgets the pages, keeps the VMAs. */
  discard(start: GuestAddress, end: GuestAddress): void {
    this.dropPages(start, end, false);
  }

  madvise(address: GuestAddress, length: Bytes, advice: number): number {
    return advise(this, address, length, advice);
  }

  reap(): void {
    for (const vma of [...this.vmas.items]) if (vma.object === null) this.discard(vma.start, vma.end);
  }

  setPolicy(start: GuestAddress, end: GuestAddress, mode: number): number {
    if (!this.vmas.isCovered(start, end)) return -EFAULT;
    this.changeFlags(start, end, mode << VM_POLICY_SHIFT, VM_POLICY & ~(mode << VM_POLICY_SHIFT));
    return 0;
  }

  policyFrom(address: GuestAddress): { mode: number; start: GuestAddress; end: GuestAddress } | null {
    const vma = this.vmas.items.at(this.vmas.indexFrom(address));
    if (!vma || vma.end <= address) return null;
    return { mode: (vma.flags & VM_POLICY) >>> VM_POLICY_SHIFT, start: vma.start, end: vma.end };
  }

  isPageResident(address: GuestAddress): boolean | null {
    const vma = this.vmas.find(address);
    return vma && this.isResident(vma, address - (address % PAGE_SIZE));
  }

  msync(address: GuestAddress, length: Bytes, flags: number): number {
    return msync(this, address, length, flags);
  }

  mincore(address: GuestAddress, length: Bytes, vector: GuestAddress): number {
    return mincore(this, address, length, vector);
  }

  /** For mincore. */
  isResident(vma: Vma, page: GuestAddress): boolean {
    return this.table.get(page) !== 0 || vma.object?.hostFile !== undefined;
  }

  /** Touches every page of the range as a guest would; stops at the first that cannot be had. 0, -ENOMEM, -EFAULT. */
  populate(start: GuestAddress, end: GuestAddress, write = false): number {
    for (let page = start; page < end; page += PAGE_SIZE) {
      const vma = this.vmas.find(page);
      if (vma === null) return -ENOMEM;
      if ((vma.protection & (write ? PROT_WRITE : PROT_READABLE)) === 0) return -EFAULT;
      const result = this.bringToGuest(vma, page, write || (vma.protection & PROT_WRITE) !== 0);
      if (result < 0) return result;
    }
    return 0;
  }

  brk(address: GuestAddress): number {
    const { brkStart } = this.layout;
    if (address < brkStart || address > this.space.maxAddress) return this.brkEnd;
    const oldEnd = pageUp(this.brkEnd);
    const newEnd = pageUp(address);
    if (newEnd > oldEnd) {
      if (address - brkStart > this.limits.data) return this.brkEnd;
      if (!this.vmas.isFree(oldEnd, newEnd + PAGE_SIZE)) return this.brkEnd;
      if (this.mayAdd(newEnd - oldEnd, PROT_READ | PROT_WRITE, false, oldEnd) < 0) return this.brkEnd;
      this.addVma(
        new Vma(
          this,
          oldEnd,
          newEnd,
          PROT_READ | PROT_WRITE,
          PROT_ALL,
          this.lockFuture ? VM_LOCKED : 0,
          null,
          0,
          '[heap]',
        ),
      );
    } else if (newEnd < oldEnd) {
      this.clear(newEnd, oldEnd, false);
    }
    this.brkEnd = address;
    return address;
  }

  /** execve: the break starts at a random distance above the program's end. */
  startBrk(programEnd: GuestAddress): void {
    const start = pageUp(programEnd) + randomOffset((bytes) => this.environment.random(bytes), BRK_RANDOM);
    this.layout.brkStart = start;
    this.brkEnd = start;
  }

  /** execve: the stack, of `length` bytes for now, ending at `layout.stackTop`. */
  createStack(length: Bytes, executable: boolean): void {
    const top = this.layout.stackTop;
    const protection = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0);
    this.addVma(new Vma(this, top - length, top, protection, PROT_ALL, VM_GROWSDOWN, null, 0, '[stack]'));
  }

  protected vmaAt(address: GuestAddress): Vma | null {
    if (!(address >= this.places.lowest && address < this.space.maxAddress)) return null;
    const index = this.vmas.indexFrom(address);
    const vma = this.vmas.items[index];
    if (vma === undefined) return null;
    if (vma.start <= address) return vma;
    return (vma.flags & VM_GROWSDOWN) !== 0 && this.growDown(vma, index, address) ? vma : null;
  }

  /** Grows a stack so that it contains the address, if RLIMIT_STACK and the gap to what is below permit. */
  private growDown(vma: Vma, index: number, address: GuestAddress): boolean {
    const start = address - (address % PAGE_SIZE);
    if (vma.end - start > this.limits.stack) return false;
    const below = this.vmas.items[index - 1];
    if (below !== undefined && below.protection !== PROT_NONE && start - below.end < STACK_GUARD_GAP) return false;
    const more = vma.start - start;
    if (this.virtualSize + more > this.limits.addressSpace) return false;
    vma.start = start;
    this.virtualSize += more;
    if ((vma.flags & VM_LOCKED) !== 0) this.lockedSize += more;
    return true;
  }

  fault(address: GuestAddress, access: AccessKind, hostCode: number, faulter: number): number {
    const vma = this.vmas.find(address) ?? this.vmaAt(address);
    if (vma === null) return this.signal(SIGSEGV, SEGV_MAPERR);
    const { protection } = vma;
    const needed = access === Access.Write ? PROT_WRITE : access === Access.Execute ? PROT_EXEC : PROT_READABLE;
    if ((protection & needed) === 0) return this.signal(SIGSEGV, SEGV_ACCERR);
    const page = address - (address % PAGE_SIZE);
    const entry = this.table.get(page);
    const writes = (protection & PROT_WRITE) !== 0;
    if ((entry & PTE_MAPPED) !== 0) {
      const mayBeWrite = access === Access.Write || (access === Access.Unknown && writes);
      if ((entry & PTE_WRITABLE) === 0 && mayBeWrite && hostCode !== SEGV_MAPERR) {
        return this.settle(this.bringToGuest(vma, page, true));
      }
      // The host has it with all the rights there are. Either another thread's fault was answered in between, or,
      // where the platform cannot tell kinds of access, this one is not permitted: the second time it must be.
      if (hostCode !== SEGV_MAPERR) {
        const real = access === Access.Unknown && this.alreadyRetried(address, faulter);
        return real ? this.signal(SIGSEGV, SEGV_ACCERR) : 0;
      }
      if (!this.alreadyRetried(address, faulter)) return 0;
      // The host has nothing here after all: whatever happened to it, map it again.
      this.unmapFromHost(page, page + PAGE_SIZE);
    }
    // Where the kind of access is unknown: stacks and small writable areas are nearly always touched to be written, and the
    // second fault would cost more than a copy that was not needed.
    const write =
      access === Access.Write ||
      (access === Access.Unknown && writes && (vma.length <= SMALL_AREA || (vma.flags & VM_GROWSDOWN) !== 0));
    return this.settle(this.bringToGuest(vma, page, write));
  }

  private alreadyRetried(address: GuestAddress, faulter: number): boolean {
    const fault = `${faulter} ${address}`;
    if (this.retriedGeneration !== this.generation) {
      this.retriedGeneration = this.generation;
      this.retried.clear();
    }
    if (this.retried.has(fault)) return true;
    this.retried.add(fault);
    return false;
  }

  /** Has the page mapped in the host, writable if `write`. 0, -ENOMEM or -EFAULT (past the object's end). */
  private bringToGuest(vma: Vma, page: GuestAddress, write: boolean): number {
    const entry = this.table.get(page);
    if (!write && (entry & PTE_MAPPED) !== 0) return 0;
    if (!write && (entry & PTE_PRESENT) === 0 && vma.object !== null) {
      if (vma.pageIndex(page) * PAGE_SIZE >= vma.object.size()) return -EFAULT;
      if (this.mapFileAround(vma, page)) return 0;
    }
    const frame = this.frameFor(vma, page, write);
    if (frame < 0) return frame;
    const now = this.table.get(page);
    if ((now & PTE_MAPPED) === 0) this.mapAround(vma, page);
    else if (write && (now & PTE_WRITABLE) === 0) this.allowWrites(vma, page);
    return 0;
  }

  /** Gives a sole owner the right to write back: of all pages around, since a fault costs more than a look at each. */
  private allowWrites(vma: Vma, page: GuestAddress): void {
    this.forkCopies.note(page);
    const block = page - (page % BLOCK_SIZE);
    this.protectPages(vma, Math.max(vma.start, block), Math.min(vma.end, block + BLOCK_SIZE), vma.protection);
  }

  private settle(result: number): number {
    if (result >= 0) return 0;
    return result === -ENOMEM ? this.signal(SIGKILL, 0) : this.signal(SIGBUS, BUS_ADRERR);
  }

  private signal(signal: number, code: number): number {
    this.faultCode = code;
    return signal;
  }

  fork(): MemoryManager | null {
    return fork(this);
  }

  /** For fork: one without areas that is like this in all else. */
  emptyCopy(space: PlatformAddressSpace | undefined, table: PageTable): MemoryManager {
    const copy = new MemoryManager(this.environment, this.addresses, this.limits, space, table);
    Object.assign(copy.layout, this.layout);
    copy.brkEnd = this.brkEnd;
    copy.callSites = this.callSites.copyFor(copy);
    copy.barriers = this.barriers;
    return copy;
  }

  retain(): void {
    this.references++;
  }

  release(): void {
    if (--this.references !== 0) return;
    this.dropPages(0, this.space.maxAddress, true);
    this.table.clear();
    this.vmas.clear();
    this.space.release();
  }

  futexKey(address: GuestAddress, shared: boolean, out: FutexKey): number {
    const vma = this.vmas.find(address) ?? this.vmaAt(address);
    if (vma === null || (vma.protection & PROT_READABLE) === 0) return -EFAULT;
    if (shared && vma.shared && vma.object !== null) {
      out.object = vma.object.identity ?? vma.object;
      out.offset = vma.offset + address - vma.start;
    } else {
      out.object = this;
      out.offset = address;
    }
    return 0;
  }

  regions(visit: (region: RegionInfo) => void): void {
    for (const vma of this.vmas.items) {
      if (this.callSites.owns(vma)) continue;
      const { object } = vma;
      visit({
        start: vma.start,
        end: vma.end,
        protection: vma.protection,
        shared: vma.shared,
        offset: vma.offset,
        device: object?.device ?? 0,
        inode: object?.inode ?? 0,
        name: object?.mapName() ?? vma.name,
        residentBytes: this.residentIn(vma.start, vma.end),
      });
    }
  }

  residentSize(): Bytes {
    return this.residentIn(0, this.space.maxAddress);
  }

  lock(address: GuestAddress, length: Bytes, locked: boolean, limit: Bytes): number {
    return lock(this, address, length, locked, limit);
  }

  lockAll(current: boolean, future: boolean, limit: Bytes): number {
    return lockAll(this, current, future, limit);
  }

  /** Sets and clears VM_* flags of all VMAs in the range; holes are skipped. */
  changeFlags(start: GuestAddress, end: GuestAddress, set: number, cleared: number): void {
    for (let index = this.vmas.indexFrom(start); index < this.vmas.items.length; index++) {
      const vma = this.vmas.items[index];
      if (vma.start >= end) break;
      const flags = (vma.flags | set) & ~cleared;
      if (flags === vma.flags) continue;
      const piece = this.isolate(Math.max(start, vma.start), Math.min(end, vma.end));
      piece.flags = flags;
      index = this.vmas.items.indexOf(this.vmas.merge(this.vmas.indexFrom(piece.start)));
    }
  }
}
