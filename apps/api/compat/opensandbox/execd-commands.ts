import type { ServerResponse } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import { type ProcessEvent, REQUEST_LIMITS, type StartProcess, WORK_DIRECTORY } from '@cordon/contracts';
import { closedSignal } from '../../http/gone.js';
import type { WorkerLink } from '../../sandboxes/worker-link.js';
import { fieldsOf, stringMap } from './create-body.js';
import { guestPath } from './guest-path.js';
import { invalid, OpenSandboxError } from './opensandbox.errors.js';
import { startOf } from './opensandbox.service.js';
import type { OpenSandboxStore } from './opensandbox.store.js';
import { EventStream } from './wire.js';

const SIGTERM = 15;
const SIGKILL = 9;
/** What a command has to end by itself. */
const GRACE_MS = 3000;
export const TIMEOUT_MOST = 86_400_000;
const GUEST_UID = 1000;
/** A line that is longer is told in pieces. */
const LINE_MOST = 64 << 10;
const CURSOR = 'EXECD-COMMANDS-TAIL-CURSOR';

type Exit = Extract<ProcessEvent, { type: 'exit' }>;
type Output = Extract<ProcessEvent, { type: 'stdout' | 'stderr' }>;

/** Output is told by lines, without their ends; an empty one is "\n", a carriage return ends one, too. */
export class Lines {
  private readonly decoder = new StringDecoder('utf8');
  private pending = '';
  private afterReturn = false;

  push({ data, encoding }: Pick<Output, 'data' | 'encoding'>): string[] {
    const told: string[] = [];
    for (const piece of this.decoder.write(Buffer.from(data, encoding)).split(/(\r|\n)/)) {
      if (piece === '') continue;
      if (piece !== '\n' && piece !== '\r') {
        this.pending += piece;
        this.afterReturn = false;
        if (this.pending.length > LINE_MOST) told.push(this.take());
        continue;
      }
      if (this.pending !== '') told.push(this.take());
      else if (!(piece === '\n' && this.afterReturn)) told.push('\n');
      this.afterReturn = piece === '\r';
    }
    return told;
  }

  /** A line that has no end yet. */
  rest(): string[] {
    this.pending += this.decoder.end();
    return this.pending === '' ? [] : [this.take()];
  }

  private take(): string {
    const line = this.pending;
    this.pending = '';
    return line;
  }
}

/** As Go's os/exec puts it: -1 for what a signal ended. */
function outcomeOf({ exitCode, signal, timedOut }: Exit): { code: number; message: string } {
  if (timedOut) return { code: -1, message: 'timeout: signal: killed' };
  if (signal !== null) return { code: -1, message: `signal: ${signal}` };
  return { code: exitCode ?? -1, message: `exit status ${exitCode}` };
}

/** A command's id says which of the sandbox's processes it is. */
function processOf(id: string | null): number {
  const process = /^cmd-(\d{1,15})$/.exec(id ?? '')?.[1];
  if (process === undefined) throw new OpenSandboxError(404, 'INVALID_REQUEST_BODY', `command not found: ${id ?? ''}`);
  return Number(process);
}

function commandOf(body: unknown): { command: string; start: StartProcess } {
  const { command, cwd, background = false, timeout, uid, gid, envs } = fieldsOf(body);
  if (typeof command !== 'string' || command.trim() === '' || command.includes('\0'))
    throw invalid('command must be a string, not empty, without NUL');
  if (Buffer.byteLength(command) > REQUEST_LIMITS.argumentBytes)
    throw invalid(`command has over ${REQUEST_LIMITS.argumentBytes} bytes`);
  if (typeof background !== 'boolean') throw invalid('background must be a boolean');
  if (timeout !== undefined && !(Number.isInteger(timeout) && Number(timeout) >= 1 && Number(timeout) <= TIMEOUT_MOST))
    throw invalid(`timeout must be 1 to ${TIMEOUT_MOST} ms`);
  if (gid !== undefined && uid === undefined) throw invalid('uid is required when gid is provided');
  if ((uid !== undefined && uid !== 0 && uid !== GUEST_UID) || (gid !== undefined && gid !== uid))
    throw invalid(`uid must be 0 or ${GUEST_UID}, gid the same`);
  const env = stringMap(envs, 'envs');
  if (Object.entries(env).some(([name, text]) => /[=\0]/.test(name) || text.includes('\0')))
    throw invalid('envs has a name with "=" or a NUL');
  const start = startOf(['/bin/bash', '--noprofile', '--norc', '-c', command], {
    env: uid === GUEST_UID ? { HOME: WORK_DIRECTORY, ...env } : env,
    root: uid !== GUEST_UID,
    background,
    timeoutMs: timeout === undefined ? null : Number(timeout),
    ...(cwd === undefined || cwd === '' ? {} : { cwd: guestPath(cwd) }),
  });
  return { command, start };
}

/** execd's commands: processes of the sandbox. */
export class ExecdCommands {
  constructor(
    private readonly link: WorkerLink,
    private readonly id: string,
    private readonly store: OpenSandboxStore,
  ) {}

