import type { FastifyReply, FastifyRequest } from 'fastify';
import { authenticate, bearerOf } from '../../http/auth.guard.js';
import { ProblemException } from '../../http/problem.js';
import type { KeysService } from '../../keys/keys.service.js';

/** Control plane; what is below DATA is spoken with a sandbox itself. */
export const E2B_PATH = 'compat/e2b';
const ROOT = `/${E2B_PATH}/`;

export const isE2b = (url: string): boolean => url.startsWith(ROOT);

/** Before the body is read. The key is in X-API-KEY. */
export async function authenticateE2b(
  request: FastifyRequest,
  reply: FastifyReply,
  keys: KeysService,
): Promise<FastifyReply | undefined> {
  const key = request.headers['x-api-key'];
  try {
    await authenticate(request, reply, keys, typeof key === 'string' ? key : bearerOf(request));
  } catch (error) {
    if (!(error instanceof ProblemException)) throw error;
    const { status, title } = error.problem;
    if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter));
    return reply.status(status).send({ code: status, message: status === 401 ? 'Invalid API key' : title });
  }
}
