import { SIGINT, SIGQUIT, SIGTSTP } from '../../abi/signal.js';
import {
  DISABLED_CHAR,
  ECHO,
  ECHOCTL,
  ECHOE,
  ECHOK,
  ECHOKE,
  ECHONL,
  ECHOPRT,
  EXTPROC,
  ICANON,
  ICRNL,
  IEXTEN,
  IGNCR,
  INLCR,
  ISIG,
  ISTRIP,
  IUCLC,
  IUTF8,
  IXANY,
  IXON,
  PARMRK,
  VEOF,
  VEOL,
  VEOL2,
  VERASE,
  VINTR,
  VKILL,
  VLNEXT,
  VQUIT,
  VREPRINT,
  VSTART,
  VSTOP,
  VSUSP,
  VWERASE,
} from '../../abi/termios.js';
import { isControl, isUtf8Continuation, isWordCharacter, toLower } from './characters.js';
import { INPUT_BYTES, InputQueue } from './input-queue.js';
import { type ByteBuffer, OutputProcessor } from './output-processor.js';
import type { Termios } from './termios.js';

const BACKSPACE = 8;
const TAB = 9;
const NEWLINE = 10;
const RETURN = 13;
const SPACE = 32;
const SLASH = 47;
const BACKSLASH = 92;
const CARET = 94;
const ALL_ONES = 0xff;

/** What the line discipline asks of its terminal. */
export interface DisciplineHost {
  termios: Termios;
  readonly stopped: boolean;
  /** Where echo goes; the terminal sends it on when the batch is done. */
  readonly echoes: ByteBuffer;
  /** ^C, ^\, ^Z: the signal, and what flushing goes with it. */
  typedSignal(signal: number): void;
  start(): void;
  stop(): void;
}

/**
 * N_TTY: turns what is typed into what is read (termios(3)). The order of the tests is Linux's, since characters may
 * have several meanings at once.
 */
export class LineDiscipline {
  readonly input = new InputQueue();
  readonly output: OutputProcessor;
  private literalNext = false;
  /** Between \ and / of ECHOPRT. */
  private erasing = false;

  constructor(private readonly host: DisciplineHost) {
    this.output = new OutputProcessor(() => host.termios);
  }

  get canonical(): boolean {
    return (this.host.termios.localFlags & (ICANON | EXTPROC)) === ICANON;
  }

  /** Whether a read would find something; raw mode: at least `minimum` bytes. */
  readable(minimum: number): boolean {
    const { input } = this;
    return this.canonical ? input.canonHead !== input.tail : input.commitHead - input.tail >= minimum;
  }

  /** FIONREAD. */
  unread(): number {
    return this.canonical ? this.input.lineBytes() : this.input.length;
  }

  /** Forgets what was typed and not read. */
  flushInput(): void {
    this.input.clear();
    this.erasing = false;
    this.literalNext = false;
  }

  termiosChanged(old: Termios): void {
    const { localFlags } = this.host.termios;
    if (!((old.localFlags ^ localFlags) & (ICANON | EXTPROC))) return;
    this.input.switchMode((localFlags & ICANON) !== 0);
    this.erasing = false;
    this.literalNext = false;
  }

  /** Takes typed bytes: how many, less than `length` when the queue is full. */
  receive(bytes: Uint8Array, offset: number, length: number): number {
    const { input, host } = this;
    let done = 0;
    while (done < length) {
      const marking = (host.termios.inputFlags & PARMRK) !== 0;
      let room = INPUT_BYTES - input.length;
      if (marking) room = Math.ceil(room / 3);
      if (room <= 1) {
        // A line that is too long keeps taking bytes in its last place, so that it can be ended or erased.
        const overflow = (host.termios.localFlags & ICANON) !== 0 && input.canonHead === input.tail;
        if (!overflow) break;
        if (room <= 0) input.head--;
      }
      this.character(bytes[offset + done]);
      done++;
    }
    if (!this.canonical) input.commitHead = input.head;
    return done;
  }

