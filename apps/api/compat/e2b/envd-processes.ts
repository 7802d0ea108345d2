import type { ProcessEvent, SandboxProcessDto, StartProcess } from '@cordon/contracts';
import type { WorkerLink } from '../../sandboxes/worker-link.js';
import type { ConnectStream, Message } from './connect-protocol.js';
import { E2bError } from './e2b.errors.js';
import { type GuestUser, guestPath } from './guest-user.js';

const SIGNALS: Readonly<Record<string, number>> = { SIGNAL_SIGKILL: 9, SIGNAL_SIGTERM: 15 };
const SIZE_MOST = 1000;

type Listed = SandboxProcessDto & { readonly stream: number | null };

interface Started {
  readonly tag?: string;
  readonly terminal: boolean;
  readonly envs: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** What clients said of the processes that they started through this API process; the rest is asked of the sandbox. */
const said = new Map<string, Map<number, Started>>();
const SAID_MOST = 10_000;

function remember(id: string, process: number, started: Started): void {
  const known = said.get(id) ?? new Map<number, Started>();
  known.set(process, started);
  said.delete(id);
  said.set(id, known);
  if (said.size > SAID_MOST) said.delete(said.keys().next().value as string);
}

const object = (value: unknown): Message => (typeof value === 'object' && value !== null ? (value as Message) : {});

function stringMap(value: unknown): Record<string, string> {
  const entries = Object.entries(object(value));
  if (entries.some(([name, text]) => typeof text !== 'string' || /[=\0]/.test(name) || text.includes('\0')))
    throw new E2bError('invalid_argument', 'envs must be a map of strings');
  return Object.fromEntries(entries) as Record<string, string>;
}

function sizeOf(pty: unknown): false | { rows: number; columns: number } {
  if (pty === undefined || pty === null) return false;
  const { rows = 24, cols = 80 } = object(object(pty).size) as { rows?: unknown; cols?: unknown };
  const fits = (value: unknown): value is number =>
    typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= SIZE_MOST;
  if (!fits(rows) || !fits(cols)) throw new E2bError('invalid_argument', 'the size of the pty is none');
  return { rows, columns: cols };
}

/** What a Start message asks for. `timeoutMs`: how long the process may live; null: as long as the sandbox. */
function startOf(message: Message, user: GuestUser, timeoutMs: number | null): StartProcess {
  const { cmd, args = [], envs, cwd } = object(message.process);
  if (typeof cmd !== 'string' || cmd === '' || !Array.isArray(args) || args.some((word) => typeof word !== 'string'))
    throw new E2bError('invalid_argument', 'process needs cmd, and args that are strings');
  if ([cmd, ...(args as string[])].some((word) => word.includes('\0')))
    throw new E2bError('invalid_argument', 'process has a NUL in it');
  const terminal = sizeOf(message.pty);
  return {
    argv: [cmd, ...(args as string[])],
    env: {
      HOME: user.home,
      USER: user.name,
      LOGNAME: user.name,
      ...(terminal ? { TERM: 'xterm-256color' } : {}),
      ...stringMap(envs),
    },
    cwd: cwd === undefined || cwd === null || cwd === '' ? user.home : guestPath(cwd, user),
    root: user.root,
    // Older clients say nothing and mean that they will write.
    stdin: message.stdin !== false,
    terminal,
    timeoutMs,
    // A client that goes away does not end its process.
    background: true,
  };
}

/** envd's process service. */
export class EnvdProcesses {
  constructor(
    private readonly link: WorkerLink,
    private readonly id: string,
    private readonly gone: AbortSignal,
  ) {}

  /** Starts one and tells its events to the end. */
  async start(message: Message, user: GuestUser, timeoutMs: number | null, stream: () => ConnectStream): Promise<void> {
    const start = startOf(message, user, timeoutMs);
    for await (const event of this.link.events(`/sandboxes/${this.id}/start`, start, new AbortController().signal)) {
      if (event.type !== 'started') continue;
      const { tag } = message;
      remember(this.id, event.process, {
        terminal: start.terminal !== false,
        envs: start.env,
        cwd: start.cwd,
        ...(typeof tag === 'string' ? { tag } : {}),
      });
      return this.follow(event.process, start.terminal !== false, stream());
    }
    throw new E2bError('unavailable', 'the sandbox was not found', 502);
  }

  /** What comes of one that runs already. */
  async connect(message: Message, stream: () => ConnectStream): Promise<void> {
    const { stream: process, pid } = await this.find(message);
    const terminal = said.get(this.id)?.get(process)?.terminal ?? false;
    const out = stream();
    await out.send({ event: { start: { pid } } });
    // What it wrote before is for those who were there.
    await this.follow(process, terminal, out, Number.MAX_SAFE_INTEGER);
  }

