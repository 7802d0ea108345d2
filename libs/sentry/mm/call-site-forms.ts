import type { Bytes, GuestAddress } from '../platform/platform.js';

/** `jmp` with a 32-bit distance. */
export const JUMP_LENGTH: Bytes = 5;

/** Instructions before a `syscall` that leave room for a jump. */
export interface SiteForm {
  /** From the first byte that the jump replaces to the end of the `syscall`. */
  readonly length: Bytes;
  /** Whether `code`, `length` bytes, is of the form, for this call. */
  fits(code: Uint8Array, number: number): boolean;
  /** Writes to `out` what does at `at` what the instructions before the syscall do at `from`; how many bytes (15 at most). */
  relocate(code: Uint8Array, from: GuestAddress, at: GuestAddress, out: Uint8Array): Bytes;
}

const SYSCALL = [0x0f, 0x05];

function holds(code: Uint8Array, at: number, bytes: readonly number[]): boolean {
  return bytes.every((byte, index) => code[at + index] === byte);
}

/** The little-endian number at a place. */
export function signed32(code: Uint8Array, at: number): number {
  return code[at] | (code[at + 1] << 8) | (code[at + 2] << 16) | (code[at + 3] << 24);
}

function writeSigned32(out: Uint8Array, at: number, value: number): void {
  for (let byte = 0; byte < 4; byte++) out[at + byte] = value >> (8 * byte);
}

function asItIs(code: Uint8Array, _from: GuestAddress, _at: GuestAddress, out: Uint8Array): Bytes {
  out.set(code.subarray(0, JUMP_LENGTH));
  return JUMP_LENGTH;
}

/** `mov $number, %eax; syscall`: how compilers and the C library make a call they know. */
const numbered: SiteForm = {
  length: 7,
  fits: (code, number) => code[0] === 0xb8 && signed32(code, 1) === number && holds(code, 5, SYSCALL),
  relocate: asItIs,
};

/** `mov 8(%rsp), %r9; syscall`: the end of the C library's syscall(2). */
const sixArguments: SiteForm = {
  length: 7,
  fits: (code) => holds(code, 0, [0x4c, 0x8b, 0x4c, 0x24, 0x08]) && holds(code, 5, SYSCALL),
  relocate: asItIs,
};

/**
 * `cmpb $0, distance(%rip); je distance; xor %eax, %eax; syscall`: the C library's read(2), with its look at whether there are
 * threads. The jump replaces a part of the first instruction alone.
 */
const read: SiteForm = {
  length: 13,
  fits: (code, number) =>
    number === 0 &&
    holds(code, 0, [0x80, 0x3d]) &&
    holds(code, 6, [0x00, 0x74]) &&
    holds(code, 9, [0x31, 0xc0, ...SYSCALL]),
  relocate(code, from, at, out) {
    out.set([0x80, 0x3d, 0, 0, 0, 0, 0x00, 0x0f, 0x84, 0, 0, 0, 0, 0x31, 0xc0]);
    writeSigned32(out, 2, signed32(code, 2) + from - at);
    const target = from + 9 + ((code[8] << 24) >> 24);
    writeSigned32(out, 9, target - (at + 13));
    return 15;
  },
};

export const SITE_FORMS: readonly SiteForm[] = [numbered, sixArguments, read];
