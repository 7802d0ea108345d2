import { spawnSync } from 'node:child_process';
import type { WriteStream } from 'node:tty';

/** `auto`: when both our stdin and stdout are terminals. */
export type TerminalChoice = 'auto' | 'yes' | 'no';

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** When there is no terminal to ask. */
const DEFAULT_SIZE: TerminalSize = { rows: 24, columns: 80 };

/** Size of the terminal that the program is to have; false = none. */
export function terminalFor(choice: TerminalChoice): TerminalSize | false {
  const { stdin, stdout } = process;
  if (choice === 'no' || (choice === 'auto' && !(stdin.isTTY && stdout.isTTY))) return false;
  return stdout.isTTY ? sizeOf(stdout) : DEFAULT_SIZE;
}

/** A terminal that does not know its size says 0 by 0. */
function sizeOf({ rows, columns }: WriteStream): TerminalSize {
  return rows > 0 && columns > 0 ? { rows, columns } : DEFAULT_SIZE;
}

/**
 * Our terminal while the sandbox's is connected to it: raw in both directions, since the sandbox's line discipline does
 * the work. (Node's own raw mode goes on turning \n into \r\n.) Put back by `release`, or when the process exits.
 */
export class HostTerminal {
  private readonly saved: string | null;
  private readonly onExit = (): void => this.release();
  private released = false;

  constructor(private readonly resized: (size: TerminalSize) => void) {
    this.saved = process.stdin.isTTY ? stty(['-g']) : null;
    if (this.saved === null) {
      this.released = true;
      return;
    }
    process.on('exit', this.onExit);
    process.stdout.on('resize', this.onResize);
    stty(['raw', '-echo']);
  }

  /** Idempotent. */
  release(): void {
    if (this.released || this.saved === null) return;
    this.released = true;
    process.off('exit', this.onExit);
    process.stdout.off('resize', this.onResize);
    stty([this.saved]);
  }

  private readonly onResize = (): void => this.resized(sizeOf(process.stdout));
}

/** stty(1) on our stdin: what it prints, or null when it fails. */
function stty(args: readonly string[]): string | null {
  const { status, stdout } = spawnSync('stty', args, { stdio: ['inherit', 'pipe', 'ignore'], encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}