  private character(c: number): void {
    const { inputFlags, localFlags } = this.host.termios;
    if (inputFlags & ISTRIP) c &= 0x7f;
    if (inputFlags & IUCLC && localFlags & IEXTEN) c = toLower(c);
    if (this.literalNext) {
      this.literalNext = false;
      this.restartAny();
      this.ordinary(c);
    } else if (localFlags & EXTPROC) {
      this.input.put(c);
    } else if (!this.flowControl(c) && !this.signal(c)) {
      this.mapped(c);
    }
  }

  /** A character without a meaning of its own. */
  private ordinary(c: number): void {
    if (this.host.termios.localFlags & ECHO) this.echoTyped(c);
    this.store(c);
  }

  private echoTyped(c: number): void {
    this.finishErasing();
    if (this.input.canonHead === this.input.head) this.output.markLineStart();
    this.output.echo(c, this.host.echoes);
  }

  private store(c: number): void {
    if (c === ALL_ONES && this.host.termios.inputFlags & PARMRK) this.input.put(c);
    this.input.put(c);
  }

  private is(c: number, index: number): boolean {
    return c !== DISABLED_CHAR && this.host.termios.characters[index] === c;
  }

  private flowControl(c: number): boolean {
    if (!(this.host.termios.inputFlags & IXON)) return false;
    if (this.is(c, VSTART)) {
      this.host.start();
      return true;
    }
    if (this.is(c, VSTOP)) {
      this.host.stop();
      return true;
    }
    return false;
  }

  private restartAny(): void {
    const both = IXON | IXANY;
    if (this.host.stopped && (this.host.termios.inputFlags & both) === both) this.host.start();
  }

  private signal(c: number): boolean {
    const { localFlags, inputFlags } = this.host.termios;
    if (!(localFlags & ISIG)) return false;
    let signal = 0;
    if (this.is(c, VINTR)) signal = SIGINT;
    else if (this.is(c, VQUIT)) signal = SIGQUIT;
    else if (this.is(c, VSUSP)) signal = SIGTSTP;
    if (signal === 0) return false;
    this.host.typedSignal(signal);
    if (inputFlags & IXON) this.host.start();
    if (localFlags & ECHO) this.output.echo(c, this.host.echoes);
    return true;
  }

  private mapped(c: number): void {
    const { inputFlags, localFlags } = this.host.termios;
    this.restartAny();
    const typed = c;
    if (c === RETURN) {
      if (inputFlags & IGNCR) return;
      if (inputFlags & ICRNL) c = NEWLINE;
    } else if (c === NEWLINE && inputFlags & INLCR) {
      c = RETURN;
    }
    if (localFlags & ICANON && this.edit(c)) return;
    if (c === NEWLINE && typed === RETURN) {
      // Only a newline that was a return is echoed as such in raw mode; others are control characters like any.
      if (localFlags & ECHO) {
        this.finishErasing();
        this.output.echoRaw(NEWLINE, this.host.echoes);
      }
      this.store(c);
      return;
    }
    this.ordinary(c);
  }

  /** Canonical mode's own characters. True when `c` was one. */
  private edit(c: number): boolean {
    const { localFlags } = this.host.termios;
    const extended = (localFlags & IEXTEN) !== 0;
    const echo = (localFlags & ECHO) !== 0;
    const { echoes } = this.host;
    if (this.is(c, VERASE) || this.is(c, VKILL) || (extended && this.is(c, VWERASE))) {
      this.erase(c);
    } else if (extended && this.is(c, VLNEXT)) {
      this.literalNext = true;
      if (echo) {
        this.finishErasing();
        if (localFlags & ECHOCTL) {
          this.output.echoRaw(CARET, echoes);
          this.output.echoRaw(BACKSPACE, echoes);
        }
      }
    } else if (extended && echo && this.is(c, VREPRINT)) {
      this.reprint(c);
    } else if (c === NEWLINE) {
      if (localFlags & (ECHO | ECHONL)) this.output.echoRaw(NEWLINE, echoes);
      this.input.endLine(c);
    } else if (this.is(c, VEOF)) {
      this.input.endLine(DISABLED_CHAR);
    } else if (this.is(c, VEOL) || (extended && this.is(c, VEOL2))) {
      if (echo) {
        if (this.input.canonHead === this.input.head) this.output.markLineStart();
        this.output.echo(c, echoes);
      }
      if (c === ALL_ONES && this.host.termios.inputFlags & PARMRK) this.input.put(c);
      this.input.endLine(c);
    } else {
      return false;
    }
    return true;
  }

