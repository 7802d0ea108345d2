import { randomBytes } from 'node:crypto';
import { constants } from 'node:os';
import { type ProcessEvent, REQUEST_LIMITS, type StartProcess, TERMINAL_SIZE, WORK_DIRECTORY } from '@cordon/contracts';
import { WebSocket } from 'ws';
import { CLOSE, parseMessage, type Serve, sendTo } from '../../http/upgrades.js';
import { OrderedInput } from '../../sandboxes/ordered-input.js';
import { toBuffer } from '../../sandboxes/terminals.js';
import { LinkRefused, type WorkerLink } from '../../sandboxes/worker-link.js';
import { fieldsOf } from './create-body.js';
import { guestPath } from './guest-path.js';
import { invalid, OpenSandboxError } from './opensandbox.errors.js';
import { startOf } from './opensandbox.service.js';
import type { OpenSandboxStore, PtyRecord } from './opensandbox.store.js';

/** First byte of a binary message: what the rest is. A replay has its place in the output (u64 BE) before its bytes. */
const FRAME = { stdin: 0, stdout: 1, stderr: 2, replay: 3 } as const;
const TAKEN_OVER = 4001;
const SESSIONS_MOST = 64;
const PING_MS = 30_000;

/** What a shell has said so far. */
interface Told {
  /** What is kept of it, and how many bytes came before that. */
  readonly kept: Buffer;
  readonly before: number;
  /** Number of the event that comes next. */
  readonly next: number;
  readonly over: boolean;
}

const nothing: Told = { kept: Buffer.alloc(0), before: 0, next: 0, over: true };

async function toldBy(link: WorkerLink, id: string, process: number | null): Promise<Told> {
  if (process === null) return nothing;
  const kept: Buffer[] = [];
  let [before, next, over] = [0, 0, false];
  try {
    const path = `/sandboxes/${id}/follow/${process}?from=0&now`;
    for await (const event of await link.openEvents(path, {}, new AbortController().signal)) {
      next = event.seq + 1;
      if (event.type === 'gap') before = event.bytes;
      else if (event.type === 'stdout' || event.type === 'stderr') kept.push(Buffer.from(event.data, event.encoding));
      else if (event.type === 'exit' || event.type === 'lost') over = true;
    }
  } catch (error) {
    // Ended processes are forgotten at some time.
    if (error instanceof LinkRefused && error.refusal.process !== undefined) return nothing;
    throw error;
  }
  return { kept: Buffer.concat(kept), before, next, over };
}

/** Where a request for a session's WebSocket came from. */
export interface PtyPlace {
  readonly link: WorkerLink;
  readonly id: string;
  readonly session: string;
  readonly query: URLSearchParams;
  readonly gone: AbortSignal;
}

/**
 * execd's terminals: a session is a shell that the first WebSocket starts and that goes on without one. One client at a time holds it, of
 * those who come by this API.
 */
export class ExecdPty {
  private readonly holders = new Map<string, WebSocket>();

  constructor(private readonly store: OpenSandboxStore) {}

  async create(id: string, body: unknown): Promise<object> {
    const { cwd, command } = fieldsOf(body ?? {});
    if (command !== undefined && (typeof command !== 'string' || command.includes('\0')))
      throw invalid('command must be a string without NUL');
    if (Buffer.byteLength(command ?? '') > REQUEST_LIMITS.argumentBytes)
      throw invalid(`command has over ${REQUEST_LIMITS.argumentBytes} bytes`);
    if ((await this.store.countPtys(id)) >= SESSIONS_MOST)
      throw new OpenSandboxError(429, 'TOO_MANY_REQUESTS', `a sandbox has at most ${SESSIONS_MOST} pty sessions`);
    const session = randomBytes(16).toString('hex');
    await this.store.savePty(id, session, {
      cwd: cwd === undefined || cwd === null || cwd === '' ? WORK_DIRECTORY : guestPath(cwd),
      command: command === undefined || command.trim() === '' ? null : command,
      process: null,
      pipe: false,
    });
    return { session_id: session };
  }

