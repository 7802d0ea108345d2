import type { IncomingMessage } from 'node:http';
import { constants } from 'node:os';
import type { ExecutionDto, OutputEvent, RuntimeDto } from '@cordon/contracts';
import type { InputMessage, Principal } from '@cordon/queue';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { RawData, WebSocket } from 'ws';
import { ExecutionsService, newId } from '../../executions/executions.service.js';
import { toProblem } from '../../http/problem.js';
import { parseMessage, sendTo, type WebSocketRoutes } from '../../http/upgrades.js';
import { keyOf, PISTON_PATHS, withoutKey } from './piston.auth.js';
import { PistonRefusal, readRequest, versionOf } from './request.js';
import { answerOf, type StagedExecution } from './response.js';

const PLACES = new Set(PISTON_PATHS.map((path) => `/${path}/connect`));
const INIT_MS = 1_000;
const PING_MS = 15_000;
/** Piston's close codes. */
const CLOSE = {
  alreadyInitialized: [4000, 'Already Initialized'],
  initTimeout: [4001, 'Initialization Timeout'],
  notified: [4002, 'Notified Error'],
  notInitialized: [4003, 'Not yet initialized'],
  onlyStdin: [4004, 'Can only write to stdin'],
  invalidSignal: [4005, 'Invalid signal'],
  completed: [4999, 'Job Completed'],
} as const;

/** Piston's WebSocket: one program, its output as it comes, its input and signals. */
export function servePistonConnect(app: NestFastifyApplication, routes: WebSocketRoutes): void {
  const executions = app.get(ExecutionsService);
  routes.addSocket(
    (request: IncomingMessage) => {
      const path = withoutKey(request).split('?')[0];
      return PLACES.has(path) ? { key: keyOf(request) } : null;
    },
    ['run'],
    (client, principal, gone) => new Connection(client, principal, executions, gone).serve(),
  );
}

type Stage = 'compile' | 'run';

class Connection {
  private id: string | null = null;
  private initialized = false;
  private worker: string | null = null;
  /** What came before the program began. */
  private early: InputMessage[] = [];
  private stage: Stage | null = null;

  constructor(
    private readonly client: WebSocket,
    private readonly principal: Principal,
    private readonly executions: ExecutionsService,
    private readonly gone: AbortSignal,
  ) {}

  async serve(): Promise<void> {
    const { client } = this;
    const timer = setTimeout(() => this.close('initTimeout'), INIT_MS);
    client.on('message', (data, isBinary) => {
      clearTimeout(timer);
      this.receive(data, isBinary).catch((error: unknown) => this.notify(error));
    });
    client.on('close', () => {
      clearTimeout(timer);
      // Nobody is left to hear of it.
      if (this.id !== null) this.executions.cancel(this.principal.tenant, this.id).catch(() => undefined);
    });
  }

  private close(why: keyof typeof CLOSE): void {
    const [code, reason] = CLOSE[why];
    this.client.close(code, reason);
  }

  private notify(error: unknown): void {
    const { detail, title } = toProblem(error);
    const message = error instanceof PistonRefusal ? error.message : (detail ?? title);
    void sendTo(this.client, { type: 'error', message }, this.gone);
    this.close('notified');
  }

  private async receive(data: RawData, isBinary: boolean): Promise<void> {
    const message = isBinary ? 'messages are text' : parseMessage(String(data));
    if (typeof message === 'string') throw new PistonRefusal(message);
    switch (message.type) {
      case 'init':
        if (this.initialized) return this.close('alreadyInitialized');
        this.initialized = true;
        return this.run(message);
      case 'data':
        if (!this.initialized) return this.close('notInitialized');
        if (message.stream !== 'stdin') return this.close('onlyStdin');
        return this.input({ kind: 'stdin', base64: Buffer.from(String(message.data), 'utf8').toString('base64') });
      case 'signal': {
        if (!this.initialized) return this.close('notInitialized');
        const number = constants.signals[String(message.signal) as NodeJS.Signals];
        return number === undefined ? this.close('invalidSignal') : this.input({ kind: 'signal', number });
      }
      default:
        throw new PistonRefusal('unknown message type');
    }
  }

  private input(message: { kind: 'stdin'; base64: string } | { kind: 'signal'; number: number }): void {
    const whole: InputMessage = { id: this.id ?? '', ...message };
    if (this.worker !== null) this.executions.input(this.worker, whole);
    else this.early.push(whole);
  }

  private async run(message: Record<string, unknown>): Promise<void> {
    const id = newId('exe');
    let runtime: RuntimeDto | null = null;
    await this.executions.create(this.principal, null, undefined, id, (_body, newest, runtimes) => {
      const asked = readRequest({ ...message, stdin: '' }, runtimes);
      runtime = asked.runtime;
      const job = { id: newest, ...asked.job, interactive: true };
      return { job, labels: {}, priority: 'interactive', webhook: null };
    });
    this.id = id;
    const chosen = runtime as unknown as RuntimeDto;
    await this.send({ type: 'runtime', language: chosen.id, version: versionOf(chosen) });
    for await (const event of this.executions.events(id, '0-0', PING_MS, this.gone)) {
      if (!event) {
        this.client.ping();
        continue;
      }
      const data: unknown = JSON.parse(event.data);
      if (event.type === 'status' && (data as { state: string }).state === 'running') await this.begun(chosen);
      else if (event.type === 'stdout' || event.type === 'stderr') await this.output(event.type, data as OutputEvent);
      else if (event.type === 'result') await this.ended(chosen, data as ExecutionDto);
    }
    this.id = null;
    this.close('completed');
  }

  private send(message: object): Promise<void> {
    return sendTo(this.client, message, this.gone);
  }

  private async enter(stage: Stage): Promise<void> {
    if (this.stage === stage) return;
    this.stage = stage;
    await this.send({ type: 'stage', stage });
  }

  private async begun(runtime: RuntimeDto): Promise<void> {
    this.worker = await this.executions.workerOf(this.id ?? '');
    for (const message of this.early.splice(0))
      if (this.worker !== null) this.executions.input(this.worker, { ...message, id: this.id ?? '' });
    await this.enter(runtime.compiled ? 'compile' : 'run');
  }

  /** Output is the program's: what it was made from has been compiled by then. */
  private async output(stream: 'stdout' | 'stderr', { data, encoding }: OutputEvent): Promise<void> {
    await this.compiled();
    await this.send({ type: 'data', stream, data: Buffer.from(data, encoding).toString('utf8') });
  }

  private async compiled(): Promise<void> {
    if (this.stage === 'compile') await this.send({ type: 'exit', stage: 'compile', code: 0, signal: null });
    await this.enter('run');
  }

  private async ended(runtime: RuntimeDto, execution: ExecutionDto): Promise<void> {
    const answer = answerOf(runtime, execution as StagedExecution, { stdout: '', stderr: '', output: '' });
    const { compilation } = execution as StagedExecution;
    if (compilation && !compilation.ok) {
      if (compilation.output !== '') await this.send({ type: 'data', stream: 'stderr', data: compilation.output });
      const { code, signal } = answer.run;
      return this.send({ type: 'exit', stage: 'compile', code, signal });
    }
    await this.compiled();
    const { code, signal, message } = answer.run;
    await this.send({ type: 'exit', stage: 'run', code, signal, ...(message === null ? {} : { error: message }) });
  }
}
