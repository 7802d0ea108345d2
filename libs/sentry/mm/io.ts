import { EFAULT, EINVAL } from '../abi/errno.js';
import type { Bytes, GuestAddress } from '../platform/platform.js';
import type { GuestMemory, IoBuffer } from './types.js';

/** Which way the bytes go. */
export const Direction = {
  /** read(2), recv(2): file -> guest. */
  ToGuest: 0,
  /** write(2), send(2): guest -> file. */
  FromGuest: 1,
} as const;
export type Direction = (typeof Direction)[keyof typeof Direction];

/** Most bytes one read or write moves (Linux MAX_RW_COUNT); longer requests are cut. */
export const MAX_RW_COUNT = 0x7ffff000;
/** Most elements of an iovec array (UIO_MAXIOV). */
export const IOV_MAX = 1024;
/** End of user addresses: what access_ok checks. */
const TASK_SIZE = 0x7ffffffff000;

const NO_BYTES = new Uint8Array(0);

/** One range of guest memory. Get one with `guestIo`. */
class GuestIo implements IoBuffer {
  remaining: Bytes = 0;
  faulted = false;
  done: Bytes = 0;
  runOffset: Bytes = 0;
  runBytes: Uint8Array = NO_BYTES;
  private memory!: GuestMemory;
  /** Where the next byte is. Typed: a field would be a new heap object for each function that it is given to. */
  private readonly place = new Float64Array(1);
  private direction: Direction = Direction.ToGuest;

  /** For [at[index], at[index]+length). */
  reset(memory: GuestMemory, at: Float64Array, index: number, length: Bytes, direction: Direction): this {
    const address = at[index];
    this.memory = memory;
    this.runBytes = memory.bytes;
    this.place[0] = address;
    this.direction = direction;
    this.done = 0;
    this.faulted = length < 0 || (length > 0 && (address < 0 || address + length > TASK_SIZE));
    // As an integer that V8 knows to be one: what files count with it need not become heap objects.
    this.remaining = this.faulted ? 0 : Math.min(length, MAX_RW_COUNT) | 0;
    return this;
  }

  put(source: Uint8Array, offset: number, length: Bytes): Bytes {
    let moved = 0;
    for (let count = this.step(length, true); count > 0; count = this.step(length - moved, true)) {
      this.memory.putRun(source, offset + moved, count);
      moved += this.advance(count);
    }
    return moved;
  }

  take(destination: Uint8Array, offset: number, length: Bytes): Bytes {
    let moved = 0;
    for (let count = this.step(length, false); count > 0; count = this.step(length - moved, false)) {
      this.memory.takeRun(destination, offset + moved, count);
      moved += this.advance(count);
    }
    return moved;
  }

  putZeros(length: Bytes): Bytes {
    let moved = 0;
    for (let count = this.step(length, true); count > 0; count = this.step(length - moved, true)) {
      const from = this.memory.runOffset;
      this.memory.bytes.fill(0, from, from + count);
      moved += this.advance(count);
    }
    return moved;
  }

  run(max: Bytes): Bytes {
    const length = this.step(max, this.direction === Direction.ToGuest);
    this.runOffset = this.memory.runOffset;
    return length;
  }

  advance(length: Bytes): Bytes {
    this.done += length;
    this.remaining -= length;
    if (this.remaining > 0) this.place[0] += length;
    return length;
  }

  /** The next run, of at most `max` bytes; 0 at the end and at a fault. */
  private step(max: Bytes, write: boolean): Bytes {
    const wanted = max < this.remaining ? max : this.remaining;
    if (wanted <= 0) return 0;
    const count = this.memory.runAt(this.place, 0, wanted, write);
    if (count === 0) {
      this.faulted = true;
      this.remaining = 0;
    }
    return count;
  }
}

/** An iovec array of guest ranges. Get one with `vectorIo`. */
class GuestVectorIo implements IoBuffer {
  remaining: Bytes = 0;
  faulted = false;
  done: Bytes = 0;
  runOffset: Bytes = 0;
  runBytes: Uint8Array = NO_BYTES;
  private memory!: GuestMemory;
  private direction: Direction = Direction.ToGuest;
  private count = 0;
  private index = 0;
  /** [base, length] pairs; the current element is shortened as it is used up. */
  private elements = new Float64Array(2 * 16);

  /** 0, -EINVAL or -EFAULT. */
  reset(memory: GuestMemory, iovAddress: GuestAddress, count: number, direction: Direction, data: GuestMemory): number {
    this.memory = data;
    this.runBytes = data.bytes;
    this.direction = direction;
    this.count = count;
    this.index = 0;
    this.done = 0;
    this.faulted = false;
    if (count > IOV_MAX || count < 0) return -EINVAL;
    if (memory.copyIn(iovAddress, iovBytes, 0, count * 16) !== count * 16) return -EFAULT;
    if (this.elements.length < count * 2) this.elements = new Float64Array(count * 2);
    let total = 0;
    for (let i = 0; i < count; i++) {
      const base = word(iovWords, i * 4);
      const length = word(iovWords, i * 4 + 2);
      if (length < 0) return -EINVAL;
      if (length > 0 && (base < 0 || base + length > TASK_SIZE)) return -EFAULT;
      const taken = Math.min(length, MAX_RW_COUNT - total);
      this.elements[2 * i] = base;
      this.elements[2 * i + 1] = taken;
      total += taken;
    }
    this.remaining = total | 0;
    return 0;
  }

  put(source: Uint8Array, offset: number, length: Bytes): Bytes {
    let moved = 0;
    while (moved < length && this.next()) {
      const wanted = Math.min(length - moved, this.elements[2 * this.index + 1]);
      const copied = this.memory.copyOut(this.elements[2 * this.index], source, offset + moved, wanted);
      this.settle(copied, wanted);
      moved += copied;
    }
    return moved;
  }