  async status(link: WorkerLink, id: string, session: string): Promise<object> {
    const { process } = await this.found(id, session);
    const { kept, before, over } = await toldBy(link, id, process);
    return { session_id: session, running: !over, output_offset: before + kept.length };
  }

  async delete(link: WorkerLink, id: string, session: string): Promise<object> {
    const { process } = await this.found(id, session);
    await this.store.forgetPty(id, session);
    if (process !== null && !(await toldBy(link, id, process)).over)
      await link.ask(id, { op: 'signal', process, signal: constants.signals.SIGKILL });
    return {};
  }

  /** What serves a client. It takes the session when it is called, which is right behind `taken`. */
  async accept({ link, id, session, query, gone }: PtyPlace): Promise<{ serve: Serve; taken: () => void }> {
    const key = `${id} ${session}`;
    const taken = (): void => {
      if (query.get('takeover') !== '1' && this.holders.has(key)) throw connected(session);
    };
    taken();
    const { process, pipe } = await this.started(link, id, session, query.get('pty') === '0');
    const told = await toldBy(link, id, process);
    const events = await link.openEvents(`/sandboxes/${id}/follow/${process}?from=${told.next}`, {}, gone);
    const since = Number(/^\d{1,15}$/.exec(query.get('since') ?? '')?.[0] ?? 0);
    const serve: Serve = async (client) => {
      this.holders.get(key)?.close(TAKEN_OVER, 'TAKEN_OVER');
      this.holders.set(key, client);
      client.once('close', () => {
        if (this.holders.get(key) === client) this.holders.delete(key);
      });
      await new PtyClient(client, link, id, process, gone).serve(session, pipe, told, since, events);
    };
    return { serve, taken };
  }

  /** Its shell, which is started where none runs. */
  private async started(
    link: WorkerLink,
    id: string,
    session: string,
    pipe: boolean,
  ): Promise<PtyRecord & { process: number }> {
    const record = await this.found(id, session);
    const { process } = record;
    if (process !== null && !(await toldBy(link, id, process)).over) return { ...record, process };
    // Two shells for two clients that come at once would be one too many.
    if (!(await this.store.claimPty(id, session))) throw connected(session);
    try {
      const fresh = { ...record, pipe, process: await start(link, id, shellOf(record, pipe)) };
      await this.store.savePty(id, session, fresh);
      return fresh;
    } finally {
      await this.store.releasePty(id, session);
    }
  }

  private async found(id: string, session: string): Promise<PtyRecord> {
    const record = await this.store.pty(id, session);
    if (record === null) throw new OpenSandboxError(404, 'CONTEXT_NOT_FOUND', `pty session ${session} not found`);
    return record;
  }
}

const connected = (session: string): OpenSandboxError =>
  new OpenSandboxError(409, 'ALREADY_CONNECTED', `another client is already connected to pty session ${session}`);

function shellOf({ cwd, command }: PtyRecord, pipe: boolean): StartProcess {
  return startOf(['/bin/bash', '--noprofile', '--norc', ...(command === null ? [] : ['-c', command])], {
    env: pipe ? {} : { TERM: 'xterm-256color' },
    cwd,
    stdin: true,
    terminal: pipe ? false : { rows: TERMINAL_SIZE.rows, columns: TERMINAL_SIZE.columns },
    background: true,
  });
}

async function start(link: WorkerLink, id: string, shell: StartProcess): Promise<number> {
  for await (const event of link.events(`/sandboxes/${id}/start`, shell, new AbortController().signal))
    if (event.type === 'started') return event.process;
  throw new OpenSandboxError(500, 'START_FAILED', 'the shell did not start');
}

/** One client at one shell. */
class PtyClient {
  private readonly input: OrderedInput;

