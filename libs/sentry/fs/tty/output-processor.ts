import { ECHOCTL, IUTF8, OCRNL, OLCUC, ONLCR, ONLRET, ONOCR, OPOST, TABDLY, XTABS } from '../../abi/termios.js';
import { isControl, isUtf8Continuation, toUpper } from './characters.js';
import type { Termios } from './termios.js';

const BACKSPACE = 8;
const TAB = 9;
const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;
const CARET = 94;
/** Most bytes one byte becomes: a tab that is expanded. */
export const MOST_EXPANSION = 8;

/** Bytes on their way out; grows as needed (what fills it is bounded by its owner). */
export class ByteBuffer {
  bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  put(byte: number): void {
    if (this.length === this.bytes.length) {
      const larger = new Uint8Array(this.bytes.length * 2);
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.bytes[this.length++] = byte;
  }

  /** Forgets the first `count` bytes. */
  drop(count: number): void {
    this.bytes.copyWithin(0, count, this.length);
    this.length -= count;
  }
}

/** Output processing (OPOST) and the cursor column it must know, for tabs and for erasing them. */
export class OutputProcessor {
  /** Where the cursor is, and where the line being typed began. */
  column = 0;
  canonColumn = 0;

  constructor(private readonly termios: () => Termios) {}

  /** One byte of a program's output, with OPOST on. */
  process(c: number, out: ByteBuffer): void {
    const flags = this.termios().outputFlags;
    switch (c) {
      case NEWLINE:
        if (flags & ONLRET) this.column = 0;
        if (flags & ONLCR) {
          this.column = 0;
          out.put(RETURN);
        }
        this.canonColumn = this.column;
        break;
      case RETURN:
        if (flags & ONOCR && this.column === 0) return;
        if (flags & OCRNL) {
          if (flags & ONLRET) this.returnToStart();
          out.put(NEWLINE);
          return;
        }
        this.returnToStart();
        break;
      case TAB: {
        const spaces = 8 - (this.column & 7);
        this.column += spaces;
        if ((flags & TABDLY) === XTABS) {
          for (let index = 0; index < spaces; index++) out.put(SPACE);
          return;
        }
        break;
      }
      case BACKSPACE:
        this.back();
        break;
      default:
        if (!isControl(c)) {
          if (!(this.termios().inputFlags & IUTF8 && isUtf8Continuation(c))) this.column++;
          if (flags & OLCUC) {
            out.put(toUpper(c));
            return;
          }
        }
    }
    out.put(c);
  }

  /** Echoes a byte as it is (processed like output). */
  echoRaw(c: number, out: ByteBuffer): void {
    if (this.termios().outputFlags & OPOST) this.process(c, out);
    else out.put(c);
  }

  /** Echoes a byte, control characters as ^X with ECHOCTL. */
  echo(c: number, out: ByteBuffer): void {
    if (isControl(c) && c !== TAB && this.termios().localFlags & ECHOCTL) {
      out.put(CARET);
      out.put(c ^ 0o100);
      this.column += 2;
    } else {
      this.echoRaw(c, out);
    }
  }

  /** The line being typed begins where the cursor is. */
  markLineStart(): void {
    this.canonColumn = this.column;
  }

  back(): void {
    if (this.column > 0) this.column--;
  }

  /**
   * Moves the cursor back over a tab. `columns` were used since the start of the line, or since the tab before it
   * when `afterTab`.
   */
  eraseTab(columns: number, afterTab: boolean, out: ByteBuffer): void {
    const before = afterTab ? columns & 7 : columns + this.canonColumn;
    for (let count = 8 - (before & 7); count > 0; count--) {
      out.put(BACKSPACE);
      this.back();
    }
  }

  private returnToStart(): void {
    this.column = 0;
    this.canonColumn = 0;
  }
}
