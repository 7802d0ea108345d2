import type { IncomingMessage } from 'node:http';
import type { Scope } from '@cordon/contracts';
import type { Principal, RateDecision } from '@cordon/queue';
import { type CanActivate, type ExecutionContext, Injectable, SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { KeysService } from '../keys/keys.service.js';
import { ProblemException } from './problem.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; set by `authenticate` before the body is read. */
    principal: Principal;
    /** Whose things this request may see; short for principal.tenant. */
    tenant: string;
  }
}

const SCOPES = 'cordon:scopes';

/** The scopes that open a controller or a handler: a key needs one of them, or `admin`. Without this, any key will do. */
export const Scopes = (...scopes: readonly Scope[]): ClassDecorator & MethodDecorator => SetMetadata(SCOPES, scopes);

/** Carries a key beside an Authorization header that is for somebody else. */
export const CORDON_KEY = 'cordon-key';

/** The key of a request, of its Authorization header as a rule; null when there is none. */
export function bearerOf(request: Pick<FastifyRequest | IncomingMessage, 'headers'>): string | null {
  const key = request.headers[CORDON_KEY];
  if (typeof key === 'string') return key;
  return /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? null;
}

/**
 * Names the principal behind `key`, counts the request against its rate limit and writes the RateLimit headers. Throws
 * ProblemException: 401 for no key or none of ours, 429 over the limit. Compatibility endpoints call it with the key from where
 * their peers carry it.
 */
export async function authenticate(
  request: FastifyRequest,
  reply: FastifyReply,
  keys: KeysService,
  key: string | null,
): Promise<void> {
  const principal = key === null ? null : await keys.principalOf(key);
  if (principal === null) throw new ProblemException('unauthorized', 'send "Authorization: Bearer <key>"');
  request.principal = principal;
  request.tenant = principal.tenant;
  const rate = await keys.count(principal);
  if (rate === null) return;
  reply.headers(rateHeaders(rate));
  if (!rate.allowed) throw new ProblemException('rate-limited', undefined, undefined, rate.retrySeconds);
}

/** draft-ietf-httpapi-ratelimit-headers: the policy as a structured field, and the three plain fields that clients know. */
function rateHeaders({ limit, remaining, resetSeconds, windowSeconds }: RateDecision): Record<string, string> {
  return {
    'ratelimit-policy': `"requests";q=${limit};w=${windowSeconds}`,
    'ratelimit-limit': String(limit),
    'ratelimit-remaining': String(remaining),
    'ratelimit-reset': String(resetSeconds),
  };
}

/** Throws ProblemException (403) when the principal has none of `scopes`. */
export function requireScope(principal: Principal, scopes: readonly Scope[]): void {
  if (scopes.length === 0 || principal.scopes.includes('admin')) return;
  if (scopes.some((scope) => principal.scopes.includes(scope))) return;
  throw new ProblemException('forbidden', `this needs a key with the scope ${scopes.join(' or ')}`);
}

/** On every controller behind a key, with `@Scopes`. Whoever a hook has authenticated already is not asked again. */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    private readonly keys: KeysService,
    private readonly reflector: Reflector,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    if (!request.principal) await authenticate(request, http.getResponse<FastifyReply>(), this.keys, bearerOf(request));
    const scopes = this.reflector.getAllAndOverride<Scope[] | undefined>(SCOPES, [
      context.getHandler(),
      context.getClass(),
    ]);
    requireScope(request.principal, scopes ?? []);
    return true;
  }
}
