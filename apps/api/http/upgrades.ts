import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Problem, Scope } from '@cordon/contracts';
import type { Principal } from '@cordon/queue';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { type WebSocket, WebSocketServer } from 'ws';
import { KeysService } from '../keys/keys.service.js';
import { bearerOf, requireScope } from './auth.guard.js';
import { ProblemException, toProblem } from './problem.js';
import type { QueryParameters } from './query-parameters.js';

const MESSAGE_BYTES = 1 << 20;
/** How long a client may take to say goodbye. */
const LEAVE_MS = 1_000;
/** How many bytes may wait for a slow client before its sender does. */
const BUFFERED_MOST = 1 << 20;

/** WebSocket close codes (RFC 6455, 7.4.1). */
export const CLOSE = { normal: 1000, goingAway: 1001, policy: 1008, failure: 1011 } as const;

/** Serves one client to its end. */
export type Serve = (client: WebSocket) => Promise<void>;

export interface UpgradeRequest {
  readonly principal: Principal;
  /** Groups of the route's pattern. */
  readonly groups: readonly string[];
  readonly query: URLSearchParams;
  /** Aborts when the connection closes, upgraded or not. */
  readonly gone: AbortSignal;
}

/** Does what is to be done with one request, or refuses it by throwing a ProblemException. */
type Accept = (principal: Principal | null, request: IncomingMessage, socket: Duplex, head: Buffer) => Promise<void>;

interface Route {
  /** Null: not this one's. */
  readonly match: (request: IncomingMessage) => { accept: Accept } | null;
  /** Null: whoever asks is somebody else's business. */
  readonly scopes: readonly Scope[] | null;
  readonly keyOf: KeyOf;
}

/** Where a request carries its key. */
type KeyOf = (request: IncomingMessage) => string | null;

/** The WebSockets of the API: key, scope and rate limit as for requests; refusals before the upgrade are problem documents. */
export class WebSocketRoutes {
  private readonly sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES });
  private readonly routes: Route[] = [];
  private readonly keys: KeysService;

  constructor(
    app: NestFastifyApplication,
    private readonly parameters: QueryParameters,
  ) {
    this.keys = app.get(KeysService);
    // An upgraded connection is no request any more: nobody else would end it.
    app
      .getHttpAdapter()
      .getInstance()
      .addHook('preClose', async () => {
        const { clients } = this.sockets;
        for (const client of clients) client.close(CLOSE.goingAway);
        const end = (): void => {
          for (const client of clients) client.terminate();
        };
        setTimeout(end, LEAVE_MS).unref();
      });
    app.getHttpServer().on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.upgrade(request, socket, head);
    });
  }

  /** `pattern`: of the whole path. `permit` decides, by throwing a ProblemException, and gives what serves the client then. */
  add(
    pattern: RegExp,
    scopes: readonly Scope[],
    permit: (request: UpgradeRequest) => Promise<Serve>,
    keyOf: KeyOf = bearerOf,
  ): void {
    const match = ({ url: address = '/' }: IncomingMessage): { accept: Accept } | null => {
      // A request may name what is no URL, such as `//`; nobody would catch what is thrown here.
      const url = URL.parse(address, 'http://api');
      const groups = url && pattern.exec(url.pathname)?.slice(1);
      if (!url || !groups) return null;
      const accept: Accept = async (principal, request, socket, head) => {
        this.parameters.checkUpgrade(url.pathname, url.searchParams);
        const gone = new AbortController();
        socket.on('close', () => gone.abort());
        const serve = await permit({
          principal: principal as Principal,
          groups,
          query: url.searchParams,
          gone: gone.signal,
        });
        this.serve(request, socket, head, serve);
      };
      return { accept };
    };
    this.routes.push({ match, scopes, keyOf });
  }

  /** Upgrades, and has `serve` do the rest. */
  serve(request: IncomingMessage, socket: Duplex, head: Buffer, serve: Serve): void {
    this.sockets.handleUpgrade(request, socket, head, (client) => {
      client.on('error', () => client.terminate());
      serve(client).catch(() => client.terminate());
    });
  }

  /** Upgrades that somebody else answers. `match`: what of the URL is needed, or null. */
  addRaw<Place>(
    match: (url: string) => Place | null,
    scopes: readonly Scope[],
    accept: (
      place: Place,
      principal: { principal: Principal },
      ...rest: [IncomingMessage, Duplex, Buffer]
    ) => Promise<void>,
  ): void {
    const matched = ({ url = '/' }: IncomingMessage): { accept: Accept } | null => {
      const place = match(url);
      return place && { accept: (principal, ...rest) => accept(place, { principal: principal as Principal }, ...rest) };
    };
    this.routes.push({ match: matched, scopes, keyOf: bearerOf });
  }

  /** The same, where `accept` itself finds out who asks. */
  addOpen<Place>(
    match: (request: IncomingMessage) => Place | null,
    accept: (place: Place, ...rest: [IncomingMessage, Duplex, Buffer]) => Promise<void>,
  ): void {
    const matched = (request: IncomingMessage): { accept: Accept } | null => {
      const place = match(request);
      return place && { accept: (_principal, ...rest) => accept(place, ...rest) };
    };
    this.routes.push({ match: matched, scopes: null, keyOf: bearerOf });
  }

  /**
   * Whether a request to upgrade is one for us. All others are requests as any other (RFC 9110, 7.8): some clients offer HTTP/2 with each,
   * and nobody would ever answer or close what is upgraded for no one.
   */
  takes(request: IncomingMessage): boolean {
    return !/\bh2c\b/i.test(request.headers.upgrade ?? '') && this.routes.some(({ match }) => match(request) !== null);
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    for (const { match, scopes, keyOf } of this.routes) {
      const found = match(request);
      // Other paths may be another listener's.
      if (found === null) continue;
      socket.on('error', () => socket.destroy());
      const permitted = scopes === null ? Promise.resolve(null) : this.principal(keyOf(request), scopes);
      permitted
        .then((principal) => found.accept(principal, request, socket, head))
        .catch((error: unknown) => refuseUpgrade(socket, toProblem(error)));
      return;
    }
  }

  private async principal(key: string | null, scopes: readonly Scope[]): Promise<Principal> {
    const principal = key === null ? null : await this.keys.principalOf(key);
    if (principal === null) throw new ProblemException('unauthorized', 'send "Authorization: Bearer <key>"');
    requireScope(principal, scopes);
    const rate = await this.keys.count(principal);
    if (rate?.allowed === false) throw new ProblemException('rate-limited', undefined, undefined, rate.retrySeconds);
    return principal;
  }
}

