/** Small renderings that everything in this folder shares. Output is printable ASCII only, whatever comes in. */
import type { NameTable } from './constants.js';

/** A signed 64-bit value (as a number) in hexadecimal, as unsigned. */
export function hex(value: number): string {
  if (value === 0) return '0';
  if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) return `0x${Math.trunc(value).toString(16)}`;
  return `0x${unsigned(value).toString(16)}`;
}

/** The unsigned reading of a 64-bit value. NaN and infinities (never written by a sound recorder) give 0. */
export function unsigned(value: number): bigint {
  return Number.isFinite(value) ? BigInt.asUintN(64, BigInt(Math.trunc(value))) : 0n;
}

export const signed32 = (value: number): number => value | 0;
export const unsigned32 = (value: number): number => value >>> 0;

const ESCAPES: Readonly<Record<number, string>> = {
  9: '\\t',
  10: '\\n',
  11: '\\v',
  12: '\\f',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
};

/** Bytes as a quoted C string, as strace shows it; `more` adds the dots of a cut one. */
export function quote(bytes: Uint8Array, more = false): string {
  if (isPlain(bytes)) return `"${String.fromCharCode.apply(null, bytes as unknown as number[])}"${more ? '...' : ''}`;
  let text = '"';
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    const short = ESCAPES[byte];
    if (short) text += short;
    else if (byte >= 32 && byte < 127) text += String.fromCharCode(byte);
    else {
      const next = bytes[index + 1];
      // A digit after it would be read as part of a short octal escape.
      const digits = next >= 48 && next <= 57 ? 3 : 1;
      text += `\\${byte.toString(8).padStart(digits, '0')}`;
    }
  }
  return `${text}"${more ? '...' : ''}`;
}

/** Shown as it is; and short enough for a call with so many arguments. */
function isPlain(bytes: Uint8Array): boolean {
  if (bytes.length > 4096) return false;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index];
    if (byte < 32 || byte >= 127 || byte === 34 || byte === 92) return false;
  }
  return true;
}

/** Byte string without quotes, everything unprintable as `?`: for names. */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

export function byValue(names: NameTable, value: number): string | undefined {
  for (const [name, candidate] of names) if (candidate === value) return name;
  return undefined;
}

/** Flags as `A|B|0x80000`. Works on the low 53 bits, which is more than any flag argument has. */
export function flags(names: NameTable, value: number, zero = '0'): string {
  if (value === 0) return zero;
  const parts: string[] = [];
  if (value > 0 && value <= 0x7fffffff && Number.isInteger(value)) {
    let left = value;
    for (const [name, bits] of names) {
      if (bits > 0 && bits <= 0x7fffffff && (left & bits) === bits) {
        parts.push(name);
        left &= ~bits;
      }
    }
    if (left !== 0) parts.push(`0x${left.toString(16)}`);
    return parts.join('|');
  }
  let rest = unsigned(value);
  if (rest === 0n) return zero;
  for (const [name, candidate] of names) {
    const bits = BigInt(candidate);
    if (bits !== 0n && (rest & bits) === bits) {
      parts.push(name);
      rest &= ~bits;
    }
  }
  if (rest !== 0n) parts.push(`0x${rest.toString(16)}`);
  return parts.join('|');
}