  /** `from`: the first event that is told. */
  private async follow(process: number, terminal: boolean, out: ConnectStream, from = 0): Promise<void> {
    try {
      const path = `/sandboxes/${this.id}/follow/${process}?from=${from}`;
      for await (const event of await this.link.openEvents(path, {}, this.gone)) {
        const told = this.told(event, terminal);
        if (told) await out.send({ event: told });
        if (event.type === 'lost') return out.end(new E2bError('unavailable', 'the sandbox was not found'));
        if (event.type === 'exit' && event.timedOut)
          return out.end(new E2bError('deadline_exceeded', 'the process was ended: its time was over'));
      }
      out.end();
    } catch (error) {
      out.end(error);
    }
  }

  private told(event: ProcessEvent, terminal: boolean): object | null {
    switch (event.type) {
      case 'started':
        return { start: { pid: event.pid } };
      case 'stdout':
      case 'stderr': {
        const bytes = Buffer.from(event.data, event.encoding).toString('base64');
        return { data: { [terminal ? 'pty' : event.type]: bytes } };
      }
      case 'exit': {
        if (event.timedOut) return null;
        const status = event.signal === null ? `exit status ${event.exitCode ?? 0}` : `signal: ${wordOf(event.signal)}`;
        const bad = event.signal !== null || event.exitCode !== 0;
        return {
          end: {
            exitCode: event.exitCode ?? -1,
            exited: event.signal === null,
            status,
            ...(bad ? { error: status } : {}),
          },
        };
      }
      default:
        return null;
    }
  }

  private async list(): Promise<Listed[]> {
    return (await this.link.ask<{ processes: Listed[] }>(this.id, { op: 'processes' })).reply.processes;
  }

  async List(): Promise<object> {
    const running = (await this.list()).filter(({ stream, command }) => stream !== null && command !== null);
    return {
      processes: running.map(({ pid, stream, command }) => {
        const known = said.get(this.id)?.get(stream as number);
        const [cmd, ...args] = command as string[];
        return {
          pid,
          config: { cmd, args, envs: known?.envs ?? {}, ...(known?.cwd ? { cwd: known.cwd } : {}) },
          ...(known?.tag ? { tag: known.tag } : {}),
        };
      }),
    };
  }

  /** The process that a message selects by pid or tag. */
  private async find(message: Message): Promise<{ stream: number; pid: number }> {
    const { pid, tag } = object(message.process);
    const known = said.get(this.id);
    const found = (await this.list()).find(
      ({ pid: its, stream }) =>
        stream !== null && (typeof tag === 'string' ? known?.get(stream)?.tag === tag : its === Number(pid)),
    );
    if (!found) throw new E2bError('not_found', `process with pid ${String(pid ?? tag)} not found`);
    return { stream: found.stream as number, pid: found.pid };
  }

  async SendInput(message: Message): Promise<object> {
    const { stream } = await this.find(message);
    const { stdin, pty } = object(message.input);
    const text = stdin ?? pty;
    if (typeof text !== 'string') throw new E2bError('invalid_argument', 'input needs stdin or pty');
    await this.link.feed(this.id, stream, Buffer.from(text, 'base64'), false);
    return {};
  }

  async CloseStdin(message: Message): Promise<object> {
    const { stream } = await this.find(message);
    await this.link.feed(this.id, stream, Buffer.alloc(0), true);
    return {};
  }

  async SendSignal(message: Message): Promise<object> {
    const { stream } = await this.find(message);
    const signal = SIGNALS[String(message.signal)];
    if (signal === undefined) throw new E2bError('invalid_argument', 'the signal is SIGNAL_SIGKILL or SIGNAL_SIGTERM');
    await this.link.ask(this.id, { op: 'signal', process: stream, signal });
    return {};
  }

  async Update(message: Message): Promise<object> {
    const { stream } = await this.find(message);
    const size = sizeOf(message.pty);
    if (size) await this.link.ask(this.id, { op: 'resize', process: stream, ...size });
    return {};
  }
}

/** As Go's os.ProcessState puts it. */
function wordOf(signal: string): string {
  const words: Readonly<Record<string, string>> = {
    SIGKILL: 'killed',
    SIGTERM: 'terminated',
    SIGINT: 'interrupt',
    SIGSEGV: 'segmentation fault',
    SIGABRT: 'aborted',
    SIGHUP: 'hangup',
    SIGPIPE: 'broken pipe',
  };
  return words[signal] ?? signal;
}
