import type { FastifyReply, FastifyRequest } from 'fastify';
import { authenticate, bearerOf } from '../../http/auth.guard.js';
import { ProblemException } from '../../http/problem.js';
import type { KeysService } from '../../keys/keys.service.js';

export const PISTON_PREFIX = '/api/v2/';

/** Before the body is read. Piston's clients send the key as it is in Authorization; "Bearer" may stand before it. */
export async function authenticatePiston(
  request: FastifyRequest,
  reply: FastifyReply,
  keys: KeysService,
): Promise<FastifyReply | undefined> {
  try {
    await authenticate(request, reply, keys, bearerOf(request) ?? request.headers.authorization?.trim() ?? null);
  } catch (error) {
    if (!(error instanceof ProblemException)) throw error;
    const { status, title } = error.problem;
    if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter));
    return reply.status(status).send({ message: status === 401 ? 'send "Authorization: <key>"' : title });
  }
}