  constructor(
    private readonly client: WebSocket,
    private readonly link: WorkerLink,
    private readonly id: string,
    private readonly process: number,
    private readonly gone: AbortSignal,
  ) {
    this.input = new OrderedInput(client, (error) => this.complain('STDIN_WRITE_FAILED', error.message));
  }

  async serve(
    session: string,
    pipe: boolean,
    told: Told,
    since: number,
    events: AsyncIterable<ProcessEvent>,
  ): Promise<void> {
    const { client } = this;
    client.on('message', (data, isBinary) => this.receive(toBuffer(data), isBinary));
    const ping = setInterval(() => client.ping(), PING_MS);
    client.once('close', () => clearInterval(ping));
    const from = Math.min(Math.max(since, told.before), told.before + told.kept.length);
    const missed = told.kept.subarray(from - told.before);
    if (missed.length > 0) await this.send(FRAME.replay, placed(from), missed);
    await sendTo(client, { type: 'connected', session_id: session, mode: pipe ? 'pipe' : 'pty' }, this.gone);
    try {
      for await (const event of events) if (await this.tell(event)) return;
    } catch {
      // Its worker is gone: said below.
    }
    client.close(CLOSE.failure, 'the connection to the sandbox broke');
  }

  /** Whether that was the last of it. */
  private async tell(event: ProcessEvent): Promise<boolean> {
    if (event.type === 'stdout' || event.type === 'stderr')
      await this.send(FRAME[event.type], Buffer.from(event.data, event.encoding));
    if (event.type !== 'exit') return false;
    // As Go's os/exec puts it: -1 for what a signal ended.
    await sendTo(this.client, { type: 'exit', exit_code: event.exitCode ?? -1 }, this.gone);
    this.client.close(CLOSE.normal, 'process exited');
    return true;
  }

  private send(type: number, ...parts: Buffer[]): Promise<void> {
    return sendTo(this.client, Buffer.concat([Buffer.of(type), ...parts]), this.gone);
  }

  private receive(data: Buffer, isBinary: boolean): void {
    if (this.client.readyState !== WebSocket.OPEN) return;
    if (!isBinary) this.understand(data.toString('utf8'));
    else if (data.length > 0 && data[0] === FRAME.stdin) this.feed(data.subarray(1));
  }

  private understand(text: string): void {
    const message = parseMessage(text);
    // Upstream passes over what is no JSON.
    if (typeof message === 'string') return;
    const { type, data, signal, rows, cols } = message;
    if (type === 'stdin') this.feed(Buffer.from(String(data ?? ''), 'utf8'));
    else if (type === 'signal') this.signal(String(signal));
    else if (type === 'resize') this.resize(rows, cols);
    else if (type === 'ping') void sendTo(this.client, { type: 'pong' }, this.gone);
    else this.complain('INVALID_FRAME', `unknown frame type ${JSON.stringify(type ?? '')}`);
  }

  private feed(bytes: Buffer): void {
    this.input.add(() => this.link.feed(this.id, this.process, bytes, false), bytes.length);
  }

  private signal(name: string): void {
    const signal = constants.signals[name as keyof typeof constants.signals];
    if (signal === undefined) return;
    this.input.add(() =>
      this.link.ask(this.id, { op: 'signal', process: this.process, signal }).catch(() => undefined),
    );
  }

  private resize(rows: unknown, columns: unknown): void {
    const fits = (value: unknown): value is number =>
      Number.isInteger(value) && Number(value) >= TERMINAL_SIZE.minimum && Number(value) <= TERMINAL_SIZE.maximum;
    if (!fits(rows) || !fits(columns)) return;
    const resize = { op: 'resize', process: this.process, rows, columns } as const;
    // Not a terminal: nothing to resize.
    this.input.add(() => this.link.ask(this.id, resize).catch(() => undefined));
  }

  private complain(code: string, error: string): void {
    void sendTo(this.client, { type: 'error', code, error }, this.gone);
  }
}

function placed(offset: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(offset));
  return bytes;
}
