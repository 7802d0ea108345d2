import { O_RDWR } from '../../abi/fcntl.js';
import { VEOF } from '../../abi/termios.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { Kernel, Timer } from '../../kernel/types.js';
import type { FileDescription } from '../../vfs/types.js';
import { POLLOUT, WaitEntry, type WaitQueue } from '../../vfs/wait-queue.js';
import { type Terminals, terminalsOf } from './devpts.js';
import type { Terminal, TerminalPeer } from './terminal.js';

/** Where a terminal's output goes. `write` takes up to `length` bytes and says how many; 0 = no room until `onWritable` is woken. */
export interface TerminalSink {
  readonly onWritable: WaitQueue;
  write(bytes: Uint8Array, offset: number, length: number): number;
}

export interface OutsideOptions {
  readonly rows: number;
  readonly columns: number;
  readonly output: TerminalSink;
  /** Owner of the device node; default root. */
  readonly uid?: number;
}

/** A terminal whose other side is outside the sandbox. */
export interface OutsideTerminal {
  /** The guest's side, open for reading and writing, with one reference: install it as 0, 1 and 2 (retain twice more). */
  readonly file: FileDescription;
  /** What somebody types. Never refused: what the guest has not read yet is kept. */
  input(bytes: Uint8Array): void;
  /**
   * Nobody types any more: whenever a program asks for input from now on, it gets the end-of-file character (as script(1)
   * does once). One that goes on asking is hung up on.
   */
  endInput(): void;
  resize(rows: number, columns: number): void;
  /** A signal to the foreground process group. False when there is none. */
  signal(signal: number): boolean;
  /** Makes it the controlling terminal of a session's leader, whose group is in the foreground then. */
  control(leader: ThreadGroup): void;
  /** The line is cut: SIGHUP to the session's leader, end of file for readers. Idempotent. */
  hangUp(): void;
}

/** End-of-file characters that a program may ignore. */
const ENDS_MAX = 32;
const CTRL_D = 4;

class Outside implements OutsideTerminal, TerminalPeer {
  readonly file: FileDescription;
  private readonly typed: Uint8Array[] = [];
  private typedHead = 0;
  private readonly entry: WaitEntry;
  private readonly pumpSoon: Timer;
  private readonly now: () => number;
  private readonly endSoon: Timer;
  private ended = false;
  private endsTyped = 0;
  private gone = false;

  constructor(
    kernel: Kernel,
    private readonly terminals: Terminals,
    private readonly terminal: Terminal,
    private readonly output: TerminalSink,
  ) {
    terminal.peer = this;
    // Not from within the wake: taking output may wake the same queue again.
    this.pumpSoon = kernel.createTimer(() => this.pump());
    this.endSoon = kernel.createTimer(() => this.typeEnd());
    this.now = () => kernel.clock.monotonic();
    this.entry = new WaitEntry({ onWake: () => this.pumpSoon.set(this.now()) });
    this.file = terminals.fileOf(terminal, O_RDWR);
  }

  input(bytes: Uint8Array): void {
    if (this.gone || bytes.length === 0) return;
    this.typed.push(bytes.slice());
    this.type();
  }

  endInput(): void {
    this.ended = true;
    // Somebody may be asking already.
    if (!this.terminal.queue.empty) this.endSoon.set(this.now());
  }

  inputWanted(): void {
    if (this.ended && !this.gone) this.endSoon.set(this.now());
  }

  private typeEnd(): void {
    const { terminal } = this;
    if (this.gone || this.typed.length > 0 || terminal.discipline.readable(1)) return;
    if (++this.endsTyped > ENDS_MAX) this.hangUp();
    else this.input(Uint8Array.of(terminal.termios.characters[VEOF] || CTRL_D));
  }

  /** Hands what was typed to the terminal, as far as it has room. */
  private type(): void {
    const { typed, terminal } = this;
    while (typed.length > 0) {
      const chunk = typed[0];
      const taken = terminal.incoming.push(chunk, this.typedHead, chunk.length - this.typedHead);
      if (taken === 0) return;
      this.typedHead += taken;
      if (this.typedHead === chunk.length) {
        typed.shift();
        this.typedHead = 0;
      }
      terminal.drainIncoming();
    }
  }

  resize(rows: number, columns: number): void {
    this.terminal.resize(rows, columns);
  }

  signal(signal: number): boolean {
    const foreground = this.terminal.foreground();
    foreground?.signal(signal);
    return foreground !== null;
  }

  control(leader: ThreadGroup): void {
    this.terminal.control(leader);
  }

  hangUp(): void {
    if (this.gone) return;
    this.gone = true;
    this.typed.length = 0;
    this.entry.queue?.remove(this.entry);
    this.pumpSoon.cancel();
    this.endSoon.cancel();
    this.terminals.masterClosed(this.terminal);
  }

  /** Moves output out; waits for room when there is none. */
  private pump(): void {
    const { output } = this.terminal;
    let moved = false;
    while (output.length > 0 && !this.gone) {
      const bytes = output.piece() as Uint8Array;
      const taken = this.output.write(bytes, output.pieceOffset, output.pieceLength);
      if (taken === 0) {
        if (this.entry.queue === null) this.output.onWritable.add(this.entry, POLLOUT);
        break;
      }
      output.discard(taken);
      moved = true;
    }
    if (output.length === 0) this.entry.queue?.remove(this.entry);
    if (moved) this.terminal.outputTaken();
  }

  outputReady(): void {
    if (this.entry.queue === null) this.pump();
  }

  inputRoom(): void {
    if (this.typed.length > 0 && this.terminal.incoming.length === 0) this.type();
  }

  status(): void {}
  guestOpened(): void {}

  guestClosed(): void {
    this.terminals.released(this.terminal);
  }
}

/** A terminal (the next free /dev/pts/N) whose other side is the caller. Throws when there are too many. */
export function createTerminal(kernel: Kernel, options: OutsideOptions): OutsideTerminal {
  const terminals = terminalsOf(kernel);
  const terminal = terminals.create(options.uid ?? 0);
  if (typeof terminal === 'number') throw new Error('no free terminal');
  terminal.resize(options.rows, options.columns);
  return new Outside(kernel, terminals, terminal, options.output);
}
