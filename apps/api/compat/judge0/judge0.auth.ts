import type { FastifyReply, FastifyRequest } from 'fastify';
import { authenticate, bearerOf } from '../../http/auth.guard.js';
import { ProblemException } from '../../http/problem.js';
import type { KeysService } from '../../keys/keys.service.js';

export const JUDGE0_PATH = 'compat/judge0';
const ROOT = `/${JUDGE0_PATH}`;

export function isJudge0(url: string): boolean {
  return url === ROOT || url.startsWith(`${ROOT}/`) || url.startsWith(`${ROOT}?`);
}

/** Judge0 takes its paths with a slash at the end, too: so does whoever puts "/" behind the server's URL. */
export function withoutSlash(url: string): string {
  return isJudge0(url) ? url.replace(/^([^?]*[^/?])\/(?=\?|$)/, '$1') : url;
}

const first = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value : Array.isArray(value) ? first(value[0]) : null;

/** A token that Judge0's clients carry in a header, or in a parameter of the same name. */
export function tokenOf(request: FastifyRequest, name: string): string | null {
  const query = request.query as Record<string, unknown>;
  const inQuery = Object.entries(query ?? {}).find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1];
  return first(request.headers[name.toLowerCase()]) ?? first(inQuery);
}

/** Before the body is read. Clients of the hosted service send the key as X-RapidAPI-Key. Any page may call: CORS as Judge0's. */
export async function authenticateJudge0(
  request: FastifyRequest,
  reply: FastifyReply,
  keys: KeysService,
): Promise<FastifyReply | undefined> {
  reply.headers({ 'access-control-allow-origin': '*', 'access-control-expose-headers': '*' });
  if (request.method === 'OPTIONS') {
    return reply
      .headers({
        'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE, OPTIONS, HEAD',
        'access-control-allow-headers': String(request.headers['access-control-request-headers'] ?? '*'),
        'access-control-max-age': '7200',
      })
      .status(204)
      .send();
  }
  const key = tokenOf(request, 'X-Auth-Token') ?? tokenOf(request, 'X-RapidAPI-Key') ?? bearerOf(request);
  try {
    await authenticate(request, reply, keys, key);
  } catch (error) {
    if (!(error instanceof ProblemException)) throw error;
    if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter));
    const { status, title } = error.problem;
    return status === 401 ? reply.status(401).send() : reply.status(status).send({ error: title });
  }
}
