/** How an argument's memory travels: not at all, read at entry, or read at exit (and only when the call succeeded). */
export type Direction = 'value' | 'in' | 'out';

/** What the recorder copies of an argument's memory. Sizes are in bytes. */
export type Shape =
  /** The path or string that the call itself copied. */
  | { readonly form: 'path' }
  /** `size` bytes of a struct, from `offset` on. */
  | { readonly form: 'struct'; readonly size: number; readonly offset: number }
  /** `length argument` elements of `size` bytes, at most `most` of them. */
  | { readonly form: 'array'; readonly size: number; readonly most: number }
  /** `length argument` pointers to structs, of which the first `size` bytes are copied, at most `most` of them. */
  | { readonly form: 'pointers'; readonly size: number; readonly most: number }
  /** struct iovec[]: lengths and the first bytes of the first buffers. */
  | { readonly form: 'iovec' }
  /** NULL-terminated array of strings. */
  | { readonly form: 'strings' };

/** One argument of a row's signature. */
export interface Parameter {
  readonly name: string;
  /** Kind as written, for consumers: "buffer-out". */
  readonly kind: string;
  /** Kind without its direction: "buffer". */
  readonly base: string;
  readonly direction: Direction;
  /** Index of the argument that says how much there is, or -1. */
  readonly lengthIndex: number;
}

/** Reads `"fd:fd buf:buffer-out(count) count:size"`. The length argument is the next one unless named in parentheses. */
export function parseSignature(signature: string): readonly Parameter[] {
  const parts = signature.split(/\s+/).filter((part) => part !== '');
  const names = parts.map((part) => part.split(':', 1)[0]);
  return parts.map((part, index) => {
    const [, name, written, parameter] = /^([^:]*):?([^()]*)(?:\(([^)]*)\))?$/.exec(part) ?? ['', part, '', ''];
    const kind = written || 'hex';
    const direction = kind.endsWith('-out') ? 'out' : 'in';
    const base = kind.replace(/-(in|out)$/, '');
    const named = parameter ? names.indexOf(parameter) : -1;
    const next = index + 1 < parts.length ? index + 1 : -1;
    return { name, kind, base, direction, lengthIndex: named >= 0 ? named : next };
  });
}
