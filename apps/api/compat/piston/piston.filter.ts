import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { ProblemException, toProblem } from '../../http/problem.js';
import { PistonRefusal } from './request.js';

/** Errors in Piston's shape: `{message}`. What its clients would not understand keeps its status and headers. */
@Catch()
export class PistonFilter implements ExceptionFilter {
  catch(error: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    if (error instanceof PistonRefusal) return void reply.status(400).send({ message: error.message });
    const { status, title, detail } = toProblem(error);
    if (error instanceof ProblemException && error.retryAfter !== undefined) {
      reply.header('retry-after', String(error.retryAfter));
    }
    reply.status(status).send({ message: status === 404 ? 'Not Found' : (detail ?? title) });
  }
}
