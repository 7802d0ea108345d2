import { type DriverEvent, type DriverRun, fieldsOf, newToken, type Wire } from './wire.js';

/** What the code sees of itself: no standard input, and nothing of the descriptor for frames. */
const EVALUATE = 'builtin eval "$__cordon_resume$__cordon_code" 0</dev/null 250>&-; { __cordon_quiet; } 2>/dev/null';

/**
 * To drivers/bash.sh. A shell hides nothing from the code it runs, so every frame has a token of its own, in the order in which they come,
 * and that of a run's end is sent behind the code: the shell reads it when the code is over, and before that it is nowhere to be found.
 */
export class ShellWire implements Wire {
  private readonly tokens: string[] = [];
  private executionCount = 0;
  /** Of the run that was begun: sent when the shell asks for it. */
  private wanted = '';

  get token(): string | null {
    return this.tokens[0] ?? null;
  }

  private next(): string {
    const token = newToken();
    this.tokens.push(token);
    return token;
  }

  hello(): string {
    return `builtin eval "$1"; shift; __cordon_frame ${this.next()} '{"type":"ready"}'\n`;
  }

  run({ code, env }: DriverRun): string {
    const names = Object.entries(env).map(([name, value]) => `__cordon_set ${quote(name)} ${quote(value)}\n`);
    // NUL bytes in what it reads are no news to a shell: it leaves them out.
    const [environment, script] = [names.join(''), code].map((all) => all.toWellFormed().replaceAll('\0', ''));
    const sizes = [environment, script].map((all) => Buffer.byteLength(all)).join(' ');
    // `&& :` keeps the status of the run before from a trap for ERR, that has heard of it.
    const command = `__cordon_read ${sizes} ${this.next()} ${this.next()} && :; ${EVALUATE}\n`;
    this.wanted = `${environment}${script}${this.next()}\n`;
    return command;
  }

  interrupt(): null {
    return null;
  }

  frame(value: unknown): { events: DriverEvent[]; answer?: string } {
    this.tokens.shift();
    const { type, exitCode } = fieldsOf(value);
    switch (type) {
      case 'want':
        return { events: [], answer: this.wanted };
      case 'ready':
      case 'begun':
        return { events: [{ type }] };
      case 'end':
        return { events: this.ended(Number.isInteger(exitCode) ? (exitCode as number) & 0xff : 0) };
      default:
        throw new TypeError('no event');
    }
  }

  private ended(exitCode: number): DriverEvent[] {
    const executionCount = ++this.executionCount;
    if (exitCode === 0) return [{ type: 'end', executionCount, outcome: 'ok', exitCode }];
    return [
      { type: 'error', name: 'ExitStatus', value: String(exitCode), traceback: '' },
      { type: 'end', executionCount, outcome: 'error', exitCode },
    ];
  }
}

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;
