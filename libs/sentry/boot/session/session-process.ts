import { SIGKILL, SIGNAL_NAMES } from '../../abi/signal.js';
import { StdioSource } from '../../fs/stdio/stdio.js';
import type { Session as KernelSession } from '../../kernel/session.js';
import { signalInfo } from '../../kernel/signals/pending.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { Timer } from '../../kernel/types.js';
import type { Nanoseconds } from '../../platform/platform.js';
import { WaitEntry } from '../../vfs/wait-queue.js';
import type { TerminalLink } from '../terminal.js';
import type { OutputStream } from './output-stream.js';
import type { SessionExit } from './session-message.js';

const MILLISECOND: Nanoseconds = 1e6;
/** Input the program has not read before the sender of more is let wait. */
const STDIN_WINDOW = 256 * 1024;
const SI_USER = 0;

/** One program that a session's request started. */
export class SessionProcess {
  readonly stdin = new StdioSource();
  /** Null until the program is loaded. */
  group: ThreadGroup | null = null;
  session: KernelSession | null = null;
  terminal: TerminalLink | null = null;
  exited = false;
  timer: Timer | null = null;
  private timedOut = false;
  private waiting: (() => void)[] = [];

  constructor(
    readonly id: number,
    readonly argv: readonly string[],
    readonly output: OutputStream,
    private readonly startedAt: Nanoseconds,
  ) {
    this.stdin.onDrain = () => this.drained();
  }

  /** Watches the process until its end, which `ended` is told of. */
  started(group: ThreadGroup, now: () => Nanoseconds, ended: (exit: SessionExit) => void): void {
    this.group = group;
    this.session = group.session;
    const entry = new WaitEntry({
      onWake: () => {
        if (group.exitStatus === null) return;
        entry.queue?.remove(entry);
        this.exited = true;
        this.timer?.cancel();
        this.waiting.splice(0).forEach((done) => {
          done();
        });
        ended(this.exit(group, now()));
      },
    });
    group.exitQueue.add(entry, ~0);
  }

  private exit(group: ThreadGroup, now: Nanoseconds): SessionExit {
    const status = group.exitStatus ?? 0;
    const signal = status & 0x7f;
    return {
      exitCode: signal === 0 ? (status >> 8) & 0xff : null,
      signal: signal === 0 ? null : (SIGNAL_NAMES[signal] ?? `SIG${signal}`),
      timedOut: this.timedOut,
      cpuMs: (group.userTime() + group.childrenUserTime) / MILLISECOND,
      wallMs: (now - this.startedAt) / MILLISECOND,
    };
  }

  /** Empty: the end. `done` is called once there is room for more. */
  input(bytes: Uint8Array, done: () => void): void {
    if (this.terminal) this.terminal.input(bytes);
    else if (bytes.length === 0) this.stdin.end();
    else this.stdin.push(bytes);
    if (this.exited || this.stdin.available < STDIN_WINDOW) done();
    else this.waiting.push(done);
  }

  private drained(): void {
    if (this.stdin.available >= STDIN_WINDOW) return;
    for (const done of this.waiting.splice(0)) done();
  }

  /** To the terminal's foreground group, or to the process group it leads. */
  signal(signal: number): void {
    if (this.terminal?.signal(signal)) return;
    for (const member of [...(this.session?.groups ?? [])]) {
      if (member.pgid !== this.group?.pid) continue;
      for (const group of [...member.members]) group.sendSignal(signalInfo(signal, SI_USER));
    }
  }

  /** SIGKILL to all of its session. */
  timeOut(): void {
    this.timedOut = true;
    for (const member of [...(this.session?.groups ?? [])])
      for (const group of [...member.members]) group.sendSignal(signalInfo(SIGKILL, SI_USER));
  }
}
