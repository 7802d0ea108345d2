import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { PeerRefusal, ProblemException, toProblem } from '../../http/problem.js';
import { Judge0Invalid } from './request.js';

/** An answer of Judge0's own: `{error}` and a status. */
export class Judge0Refusal extends PeerRefusal {
  constructor(
    readonly status: number,
    message: string,
    readonly more: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

/** Errors in Judge0's shapes. */
@Catch()
export class Judge0Filter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    if (error instanceof Judge0Invalid) return void reply.status(422).send(error.errors);
    if (error instanceof Judge0Refusal)
      return void reply.status(error.status).send({ error: error.message, ...error.more });
    const { status, title, detail } = toProblem(error);
    if (error instanceof ProblemException && error.retryAfter !== undefined)
      reply.header('retry-after', String(error.retryAfter));
    const full = error instanceof ProblemException && error.problem.type.endsWith(':queue-full');
    reply.status(status).send({ error: full ? 'queue is full' : (detail ?? title) });
  }
}
