import { constants } from 'node:os';
import { REQUEST_LIMITS } from '@cordon/contracts';
import type { InputMessage } from '@cordon/queue';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { RawData, WebSocket } from 'ws';
import { CLOSE, complain, inputBytes, parseMessage, sendTo, type WebSocketRoutes } from '../http/upgrades.js';
import { ExecutionsService } from './executions.service.js';

const PATH = /^\/v1\/executions\/([^/]+)\/attach$/;
const PING_MS = 15_000;
/** Messages that wait for an execution to begin. */
const EARLY_MOST = 10_000;

/** WebSocket `/v1/executions/:id/attach`: its events as they come, `{ id, type, data }` each, and to it `stdin`, `eof`, `signal`. */
export function serveAttach(app: NestFastifyApplication, routes: WebSocketRoutes): void {
  const executions = app.get(ExecutionsService);
  routes.add(PATH, ['run'], async ({ principal, groups: [id], gone }) => {
    await executions.get(principal.tenant, id);
    return (client) => new Attachment(client, id, executions, gone).serve();
  });
}

/** One client at one execution. */
class Attachment {
  private worker: string | null = null;
  private stdinBytes = 0;
  /** What came before the execution began. */
  private early: InputMessage[] = [];

  constructor(
    private readonly client: WebSocket,
    private readonly id: string,
    private readonly executions: ExecutionsService,
    private readonly gone: AbortSignal,
  ) {}

  async serve(): Promise<void> {
    this.client.on('message', (data, isBinary) => this.receive(data, isBinary));
    for await (const event of this.executions.events(this.id, '0', PING_MS, this.gone)) {
      if (!event) {
        this.client.ping();
        continue;
      }
      const data: unknown = JSON.parse(event.data);
      if (event.type === 'status') await this.follow((data as { state: string }).state === 'running');
      await sendTo(this.client, { id: event.id, type: event.type, data }, this.gone);
    }
    this.client.close(CLOSE.normal);
  }

  private async follow(running: boolean): Promise<void> {
    this.worker = running ? await this.executions.workerOf(this.id) : null;
    if (this.worker === null) return;
    for (const message of this.early.splice(0)) this.executions.input(this.worker, message);
  }

  private receive(data: RawData, isBinary: boolean): void {
    const message = isBinary ? 'messages are text' : parse(this.id, data.toString());
    if (typeof message === 'string') {
      complain(this.client, message);
      return;
    }
    if (message.kind === 'stdin') this.stdinBytes += message.base64.length;
    // Nothing waits without bound for a guest that does not read.
    if (this.stdinBytes > (REQUEST_LIMITS.stdinBytes * 4) / 3) this.client.close(CLOSE.policy, 'too much stdin');
    else if (this.worker !== null) this.executions.input(this.worker, message);
    else if (this.early.length >= EARLY_MOST) this.client.close(CLOSE.policy, 'too much before it runs');
    else this.early.push(message);
  }
}

/** A client's message, or what is wrong with it. */
function parse(id: string, text: string): InputMessage | string {
  const message = parseMessage(text);
  if (typeof message === 'string') return message;
  const { type, signal } = message;
  if (type === 'eof') return { id, kind: 'eof' };
  if (type === 'stdin') {
    const bytes = inputBytes(message);
    return typeof bytes === 'string' ? bytes : { id, kind: 'stdin', base64: bytes.toString('base64') };
  }
  if (type === 'signal') {
    const number = Object.entries(constants.signals).find(([name]) => name === signal)?.[1];
    return number === undefined ? '"signal" is a name such as SIGINT' : { id, kind: 'signal', number };
  }
  return '"type" is stdin, eof or signal';
}
