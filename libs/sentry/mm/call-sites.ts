import { MAP_ANONYMOUS, MAP_PRIVATE } from '../abi/mman.js';
import { type Bytes, type GuestAddress, PAGE_SIZE, PROT_EXEC, PROT_READ, PROT_WRITE } from '../platform/platform.js';
import { JUMP_LENGTH, SITE_FORMS, type SiteForm, signed32 } from './call-site-forms.js';
import type { MemoryManager } from './memory-manager.js';
import type { Vma } from './vma.js';

/** Traps of one site before it is worth a private page and a host call. */
const WORTH_IT = 24;
const DONE = -1;
/** Sites remembered per address space: more are hardly ever hot. */
const MOST = 4096;
const JMP = 0xe9;

/** What the site had before the call; lea after(%rip), %rcx; jmp *%gs:offset */
const TRAMPOLINE_SIZE = 32;
const LEA_LENGTH = 7;
/** What a 32-bit jump reaches, less a page. */
const REACH = 0x7ffff000;
/** A page of trampolines goes this far below the module whose sites it serves, if it can. */
const GAP: Bytes = 64 << 10;

/**
 * Call sites of one address space that are made to jump instead of trapping, if they are of a known form (call-site-forms.ts): the
 * jump takes the place of what comes before the call, and the syscall instruction stays, for who comes to it another way and
 * for restarts. The page becomes a private copy, as if a debugger had written to it; a guest that reads its own code sees
 * the jump.
 */
export class CallSites {
  /** By the address after the site: how often it trapped, or DONE. */
  private readonly counts = new Map<GuestAddress, number>();
  private readonly patched: { site: GuestAddress; replaced: Uint8Array; distance: number }[] = [];
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
    if (this.formOf(after, number) !== null) return true;
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
    const form = this.formOf(after, number);
    if (shortCall === 0 || form === null) return;
    const site = after - form.length;
    const vma = this.memory.vmas.find(site);
    const code = this.codeAt(site, form.length)?.slice();
    if (vma === null || code === undefined) return;
    const target = this.trampoline(vma, after, form, code, shortCall);
    if (target === 0) return;
    const page = site - (site % PAGE_SIZE);
    const frame = this.memory.privatePage(vma, page);
    if (frame < 0) return;
    const distance = target - (site + JUMP_LENGTH);
    this.patched.push({ site, replaced: code.subarray(0, JUMP_LENGTH), distance });
    this.writeJump(frame * PAGE_SIZE + (site - page), distance);
  }

  /** Undoes all and patches no more: for a guest that wants the GS register for itself. Precondition: as for `patch`. */
  disable(): void {
    this.disabled = true;
    for (const { site, replaced, distance } of this.patched.splice(0)) {
      const code = this.codeAt(site, JUMP_LENGTH);
      // Not what the guest has mapped there since.
      if (code !== null && code[0] === JMP && signed32(code, 1) === distance) code.set(replaced);
    }
  }

  /** The form of a site that is on one page, in private code that nobody writes; otherwise null. */
  private formOf(after: GuestAddress, number: number): SiteForm | null {
    const vma = this.memory.vmas.find(after - 1);
    if (vma === null || vma.shared || (vma.protection & (PROT_EXEC | PROT_WRITE)) !== PROT_EXEC) return null;
    for (const form of SITE_FORMS) {
      const code = this.codeAt(after - form.length, form.length);
      if (code !== null && form.fits(code, number)) return form;
    }
    return null;
  }

  /** Bytes of code in memory. Null if they cannot be read, or are not on one page. */
  private codeAt(address: GuestAddress, length: Bytes): Uint8Array | null {
    const inPage = address % PAGE_SIZE;
    if (inPage + length > PAGE_SIZE) return null;
    const vma = this.memory.vmas.find(address);
    const frame = vma === null ? -1 : this.memory.readablePage(vma, address - inPage);
    if (frame < 0) return null;
    const start = frame * PAGE_SIZE + inPage;
    return this.memory.frames.bytes.subarray(start, start + length);
  }

  /** Writes one within reach of the site. Its address, or 0 where there is no room. */
  private trampoline(vma: Vma, after: GuestAddress, form: SiteForm, code: Uint8Array, shortCall: number): GuestAddress {
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
    const target = bytes.subarray(start, start + TRAMPOLINE_SIZE);
    page.used += TRAMPOLINE_SIZE;
    const lea = form.relocate(code, after - form.length, at, target);
    const view = new DataView(bytes.buffer, bytes.byteOffset + start + lea, LEA_LENGTH + 8);
    view.setUint32(0, 0x0d8d48, true);
    view.setInt32(3, after - (at + lea + LEA_LENGTH), true);
    view.setUint32(LEA_LENGTH, 0x2524ff65, true);
    view.setUint32(LEA_LENGTH + 4, shortCall, true);
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
    const view = new DataView(this.memory.frames.bytes.buffer, offset, JUMP_LENGTH);
    view.setUint8(0, JMP);
    view.setInt32(1, distance, true);
  }
}
