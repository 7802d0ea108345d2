import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SandboxUsageDto } from '@cordon/contracts';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { closedSignal } from '../../http/gone.js';
import { refuseWith, type WebSocketRoutes } from '../../http/upgrades.js';
import { type Forward, forwardRequest, forwardUpgrade } from '../../sandboxes/port-proxy.js';
import type { WorkerLink } from '../../sandboxes/worker-link.js';
import { ConnectStream, type Message, sendError, sendUnary, streamMessage, unaryMessage } from './connect-protocol.js';
import { E2bError, toE2bError } from './e2b.errors.js';
import { E2bService } from './e2b.service.js';
import { type E2bRecord, idOfToken, sameToken, signatureHolds } from './e2b.store.js';
import { EnvdFiles } from './envd-files.js';
import { download, receive } from './envd-http.js';
import { EnvdProcesses } from './envd-processes.js';
import { EnvdWatchers } from './envd-watchers.js';
import { guestUser, userOf } from './guest-user.js';

const PREFIX = '/compat/e2b/sandbox';
const ENVD_PORT = 49_983;
const INTERPRETER_PORT = 49_999;
const HOST = /^(\d{1,5})-(sbx_[a-z0-9]{24})\./;
const ID = /^sbx_[a-z0-9]{24}$/;
const KEEPALIVE_SECONDS = 90;
const OWN_HEADERS = new Set([
  'x-access-token',
  'e2b-traffic-access-token',
  'e2b-sandbox-id',
  'e2b-sandbox-port',
  'x-api-key',
]);

/** Where in which sandbox a request belongs. */
interface Place {
  readonly id: string;
  readonly port: number;
  /** Path and query, as the sandbox would see them. */
  readonly path: string;
}

const header = (request: IncomingMessage, name: string): string | null => {
  const value = request.headers[name];
  return typeof value === 'string' && value !== '' ? value : null;
};

/** By the headers of one URL for all sandboxes, or by the host name of one sandbox's port. Null: not for a sandbox. */
function placeOf(request: IncomingMessage): Place | null {
  const url = request.url ?? '/';
  const byHost = HOST.exec(request.headers.host ?? '');
  if (byHost) return { id: byHost[2], port: Number(byHost[1]), path: url };
  if (!url.startsWith(PREFIX)) return null;
  const rest = url.slice(PREFIX.length);
  if (!/^([/?]|$)/.test(rest)) return null;
  const id = header(request, 'e2b-sandbox-id') ?? idOfToken(header(request, 'x-access-token') ?? '') ?? '';
  return {
    id,
    port: Number(header(request, 'e2b-sandbox-port') ?? ENVD_PORT),
    path: rest.startsWith('/') ? rest : `/${rest}`,
  };
}

/** What is spoken with a sandbox itself: envd (processes, files), the code interpreter, and the servers that listen in it. */
export class E2bDataPlane {
  private readonly e2b: E2bService;

  constructor(
    app: NestFastifyApplication,
    routes: WebSocketRoutes,
    private readonly interpreter: Interpreter | null,
  ) {
    this.e2b = app.get(E2bService);
    routes.addOpen(
      (request) => placeOf(request),
      async (place, request, socket, head) => {
        try {
          const record = await this.permit(place, request);
          await forwardUpgrade(request, socket, head, this.forward(record.tenant, place));
        } catch (error) {
          const { status, message } = toE2bError(error);
          refuseWith(socket, status, { code: status, message });
        }
      },
    );
  }

  /** Takes a request that is for a sandbox, before its body is read. */
  handle(request: FastifyRequest, reply: FastifyReply): boolean {
    const place = placeOf(request.raw);
    if (place === null) return false;
    reply.hijack();
    this.serve(place, request.raw, reply.raw).catch((error: unknown) =>
      sendError(reply.raw, error, ({ code, status }) => (/^\/files([/?]|$)/.test(place.path) ? status : code)),
    );
    return true;
  }

  private async serve(place: Place, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const record = await this.permit(place, request);
    if (place.port === INTERPRETER_PORT && this.interpreter)
      return this.interpreter.serve(record.tenant, place.id, place.path, request, response);
    if (place.port !== ENVD_PORT) return forwardRequest(request, response, this.forward(record.tenant, place));
    await this.e2b.sandboxes.with(record.tenant, place.id, (link) => this.envd(place, record, link, request, response));
  }

  private forward(tenant: string, { id, port, path }: Place): Forward {
    return { dial: () => this.e2b.sandboxes.dial(tenant, id, port), port, path, prefix: '', drop: OWN_HEADERS };
  }

  /** By the token of this sandbox, or a signature made with it. */
  private async permit({ id, port, path }: Place, request: IncomingMessage): Promise<E2bRecord> {
    const record = ID.test(id) ? await this.e2b.store.get(id) : null;
    if (record === null) throw new E2bError('unavailable', 'the sandbox was not found', 502);
    const url = new URL(path, 'http://sandbox');
    if (port === ENVD_PORT && url.pathname === '/health') return record;
    const token = header(request, 'x-access-token') ?? header(request, 'e2b-traffic-access-token');
    if (token !== null && sameToken(token, record.accessToken)) return record;
    const { searchParams: query } = url;
    const signature = query.get('signature');
    if (port === ENVD_PORT && url.pathname === '/files' && signature !== null) {
      const operation = request.method === 'GET' ? 'read' : 'write';
      const user = query.get('username') ?? '';
      const place = query.get('path') ?? '';
      if (signatureHolds(signature, place, operation, user, record.accessToken, query.get('signature_expiration')))
        return record;
    }
    throw new E2bError('unauthenticated', 'send the access token of the sandbox as X-Access-Token');
  }

