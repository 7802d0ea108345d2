import { DISABLED_CHAR } from '../../abi/termios.js';
import type { IoBuffer } from '../../mm/types.js';

/** N_TTY_BUF_SIZE: a line holds at most one byte less before its end. */
export const INPUT_BYTES = 4096;
const MASK = INPUT_BYTES - 1;

/**
 * What was typed and not yet read. Positions only grow; the ring holds their low bits.
 * Invariant: tail <= canonHead, commitHead <= head <= tail + INPUT_BYTES.
 */
export class InputQueue {
  /** Where the next byte goes. */
  head = 0;
  /** Where the next read begins. */
  tail = 0;
  /** End of the last whole line: canonical reads stop here. */
  canonHead = 0;
  /** End of what raw reads may take. */
  commitHead = 0;
  private readonly bytes = new Uint8Array(INPUT_BYTES);
  /** Marks line ends. */
  private readonly ends = new Uint8Array(INPUT_BYTES);

  get length(): number {
    return this.head - this.tail;
  }

  at(position: number): number {
    return this.bytes[position & MASK];
  }

  put(c: number): void {
    this.bytes[this.head & MASK] = c;
    this.ends[this.head & MASK] = 0;
    this.head++;
  }

  /** Ends the line with `c`; DISABLED_CHAR = end of file, which ends it and is not read. */
  endLine(c: number): void {
    this.put(c);
    this.ends[(this.head - 1) & MASK] = 1;
    this.canonHead = this.head;
  }

  clear(): void {
    this.tail = this.canonHead = this.commitHead = this.head;
  }

  /** ICANON was switched: what is queued becomes one line (or raw bytes). */
  switchMode(canonical: boolean): void {
    this.ends.fill(0);
    if (!canonical || this.length === 0) this.canonHead = this.tail;
    else {
      this.ends[(this.head - 1) & MASK] = 1;
      this.canonHead = this.head;
    }
    this.commitHead = this.head;
  }

  /** Bytes that canonical reads would give, line by line. */
  lineBytes(): number {
    let count = 0;
    for (let at = this.tail; at < this.canonHead; at++) if (!this.isEof(at)) count++;
    return count;
  }

  private isEof(position: number): boolean {
    return this.ends[position & MASK] === 1 && this.bytes[position & MASK] === DISABLED_CHAR;
  }

  /** Reads up to the end of one line. Bytes read (0 at an end of file), or -EFAULT as 0 with `io.faulted`. */
  readLine(io: IoBuffer): number {
    let end = this.tail;
    const limit = Math.min(this.canonHead, this.tail + io.remaining);
    while (end < limit && this.ends[end & MASK] === 0) end++;
    const found = end < limit;
    const eof = found && this.isEof(end);
    const done = this.copyOut(io, found && !eof ? end + 1 : end);
    if (eof && this.tail === end) this.tail++;
    // A reader that got exactly the line before an end of file does not get that end as well.
    else if (!found && done > 0 && io.remaining === 0 && this.tail < this.canonHead && this.isEof(this.tail))
      this.tail++;
    return done;
  }

  /** Reads what is there, lines or not. */
  readRaw(io: IoBuffer): number {
    const done = this.copyOut(io, Math.min(this.commitHead, this.tail + io.remaining));
    if (this.canonHead < this.tail) this.canonHead = this.tail;
    return done;
  }

  private copyOut(io: IoBuffer, end: number): number {
    let total = 0;
    while (this.tail < end) {
      const at = this.tail & MASK;
      const run = Math.min(end - this.tail, INPUT_BYTES - at);
      const moved = io.put(this.bytes, at, run);
      this.tail += moved;
      total += moved;
      if (moved < run) break;
    }
    return total;
  }
}
