import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { ApiSettings } from '../settings.js';
import { ProblemException } from './problem.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose key this request carries; set by AuthGuard. */
    tenant: string;
  }
}

/** Whose key a request carries. Throws ProblemException (401) when it is none of ours. */
export function tenantOf(request: FastifyRequest, settings: ApiSettings): string {
  const match = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '');
  const tenant = match ? settings.tenantOf(match[1]) : null;
  if (tenant === null) throw new ProblemException('unauthorized', 'send "Authorization: Bearer <key>"');
  return tenant;
}

@Injectable()
export class AuthGuard implements CanActivate {
  constructor(private readonly settings: ApiSettings) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    request.tenant = tenantOf(request, this.settings);
    return true;
  }
}