/** An answer to a request to upgrade that is refused. */
export function refuseUpgrade(socket: Duplex, problem: Problem): void {
  refuseWith(socket, problem.status, problem, 'application/problem+json');
}

/** The same in another service's shape. */
export function refuseWith(socket: Duplex, status: number, answer: object, type = 'application/json'): void {
  const body = JSON.stringify(answer);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ncontent-type: ${type}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

/** Resolves when the client takes more. */
export async function sendTo(client: WebSocket, message: object | Buffer, gone: AbortSignal): Promise<void> {
  const text = Buffer.isBuffer(message) ? message : JSON.stringify(message);
  if (client.bufferedAmount < BUFFERED_MOST) return client.send(text);
  await new Promise<void>((resolve) => {
    const sent = (): void => {
      gone.removeEventListener('abort', sent);
      resolve();
    };
    gone.addEventListener('abort', sent);
    client.send(text, sent);
  });
}

/** Tells a client what is wrong with its message. Whoever goes on without reading what he is told is cut off. */
export function complain(client: WebSocket, detail: string): void {
  if (client.bufferedAmount > 2 * BUFFERED_MOST) client.terminate();
  else client.send(JSON.stringify({ type: 'error', data: { detail } }));
}

/** A client's text message as an object, or what is wrong with it. */
export function parseMessage(text: string): Record<string, unknown> | string {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : 'must be an object';
  } catch {
    return 'not JSON';
  }
}

/** The bytes of a `stdin` message, or what is wrong with it. */
export function inputBytes({ data, encoding = 'utf8' }: Record<string, unknown>): Buffer | string {
  if (typeof data !== 'string') return 'stdin needs "data", a string';
  if (encoding !== 'utf8' && encoding !== 'base64') return '"encoding" is utf8 or base64';
  return Buffer.from(data, encoding);
}
