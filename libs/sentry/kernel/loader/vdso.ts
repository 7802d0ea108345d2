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
import { vdsoFunctions } from '../../platform/vdso-symbols.js';

/** The first word of the table of host functions in native/vdso.c; four addresses follow. */
const MARK = 0x4f534456444f5243n;
const HOST_FUNCTIONS = ['__vdso_clock_gettime', '__vdso_clock_getres', '__vdso_gettimeofday', '__vdso_time'] as const;

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
