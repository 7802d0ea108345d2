import { MAP_ANONYMOUS, MAP_PRIVATE } from '../abi/mman.js';
import { type Bytes, type GuestAddress, PAGE_SIZE, PROT_EXEC, PROT_READ, PROT_WRITE } from '../platform/platform.js';
import type { MemoryManager } from './memory-manager.js';
import type { Vma } from './vma.js';

/** Traps of one site before it is worth a private page and a host call. */
const WORTH_IT = 24;
const DONE = -1;
/** Sites remembered per address space: more are hardly ever hot. */
const MOST = 4096;
/** An instruction of five bytes, and `syscall`: 0f 05. */
const SITE_LENGTH = 7;
/** `mov $number, %eax`: how compilers and the C library make a call they know. */
const MOV_EAX = 0xb8;
/** `mov 8(%rsp), %r9`: the last before the call in the C library's syscall(2). */
const LOAD_R9 = [0x4c, 0x8b, 0x4c, 0x24, 0x08];
const JMP = 0xe9;

/** The instruction of the site; lea after(%rip), %rcx; jmp *%gs:offset */
const JUMP_LENGTH = 5;
const TRAMPOLINE_SIZE = 32;
const TRAMPOLINE_LEA = 5;
const TRAMPOLINE_JUMP = 12;
/** What a 32-bit jump reaches, less a page. */
const REACH = 0x7ffff000;
/** A page of trampolines goes this far below the module whose sites it serves, if it can. */
const GAP: Bytes = 64 << 10;

/**
 * Call sites of one address space that are made to jump instead of trapping. Only those where one of two instructions of five bytes
 * comes before: the jump takes its place, and the syscall instruction stays, for who comes to it another way and for restarts. The
 * page becomes a private copy, as if a debugger had written to it; a guest that reads its own code sees the jump.
 */
export class CallSites {
  /** By the address after the site: how often it trapped, or DONE. */
  private readonly counts = new Map<GuestAddress, number>();
  private readonly patched: { after: GuestAddress; replaced: Uint8Array }[] = [];
  private disabled = false;
  /** Pages of trampolines, ordinary mappings of the guest: where, and bytes used. */
  private readonly pages: { at: GuestAddress; used: Bytes }[] = [];

  constructor(private readonly memory: MemoryManager) {}

  /** A copy for the address space of a fork, whose pages are the same. */
  copyFor(memory: MemoryManager): CallSites {
    const copy = new CallSites(memory);
    for (const [after, count] of this.counts) if (count === DONE) copy.counts.set(after, DONE);
    copy.patched.push(...this.patched);
    copy.disabled = this.disabled;
    for (const page of this.pages) copy.pages.push({ ...page });
    return copy;
  }

  /** Call `number` came from the site that ends at `after`. True if it came often enough, and can be patched, now. */
  count(after: GuestAddress, number: number): boolean {
    if (this.disabled) return false;
    const count = this.counts.get(after) ?? 0;
    if (count === DONE) return false;
    if (count < WORTH_IT) {
      if (this.counts.size < MOST || count > 0) this.counts.set(after, count + 1);
      return false;
    }
    if (this.homeOf(after, number) !== null) return true;
    this.counts.set(after, DONE);
    return false;
  }

  /** Not now: asks again after as many traps as at first. */
  postpone(after: GuestAddress): void {
    this.counts.set(after, 0);
  }

  /** Patches a site that `count` named, if `Platform.shortCall` has it. Precondition: no thread of this address space runs. */
  patch(after: GuestAddress, number: number, shortCall: number): void {
    this.counts.set(after, DONE);
    const vma = this.homeOf(after, number);
    if (shortCall === 0 || vma === null) return;
    const site = after - SITE_LENGTH;
    const page = site - (site % PAGE_SIZE);
    const replaced = this.codeAt(site)?.slice(0, JUMP_LENGTH);
    if (replaced === undefined) return;
    const target = this.trampoline(vma, after, replaced, shortCall);
    if (target === 0) return;
    const frame = this.memory.privatePage(vma, page);
    if (frame < 0) return;
    this.writeJump(frame * PAGE_SIZE + (site - page), target - (site + JUMP_LENGTH));
    this.patched.push({ after, replaced });
  }

