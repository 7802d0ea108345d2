/** Character classes as Linux's N_TTY sees them: its ctype table is Latin-1. */

const UPPER_A = 65;
const UPPER_Z = 90;
const LOWER_A = 97;
const LOWER_Z = 122;
const MULTIPLICATION_SIGN = 0xd7;
const DIVISION_SIGN = 0xf7;

export const isControl = (c: number): boolean => c < 32 || c === 127;

export function isWordCharacter(c: number): boolean {
  return (
    (c >= 48 && c <= 57) ||
    (c >= UPPER_A && c <= UPPER_Z) ||
    (c >= LOWER_A && c <= LOWER_Z) ||
    c === 95 ||
    (c >= 0xc0 && c !== MULTIPLICATION_SIGN && c !== DIVISION_SIGN)
  );
}

export function toUpper(c: number): number {
  return (c >= LOWER_A && c <= LOWER_Z) || (c >= 0xe0 && c !== DIVISION_SIGN && c !== 0xff) ? c - 32 : c;
}

export function toLower(c: number): number {
  return (c >= UPPER_A && c <= UPPER_Z) || (c >= 0xc0 && c <= 0xde && c !== MULTIPLICATION_SIGN) ? c + 32 : c;
}

/** Whether a byte continues a UTF-8 character. */
export const isUtf8Continuation = (c: number): boolean => (c & 0xc0) === 0x80;
