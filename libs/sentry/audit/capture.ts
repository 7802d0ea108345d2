import type { SyscallArguments, Task } from '../kernel/types.js';
import { CAPTURE_CUT, CAPTURE_HEADER_BYTES, CAPTURE_PATH_ID } from './format.js';
import { kindOf } from './kinds.js';
import type { Parameter, Shape } from './signature.js';

/** How one argument's memory is copied. */
export interface CapturePlan {
  readonly index: number;
  readonly direction: 'in' | 'out';
  /** The parts of its `Shape`, 0 where that has none. Here, all plans look alike to the compiler. */
  readonly form: Shape['form'];
  readonly size: number;
  readonly offset: number;
  readonly most: number;
  readonly lengthIndex: number;
  /** The length argument is itself a pointer to a 32-bit length (accept, getsockname). */
  readonly indirectLength: boolean;
}

/** Most bytes of one path, of one string of an array, of one buffer behind an iovec. */
const PATH_BYTES = 4095;
const STRING_BYTES = 96;
const STRINGS_MOST = 32;
const IOVEC_MOST = 8;
const IOVEC_PREFIX_BYTES = 32;
/** More than this is copied by what knows how to copy much. */
const WORDS_BYTES = 256;
/** All captures of one call. */
const CAPTURE_BYTES = 12 * 1024;

/** Where what is copied for one call goes, in the record's own format. */
export class CaptureBuffer {
  /** One past what has been copied. */
  length = 0;
  private limit = 0;
  readonly words: Int32Array;

  constructor(readonly bytes: Uint8Array) {
    this.words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
  }

  /** Captures of a call go to `start` and on. Precondition: there is room for the most that a call may capture. */
  begin(start: number): void {
    this.length = start;
    this.limit = start + CAPTURE_BYTES;
  }

  /** Room for `count` more bytes? */
  ensure(count: number): boolean {
    return this.length + count <= this.limit;
  }
}

/** Null when the argument is a plain value. */
export function planCapture(parameter: Parameter, index: number): CapturePlan | null {
  const shape = kindOf(parameter.base).shape;
  if (!shape || parameter.direction === 'value') return null;
  return {
    index,
    direction: parameter.direction,
    form: shape.form,
    size: 'size' in shape ? shape.size : 0,
    offset: 'offset' in shape ? shape.offset : 0,
    most: 'most' in shape ? shape.most : 0,
    lengthIndex: parameter.lengthIndex,
    indirectLength: parameter.base === 'sockaddr' && parameter.direction === 'out',
  };
}

/** Copies what an argument points to. A wild pointer copies nothing; the handler finds out for itself. */
export function capture(
  task: Task,
  plan: CapturePlan,
  args: SyscallArguments,
  result: number,
  into: CaptureBuffer,
): void {
  const address = args[plan.index];
  if (address === 0) return;
  const { form, size } = plan;
  if (form === 'struct') {
    if (!copyStruct(task, plan, args, into)) copy(task, plan, args, size, 0, into);
    return;
  }
  switch (form) {
    case 'path':
      // Copied once for handler, policy and audit, so that all three see the same path; it is told when the record is written.
      task.pathArgument(plan.index);
      break;
    case 'array': {
      const count = arrayCount(task, plan, args, result);
      if (!(count > 0)) {
        if (count === 0) copy(task, plan, args, 0, 0, into);
        return;
      }
      const shown = count < plan.most ? count : plan.most;
      copy(task, plan, args, shown * size, shown < count ? CAPTURE_CUT : 0, into);
      break;
    }
    case 'pointers':
      capturePointers(task, plan, args, into);
      break;
    case 'strings':
      captureStrings(task, plan.index, address, into);
      break;
    case 'iovec':
      captureIovec(task, plan, args, result, into);
      break;
  }
}

/** Elements of an array argument: buffers that a call filled hold `result` bytes, all others what their length argument says. */
function arrayCount(task: Task, plan: CapturePlan, args: SyscallArguments, result: number): number {
  if (plan.direction === 'out' && !plan.indirectLength) return result;
  if (plan.lengthIndex < 0) return 0;
  const length = args[plan.lengthIndex];
  return plan.indirectLength ? (length === 0 ? 0 : task.memory.readU32(length)) : length;
}

function header(into: CaptureBuffer, index: number, flags: number, length: number): void {
  const { bytes, length: at } = into;
  if ((at & 3) === 0) {
    into.words[at >> 2] = index | (flags << 8) | (length << 16);
    into.length = at + CAPTURE_HEADER_BYTES;
    return;
  }
  bytes[at] = index;
  bytes[at + 1] = flags;
  bytes[at + 2] = length & 0xff;
  bytes[at + 3] = length >> 8;
  into.length = at + CAPTURE_HEADER_BYTES;
}

/** Of an address no sum is made, and none passed on, where that is not needed: it would be a new heap object. */
function copy(
  task: Task,
  plan: CapturePlan,
  args: SyscallArguments,
  size: number,
  flags: number,
  into: CaptureBuffer,
): void {
  if (!into.ensure(CAPTURE_HEADER_BYTES + size)) return;
  if (size > 0 && !copyBytes(task, plan, args, size, into, into.length + CAPTURE_HEADER_BYTES)) return;
  header(into, plan.index, flags, size);
  into.length += size;
}

/** False where it takes more than a few words in one page. */
function copyStruct(task: Task, plan: CapturePlan, args: SyscallArguments, into: CaptureBuffer): boolean {
  const { memory } = task;
  const { words, length: at } = into;
  const { size, offset } = plan;
  if (((at | offset) & 3) !== 0 || size > WORDS_BYTES || !into.ensure(CAPTURE_HEADER_BYTES + size)) return false;
  const found = memory.wordsAgain(args[plan.index], offset + size);
  if (found < 0) return false;
  const source = memory.words;
  const from = found + (offset >> 2);
  const to = (at >> 2) + 1;
  const count = (size + 3) >> 2;
  words[to - 1] = plan.index | (size << 16);
  for (let index = 0; index < count; index++) words[to + index] = source[from + index];
  into.length = at + CAPTURE_HEADER_BYTES + size;
  return true;
}