  /** Undoes all and patches no more: for a guest that wants the GS register for itself. Precondition: as for `patch`. */
  disable(): void {
    this.disabled = true;
    for (const { after, replaced } of this.patched.splice(0)) {
      const code = this.codeAt(after - SITE_LENGTH);
      if (code !== null && code[0] === JMP && endsInSyscall(code)) code.set(replaced);
    }
  }

  /** The mapping of a site that is of the known form, on one page, in code that nobody writes; otherwise null. */
  private homeOf(after: GuestAddress, number: number): Vma | null {
    const site = after - SITE_LENGTH;
    if (after > site - (site % PAGE_SIZE) + PAGE_SIZE) return null;
    const vma = this.memory.vmas.find(site);
    if (vma === null || vma.shared || (vma.protection & (PROT_EXEC | PROT_WRITE)) !== PROT_EXEC) return null;
    const code = this.codeAt(site);
    if (code === null || !endsInSyscall(code)) return null;
    const known = code[0] === MOV_EAX ? immediate(code) === number : LOAD_R9.every((byte, at) => code[at] === byte);
    return known ? vma : null;
  }

  /** The memory behind a site. Null if it cannot be read. */
  private codeAt(site: GuestAddress): Uint8Array | null {
    const page = site - (site % PAGE_SIZE);
    const vma = this.memory.vmas.find(site);
    const frame = vma === null ? -1 : this.memory.readablePage(vma, page);
    if (frame < 0) return null;
    const start = frame * PAGE_SIZE + (site - page);
    return this.memory.frames.bytes.subarray(start, start + SITE_LENGTH);
  }

  /** Writes one within reach of the site. Its address, or 0 where there is no room. */
  private trampoline(vma: Vma, after: GuestAddress, replaced: Uint8Array, shortCall: number): GuestAddress {
    const page =
      this.pages.find(({ at, used }) => Math.abs(at - after) < REACH && used + TRAMPOLINE_SIZE <= PAGE_SIZE) ??
      this.newPage(vma, after);
    if (page === null) return 0;
    const home = this.memory.vmas.find(page.at);
    const frame = home === null || home.shared ? -1 : this.memory.privatePage(home, page.at);
    if (frame < 0) return 0;
    const at = page.at + page.used;
    const { bytes } = this.memory.frames;
    const start = frame * PAGE_SIZE + page.used;
    bytes.set(replaced, start);
    const view = new DataView(bytes.buffer, bytes.byteOffset + start, TRAMPOLINE_SIZE);
    page.used += TRAMPOLINE_SIZE;
    view.setUint32(TRAMPOLINE_LEA, 0x0d8d48, true);
    view.setInt32(TRAMPOLINE_LEA + 3, after - (at + TRAMPOLINE_JUMP), true);
    view.setUint32(TRAMPOLINE_JUMP, 0x2524ff65, true);
    view.setUint32(TRAMPOLINE_JUMP + 4, shortCall, true);
    return at;
  }

  /** Whether a mapping is one of ours, which no program made and /proc/self/maps does not tell of. */
  owns(vma: Vma): boolean {
    if (this.pages.length === 0 || vma.object !== null || vma.protection !== (PROT_READ | PROT_EXEC)) return false;
    return this.pages.some(({ at }) => at === vma.start);
  }

  private newPage(vma: Vma, after: GuestAddress): { at: GuestAddress; used: Bytes } | null {
    const at = this.memory.mmap({
      address: Math.max(0, vma.start - vma.offset - GAP),
      length: PAGE_SIZE,
      protection: PROT_READ | PROT_EXEC,
      maxProtection: PROT_READ | PROT_WRITE | PROT_EXEC,
      flags: MAP_PRIVATE | MAP_ANONYMOUS,
      object: null,
      offset: 0,
    });
    if (at < 0) return null;
    const page = { at, used: 0 };
    this.pages.push(page);
    return Math.abs(at - after) < REACH ? page : null;
  }

  private writeJump(offset: number, distance: number): void {
    const view = new DataView(this.memory.frames.bytes.buffer, offset, 5);
    view.setUint8(0, JMP);
    view.setInt32(1, distance, true);
  }
}

function endsInSyscall(code: Uint8Array): boolean {
  return code[5] === 0x0f && code[6] === 0x05;
}

/** The number in `mov $number, %eax`. */
function immediate(code: Uint8Array): number {
  return code[1] | (code[2] << 8) | (code[3] << 16) | (code[4] << 24);
}
