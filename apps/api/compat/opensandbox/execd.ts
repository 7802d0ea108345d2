import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SandboxUsageDto } from '@cordon/contracts';
import type { ContextsService } from '../../contexts/contexts.service.js';
import type { WorkerLink } from '../../sandboxes/worker-link.js';
import { ExecdCode } from './execd-code.js';
import { ExecdCommands } from './execd-commands.js';
import { ExecdFiles } from './execd-files.js';
import { ExecdPty } from './execd-pty.js';
import { ExecdSessions } from './execd-sessions.js';
import { download, receive } from './execd-transfer.js';
import { OpenSandboxError, unavailable } from './opensandbox.errors.js';
import type { OpenSandboxService } from './opensandbox.service.js';
import { jsonBody, sendJson } from './wire.js';

const MIB = 2 ** 20;
/** Parts of execd that are not there. */
const ABSENT = /^\/(metrics\/watch|v1\/isolated)(\/|$)/;

interface Call {
  readonly link: WorkerLink;
  readonly id: string;
  readonly tenant: string;
  readonly query: URLSearchParams;
  /** What a `*` of the route stands for. */
  readonly part: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}
type Handler = (call: Call) => Promise<unknown>;

/** OpenSandbox's program inside a sandbox, as its clients see it: commands, files, code. */
export class Execd {
  private readonly routes: ReadonlyMap<string, Handler>;
  readonly pty: ExecdPty;

  constructor(
    private readonly opensandbox: OpenSandboxService,
    contexts: ContextsService,
  ) {
    const { store } = opensandbox;
    const pty = new ExecdPty(store);
    this.pty = pty;
    const commands = ({ link, id }: Call): ExecdCommands => new ExecdCommands(link, id, store);
    const files = ({ link, id }: Call): ExecdFiles => new ExecdFiles(link, id);
    const code = ({ tenant, id }: Call): ExecdCode => new ExecdCode(contexts, store, tenant, id);
    const sessions = ({ tenant, id, link }: Call): ExecdSessions =>
      new ExecdSessions(contexts, store, link, tenant, id);
    // What a handler returns is the answer; one that answers by itself returns nothing.
    const routes: Record<string, Handler> = {
      'GET /ping': async ({ link, id }) => {
        await link.ask(id, { op: 'usage' });
        return {};
      },
      'GET /metrics': ({ link, id }) => metrics(link, id),
      'POST /command': async (call) => commands(call).run(await jsonBody(call.request), call.response),
      'DELETE /command': (call) => commands(call).interrupt(call.query.get('id')),
      'GET /command/status/*': (call) => commands(call).status(call.part),
      'GET /command/*/logs': (call) => commands(call).logs(call.part, call.query.get('cursor'), call.response),
      'POST /session': async (call) => sessions(call).create(await jsonBody(call.request)),
      'POST /session/*/run': async (call) => sessions(call).run(call.part, await jsonBody(call.request), call.response),
      'DELETE /session/*': (call) => sessions(call).delete(call.part),
      'POST /pty': async ({ id, request, response }) =>
        sendJson(response, await pty.create(id, await jsonBody(request)), 201),
      'GET /pty/*': ({ link, id, part }) => pty.status(link, id, part),
      'DELETE /pty/*': ({ link, id, part }) => pty.delete(link, id, part),
      'POST /code': async (call) => code(call).run(await jsonBody(call.request), call.response),
      'DELETE /code': (call) => code(call).interrupt(call.query.get('id')),
      'POST /code/context': async (call) => code(call).create(await jsonBody(call.request)),
      'GET /code/contexts': (call) => code(call).list(call.query.get('language')),
      'DELETE /code/contexts': (call) => code(call).deleteAll(call.query.get('language')),
      'GET /code/contexts/*': (call) => code(call).get(call.part),
      'DELETE /code/contexts/*': (call) => code(call).delete(call.part),
      'GET /files/info': (call) => files(call).info(call.query.getAll('path')),
      'DELETE /files': (call) => files(call).remove(call.query.getAll('path')),
      'POST /files/mv': async (call) => files(call).move(await jsonBody(call.request)),
      'POST /files/permissions': async (call) => files(call).permissions(await jsonBody(call.request)),
      'POST /files/replace': async (call) =>
        files(call).replace(await jsonBody(call.request), call.query.get('verbose') === 'true'),
      'GET /files/search': (call) => files(call).search(call.query.get('path'), call.query.get('pattern')),
      'GET /files/download': ({ link, id, query, request, response }) => download(link, id, query, request, response),
      'POST /files/upload': ({ link, id, request }) => receive(link, id, request),
      'GET /directories/list': (call) => files(call).list(call.query.get('path'), call.query.get('depth')),
      'POST /directories': async (call) => files(call).makeDirectories(await jsonBody(call.request)),
      'DELETE /directories': (call) => files(call).removeDirectories(call.query.getAll('path')),
    };
    this.routes = new Map(Object.entries(routes));
  }

  async serve(
    tenant: string,
    id: string,
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { pathname, searchParams: query } = new URL(path, 'http://sandbox');
    const found = this.find(request.method ?? 'GET', pathname);
    await this.opensandbox.sandboxes.with(tenant, id, async (link) => {
      const answer = await found.handler({ link, id, tenant, query, part: found.part, request, response });
      if (answer !== undefined) sendJson(response, answer);
    });
  }

  private find(method: string, pathname: string): { handler: Handler; part: string } {
    const exact = this.routes.get(`${method} ${pathname}`);
    if (exact) return { handler: exact, part: '' };
    const [, first, second = '', third = '', more] = pathname.split('/');
    if (third === '' && second !== '') {
      const last = this.routes.get(`${method} /${first}/*`);
      if (last) return { handler: last, part: second };
    }
    if (more === undefined && third !== '') {
      const last = this.routes.get(`${method} /${first}/${second}/*`);
      if (last) return { handler: last, part: third };
      const middle = this.routes.get(`${method} /${first}/*/${third}`);
      if (middle) return { handler: middle, part: second };
    }
    if (ABSENT.test(pathname)) throw unavailable(pathname.split('/').slice(0, 3).join('/'));
    throw new OpenSandboxError(404, 'NOT_FOUND', `${method} ${pathname}: no such place`);
  }
}

async function metrics(link: WorkerLink, id: string): Promise<object> {
  const { reply } = await link.ask<{ usage: SandboxUsageDto }>(id, { op: 'usage' });
  const { cpuMs, wallMs, memoryBytes, memoryPeakBytes } = reply.usage;
  return {
    cpu_count: 1,
    cpu_used_pct: wallMs === 0 ? 0 : Math.min(100, (100 * cpuMs) / wallMs),
    mem_total_mib: memoryPeakBytes / MIB,
    mem_used_mib: memoryBytes / MIB,
    timestamp: Date.now(),
  };
}
