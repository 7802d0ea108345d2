import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Duplex, pipeline } from 'node:stream';
import {
  type AuditEntry,
  type CreateWatcher,
  LINK_CHUNK_BYTES,
  type LinkRefusal,
  type OpenSandbox,
  type ProcessEvent,
  type SandboxDto,
  type SandboxEnd,
  type StartProcess,
} from '@cordon/contracts';
import {
  type ImageSpec,
  type PlatformChoice,
  type PlatformPools,
  SessionEnded,
  SessionError,
  type SessionRequest,
} from '@cordon/pool';
import type { SandboxAuditStore, SandboxPlaces, SandboxStore } from '@cordon/queue';
import type { Logger } from 'pino';
import type { ContextAsk } from '../contexts/contexts.js';
import { drained, sendJson, whenClosed } from '../link-response.js';
import { AuditWriter } from './audit-writer.js';
import { LiveSandbox, type Owner } from './live-sandbox.js';
import type { ProcessLog } from './process-log.js';

const BODY_MAX = 8 << 20;

export interface SandboxHostOptions {
  readonly pools: PlatformPools;
  readonly image: ImageSpec;
  readonly store: SandboxStore;
  readonly places: SandboxPlaces;
  readonly audit: SandboxAuditStore;
  readonly renderAudit: (entry: AuditEntry) => string;
  readonly workerId: string;
  readonly log: Logger;
  /** Sandboxes at once. */
  readonly capacity: number;
}

/** Who asks for a sandbox. */
type Ordered = OpenSandbox & Owner;

/** A refusal on its way to the answer. */
class Refused extends Error {
  constructor(
    readonly status: number,
    readonly body: LinkRefusal,
  ) {
    super(JSON.stringify(body));
  }
}

/**
 * The sandboxes of this worker, and the door through which APIs reach them: HTTP, so that streams have backpressure of their
 * own and nothing passes through Redis. Every request carries the token that the registry tells.
 */
export class SandboxHost {
  readonly token = randomBytes(24).toString('base64url');
  private readonly sandboxes = new Map<string, LiveSandbox>();
  /** Resolve when the end of a sandbox can be read by everybody. */
  private readonly endings = new Map<string, Promise<void>>();
  /** Why those ended that are not here any more; the last ones. */
  private readonly ends = new Map<string, SandboxEnd>();
  private readonly server: Server;