/** Up to three bytes more than `size` may be written. */
function copyBytes(
  task: Task,
  { index, offset }: CapturePlan,
  args: SyscallArguments,
  size: number,
  into: CaptureBuffer,
  at: number,
): boolean {
  const { memory } = task;
  if (offset !== 0) return memory.copyIn(args[index] + offset, into.bytes, at, size) === size;
  if ((at & 3) === 0 && size <= WORDS_BYTES) {
    const from = memory.wordsAt(args[index], size, false);
    if (from >= 0) {
      const { words } = into;
      const source = memory.words;
      const to = at >> 2;
      const count = (size + 3) >> 2;
      for (let word = 0; word < count; word++) words[to + word] = source[from + word];
      return true;
    }
  }
  return memory.copyInAt(args, index, into.bytes, at, size) === size;
}

/** A path that was told before. */
export function capturePathId(into: CaptureBuffer, index: number, id: number): void {
  if (into.ensure(CAPTURE_HEADER_BYTES)) header(into, index, CAPTURE_PATH_ID, id);
}

export function captureText(into: CaptureBuffer, index: number, text: string): void {
  const length = Math.min(text.length, PATH_BYTES);
  if (!into.ensure(CAPTURE_HEADER_BYTES + length)) return;
  header(into, index, length < text.length ? CAPTURE_CUT : 0, length);
  const { bytes, length: at } = into;
  for (let offset = 0; offset < length; offset++) bytes[at + offset] = text.charCodeAt(offset);
  into.length = at + length;
}

/** The structs, one after the other; up to the first that cannot be read. */
function capturePointers(task: Task, plan: CapturePlan, args: SyscallArguments, into: CaptureBuffer): void {
  const count = plan.lengthIndex < 0 ? 0 : args[plan.lengthIndex];
  if (!(count >= 0)) return;
  const shown = Math.min(count, plan.most);
  if (!into.ensure(CAPTURE_HEADER_BYTES + shown * plan.size)) return;
  const start = into.length + CAPTURE_HEADER_BYTES;
  let at = start;
  for (let index = 0; index < shown; index++) {
    const pointer = task.memory.readU64(args[plan.index] + index * 8);
    if (!(pointer > 0) || task.memory.copyIn(pointer, into.bytes, at, plan.size) < plan.size) break;
    at += plan.size;
  }
  header(into, plan.index, at - start < count * plan.size ? CAPTURE_CUT : 0, at - start);
  into.length = at;
}

/** argv and envp: u8 flags, u8 length, bytes per string. */
function captureStrings(task: Task, index: number, address: number, into: CaptureBuffer): void {
  if (!into.ensure(CAPTURE_HEADER_BYTES + STRINGS_MOST * (2 + STRING_BYTES))) return;
  const start = into.length;
  let at = start + CAPTURE_HEADER_BYTES;
  let cut = CAPTURE_CUT;
  for (let count = 0; count < STRINGS_MOST; count++) {
    const pointer = task.memory.readU64(address + count * 8);
    if (!(pointer > 0)) {
      cut = 0;
      break;
    }
    const got = task.memory.copyIn(pointer, into.bytes, at + 2, STRING_BYTES);
    let length = 0;
    while (length < got && into.bytes[at + 2 + length] !== 0) length++;
    into.bytes[at] = length === got ? 1 : 0;
    into.bytes[at + 1] = length;
    at += 2 + length;
  }
  header(into, index, cut, at - start - CAPTURE_HEADER_BYTES);
  into.length = at;
}

/** u32 length, u8 flags, u8 prefix length, prefix per buffer. */
function captureIovec(
  task: Task,
  plan: CapturePlan,
  args: SyscallArguments,
  result: number,
  into: CaptureBuffer,
): void {
  const count = plan.lengthIndex < 0 ? 0 : args[plan.lengthIndex];
  if (!(count >= 0)) return;
  const shown = Math.min(count, IOVEC_MOST);
  if (!into.ensure(CAPTURE_HEADER_BYTES + shown * (6 + IOVEC_PREFIX_BYTES))) return;
  const start = into.length;
  let at = start + CAPTURE_HEADER_BYTES;
  let left = plan.direction === 'out' ? result : Number.POSITIVE_INFINITY;
  for (let index = 0; index < shown; index++) {
    const base = task.memory.readU64(args[plan.index] + index * 16);
    const length = task.memory.readU64(args[plan.index] + index * 16 + 8);
    if (Number.isNaN(base) || Number.isNaN(length)) return;
    const filled = Math.max(0, Math.min(length, left));
    left -= filled;
    const prefix = Math.min(filled, IOVEC_PREFIX_BYTES);
    const got = prefix > 0 ? task.memory.copyIn(base, into.bytes, at + 6, prefix) : 0;
    const saturated = length < 0 || length > 0xffffffff ? 0xffffffff : length;
    into.bytes[at] = saturated & 0xff;
    into.bytes[at + 1] = (saturated >>> 8) & 0xff;
    into.bytes[at + 2] = (saturated >>> 16) & 0xff;
    into.bytes[at + 3] = saturated >>> 24;
    into.bytes[at + 4] = got < prefix ? 1 : 0;
    into.bytes[at + 5] = got;
    at += 6 + got;
  }
  header(into, plan.index, shown < count ? CAPTURE_CUT : 0, at - start - CAPTURE_HEADER_BYTES);
  into.length = at;
}
