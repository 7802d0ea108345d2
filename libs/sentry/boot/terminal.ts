import { createTerminal, type OutsideTerminal, type TerminalSink } from '../fs/tty/outside.js';
import type { Kernel } from '../kernel/kernel.js';
import type { ThreadGroup } from '../kernel/thread-group.js';
import type { FdTable } from '../vfs/types.js';
import type { BootMessage } from './boot-message.js';

const SIZE_MAX = 0xffff;

/** The terminal of one process as the supervisor's frames drive it. What arrives before it exists waits for it. */
export class TerminalLink {
  private terminal: OutsideTerminal | null = null;
  private readonly early: ((terminal: OutsideTerminal) => void)[] = [];

  /** Makes the terminal, as descriptors 0, 1 and 2. */
  open(
    kernel: Kernel,
    size: Exclude<BootMessage['terminal'], false>,
    uid: number,
    output: TerminalSink,
    files: FdTable,
  ): void {
    const terminal = createTerminal(kernel, { rows: size.rows, columns: size.columns, output, uid });
    const { file } = terminal;
    file.retain();
    file.retain();
    for (let fd = 0; fd < 3; fd++) files.installAt(fd, file, false);
    this.terminal = terminal;
    for (const action of this.early) action(terminal);
    this.early.length = 0;
  }

  /** The process exists: it is its controlling terminal. */
  control(leader: ThreadGroup): void {
    this.terminal?.control(leader);
  }

  /** A Stdin frame; empty = the end of the input. */
  input(bytes: Uint8Array): void {
    if (bytes.length === 0) this.soon((terminal) => terminal.endInput());
    else if (this.terminal) this.terminal.input(bytes);
    else {
      const kept = bytes.slice();
      this.soon((terminal) => terminal.input(kept));
    }
  }

  /** A Resize frame. Nonsense is ignored: the terminal keeps its size. */
  resize(size: unknown): void {
    const { rows, columns } = (size ?? {}) as { rows?: unknown; columns?: unknown };
    if (isSize(rows) && isSize(columns)) this.soon((terminal) => terminal.resize(rows, columns));
  }

  /** A signal for the foreground process group. False when there is none. */
  signal(signal: number): boolean {
    return this.terminal?.signal(signal) ?? false;
  }

  private soon(action: (terminal: OutsideTerminal) => void): void {
    if (this.terminal) action(this.terminal);
    else this.early.push(action);
  }
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= SIZE_MAX;
}
