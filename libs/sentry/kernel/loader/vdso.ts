import { EFAULT } from '../../abi/errno.js';
import { MAP_PRIVATE } from '../../abi/mman.js';
import type { MemoryManager } from '../../mm/memory-manager.js';
import type { FrameAllocator, FrameNumber, Mappable } from '../../mm/types.js';
import {
  type Bytes,
  type GuestAddress,
  PAGE_SIZE,
  type Platform,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../../platform/platform.js';

/** The first word of the table of host functions in native/vdso.c; four addresses follow. */
const MARK = 0x4f534456444f5243n;
const HOST_FUNCTIONS = ['__vdso_clock_gettime', '__vdso_clock_getres', '__vdso_gettimeofday', '__vdso_time'] as const;

const EHDR_PHOFF = 32;
const EHDR_PHNUM = 56;
const PHDR_SIZE = 56;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_HASH = 4;
const DT_GNU_HASH = 0x6ffffef5;
const SYMBOL_SIZE = 24;

/** Offsets in an image: of what its virtual addresses say, since it is one segment. */
interface DynamicSection {
  readonly strings: number;
  readonly symbols: number;
  readonly count: number;
}

/** Reads what the dynamic section says of the symbols; null if it is no shared object as kernels make them. */
function dynamicSection(view: DataView): DynamicSection | null {
  const headers = Number(view.getBigUint64(EHDR_PHOFF, true));
  const count = view.getUint16(EHDR_PHNUM, true);
  let base = 0n;
  let dynamic = -1;
  for (let index = 0; index < count; index++) {
    const at = headers + index * PHDR_SIZE;
    const type = view.getUint32(at, true);
    if (type === PT_LOAD) base = view.getBigUint64(at + 16, true) - view.getBigUint64(at + 8, true);
    if (type === PT_DYNAMIC) dynamic = Number(view.getBigUint64(at + 8, true));
  }
  if (dynamic < 0) return null;
  const entries = new Map<number, number>();
  for (let at = dynamic; at + 16 <= view.byteLength; at += 16) {
    const tag = Number(view.getBigUint64(at, true));
    if (tag === 0) break;
    entries.set(tag, Number(view.getBigUint64(at + 8, true) - base));
  }
  const strings = entries.get(DT_STRTAB);
  const symbols = entries.get(DT_SYMTAB);
  if (strings === undefined || symbols === undefined) return null;
  return { strings, symbols, count: symbolCount(view, entries, symbols, strings) };
}

function symbolCount(view: DataView, entries: Map<number, number>, symbols: number, strings: number): number {
  const hash = entries.get(DT_HASH);
  if (hash !== undefined) return view.getUint32(hash + 4, true);
  // With a GNU hash only, the string table follows the symbols in every linker's output.
  return entries.has(DT_GNU_HASH) && strings > symbols ? Math.floor((strings - symbols) / SYMBOL_SIZE) : 0;
}

/** Offsets of the named functions in a vdso image; 0 for what it lacks. */
export function vdsoFunctions(image: ArrayBuffer, names: readonly string[]): number[] {
  const view = new DataView(image);
  const offsets = names.map(() => 0);
  const dynamic = dynamicSection(view);
  if (dynamic === null) return offsets;
  const bytes = Buffer.from(image);
  for (let index = 0; index < dynamic.count; index++) {
    const at = dynamic.symbols + index * SYMBOL_SIZE;
    const name = dynamic.strings + view.getUint32(at, true);
    const text = bytes.toString('latin1', name, bytes.indexOf(0, name));
    const wanted = names.indexOf(text);
    if (wanted >= 0) offsets[wanted] = Number(view.getBigUint64(at + 8, true) & 0xffffffn);
  }
  return offsets;
}

/**
 * The vdso(7) of guests: the library built from native/vdso.c with the addresses of the host's functions filled in. Null on a
 * platform without them: programs then make system calls.
 */
export function buildVdso(library: Uint8Array, platform: Platform): Uint8Array | null {
  const { hostVdso } = platform;
  if (hostVdso === null) return null;
  const image = new Uint8Array(Math.ceil(library.length / PAGE_SIZE) * PAGE_SIZE);
  image.set(library);
  const view = new DataView(image.buffer);
  const offsets = vdsoFunctions(hostVdso.bytes, HOST_FUNCTIONS);
  for (let at = 0; at + 40 <= library.length; at += 8) {
    if (view.getBigUint64(at, true) !== MARK) continue;
    offsets.forEach((offset, index) => {
      const address: GuestAddress = offset === 0 ? 0 : hostVdso.address + offset;
      view.setBigUint64(at + 8 * (index + 1), BigInt(address), true);
    });
    return image;
  }
  return null;
}

/** The image in frames of the memory file, shared by all address spaces of a sandbox. */
class VdsoPages implements Mappable {
  readonly device = 0;
  readonly inode = 0;

  constructor(
    private readonly first: FrameNumber,
    private readonly length: Bytes,
  ) {}

  page(index: number): FrameNumber {
    return index * PAGE_SIZE < this.length ? this.first + index : -EFAULT;
  }

  size(): Bytes {
    return this.length;
  }

  /** Held by the kernel for as long as the sandbox lives. */
  retain(): void {}

  release(): void {}

  mapName(): string {
    return '[vdso]';
  }
}

/** Built in the zygote's rehearsals and inherited: the same for every child of a platform. */
let built: { library: Uint8Array; platform: string; image: Uint8Array | null } | null = null;

/** The vdso to map into this sandbox's programs; null where there is none, or no memory for it. */
export function createVdso(library: Uint8Array, platform: Platform, frames: FrameAllocator): Mappable | null {
  // The image is one and the same, but a stub may have failed to take the host's code along.
  if (platform.hostVdso === null) return null;
  if (built === null || built.library !== library || built.platform !== platform.name) {
    built = { library, platform: platform.name, image: buildVdso(library, platform) };
  }
  const { image } = built;
  if (image === null) return null;
  const first = frames.allocateRun(image.length / PAGE_SIZE);
  if (first < 0) return null;
  frames.bytes.set(image, first * PAGE_SIZE);
  return new VdsoPages(first, image.length);
}

/** Maps it into a new address space, anywhere. Its address, or 0: the program does without. */
export function mapVdso(memory: MemoryManager, vdso: Mappable | null): GuestAddress {
  if (vdso === null) return 0;
  const address = memory.mmap({
    address: 0,
    length: vdso.size(),
    protection: PROT_READ | PROT_EXEC,
    maxProtection: PROT_READ | PROT_WRITE | PROT_EXEC,
    flags: MAP_PRIVATE,
    object: vdso,
    offset: 0,
  });
  return address < 0 ? 0 : address;
}
