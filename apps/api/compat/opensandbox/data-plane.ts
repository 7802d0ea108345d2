import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ContextsService } from '../../contexts/contexts.service.js';
import { refuseWith, type WebSocketRoutes } from '../../http/upgrades.js';
import { type Forward, forwardRequest, forwardUpgrade } from '../../sandboxes/port-proxy.js';
import { egress } from './egress.js';
import { Execd } from './execd.js';
import { API_KEY } from './opensandbox.auth.js';
import { noSandbox, OpenSandboxError, toOpenSandboxError } from './opensandbox.errors.js';
import { OpenSandboxService } from './opensandbox.service.js';
import { type OpenSandboxRecord, sameToken } from './opensandbox.store.js';
import { sendError } from './wire.js';

export const TOKEN_HEADER = 'X-EXECD-ACCESS-TOKEN';
const TOKEN = TOKEN_HEADER.toLowerCase();
const PLACE = /^(\/compat\/opensandbox\/sandboxes\/([^/?]+)\/ports\/([1-9]\d{0,4}))(\/[^?]*)?(\?.*)?$/;
const PTY = /^\/pty\/([^/?]+)\/ws(?:\?|$)/;
const EXECD_PORT = 44_772;
const EGRESS_PORT = 18_080;
/** They are for us, not for servers of the guest. */
const OWN_HEADERS = new Set([TOKEN, API_KEY]);

/** What an endpoint's address has behind the host. */
export const portPrefix = (id: string, port: number): string => `/compat/opensandbox/sandboxes/${id}/ports/${port}`;

/** Where in which sandbox a request belongs. */
interface Place {
  readonly id: string;
  readonly port: number;
  /** Path and query, as the sandbox would see them. */
  readonly path: string;
  readonly prefix: string;
}

function placeOf(url: string): Place | null {
  const match = PLACE.exec(url);
  if (match === null) return null;
  const [, prefix, id, port, path = '/', query = ''] = match;
  return { id, port: Number(port), path: path + query, prefix };
}

/** What is spoken with a sandbox itself: execd (commands, files, code), and the servers that listen in it. */
export class OpenSandboxDataPlane {
  private readonly opensandbox: OpenSandboxService;
  private readonly execd: Execd;

  constructor(
    app: NestFastifyApplication,
    private readonly routes: WebSocketRoutes,
  ) {
    this.opensandbox = app.get(OpenSandboxService);
    this.execd = new Execd(this.opensandbox, app.get(ContextsService));
    routes.addOpen(
      (request) => placeOf(request.url ?? '/'),
      (place, request, socket, head) =>
        this.upgrade(place, request, socket, head).catch((error: unknown) => {
          const { status, code, message } = toOpenSandboxError(error);
          refuseWith(socket, status, { code, message });
        }),
    );
  }

  /** Takes a request that is for a sandbox, before its body is read. */
  handle(request: FastifyRequest, reply: FastifyReply): boolean {
    const place = placeOf(request.raw.url ?? '/');
    if (place === null) return false;
    reply.hijack();
    this.serve(place, request.raw, reply.raw).catch((error: unknown) => sendError(request.raw, reply.raw, error));
    return true;
  }

  private async upgrade(place: Place, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { tenant } = await this.permit(place, request);
    const { id, port, path } = place;
    const session = PTY.exec(path)?.[1];
    if (port !== EXECD_PORT) return forwardUpgrade(request, socket, head, this.forward(tenant, place));
    if (session === undefined) throw new OpenSandboxError(404, 'NOT_FOUND', `${path}: no such place`);
    const gone = new AbortController();
    socket.on('close', () => gone.abort());
    const { searchParams: query } = new URL(path, 'http://sandbox');
    const { serve, taken } = await this.opensandbox.sandboxes.with(tenant, id, (link) =>
      this.execd.pty.accept({ link, id, session, query, gone: gone.signal }),
    );
    // Another one may have come meanwhile.
    taken();
    this.routes.serve(request, socket, head, serve);
  }

  private async serve(place: Place, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { tenant } = await this.permit(place, request);
    const { id, port, path } = place;
    if (port === EXECD_PORT) return this.execd.serve(tenant, id, path, request, response);
    if (port === EGRESS_PORT) return egress(path, request, response);
    await forwardRequest(request, response, this.forward(tenant, place));
  }

  private forward(tenant: string, { id, port, path, prefix }: Place): Forward {
    return { dial: () => this.opensandbox.sandboxes.dial(tenant, id, port), port, path, prefix, drop: OWN_HEADERS };
  }

  /** By the token that the lifecycle API gave with the endpoint. */
  private async permit({ id }: Place, request: IncomingMessage): Promise<OpenSandboxRecord> {
    const record = await this.opensandbox.store.get(id);
    if (record === null) throw noSandbox(id);
    const given = request.headers[TOKEN];
    if (typeof given === 'string' && sameToken(given, record.accessToken)) return record;
    throw new OpenSandboxError(401, 'UNAUTHORIZED', `send the headers of the endpoint: ${TOKEN_HEADER}`);
  }
}
