import type { EndReport, RunHandle } from '@cordon/pool/types';
import { guestPool, type Program, specOf } from './harness.js';

const PATIENCE_MS = 15_000;

/** A person at the terminal of a sandbox: types, and waits for what appears. */
export class TerminalSession {
  /** All that appeared so far. */
  screen = '';
  private readonly handle: RunHandle;
  private seen = 0;
  private look: () => void = () => {};
  private report: EndReport | null = null;
  private readonly log: string[] = [];

  constructor(program: Program) {
    const spec = specOf({ terminal: { rows: 24, columns: 80 }, ...program, env: { TERM: 'xterm', ...program.env } });
    this.handle = guestPool().run(spec, {
      stdout: (bytes) => {
        this.screen += Buffer.from(bytes).toString('latin1');
        this.look();
      },
      log: (line) => void this.log.push(line),
    });
    this.handle.ended.then((report) => {
      this.report = report;
      this.look();
    });
  }

  type(text: string): void {
    this.handle.writeStdin(Buffer.from(text, 'latin1'));
  }

  resize(rows: number, columns: number): void {
    this.handle.resize(rows, columns);
  }

  signal(signal: number): void {
    this.handle.signal(signal);
  }

  endInput(): void {
    this.handle.endStdin();
  }

  /** Waits until the text appears after what was waited for last; returns what came before it. */
  async see(text: string | RegExp): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const rest = this.screen.slice(this.seen);
      const at = typeof text === 'string' ? rest.indexOf(text) : rest.search(text);
      if (at >= 0) {
        const length = typeof text === 'string' ? text.length : (text.exec(rest)?.[0].length ?? 0);
        this.seen += at + length;
        return rest.slice(0, at);
      }
      if (this.report || Date.now() > deadline) {
        const { screen, report, log } = this;
        throw new Error(`${JSON.stringify(String(text))} did not appear; ${JSON.stringify({ screen, report, log })}`);
      }
      await this.more(deadline - Date.now());
    }
  }

  /** Types, then waits. */
  async dialog(text: string, answer: string | RegExp): Promise<string> {
    this.type(text);
    return this.see(answer);
  }

  ended(): Promise<EndReport> {
    return this.handle.ended;
  }

  private more(timeout: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(1, timeout));
      this.look = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
