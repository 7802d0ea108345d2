import type { FastifyReply, FastifyRequest } from 'fastify';
import { authenticate, bearerOf } from '../../http/auth.guard.js';
import { ProblemException } from '../../http/problem.js';
import type { KeysService } from '../../keys/keys.service.js';

/** The lifecycle API; beside it `/compat/opensandbox/sandboxes` is spoken with a sandbox itself. */
export const OPENSANDBOX_PATH = 'compat/opensandbox/v1';
export const API_KEY = 'open-sandbox-api-key';

export const isOpenSandbox = (url: string): boolean => url.startsWith(`/${OPENSANDBOX_PATH}/`);

/** Before the body is read. The key is in OPEN-SANDBOX-API-KEY. */
export async function authenticateOpenSandbox(
  request: FastifyRequest,
  reply: FastifyReply,
  keys: KeysService,
): Promise<FastifyReply | undefined> {
  const given = request.headers[API_KEY];
  const key = typeof given === 'string' ? given : bearerOf(request);
  try {
    await authenticate(request, reply, keys, key);
  } catch (error) {
    if (!(error instanceof ProblemException)) throw error;
    const { status, title } = error.problem;
    if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter));
    if (status !== 401) return reply.status(status).send({ code: 'TOO_MANY_REQUESTS', message: title });
    const code = key === null ? 'MISSING_API_KEY' : 'INVALID_API_KEY';
    return reply.status(status).send({ code, message: 'Send a key as OPEN-SANDBOX-API-KEY' });
  }
}
