import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Duplex } from 'node:stream';
import { LINK_CHUNK_BYTES, type LinkRefusal, type ProcessEvent } from '@cordon/contracts';
import type { WorkerInfo } from '@cordon/queue';

const HEAD = 4;

/** The worker said no, and why. */
export class LinkRefused extends Error {
  constructor(
    readonly status: number,
    readonly refusal: LinkRefusal,
  ) {
    super(`refused: ${JSON.stringify(refusal)}`);
  }
}

/** The worker does not answer. `shut`: nobody listens at its door any more; else the connection broke in the middle. */
export class LinkBroken extends Error {
  constructor(
    message: string,
    readonly shut = false,
  ) {
    super(message);
  }
}

/** Requests to the door of one worker (apps/worker/sandboxes). Connections are kept. */
export class WorkerLink {
  private static readonly agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });

  constructor(private readonly link: WorkerInfo['link']) {}

  /** A JSON answer. Throws LinkRefused, LinkBroken. */
  async json<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
    const response = await this.send(path, Buffer.from(JSON.stringify(body)), signal);
    return JSON.parse((await whole(response)).toString()) as T;
  }

  /** A question to the sandbox itself, with bytes both ways. */
  async ask<T>(
    id: string,
    request: unknown,
    bytes: Uint8Array = Buffer.alloc(0),
  ): Promise<{ reply: T; bytes: Buffer }> {
    const json = Buffer.from(JSON.stringify(request));
    const head = Buffer.alloc(HEAD);
    head.writeUInt32LE(json.length);
    const answer = await whole(await this.send(`/sandboxes/${id}/ask`, Buffer.concat([head, json, bytes])));
    const length = answer.readUInt32LE(0);
    const reply = JSON.parse(answer.toString('utf8', HEAD, HEAD + length)) as T;
    return { reply, bytes: answer.subarray(HEAD + length) };
  }

  /** Lines as they come. Leaving the loop, or `gone`, closes the connection. */
  async *lines(path: string, body: unknown, gone: AbortSignal): AsyncGenerator<string> {
    yield* await this.openLines(path, body, gone);
  }

  /** The same, once the worker has agreed. */
  async openLines(path: string, body: unknown, gone: AbortSignal): Promise<AsyncGenerator<string>> {
    return this.linesOf(await this.send(path, Buffer.from(JSON.stringify(body)), gone), gone);
  }

  private async *linesOf(response: IncomingMessage, gone: AbortSignal): AsyncGenerator<string> {
    try {
      yield* createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY });
      // An input that breaks off is an end to readline.
      if (!response.complete && !gone.aborted) throw new LinkBroken('the connection broke');
    } catch (error) {
      if (!gone.aborted) throw error instanceof LinkBroken ? error : new LinkBroken((error as Error).message);
    } finally {
      response.destroy();
    }
  }

  async *events(path: string, body: unknown, gone: AbortSignal): AsyncGenerator<ProcessEvent> {
    yield* await this.openEvents(path, body, gone);
  }

  /** The same, once the worker has agreed. */
  async openEvents(path: string, body: unknown, gone: AbortSignal): Promise<AsyncGenerator<ProcessEvent>> {
    const lines = await this.openLines(path, body, gone);
    return (async function* () {
      for await (const line of lines) yield JSON.parse(line) as ProcessEvent;
    })();
  }

  /** Input of a process in pieces; each is answered once there is room for the next. `end`: nothing more comes. */
  async feed(id: string, process: number, bytes: Buffer, end: boolean): Promise<void> {
    for (let at = 0; at < bytes.length; at += LINK_CHUNK_BYTES)
      await this.ask(id, { op: 'stdin', process }, bytes.subarray(at, at + LINK_CHUNK_BYTES));
    if (end) await this.ask(id, { op: 'stdin', process });
  }

  /** A connection to a port of the sandbox. Throws LinkRefused (errno ECONNREFUSED ...), LinkBroken. */
  async dial(id: string, port: number): Promise<Duplex> {
    const { hostname, port: workerPort } = new URL(this.link.url);
    const request = httpRequest(new URL(`/sandboxes/${id}/dial/${port}`, this.link.url), {
      // Half-open: either side may have said all it has to say.
      createConnection: () => connect({ host: hostname, port: Number(workerPort), allowHalfOpen: true }),
      headers: { authorization: `Bearer ${this.link.token}`, connection: 'upgrade', upgrade: 'cordon-dial' },
    });
    const answer = await new Promise<{ socket: Socket; head: Buffer } | IncomingMessage>((resolve, reject) => {
      request.once('upgrade', (_response, socket: Socket, head) => resolve({ socket, head }));
      request.once('response', resolve);
      request.once('error', (error: NodeJS.ErrnoException) =>
        reject(new LinkBroken(error.message, error.code === 'ECONNREFUSED')),
      );
      request.end();
    });
    if (!('socket' in answer) || !('head' in answer)) throw await refusalOf(answer as IncomingMessage);
    if (answer.head.length > 0) answer.socket.unshift(answer.head);
    return answer.socket;
  }

  private async send(path: string, body: Buffer, signal?: AbortSignal): Promise<IncomingMessage> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpRequest(new URL(path, this.link.url), {
        method: 'POST',
        agent: WorkerLink.agent,
        headers: { authorization: `Bearer ${this.link.token}`, 'content-length': body.length },
        ...(signal ? { signal } : {}),
      });
      request.once('response', resolve);
      request.once('error', (error: NodeJS.ErrnoException) =>
        reject(new LinkBroken(error.message, error.code === 'ECONNREFUSED')),
      );
      request.end(body);
    });
    if (response.statusCode === 200) return response;
    throw await refusalOf(response);
  }
}

async function refusalOf(response: IncomingMessage): Promise<LinkRefused> {
  const text = (await whole(response)).toString();
  return new LinkRefused(response.statusCode ?? 500, text === '' ? {} : (JSON.parse(text) as LinkRefusal));
}

async function whole(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
  } catch (error) {
    throw new LinkBroken((error as Error).message);
  }
  return Buffer.concat(chunks);
}