  private async envd(
    { id, path }: Place,
    record: E2bRecord,
    link: WorkerLink,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { pathname, searchParams } = new URL(path, 'http://sandbox');
    switch (pathname) {
      case '/health':
        await link.ask(id, { op: 'usage' });
        return void response.writeHead(204).end();
      case '/init':
        return void response.writeHead(204).end();
      case '/envs':
        return sendUnary(response, record.envVars);
      case '/metrics':
        return sendUnary(response, await metrics(link, id));
      case '/files': {
        const user = guestUser(searchParams.get('username') ?? '');
        const given = searchParams.get('path');
        if (request.method === 'GET') return download(link, id, user, given, response);
        if (request.method === 'POST') return sendUnary(response, await receive(link, id, user, given, request));
        throw new E2bError('unimplemented', 'GET or POST', 405);
      }
      default:
        return this.rpc(pathname, id, link, request, response);
    }
  }

  private async rpc(
    pathname: string,
    id: string,
    link: WorkerLink,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (request.method !== 'POST') throw new E2bError('not_found', 'no such place');
    const gone = closedSignal(response);
    const processes = new EnvdProcesses(link, id, gone);
    const [, service = '', method = ''] = pathname.split('/');
    if (service === 'process.Process' && (method === 'Start' || method === 'Connect')) {
      const limit = Number(header(request, 'connect-timeout-ms') ?? 0);
      return streamed(request, response, { event: { keepalive: {} } }, (message, stream) =>
        method === 'Connect'
          ? processes.connect(message, stream)
          : processes.start(message, userOf(request), limit > 0 ? limit : null, stream),
      );
    }
    if (service === 'filesystem.Filesystem' && method === 'WatchDir') {
      const files = new EnvdFiles(link, id, userOf(request));
      return streamed(request, response, { keepalive: {} }, (message, stream) => files.watch(message, stream, gone));
    }
    const user = userOf(request);
    const files = new EnvdFiles(link, id, user);
    const targets: Readonly<Record<Target, object>> = {
      processes,
      files,
      watchers: new EnvdWatchers(link, id, user, files),
    };
    const target = (Object.keys(UNARY) as Target[]).find((name) => UNARY[name].includes(`${service}/${method}`));
    if (target === undefined) {
      request.resume();
      throw new E2bError('unimplemented', `${service}/${method} is not implemented here`);
    }
    const call = (targets[target] as Record<string, Unary>)[method];
    sendUnary(response, await call.call(targets[target], await unaryMessage(request)));
  }
}

type Unary = (message: Message) => Promise<object>;
type Target = 'processes' | 'files' | 'watchers';
const of = (service: string, methods: readonly string[]): readonly string[] =>
  methods.map((method) => `${service}/${method}`);
const UNARY: Readonly<Record<Target, readonly string[]>> = {
  processes: of('process.Process', ['List', 'SendInput', 'CloseStdin', 'SendSignal', 'Update']),
  files: of('filesystem.Filesystem', ['Stat', 'MakeDir', 'Move', 'Remove', 'ListDir']),
  watchers: of('filesystem.Filesystem', ['CreateWatcher', 'GetWatcherEvents', 'RemoveWatcher']),
};

/** The code interpreter of a sandbox, at a port of its own. */
export interface Interpreter {
  serve(tenant: string, id: string, path: string, request: IncomingMessage, response: ServerResponse): Promise<void>;
}

/** A call that is answered with a stream: errors before its first message travel in its end, too. */
async function streamed(
  request: IncomingMessage,
  response: ServerResponse,
  keepalive: object,
  work: (message: Message, stream: () => ConnectStream) => Promise<void>,
): Promise<void> {
  const seconds = Number(header(request, 'keepalive-ping-interval') ?? KEEPALIVE_SECONDS);
  let stream: ConnectStream | null = null;
  const open = (): ConnectStream => {
    stream ??= new ConnectStream(response, keepalive, seconds > 0 ? seconds : KEEPALIVE_SECONDS);
    return stream;
  };
  try {
    await work(await streamMessage(request), open);
  } catch (error) {
    open().end(error);
  }
}

async function metrics(link: WorkerLink, id: string): Promise<object> {
  const { reply } = await link.ask<{ usage: SandboxUsageDto }>(id, { op: 'usage' });
  const { cpuMs, wallMs, memoryBytes, memoryPeakBytes } = reply.usage;
  return {
    ts: Math.floor(Date.now() / 1000),
    cpu_count: 1,
    cpu_used_pct: wallMs === 0 ? 0 : Math.min(100, (100 * cpuMs) / wallMs),
    mem_total: memoryPeakBytes,
    mem_used: memoryBytes,
    disk_used: 0,
    disk_total: 0,
  };
}
