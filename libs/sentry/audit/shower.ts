import { captureTime, type Kind, kindOf } from './kinds.js';
import type { Parameter } from './signature.js';

/** Places for renderings: a hostile writer fills no more memory. A power of two. */
const PLACES = 2048;
/** Longer bytes are shown anew each time. */
const KEPT_BYTES = 128;

interface Rendered {
  readonly shower: Shower;
  readonly value: number;
  /** What was behind the argument, or null: not copied, the value alone was shown. */
  readonly bytes: Uint8Array | null;
  readonly cut: boolean;
  readonly text: string;
}

/**
 * Renderings of one decoder that may be wanted again: programs do the same over and over, and what is shown is a function of the value, or
 * of the bytes behind it. A place is chosen by a hash; who comes last has it.
 */
export class Renderings {
  private readonly places: (Rendered | undefined)[] = new Array(PLACES).fill(undefined);

  /** An argument without memory behind it, or with memory that was not copied. */
  value(shower: Shower, value: number): string {
    const place = spread((value | 0) ^ ((value / 0x1_0000_0000) | 0) ^ shower.seed);
    const known = this.places[place];
    if (known?.shower === shower && known.value === value && known.bytes === null) return known.text;
    const text = shower.show({ value, bytes: null, cut: false });
    this.places[place] = { shower, value, bytes: null, cut: false, text };
    return text;
  }

  /** An argument with `length` bytes of `source`, from `start` on, copied from behind it. */
  memory(shower: Shower, value: number, source: Uint8Array, start: number, length: number, cut: boolean): string {
    if (length > KEPT_BYTES) return shower.show({ value, bytes: source.subarray(start, start + length), cut });
    const place = spread(hash(source, start, length) ^ shower.seed);
    const known = this.places[place];
    if (known?.shower === shower && known.cut === cut && isSame(known.bytes, source, start, length)) {
      // Where there are too few bytes the value is shown.
      if (length >= shower.least || known.value === value) return known.text;
    }
    const bytes = source.slice(start, start + length);
    const text = shower.show({ value, bytes, cut });
    this.places[place] = { shower, value, bytes, cut, text };
    return text;
  }
}

let seeds = 0;

/** How one parameter of a call is shown. */
export class Shower {
  readonly name: string;
  readonly kind: string;
  readonly base: string;
  /** Its memory may have been copied. */
  readonly hasMemory: boolean;
  readonly isPath: boolean;
  /** With fewer bytes the value is shown. */
  readonly least: number;
  readonly show: Kind['render'];
  /** Of its hashes. */
  readonly seed: number;

  constructor(parameter: Parameter) {
    const { shape, render } = kindOf(parameter.base);
    this.name = parameter.name;
    this.kind = parameter.kind;
    this.base = parameter.base;
    this.show = render;
    this.hasMemory = captureTime(parameter) !== 'value';
    this.isPath = this.hasMemory && shape?.form === 'path';
    this.least = shape?.form === 'struct' ? shape.size : 0;
    seeds = (seeds + 0x9e3779b1) | 0;
    this.seed = seeds;
  }
}

function spread(mixed: number): number {
  return (Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) >>> 16) & (PLACES - 1);
}

function hash(source: Uint8Array, start: number, length: number): number {
  let sum = length;
  const end = start + length;
  for (let index = start; index < end; index++) sum = Math.imul(sum ^ source[index], 0x01000193);
  return sum;
}

function isSame(bytes: Uint8Array | null, source: Uint8Array, start: number, length: number): boolean {
  if (bytes === null || bytes.length !== length) return false;
  for (let index = 0; index < length; index++) if (bytes[index] !== source[start + index]) return false;
  return true;
}