  take(destination: Uint8Array, offset: number, length: Bytes): Bytes {
    let moved = 0;
    while (moved < length && this.next()) {
      const wanted = Math.min(length - moved, this.elements[2 * this.index + 1]);
      const copied = this.memory.copyIn(this.elements[2 * this.index], destination, offset + moved, wanted);
      this.settle(copied, wanted);
      moved += copied;
    }
    return moved;
  }

  putZeros(length: Bytes): Bytes {
    let moved = 0;
    while (moved < length && this.next()) {
      const wanted = Math.min(length - moved, this.elements[2 * this.index + 1]);
      const copied = this.memory.zero(this.elements[2 * this.index], wanted);
      this.settle(copied, wanted);
      moved += copied;
    }
    return moved;
  }

  run(max: Bytes): Bytes {
    if (max <= 0 || !this.next()) return 0;
    const wanted = Math.min(max, this.elements[2 * this.index + 1]);
    const length = this.memory.run(this.elements[2 * this.index], wanted, this.direction === Direction.ToGuest);
    if (length === 0) {
      this.settle(0, wanted);
      return 0;
    }
    this.runOffset = this.memory.runOffset;
    return length;
  }

  /** Precondition: length is at most what the last `run` returned. */
  advance(length: Bytes): void {
    if (length > 0) this.settle(length, length);
  }

  /** Moves on to an element with bytes left. */
  private next(): boolean {
    if (this.remaining === 0) return false;
    while (this.index < this.count && this.elements[2 * this.index + 1] === 0) this.index++;
    return this.index < this.count;
  }

  private settle(moved: Bytes, wanted: Bytes): void {
    this.elements[2 * this.index] += moved;
    this.elements[2 * this.index + 1] -= moved;
    this.done += moved;
    this.remaining -= moved;
    if (moved < wanted) {
      this.faulted = true;
      this.remaining = 0;
    }
  }
}

/** The Sentry's own bytes as an IoBuffer: loader, sendfile, splice, coredumps. */
export class BufferIo implements IoBuffer {
  remaining: Bytes = 0;
  readonly faulted = false;
  done: Bytes = 0;
  readonly runOffset = 0;
  readonly runBytes = NO_BYTES;
  private buffer: Uint8Array = NO_BYTES;
  private start = 0;

  constructor(buffer?: Uint8Array, offset = 0, length?: Bytes) {
    if (buffer) this.reset(buffer, offset, length ?? buffer.length - offset);
  }

  /** Starts over on buffer[offset, offset+length). */
  reset(buffer: Uint8Array, offset: number, length: Bytes): this {
    this.buffer = buffer;
    this.start = offset;
    this.remaining = length;
    this.done = 0;
    return this;
  }

  put(source: Uint8Array, offset: number, length: Bytes): Bytes {
    const moved = Math.max(0, Math.min(length, this.remaining));
    this.buffer.set(source.subarray(offset, offset + moved), this.start + this.done);
    this.advance(moved);
    return moved;
  }

  take(destination: Uint8Array, offset: number, length: Bytes): Bytes {
    const moved = Math.max(0, Math.min(length, this.remaining));
    const from = this.start + this.done;
    destination.set(this.buffer.subarray(from, from + moved), offset);
    this.advance(moved);
    return moved;
  }

  putZeros(length: Bytes): Bytes {
    const moved = Math.max(0, Math.min(length, this.remaining));
    const from = this.start + this.done;
    this.buffer.fill(0, from, from + moved);
    this.advance(moved);
    return moved;
  }

  /** Always 0: this is not guest memory. */
  run(_max: Bytes): Bytes {
    return 0;
  }

  advance(length: Bytes): void {
    this.done += length;
    this.remaining -= length;
  }
}

const iovBytes = new Uint8Array(IOV_MAX * 16);
const iovWords = new Uint32Array(iovBytes.buffer);

/** A 64-bit word as a signed number. */
function word(words: Uint32Array, index: number): number {
  return (words[index + 1] | 0) * 0x100000000 + words[index];
}

const freeRanges: GuestIo[] = [];
const freeVectors: GuestVectorIo[] = [];

/**
 * A transfer to or from guest memory [at[index], at[index]+length), `at` being the arguments of a call, for one: what is not passed need be
 * no heap object. A negative length or an address outside user space gives a buffer with nothing remaining and `faulted` set. The
 * caller owns it; giving it back with `releaseIo` saves an allocation.
 */
export function guestIo(
  memory: GuestMemory,
  at: Float64Array,
  index: number,
  length: Bytes,
  direction: Direction,
): IoBuffer {
  return (freeRanges.pop() ?? new GuestIo()).reset(memory, at, index, length, direction);
}

/**
 * A transfer over `count` struct iovec at `iovAddress`, checked as import_iovec does: -EINVAL for a count outside 0..1024 or a negative
 * length, -EFAULT for an unreadable array or a range outside user space; the total is cut at MAX_RW_COUNT. `data`: whose memory
 * the elements are in, if not that of the array (process_vm_readv).
 */
export function vectorIo(
  memory: GuestMemory,
  iovAddress: GuestAddress,
  count: number,
  direction: Direction,
  data = memory,
): IoBuffer | number {
  const io = freeVectors.pop() ?? new GuestVectorIo();
  const result = io.reset(memory, iovAddress, count, direction, data);
  if (result === 0) return io;
  freeVectors.push(io);
  return result;
}

/** Gives a buffer of `guestIo` or `vectorIo` back for reuse. The caller must not touch it afterwards. */
export function releaseIo(io: IoBuffer): void {
  if (io instanceof GuestIo) freeRanges.push(io);
  else if (io instanceof GuestVectorIo) freeVectors.push(io);
}