  constructor(private readonly options: SandboxHostOptions) {
    // Connections stay until the API closes them: one closed from here could be just in use.
    this.server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
      this.serve(request, response).catch((error: unknown) => this.refuse(response, error));
    });
    this.server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
      socket.on('error', () => socket.destroy());
      this.dial(request, socket).catch((error: unknown) => this.refuseDial(socket, error));
    });
  }

  /** Resolves with the port. */
  async listen(host: string, port: number): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, host, resolve);
    });
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const live of this.sandboxes.values()) live.end('worker_lost');
    await Promise.all(this.endings.values());
    this.server.close();
    this.server.closeAllConnections();
  }

  private permit(request: IncomingMessage): void {
    const given = Buffer.from(request.headers.authorization ?? '');
    const wanted = Buffer.from(`Bearer ${this.token}`);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) throw new Refused(401, {});
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.permit(request);
    const url = new URL(request.url ?? '/', 'http://worker');
    const [, , id = '', verb = '', process = ''] = url.pathname.split('/');
    if (verb === 'open') {
      return this.open(JSON.parse((await readBody(request)).toString()) as Ordered, response);
    }
    const live = this.find(id);
    switch (verb) {
      case 'ask':
        return this.ask(live, await readBody(request), response);
      case 'start':
        return this.start(live, JSON.parse((await readBody(request)).toString()) as StartProcess, response);
      case 'follow':
        return this.attach(live, Number(process), url.searchParams, response);
      case 'contexts':
        return live.contexts.serve(process, JSON.parse((await readBody(request)).toString()) as ContextAsk, response);
      case 'watch':
        return this.watch(live, JSON.parse((await readBody(request)).toString()), response);
      case 'watchers':
        return this.watchers(live, process, JSON.parse((await readBody(request)).toString()), response);
      case 'extend': {
        const { expiresAt } = JSON.parse((await readBody(request)).toString()) as { expiresAt: string };
        live.extend(expiresAt);
        await this.save(live);
        return sendJson(response, 200, live.sandbox);
      }
      case 'audit':
        // What it did until now is in the store when this is answered.
        await live.use(() => live.ask({ op: 'flush' }));
        await live.audit.written();
        return sendJson(response, 200, {});
      case 'end':
        live.end('deleted');
        await this.endings.get(id);
        return sendJson(response, 200, live.sandbox);
      default:
        throw new Refused(404, {});
    }
  }

  /** `…/dial/PORT` with an upgrade: from then on the connection is the one to that port of the sandbox. */
  private async dial(request: IncomingMessage, socket: Duplex): Promise<void> {
    this.permit(request);
    const [, , id = '', , port = ''] = (request.url ?? '').split('/');
    const dialed = await this.find(id).dial(Number(port));
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: cordon-dial\r\n\r\n');
    // An end that breaks takes the other along.
    pipeline(socket, dialed, () => undefined);
    pipeline(dialed, socket, () => undefined);
  }

  private refuseDial(socket: Duplex, error: unknown): void {
    const { status, body } = this.answerTo(error);
    const text = JSON.stringify(body);
    socket.end(
      `HTTP/1.1 ${status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\nconnection: close\r\n\r\n${text}`,
    );
  }

  private find(id: string): LiveSandbox {
    const live = this.sandboxes.get(id);
    if (!live) throw new Refused(410, { gone: this.ends.get(id) ?? 'unknown' });
    return live;
  }

  private async open({ tenant, keyId, ...open }: Ordered, response: ServerResponse): Promise<void> {
    const { pools, image, log, audit, renderAudit } = this.options;
    const { id } = open.sandbox;
    // An older API names none.
    const { platform = 'auto' } = open.sandbox as Partial<SandboxDto>;
    const lease = await pools.lease(platform as PlatformChoice);
    // The API asked a worker that offered it a moment ago.
    if (lease === null) throw new Refused(503, { full: true });
    if (this.sandboxes.size >= this.options.capacity) {
      lease.release();
      throw new Refused(503, { full: true });
    }
    const { pool } = lease;
    const writer = new AuditWriter(audit, id, renderAudit, (line) => log.warn({ sandbox: id }, line));
    const live = new LiveSandbox(pool, image, open, { tenant, keyId }, writer, (line) =>
      log.warn({ sandbox: id }, line),
    );
    void live.ended.then(lease.release);
    this.sandboxes.set(id, live);
    this.endings.set(
      id,
      live.ended.then((reason) => this.ended(id, live, reason)),
    );
    await this.save(live);
    sendJson(response, 200, live.sandbox);
  }

  private async ended(id: string, live: LiveSandbox, reason: SandboxEnd): Promise<void> {
    this.sandboxes.delete(id);
    this.ends.set(id, reason);
    if (this.ends.size > 10_000) this.ends.delete(this.ends.keys().next().value as string);
    await live.audit.written();
    await this.save(live)
      .then(() => this.options.audit.wake(id))
      .catch((error: Error) => this.options.log.warn({ sandbox: id }, error.message));
    this.endings.delete(id);
  }

  private save({ owner, sandbox }: LiveSandbox): Promise<void> {
    return this.options.store.save({ ...owner, worker: this.options.workerId, sandbox });
  }

  /** Keeps their places for their keys: to be said as often as that this worker is there. */
  async holdPlaces(): Promise<void> {
    const held = [...this.sandboxes].flatMap(([id, { owner }]) =>
      owner.keyId === undefined ? [] : [{ keyId: owner.keyId, id }],
    );
    await this.options.places.hold(held);
  }

  private async ask(live: LiveSandbox, body: Buffer, response: ServerResponse): Promise<void> {
    const length = body.readUInt32LE(0);
    const request = JSON.parse(body.toString('utf8', 4, 4 + length)) as SessionRequest;
    const answer = await live.use(() => live.ask(request, body.subarray(4 + length)));
    const json = Buffer.from(JSON.stringify(answer.reply));
    const head = Buffer.alloc(4);
    head.writeUInt32LE(json.length);
    response.writeHead(200, { 'content-type': 'application/octet-stream' });
    response.end(Buffer.concat([head, json, answer.bytes]));
  }

  private async start(live: LiveSandbox, request: StartProcess, response: ServerResponse): Promise<void> {
    const { process, log } = await live.start(request);
    if (!request.background) {
      whenClosed(response, () => {
        if (!log.over) live.kill(process);
      });
    }
    this.follow(live, log, 0, response, request.background);
  }

  /** Lines of JSON from the sandbox, as they are, until the client leaves or the directory is gone. */
  private async watch(
    live: LiveSandbox,
    request: Parameters<LiveSandbox['watch']>[0],
    response: ServerResponse,
  ): Promise<void> {
    let begun = (): void => undefined;
    const ready = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const stop = await live.watch(
      request,
      async (bytes) => {
        await ready;
        if (!response.write(bytes)) await drained(response);
      },
      () => response.end(),
    );
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    whenClosed(response, stop);
    begun();
  }

  private async watchers(
    live: LiveSandbox,
    action: string,
    ask: CreateWatcher & { watcher: string },
    response: ServerResponse,
  ): Promise<void> {
    await live.use(async () => {
      const { watchers } = live;
      if (action === 'create') {
        const watcher = await watchers.create(ask);
        if (watcher === null) throw new Refused(409, { watcher: 'most' });
        return sendJson(response, 200, { watcher });
      }
      const answer = action === 'take' ? await watchers.take(ask.watcher) : watchers.remove(ask.watcher) ? {} : null;
      if (answer === null) throw new Refused(404, { watcher: 'unknown' });
      sendJson(response, 200, answer);
    });
  }

  /** `from`: the first event. `now`: those that there are, without waiting for others. */
  private async attach(
    live: LiveSandbox,
    process: number,
    query: URLSearchParams,
    response: ServerResponse,
  ): Promise<void> {
    const log = live.process(process);
    if (!log) throw new Refused(404, { process: 'unknown' });
    this.follow(live, log, Number(query.get('from') ?? 0), response, false, query.has('now'));
  }

  /** Lines of events until the end of the process, or only the first, or those of `now`. */
  private follow(
    live: LiveSandbox,
    log: ProcessLog,
    from: number,
    response: ServerResponse,
    once: boolean,
    now = false,
  ): void {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    // Whoever attaches knows that there is such a process before it says something.
    response.flushHeaders();
    const done = live.busy();
    let stop = (): void => undefined;
    let over = false;
    const finish = (): void => {
      if (over) return;
      over = true;
      done();
      stop();
      response.end();
    };
    whenClosed(response, finish);
    stop = log.follow(from, (event: ProcessEvent) => {
      if (over) return;
      const flowing = response.write(`${JSON.stringify(event)}\n`);
      if (once || event.type === 'exit' || event.type === 'lost') finish();
      else if (!flowing) return drained(response);
    });
    // Whoever asks for what comes after the end hears that nothing does.
    if (log.over || now) finish();
    if (over) stop();
  }

  private refuse(response: ServerResponse, error: unknown): void {
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const { status, body } = this.answerTo(error);
    sendJson(response, status, body);
  }

  private answerTo(error: unknown): { status: number; body: LinkRefusal } {
    if (error instanceof Refused) return { status: error.status, body: error.body };
    if (error instanceof SessionError) return { status: 409, body: { errno: error.errno } };
    if (error instanceof SessionEnded) return { status: 410, body: { gone: 'unknown' } };
    this.options.log.error({ err: error }, 'a request to a sandbox failed');
    return { status: 500, body: {} };
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > BODY_MAX + LINK_CHUNK_BYTES) throw new Refused(413, {});
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}
