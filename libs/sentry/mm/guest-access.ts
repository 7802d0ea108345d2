import { EFAULT, ENAMETOOLONG, ENOMEM } from '../abi/errno.js';
import {
  type Bytes,
  type GuestAddress,
  PAGE_SIZE,
  type PlatformAddressSpace,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../platform/platform.js';
import type { MemoryEnvironment } from './environment.js';
import { type PageTable, PTE_FILE, PTE_FRAME, PTE_PRESENT } from './page-table.js';
import { Pager } from './pager.js';
import { StringCache } from './string-cache.js';
import type { FrameNumber, GuestMemory } from './types.js';
import type { Vma } from './vma.js';

/** On x86 what may be written or executed may be read. */
export const PROT_READABLE = PROT_READ | PROT_WRITE | PROT_EXEC;
/** Below this a loop over bytes beats making a view for TypedArray.set. */
const SMALL_COPY = 48;
/** Size of the scratch structs. */
const SCRATCH_SIZE = 4096;

/** What of an address is its place in the page: `&` takes the low 32 bits of any number; `%` would be a call of the C library's fmod. */
const PAGE_MASK = PAGE_SIZE - 1;

// One thread is the whole kernel, and a scratch is only valid until its next use: shared by all address spaces.
const readBytes = new Uint8Array(SCRATCH_SIZE);
const readView = new DataView(readBytes.buffer);
const writeBytes = new Uint8Array(SCRATCH_SIZE);
const writeView = new DataView(writeBytes.buffer);

/** Copy-in and copy-out. */
export abstract class GuestAccess extends Pager implements GuestMemory {
  runOffset: Bytes = 0;
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  private readonly strings: StringCache;
  /** Of the last `wordsAt` for writing. */
  private readonly lastAddress = new Float64Array(1).fill(Number.NaN);
  private lastIndex = 0;

  constructor(environment: MemoryEnvironment, space?: PlatformAddressSpace, table?: PageTable) {
    super(environment, space, table);
    const { memory } = environment;
    this.bytes = memory.bytes;
    this.words = memory.words32;
    this.strings = StringCache.of(memory);
  }

  /** The VMA that covers the address, growing a stack down to it if that is what it takes. null: SEGV_MAPERR. */
  protected abstract vmaAt(address: GuestAddress): Vma | null;

  /** Frame for the Sentry to read or write at the address, or a negative number (EFAULT for the caller). */
  private access(address: GuestAddress, write: boolean): FrameNumber {
    let vma = this.vmas.find(address);
    if (vma === null) {
      vma = this.vmaAt(address);
      if (vma === null) return -EFAULT;
    }
    if ((vma.protection & (write ? PROT_WRITE : PROT_READABLE)) === 0) return -EFAULT;
    // The usual case, without the page's address: a number that V8 would put in a box of its own for each call.
    const entry = this.table.get(address);
    if ((entry & PTE_PRESENT) !== 0) {
      const present = entry & PTE_FRAME;
      if (!write || vma.shared) return present;
      if ((entry & PTE_FILE) === 0 && this.frames.references(present) === 1) return present;
    } else if (!write && vma.object === null) {
      // Memory nobody has touched reads as zeros: frame 0.
      return 0;
    }
    const frame = this.frameFor(vma, address - (address & PAGE_MASK), write);
    if (frame === -ENOMEM) this.frames.onStarved?.(this);
    return frame;
  }

  run(address: GuestAddress, length: Bytes, write: boolean): Bytes {
    if (length <= 0) return 0;
    const frame = this.access(address, write);
    return frame < 0 ? 0 : this.runFrom(frame, address & PAGE_MASK, address, length, write);
  }

  runAt(at: Float64Array, index: number, length: Bytes, write: boolean): Bytes {
    if (length <= 0) return 0;
    const frame = this.access(at[index], write);
    if (frame < 0) return 0;
    const inPage = at[index] & PAGE_MASK;
    if (inPage + length > PAGE_SIZE) return this.runFrom(frame, inPage, at[index], length, write);
    this.runOffset = frame * PAGE_SIZE + inPage;
    return length;
  }

  /** As far as the frames behind the pages follow each other, from the first one on. */
  private runFrom(frame: FrameNumber, inPage: Bytes, address: GuestAddress, length: Bytes, write: boolean): Bytes {
    this.runOffset = frame * PAGE_SIZE + inPage;
    let available = PAGE_SIZE - inPage;
    let next = frame + 1;
    while (available < length && frame !== 0 && this.access(address + available, write) === next) {
      available += PAGE_SIZE;
      next++;
    }
    return available < length ? available : length;
  }

  copyIn(address: GuestAddress, destination: Uint8Array, offset: number, length: Bytes): Bytes {
    // The first run has the address as it came: a sum would be a new heap object.
    let count = this.run(address, length, false);
    let done = 0;
    while (count > 0) {
      this.takeRun(destination, offset + done, count);
      done += count;
      if (done >= length) break;
      count = this.run(address + done, length - done, false);
    }
    return done;
  }

  copyInAt(at: Float64Array, index: number, destination: Uint8Array, offset: number, length: Bytes): Bytes {
    const count = this.runAt(at, index, length, false);
    this.takeRun(destination, offset, count);
    return count === length || count === 0
      ? count
      : count + this.copyIn(at[index] + count, destination, offset + count, length - count);
  }

  takeRun(destination: Uint8Array, to: number, count: Bytes): void {
    const { bytes, runOffset: from } = this;
    if (count > SMALL_COPY) destination.set(bytes.subarray(from, from + count), to);
    else for (let index = 0; index < count; index++) destination[to + index] = bytes[from + index];
  }

  copyOut(address: GuestAddress, source: Uint8Array, offset: number, length: Bytes): Bytes {
    let count = this.run(address, length, true);
    let done = 0;
    while (count > 0) {
      this.putRun(source, offset + done, count);
      done += count;
      if (done >= length) break;
      count = this.run(address + done, length - done, true);
    }
    return done;
  }

  putRun(source: Uint8Array, from: number, count: Bytes): void {
    const { bytes, runOffset: to } = this;
    if (count > SMALL_COPY) bytes.set(source.subarray(from, from + count), to);
    else for (let index = 0; index < count; index++) bytes[to + index] = source[from + index];
  }

  readForced(address: GuestAddress, destination: Uint8Array, offset: number, length: Bytes): Bytes {
    let done = 0;
    while (done < length) {
      const at = address + done;
      const frame = this.readableByForce(at);
      if (frame < 0) break;
      const start = frame * PAGE_SIZE + (at & PAGE_MASK);
      const count = Math.min(length - done, PAGE_SIZE - (at & PAGE_MASK));
      destination.set(this.bytes.subarray(start, start + count), offset + done);
      done += count;
    }
    return done;
  }

  private readableByForce(address: GuestAddress): FrameNumber {
    const vma = this.vmas.find(address) ?? this.vmaAt(address);
    if (vma === null || ((vma.protection | vma.maxProtection) & PROT_READABLE) === 0) return -EFAULT;
    const page = address - (address & PAGE_MASK);
    const entry = this.table.get(page);
    if ((entry & PTE_PRESENT) !== 0) return entry & PTE_FRAME;
    return vma.object === null ? 0 : this.frameFor(vma, page, false);
  }

  writeForced(address: GuestAddress, source: Uint8Array, offset: number, length: Bytes): Bytes {
    let done = 0;
    while (done < length) {
      const at = address + done;
      const count = Math.min(length - done, PAGE_SIZE - (at & PAGE_MASK));
      const vma = this.vmas.find(at) ?? this.vmaAt(at);
      if (vma === null) break;
      if ((vma.protection & PROT_WRITE) !== 0) {
        if (this.copyOut(at, source, offset + done, count) < count) break;
      } else {
        // Read-only memory that others share, too, stays as it is.
        if (vma.shared || (vma.maxProtection & PROT_WRITE) === 0) break;
        const frame = this.privatePage(vma, at - (at & PAGE_MASK));
        if (frame < 0) break;
        this.bytes.set(source.subarray(offset + done, offset + done + count), frame * PAGE_SIZE + (at & PAGE_MASK));
      }
      done += count;
    }
    return done;
  }

  zero(address: GuestAddress, length: Bytes): Bytes {
    let done = 0;
    while (done < length) {
      const count = this.run(address + done, length - done, true);
      if (count === 0) break;
      this.bytes.fill(0, this.runOffset, this.runOffset + count);
      done += count;
    }
    return done;
  }

  readStruct(address: GuestAddress, length: Bytes): DataView | null {
    return length <= SCRATCH_SIZE && this.copyIn(address, readBytes, 0, length) === length ? readView : null;
  }

  scratch(length: Bytes): DataView {
    writeBytes.fill(0, 0, length);
    return writeView;
  }

  writeStruct(address: GuestAddress, length: Bytes): boolean {
    return this.copyOut(address, writeBytes, 0, length) === length;
  }

  wordsAt(address: GuestAddress, length: Bytes, write: boolean): number {
    const inPage = address & PAGE_MASK;
    if ((address & 3) !== 0 || inPage + length > PAGE_SIZE) return -1;
    const frame = this.access(address, write);
    if (frame < 0 || (frame === 0 && write)) return -1;
    const index = frame * (PAGE_SIZE / 4) + (inPage >>> 2);
    // What is only read may get another frame when it is written.
    if (write) {
      this.lastAddress[0] = address;
      this.lastIndex = index;
    }
    return index;
  }

  wordsAgain(address: GuestAddress, length: Bytes): number {
    return address === this.lastAddress[0] && (address & PAGE_MASK) + length <= PAGE_SIZE
      ? this.lastIndex
      : this.wordsAt(address, length, false);
  }

  forgetWords(): void {
    this.lastAddress[0] = Number.NaN;
  }

  readU8(address: GuestAddress): number {
    const frame = this.access(address, false);
    return frame < 0 ? Number.NaN : this.bytes[frame * PAGE_SIZE + (address & PAGE_MASK)];
  }

  readI32(address: GuestAddress): number {
    if ((address & 3) !== 0) return this.readStruct(address, 4)?.getInt32(0, true) ?? Number.NaN;
    const frame = this.access(address, false);
    return frame < 0 ? Number.NaN : this.words[frame * 1024 + ((address & PAGE_MASK) >>> 2)];
  }

  readU32(address: GuestAddress): number {
    const value = this.readI32(address);
    return value < 0 ? value + 0x100000000 : value;
  }

  readU64(address: GuestAddress): number {
    if ((address & 7) !== 0) {
      const view = this.readStruct(address, 8);
      return view === null ? Number.NaN : view.getInt32(4, true) * 0x100000000 + view.getUint32(0, true);
    }
    const frame = this.access(address, false);
    if (frame < 0) return Number.NaN;
    const index = frame * 1024 + ((address & PAGE_MASK) >>> 2);
    return this.words[index + 1] * 0x100000000 + (this.words[index] >>> 0);
  }

  writeU32(address: GuestAddress, value: number): boolean {
    if ((address & 3) !== 0) {
      writeView.setUint32(0, value, true);
      return this.writeStruct(address, 4);
    }
    const frame = this.access(address, true);
    if (frame < 0) return false;
    this.words[frame * 1024 + ((address & PAGE_MASK) >>> 2)] = value;
    return true;
  }

  writeU64(address: GuestAddress, value: number): boolean {
    const high = Math.floor(value / 0x100000000);
    if ((address & 7) !== 0) {
      writeView.setUint32(0, value, true);
      writeView.setUint32(4, high, true);
      return this.writeStruct(address, 8);
    }
    const frame = this.access(address, true);
    if (frame < 0) return false;
    const index = frame * 1024 + ((address & PAGE_MASK) >>> 2);
    this.words[index] = value;
    this.words[index + 1] = high;
    return true;
  }

  readString(address: GuestAddress, max: Bytes): string | number {
    // One byte more than max: a string of exactly max bytes has its NUL there.
    const count = this.run(address, Math.min(max + 1, PAGE_SIZE - (address & PAGE_MASK)), false);
    if (count === 0) return -EFAULT;
    const ended = this.strings.terminated(this.runOffset, this.runOffset + count);
    return ended ?? this.readLongString(address, max, this.strings.slice(this.runOffset, this.runOffset + count));
  }

  /** Goes on where the first page ends. */
  private readLongString(address: GuestAddress, max: Bytes, begun: string): string | number {
    let text = begun;
    while (text.length <= max) {
      const at = address + text.length;
      const count = this.run(at, Math.min(max + 1 - text.length, PAGE_SIZE - (at & PAGE_MASK)), false);
      if (count === 0) return -EFAULT;
      const start = this.runOffset;
      const ended = this.strings.terminated(start, start + count);
      if (ended !== null) return text + ended;
      text += this.strings.slice(start, start + count);
    }
    return -ENAMETOOLONG;
  }

  compareExchangeU32(address: GuestAddress, expected: number, replacement: number): number {
    if ((address & 3) !== 0) return Number.NaN;
    const frame = this.access(address, true);
    if (frame < 0) return Number.NaN;
    const index = frame * 1024 + ((address & PAGE_MASK) >>> 2);
    return Atomics.compareExchange(this.words, index, expected | 0, replacement | 0) >>> 0;
  }
}