  private reprint(c: number): void {
    const { input, output } = this;
    const { echoes } = this.host;
    this.finishErasing();
    output.echo(c, echoes);
    output.echoRaw(NEWLINE, echoes);
    for (let at = input.canonHead; at < input.head; at++) output.echo(input.at(at), echoes);
  }

  private finishErasing(): void {
    if (!this.erasing) return;
    this.erasing = false;
    this.output.echoRaw(SLASH, this.host.echoes);
  }

  /** VERASE, VWERASE or VKILL. */
  private erase(c: number): void {
    const { input } = this;
    if (input.head === input.canonHead) return;
    const { localFlags } = this.host.termios;
    const one = this.is(c, VERASE);
    const word = !one && this.is(c, VWERASE);
    if (!one && !word) {
      const visibly = ECHO | ECHOK | ECHOKE | ECHOE;
      if ((localFlags & visibly) !== visibly) {
        this.killLine(localFlags);
        return;
      }
    }
    let seenWord = false;
    while (input.head !== input.canonHead) {
      const at = this.previousCharacter();
      const first = input.at(at);
      // The rest of a character that was read away: stays.
      if (this.continues(first)) break;
      if (word) {
        if (isWordCharacter(first)) seenWord = true;
        else if (seenWord) break;
      }
      const end = input.head;
      input.head = at;
      if (localFlags & ECHO) this.echoErased(first, at, end, one, localFlags);
      if (one) break;
    }
    if (input.head === input.canonHead && localFlags & ECHO) this.finishErasing();
  }

  private killLine(localFlags: number): void {
    this.input.head = this.input.canonHead;
    if (!(localFlags & ECHO)) return;
    const { echoes, termios } = this.host;
    this.finishErasing();
    this.output.echo(termios.characters[VKILL], echoes);
    if (localFlags & ECHOK) this.output.echoRaw(NEWLINE, echoes);
  }

  /** Where the last character of the line begins. */
  private previousCharacter(): number {
    const { input } = this;
    let at = input.head;
    do at--;
    while (at > input.canonHead && this.continues(input.at(at)));
    return at;
  }

  private continues(c: number): boolean {
    return (this.host.termios.inputFlags & IUTF8) !== 0 && isUtf8Continuation(c);
  }

  private echoErased(c: number, at: number, end: number, one: boolean, localFlags: number): void {
    const { output, input } = this;
    const { echoes, termios } = this.host;
    if (localFlags & ECHOPRT) {
      if (!this.erasing) {
        output.echoRaw(BACKSLASH, echoes);
        this.erasing = true;
      }
      output.echo(c, echoes);
      for (let rest = at + 1; rest < end; rest++) {
        output.echoRaw(input.at(rest), echoes);
        output.back();
      }
    } else if (one && !(localFlags & ECHOE)) {
      output.echo(termios.characters[VERASE], echoes);
    } else if (c === TAB) {
      this.echoErasedTab(localFlags);
    } else {
      const columns = isControl(c) ? (localFlags & ECHOCTL ? 2 : 0) : 1;
      for (let count = 0; count < columns; count++) {
        output.echoRaw(BACKSPACE, echoes);
        output.echoRaw(SPACE, echoes);
        output.echoRaw(BACKSPACE, echoes);
      }
    }
  }

  private echoErasedTab(localFlags: number): void {
    const { input } = this;
    let columns = 0;
    let afterTab = false;
    for (let at = input.head; at > input.canonHead; ) {
      const c = input.at(--at);
      if (c === TAB) {
        afterTab = true;
        break;
      }
      if (isControl(c)) columns += localFlags & ECHOCTL ? 2 : 0;
      else if (!this.continues(c)) columns++;
    }
    this.output.eraseTab(columns, afterTab, this.host.echoes);
  }
}
