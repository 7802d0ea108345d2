import type { IncomingMessage } from 'node:http';
import { constants } from 'node:os';
import type { Duplex } from 'node:stream';
import { type Problem, REQUEST_LIMITS } from '@cordon/contracts';
import type { InputMessage } from '@cordon/queue';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { bearerOf, requireScope } from '../http/auth.guard.js';
import { ProblemException, toProblem } from '../http/problem.js';
import { KeysService } from '../keys/keys.service.js';
import { ExecutionsService } from './executions.service.js';

const PATH = /^\/v1\/executions\/([^/?]+)\/attach(?:\?|$)/;
const MESSAGE_BYTES = 1 << 20;
/** How many bytes may wait for a slow client before its events do. */
const BUFFERED_MOST = 1 << 20;
const PING_MS = 15_000;
/** How long a client may take to say goodbye. */
const LEAVE_MS = 1_000;
/** WebSocket close codes (RFC 6455, 7.4.1). */
const NORMAL = 1000;
const GOING_AWAY = 1001;
const POLICY = 1008;

/**
 * WebSocket `/v1/executions/:id/attach`: its events as they come, `{ id, type, data }` each, and to it `stdin`, `eof`, `signal`.
 * Refusals before the upgrade are problem documents.
 */
export function serveAttach(app: NestFastifyApplication): void {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES });
  const executions = app.get(ExecutionsService);
  const keys = app.get(KeysService);
  // An upgraded connection is no request any more: nobody else would end it.
  app
    .getHttpAdapter()
    .getInstance()
    .addHook('preClose', async () => {
      for (const client of sockets.clients) client.close(GOING_AWAY);
      const end = (): void => {
        for (const client of sockets.clients) client.terminate();
      };
      setTimeout(end, LEAVE_MS).unref();
    });
  app.getHttpServer().on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const id = PATH.exec(request.url ?? '')?.[1];
    // Other paths may be another listener's.
    if (id === undefined) return;
    socket.on('error', () => socket.destroy());
    permit(request, id, executions, keys).then(
      () =>
        sockets.handleUpgrade(request, socket, head, (client) => {
          new Attachment(client, id, executions).serve().catch(() => client.terminate());
        }),
      (error: unknown) => refuse(socket, toProblem(error)),
    );
  });
}

async function permit(
  request: IncomingMessage,
  id: string,
  executions: ExecutionsService,
  keys: KeysService,
): Promise<void> {
  const key = bearerOf(request);
  const principal = key === null ? null : await keys.principalOf(key);
  if (principal === null) throw new ProblemException('unauthorized', 'send "Authorization: Bearer <key>"');
  requireScope(principal, ['run']);
  const rate = await keys.count(principal);
  if (rate?.allowed === false) throw new ProblemException('rate-limited', undefined, undefined, rate.retrySeconds);
  await executions.get(principal.tenant, id);
}

function refuse(socket: Duplex, problem: Problem): void {
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} ${problem.title}\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

/** One client at one execution. */
class Attachment {
  private readonly gone = new AbortController();
  private worker: string | null = null;
  private stdinBytes = 0;
  /** What came before the execution began. */
  private early: InputMessage[] = [];

  constructor(
    private readonly client: WebSocket,
    private readonly id: string,
    private readonly executions: ExecutionsService,
  ) {}

  async serve(): Promise<void> {
    this.client.on('close', () => this.gone.abort());
    this.client.on('error', () => this.gone.abort());
    this.client.on('message', (data, isBinary) => this.receive(data, isBinary));
    for await (const event of this.executions.events(this.id, '0', PING_MS, this.gone.signal)) {
      if (!event) {
        this.client.ping();
        continue;
      }
      const data: unknown = JSON.parse(event.data);
      if (event.type === 'status') await this.follow((data as { state: string }).state === 'running');
      await this.send({ id: event.id, type: event.type, data });
    }
    this.client.close(NORMAL);
  }

  private async follow(running: boolean): Promise<void> {
    this.worker = running ? await this.executions.workerOf(this.id) : null;
    if (this.worker === null) return;
    for (const message of this.early.splice(0)) this.executions.input(this.worker, message);
  }

  /** Resolves when the client takes more. */
  private async send(message: object): Promise<void> {
    const text = JSON.stringify(message);
    if (this.client.bufferedAmount < BUFFERED_MOST) return this.client.send(text);
    await new Promise<void>((resolve) => {
      this.client.send(text, () => resolve());
      this.gone.signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  private receive(data: RawData, isBinary: boolean): void {
    const message = isBinary ? 'messages are text' : parse(this.id, data.toString());
    if (typeof message === 'string') return void this.send({ type: 'error', data: { detail: message } });
    if (message.kind === 'stdin') this.stdinBytes += message.base64.length;
    // Nothing waits without bound for a guest that does not read.
    if (this.stdinBytes > (REQUEST_LIMITS.stdinBytes * 4) / 3) this.client.close(POLICY, 'too much stdin');
    else if (this.worker !== null) this.executions.input(this.worker, message);
    else this.early.push(message);
  }
}

/** A client's message, or what is wrong with it. */
function parse(id: string, text: string): InputMessage | string {
  let message: Record<string, unknown>;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return 'must be an object';
    message = value as Record<string, unknown>;
  } catch {
    return 'not JSON';
  }
  const { type, data, encoding = 'utf8', signal } = message;
  if (type === 'eof') return { id, kind: 'eof' };
  if (type === 'stdin') {
    if (typeof data !== 'string') return 'stdin needs "data", a string';
    if (encoding !== 'utf8' && encoding !== 'base64') return '"encoding" is utf8 or base64';
    return { id, kind: 'stdin', base64: Buffer.from(data, encoding).toString('base64') };
  }
  if (type === 'signal') {
    const number = Object.entries(constants.signals).find(([name]) => name === signal)?.[1];
    return number === undefined ? '"signal" is a name such as SIGINT' : { id, kind: 'signal', number };
  }
  return '"type" is stdin, eof or signal';
}
