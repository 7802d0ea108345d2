import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { authenticate, bearerOf } from '../../http/auth.guard.js';
import { ProblemException } from '../../http/problem.js';
import type { KeysService } from '../../keys/keys.service.js';

/** Where Piston's endpoints are: beside those of other services, as on a server of one's own, as on the public one. */
export const PISTON_PATHS = ['compat/piston/api/v2', 'api/v2', 'api/v2/piston'];

export function isPiston(url: string): boolean {
  return url.startsWith('/compat/piston/') || url.startsWith('/api/v2/');
}

const KEY_IN_PATH = /^\/compat\/piston\/key\/([^/?]+)(\/api\/v2\/.*)$/;

/**
 * Piston's npm clients cannot send a header: for them the key may stand in the path of the server's URL. -> the path without it; the
 * request has the key where others have it.
 */
export function withoutKey(request: IncomingMessage): string {
  const url = request.url ?? '/';
  const match = KEY_IN_PATH.exec(url);
  if (match === null) return url;
  request.headers.authorization = decodeURIComponentSafely(match[1]);
  return `/compat/piston${match[2]}`;
}

function decodeURIComponentSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Piston's clients send the key as it is in Authorization; "Bearer" may stand before it. */
function keyOf(request: Pick<IncomingMessage, 'headers'>): string | null {
  return bearerOf(request) ?? request.headers.authorization?.trim() ?? null;
}

/** The key of a request to upgrade, which nobody has rewritten yet. */
export function keyOfUpgrade(request: IncomingMessage): string | null {
  withoutKey(request);
  return keyOf(request);
}

/** Before the body is read. */
export async function authenticatePiston(
  request: FastifyRequest,
  reply: FastifyReply,
  keys: KeysService,
): Promise<FastifyReply | undefined> {
  try {
    await authenticate(request, reply, keys, keyOf(request));
  } catch (error) {
    if (!(error instanceof ProblemException)) throw error;
    const { status, title } = error.problem;
    if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter));
    return reply.status(status).send({ message: status === 401 ? 'send "Authorization: <key>"' : title });
  }
}
