import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { toOpenSandboxError } from './opensandbox.errors.js';

/** Errors of the lifecycle API: `{code, message}`, code a word. */
@Catch()
export class OpenSandboxFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const { status, code, message, retryAfter } = toOpenSandboxError(error);
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter));
    reply.status(status).send({ code, message });
  }
}
