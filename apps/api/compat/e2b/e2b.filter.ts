import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { ProblemException, toProblem } from '../../http/problem.js';
import { E2bError } from './e2b.errors.js';

/** Errors of the control plane: `{code, message}`, code the HTTP status. */
@Catch()
export class E2bFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const { status, title, detail, errors } = toProblem(error);
    const known = error instanceof E2bError ? error.status : status === 410 ? 404 : status === 422 ? 400 : status;
    if (error instanceof ProblemException && error.retryAfter !== undefined)
      reply.header('retry-after', String(error.retryAfter));
    const fields = (errors ?? []).map(({ pointer, detail: what }) => `${pointer} ${what}`).join('; ');
    const message = error instanceof E2bError ? error.message : (detail ?? (fields || title));
    reply.status(known).send({ code: known, message });
  }
}
