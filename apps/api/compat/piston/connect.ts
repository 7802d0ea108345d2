import { constants } from 'node:os';
import {
  type CompilationDto,
  type ExecutionJob,
  type OutputEvent,
  type Priority,
  REQUEST_LIMITS,
  type RuntimeDto,
  type StatusEvent,
  type StreamEvent,
} from '@cordon/contracts';
import type { InputMessage, Principal } from '@cordon/queue';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { RawData, WebSocket } from 'ws';
import { ExecutionsService, newId } from '../../executions/executions.service.js';
import { toProblem } from '../../http/problem.js';
import { parseMessage, sendTo, type WebSocketRoutes } from '../../http/upgrades.js';
import { keyOfUpgrade } from './piston.auth.js';
import { PistonRefusal, readRequest, versionOf } from './request.js';
import { compilerVerdict, type StagedExecution, type Verdict, verdictOf } from './response.js';

const PATH = /^(?:\/compat\/piston(?:\/key\/[^/]+)?\/api\/v2|\/api\/v2(?:\/piston)?)\/connect$/;
/** A client says within this time what it wants. */
const INIT_MS = 1_000;
const PING_MS = 15_000;
/** Messages that wait for the program to begin. */
const EARLY_MOST = 1_000;

/** Piston's close codes, with the reasons it gives. */
const CLOSE = {
  again: [4000, 'Already Initialized'],
  timeout: [4001, 'Initialization Timeout'],
  error: [4002, 'Notified Error'],
  early: [4003, 'Not yet initialized'],
  stream: [4004, 'Can only write to stdin'],
  signal: [4005, 'Invalid signal'],
  done: [4999, 'Job Completed'],
} as const;

/** What does not end a process that does nothing about it (signal(7)). */
const HARMLESS = ['SIGCHLD', 'SIGCONT', 'SIGURG', 'SIGWINCH', 'SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU'];
const SIGNALS = new Map(Object.entries(constants.signals));

type Message = Readonly<Record<string, unknown>>;
type Stage = 'compile' | 'run';

/** Piston's WebSocket `/connect`: one job to a connection, with its input and output as they come. */
export function serveConnect(app: NestFastifyApplication, routes: WebSocketRoutes): void {
  const executions = app.get(ExecutionsService);
  const permit = async ({ principal, gone }: { principal: Principal; gone: AbortSignal }) => {
    return (client: WebSocket): Promise<void> => new Connection(client, principal, executions, gone).serve();
  };
  routes.add(PATH, ['run'], permit, keyOfUpgrade);
}

class Connection {
  private readonly id = newId('exe');
  private initialized = false;
  /** There is an execution that may still run. */
  private begun = false;
  private stage: Stage | null = null;
  private runtime: RuntimeDto | null = null;
  private worker: string | null = null;
  private stdinBytes = 0;
  /** What came before the program began. */
  private early: InputMessage[] = [];
  /** A signal of the client that ended the compiler. */
  private compilerSignal: string | null = null;

  constructor(
    private readonly client: WebSocket,
    private readonly principal: Principal,
    private readonly executions: ExecutionsService,
    private readonly gone: AbortSignal,
  ) {}

  /** Resolves when the client has gone. */
  async serve(): Promise<void> {
    const late = setTimeout(() => this.close('timeout'), INIT_MS);
    const init = new Promise<Message | null>((resolve) => {
      this.gone.addEventListener('abort', () => resolve(null), { once: true });
      this.client.on('message', (data) => this.receive(data, resolve));
    });
    const asked = await init;
    clearTimeout(late);
    if (asked === null) return;
    try {
      await this.create(asked);
      await this.follow();
      this.close('done');
    } catch (error) {
      this.fail(error instanceof PistonRefusal ? error.message : textOf(error));
    } finally {
      // Gone, or refused while it runs: nobody waits for it any more.
      if (this.begun) await this.executions.cancel(this.principal.tenant, this.id);
    }
  }

  private async create(asked: Message): Promise<void> {
    // stdin comes in messages of its own.
    const body = { ...asked, stdin: undefined };
    await this.executions.create(this.principal, body, undefined, this.id, (_body, id, runtimes) => {
      const { runtime, job: read } = readRequest(body, runtimes);
      this.runtime = runtime;
      const job: ExecutionJob = { id, ...read, interactive: true };
      const priority: Priority = 'interactive';
      return { job, labels: {}, priority, webhook: null };
    });
    this.begun = true;
  }

  private async follow(): Promise<void> {
    for await (const event of this.executions.events(this.id, '0-0', PING_MS, this.gone)) {
      if (event === null) this.client.ping();
      else await this.tell(event);
    }
    if (this.gone.aborted) return;
    await this.end(await this.executions.get(this.principal.tenant, this.id));
  }

