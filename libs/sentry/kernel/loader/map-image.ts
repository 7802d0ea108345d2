import { ENOMEM } from '../../abi/errno.js';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_PRIVATE } from '../../abi/mman.js';
import type { MemoryManager } from '../../mm/memory-manager.js';
import { pageUp } from '../../mm/page-table.js';
import type { Mappable } from '../../mm/types.js';
import { type GuestAddress, PAGE_SIZE, PROT_EXEC, PROT_READ, PROT_WRITE } from '../../platform/platform.js';
import type { ElfImage, Segment } from './elf.js';

const PROT_ALL = PROT_READ | PROT_WRITE | PROT_EXEC;

function pageDown(address: GuestAddress): GuestAddress {
  return address - (address % PAGE_SIZE);
}

/** One past the last byte of the image, before the load bias. */
export function endOf(image: ElfImage): GuestAddress {
  let end = 0;
  for (const { address, memorySize } of image.segments) end = Math.max(end, address + memorySize);
  return end;
}

/**
 * Chooses what to add to the image's addresses: 0 for ET_EXEC, else so that it starts at `base` (0: anywhere in the mmap area).
 * NaN when there is no room.
 */
export function chooseBias(memory: MemoryManager, image: ElfImage, base: GuestAddress): number {
  if (image.fixed) return 0;
  const first = pageDown(image.segments[0].address);
  const span = pageUp(endOf(image)) - first;
  let at = base;
  if (at === 0) {
    at = memory.findFree(span + image.alignment - PAGE_SIZE);
    if (at < 0) return Number.NaN;
  }
  // A bias that is a multiple of the alignment keeps every segment aligned as it asks for. `findFree` gave room for rounding up;
  // below `base` there is nothing.
  const over = (((at - first) % image.alignment) + image.alignment) % image.alignment;
  if (over === 0) return at - first;
  return base === 0 ? at - first - over + image.alignment : at - first - over;
}

/** Maps all segments. 0 or -errno. */
export function mapImage(memory: MemoryManager, image: ElfImage, object: Mappable, bias: number): number {
  for (const segment of image.segments) {
    const result = mapSegment(memory, segment, object, bias, image.fixed ? MAP_FIXED_NOREPLACE : MAP_FIXED);
    if (result < 0) return result;
  }
  return 0;
}

function mapSegment(
  memory: MemoryManager,
  segment: Segment,
  object: Mappable,
  bias: number,
  placement: number,
): number {
  const { protection } = segment;
  const address = segment.address + bias;
  const start = pageDown(address);
  const fileEnd = address + segment.fileSize;
  const end = pageUp(address + segment.memorySize);
  let mappedTo = start;
  if (segment.fileSize > 0) {
    mappedTo = pageUp(fileEnd);
    const result = memory.mmap({
      address: start,
      length: mappedTo - start,
      protection,
      flags: MAP_PRIVATE | placement,
      object,
      offset: segment.offset - (address - start),
      maxProtection: PROT_ALL,
    });
    if (result < 0) return result;
    // The rest of the last file page is the beginning of .bss. Where the segment is not writable Linux leaves it, too.
    if (segment.memorySize > segment.fileSize && mappedTo > fileEnd && (protection & PROT_WRITE) !== 0) {
      const zeroed = memory.zero(fileEnd, mappedTo - fileEnd);
      if (zeroed < mappedTo - fileEnd && memory.frames.limitHit) return -ENOMEM;
    }
  }
  if (end <= mappedTo) return 0;
  const result = memory.mmap({
    address: mappedTo,
    length: end - mappedTo,
    protection,
    flags: MAP_PRIVATE | MAP_ANONYMOUS | placement,
    object: null,
    offset: 0,
    maxProtection: PROT_ALL,
  });
  return Math.min(result, 0);
}

/** What /proc/pid/stat shows of the program. */
export function noteLayout(memory: MemoryManager, image: ElfImage, bias: number): void {
  const { layout } = memory;
  layout.codeStart = Number.POSITIVE_INFINITY;
  layout.codeEnd = layout.dataStart = layout.dataEnd = 0;
  for (const { address, fileSize, protection } of image.segments) {
    const start = address + bias;
    if (start < layout.codeStart) layout.codeStart = start;
    if ((protection & PROT_EXEC) !== 0) layout.codeEnd = Math.max(layout.codeEnd, start + fileSize);
    layout.dataStart = Math.max(layout.dataStart, start);
    layout.dataEnd = Math.max(layout.dataEnd, start + fileSize);
  }
}