  /** Tells its events to the end; of one in the background only that it has begun. A client that leaves ends one in the foreground. */
  async run(body: unknown, response: ServerResponse): Promise<void> {
    const { command, start } = commandOf(body);
    const gone = closedSignal(response);
    const began = Date.now();
    const events = await this.link.openEvents(`/sandboxes/${this.id}/start`, start, gone);
    const stream = new EventStream(response);
    const lines = { stdout: new Lines(), stderr: new Lines() };
    const tell = async (type: 'stdout' | 'stderr', texts: readonly string[]): Promise<void> => {
      for (const text of texts) await stream.send({ type, text });
    };
    for await (const event of events) {
      if (event.type === 'started') {
        await this.store.saveCommand(this.id, event.process, command);
        await stream.send({ type: 'init', text: `cmd-${event.process}` });
        if (start.background) {
          await stream.send({ type: 'execution_complete', execution_time: Date.now() - began });
          return stream.end();
        }
      } else if (event.type === 'stdout' || event.type === 'stderr') {
        await tell(event.type, lines[event.type].push(event));
      } else if (event.type === 'exit') {
        for (const type of ['stdout', 'stderr'] as const) await tell(type, lines[type].rest());
        await stream.send(finished(event));
        return stream.end();
      } else if (event.type === 'lost') break;
    }
    // Its end is not known: the stream must not look as if it were.
    if (!gone.aborted) await stream.send(failed('-1', 'the sandbox ended before the command did'));
    stream.end();
  }

  /** What is kept of its events from `from` on. */
  private async *told(process: number, from = 0): AsyncGenerator<ProcessEvent> {
    const path = `/sandboxes/${this.id}/follow/${process}?from=${from}&now`;
    yield* await this.link.openEvents(path, {}, new AbortController().signal);
  }

  async status(id: string): Promise<object> {
    const process = processOf(id);
    let exit: Exit | null = null;
    for await (const event of this.told(process)) if (event.type === 'exit') exit = event;
    const command = await this.store.command(this.id, process);
    if (command === null) throw new OpenSandboxError(404, 'INVALID_REQUEST_BODY', `command not found: ${id}`);
    const { content, startedAt } = command;
    const running = {
      id,
      content,
      running: true,
      exit_code: null,
      error: '',
      started_at: startedAt,
      finished_at: null,
    };
    if (exit === null) return running;
    const { code, message } = outcomeOf(exit);
    const finishedAt = new Date(Date.parse(startedAt) + exit.wallMs).toISOString();
    const error = code === 0 ? '' : message;
    return { ...running, running: false, exit_code: code, error, finished_at: finishedAt };
  }

  /** Output as it came, of both streams; the cursor is the number of the event that comes next. */
  async logs(id: string, cursor: string | null, response: ServerResponse): Promise<void> {
    const process = processOf(id);
    if (cursor !== null && !/^\d{1,15}$/.test(cursor)) throw invalid('cursor must be one that an answer had');
    let next = Number(cursor ?? 0);
    const output: Buffer[] = [];
    for await (const event of this.told(process, next)) {
      next = Math.max(next, event.seq + 1);
      if (event.type === 'gap') output.push(Buffer.from('[what came before is not kept]\n'));
      else if (event.type === 'stdout' || event.type === 'stderr') output.push(Buffer.from(event.data, event.encoding));
    }
    const body = Buffer.concat(output);
    response.writeHead(200, {
      'content-type': 'text/plain; charset=utf-8',
      'content-length': body.length,
      [CURSOR]: next,
    });
    response.end(body);
  }

  /** SIGTERM, and SIGKILL to what does not heed it. Answers when it has ended. */
  async interrupt(id: string | null): Promise<object> {
    const process = processOf(id);
    const path = `/sandboxes/${this.id}/follow/${process}`;
    const ended = async (gone: AbortSignal): Promise<boolean> => {
      for await (const event of await this.link.openEvents(path, {}, gone))
        if (event.type === 'exit' || event.type === 'lost') return true;
      return false;
    };
    for await (const event of this.told(process)) if (event.type === 'exit') return {};
    await this.signal(process, SIGTERM);
    const heeded = await ended(AbortSignal.timeout(GRACE_MS)).catch(() => false);
    if (!heeded) {
      await this.signal(process, SIGKILL);
      await ended(AbortSignal.timeout(GRACE_MS));
    }
    return {};
  }

  private async signal(process: number, signal: number): Promise<void> {
    await this.link.ask(this.id, { op: 'signal', process, signal });
  }
}

/** Clients read the exit code from `value`. */
export function failed(value: string, message: string): object {
  return { type: 'error', error: { ename: 'CommandExecError', evalue: value, traceback: [message] } };
}

/** Clients read the exit code from the error's value. */
function finished(exit: Exit): object {
  const { code, message } = outcomeOf(exit);
  if (code !== 0) return failed(String(code), message);
  return { type: 'execution_complete', execution_time: Math.round(exit.wallMs) };
}