  private async tell({ type, data }: StreamEvent): Promise<void> {
    if (type === 'stdout' || type === 'stderr') {
      const { data: text, encoding } = JSON.parse(data) as OutputEvent;
      return this.send({ type: 'data', stream: type, data: Buffer.from(text, encoding).toString('utf8') });
    }
    if (type !== 'status') return;
    const { state, restarted, compilation } = JSON.parse(data) as StatusEvent;
    if (state !== 'running') return;
    // What was said cannot be taken back, and what was typed is not there any more.
    if (restarted && this.stage !== null) throw new PistonRefusal('the worker was lost');
    if (compilation) await this.compiled(compilation);
    else await this.started();
  }

  private async started(): Promise<void> {
    // Set by `create`.
    const runtime = this.runtime as RuntimeDto;
    await this.send({ type: 'runtime', language: runtime.id, version: versionOf(runtime) });
    await this.enter(runtime.compiled ? 'compile' : 'run');
  }

  private async compiled(compilation: CompilationDto): Promise<void> {
    const { output } = compilation;
    if (output !== '') await this.send({ type: 'data', stream: 'stderr', data: output });
    await this.exit('compile', this.bySignal(compilation.ok) ?? compilerVerdict(compilation));
    if (compilation.ok) await this.enter('run');
  }

  private async enter(stage: Stage): Promise<void> {
    await this.send({ type: 'stage', stage });
    if (stage === 'run') this.worker = await this.executions.workerOf(this.id);
    this.stage = stage;
    for (const message of this.early.splice(0)) this.input(message);
  }

  private async end(execution: StagedExecution): Promise<void> {
    const { compilation, state, detail } = execution;
    this.begun = false;
    if (this.stage === 'compile' && compilation) return this.compiled(compilation);
    if (this.stage === null) throw new PistonRefusal(detail ?? state);
    await this.exit(this.stage, this.bySignal(false) ?? verdictOf(execution));
  }

  /** What the client itself did to the compiler. */
  private bySignal(compiled: boolean): Verdict | null {
    if (compiled || this.compilerSignal === null) return null;
    return { code: null, signal: this.compilerSignal, status: null, message: null };
  }

  private exit(stage: Stage, { code, signal, status, message }: Verdict): Promise<void> {
    return this.send({ type: 'exit', stage, code, signal, ...(status === 'XX' ? { error: message } : {}) });
  }

  private receive(data: RawData, init: (message: Message) => void): void {
    if (this.client.readyState !== this.client.OPEN) return;
    const message = parseMessage(data.toString());
    if (typeof message === 'string') return void this.fail(message);
    const { type } = message;
    // Others are no business of ours, as they are none of Piston's.
    if (type !== 'init' && type !== 'data' && type !== 'signal') return;
    if (type === 'init') {
      if (this.initialized) return void this.close('again');
      this.initialized = true;
      return void init(message);
    }
    if (!this.initialized) return void this.close('early');
    if (type === 'signal') return void this.signal(message.signal);
    if (message.stream !== 'stdin') return void this.close('stream');
    this.stdin(message.data);
  }

  private stdin(data: unknown): void {
    if (typeof data !== 'string') return void this.fail('data must be a string');
    const bytes = Buffer.from(data, 'utf8');
    this.stdinBytes += bytes.length;
    // Nothing waits without bound for a guest that does not read.
    if (this.stdinBytes > REQUEST_LIMITS.stdinBytes) return void this.fail('too much stdin');
    this.input({ id: this.id, kind: 'stdin', base64: bytes.toString('base64') });
  }

  private signal(name: unknown): void {
    const number = typeof name === 'string' ? SIGNALS.get(name) : undefined;
    if (number === undefined) return void this.close('signal');
    this.input({ id: this.id, kind: 'signal', number });
  }

  private input(message: InputMessage): void {
    if (this.stage === 'compile' && message.kind === 'signal') return void this.signalCompiler(message.number);
    if (this.worker !== null) this.executions.input(this.worker, message);
    else if (this.early.length < EARLY_MOST) this.early.push(message);
    else this.fail('too much input');
  }

  /** The compiler handles no signal: it ends by it, or nothing happens. */
  private signalCompiler(number: number): void {
    const name = [...SIGNALS].find(([, value]) => value === number)?.[0] ?? null;
    if (name === null || HARMLESS.includes(name) || this.compilerSignal !== null) return;
    this.compilerSignal = name;
    this.executions.cancel(this.principal.tenant, this.id).catch((error: unknown) => this.fail(textOf(error)));
  }

  private send(message: object): Promise<void> {
    return sendTo(this.client, message, this.gone);
  }

  private fail(message: string): void {
    if (this.client.readyState === this.client.OPEN) this.client.send(JSON.stringify({ type: 'error', message }));
    this.close('error');
  }

  private close(why: keyof typeof CLOSE): void {
    const [code, reason] = CLOSE[why];
    this.client.close(code, reason);
  }
}

function textOf(error: unknown): string {
  const { detail, title } = toProblem(error);
  return detail ?? title;
}
