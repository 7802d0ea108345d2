import { type Problem, type ProblemError, type ProblemType, problem } from '@cordon/contracts';
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { rejects } from './rejects.js';

/** Thrown anywhere in the API; becomes an RFC 9457 document. */
export class ProblemException extends Error {
  override readonly name = 'ProblemException';
  readonly problem: Problem;

  /** retryAfter: seconds, becomes the Retry-After header. */
  constructor(
    type: ProblemType,
    detail?: string,
    errors?: readonly ProblemError[],
    readonly retryAfter?: number,
  ) {
    super(detail ?? type);
    this.problem = problem(type, detail, errors);
  }
}

/** What other services' endpoints refuse in their own words: their filters say it, here it is counted and perhaps logged. */
export abstract class PeerRefusal extends Error {
  /** Of the answer. */
  abstract readonly status: number;
}

/** What Fastify itself refuses, by its error code. */
const FASTIFY_PROBLEMS: Readonly<Record<string, ProblemType>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload-too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported-media-type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'malformed-json',
  FST_ERR_CTP_INVALID_JSON_BODY: 'malformed-json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'malformed-json',
  FST_ERR_BAD_URL: 'not-found',
};

const PROBLEM_PREFIX = 'urn:cordon:problem:';

/** When the store is away, or every worker is full, nobody knows for how long. */
export const RETRY_SECONDS = 5;

/** Refusals of the service that are told to the client alone: its own server that does not listen; more than the queue takes. */
const NOT_LOGGED: ReadonlySet<string> = new Set([`${PROBLEM_PREFIX}port-unreachable`, `${PROBLEM_PREFIX}queue-full`]);

const BY_STATUS: Readonly<Record<number, ProblemType>> = {
  400: 'malformed-json',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not-found',
  405: 'method-not-allowed',
  413: 'payload-too-large',
  415: 'unsupported-media-type',
  422: 'invalid-request',
};

export function toProblem(error: unknown): Problem {
  if (error instanceof ProblemException) return error.problem;
  if (error instanceof PeerRefusal) return { ...problem('internal', error.message), status: error.status };
  const { code, name } = error as { code?: string; name?: string };
  if (name === 'MaxRetriesPerRequestError') return problem('unavailable', 'the store does not answer');
  if (code && code in FASTIFY_PROBLEMS) return problem(FASTIFY_PROBLEMS[code], (error as Error).message);
  if (error instanceof HttpException) return problem(BY_STATUS[error.getStatus()] ?? 'internal', error.message);
  return problem('internal');
}

@Catch()
export class ProblemFilter implements ExceptionFilter {
  /** `peers`: places of other services, and who speaks as they do of what fails before their controllers are reached. */
  constructor(
    private readonly log: Logger,
    private readonly peers: readonly (readonly [is: (url: string) => boolean, filter: ExceptionFilter])[] = [],
  ) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    // The client left in the middle of its request: nobody failed, and nobody is there to be told.
    if (reply.raw.destroyed && !request.raw.complete) return;
    const body = toProblem(error);
    rejects.inc({ type: error instanceof PeerRefusal ? 'compat' : body.type.slice(PROBLEM_PREFIX.length) });
    this.tell(error, body, request.url);
    if (reply.raw.headersSent) {
      // Half an answer must not look like a whole one.
      if (!reply.raw.writableEnded) reply.raw.destroy();
      return;
    }
    const peer = this.peers.find(([is]) => is(request.url));
    if (peer) return void peer[1].catch(error, host);
    const retryAfter = error instanceof ProblemException ? error.retryAfter : undefined;
    if (retryAfter !== undefined || body.status === 503)
      reply.header('retry-after', String(retryAfter ?? RETRY_SECONDS));
    if (body.status === 401) reply.header('www-authenticate', 'Bearer');
    reply.status(body.status).type('application/problem+json').send(body);
  }

  /** What operators have to hear. Workers that are full or away were foreseen: a warning, and nobody's stack. */
  private tell(error: unknown, { status, type, detail }: Problem, url: string): void {
    if (status < 500 || NOT_LOGGED.has(type)) return;
    const foreseen = error instanceof ProblemException || error instanceof PeerRefusal;
    // What a peer has and we have not.
    if (status === 501 && foreseen) return;
    if (status === 503 && foreseen) this.log.warn({ type, url }, detail ?? 'not available');
    else this.log.error({ err: error, url }, 'request failed');
  }
}
