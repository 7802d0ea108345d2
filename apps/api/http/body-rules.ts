import type { ProblemError } from '@cordon/contracts';
import type { OpenAPIObject } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { ProblemException } from './problem.js';
import { documentedRoutes, routeOf } from './query-parameters.js';
import { escapePointer } from './validate-dto.js';

const TOLD_MOST = 100;

/** Which of our routes take a body, as their document says. What is in those that do is for their DTOs to tell. */
export class BodyRules {
  private readonly without = new Set<string>();
  private readonly optional = new Set<string>();

  constructor(document: OpenAPIObject) {
    for (const { route, operation } of documentedRoutes(document)) {
      const { requestBody } = operation;
      if (requestBody === undefined) this.without.add(route);
      else if (!('required' in requestBody && requestBody.required)) this.optional.add(route);
    }
  }

  /** Whether no bytes are as good as no body: many clients name a content type also where they send nothing. */
  mayBeEmpty(request: FastifyRequest): boolean {
    const route = routeOf(request);
    return this.without.has(route) || this.optional.has(route);
  }

  /** Throws ProblemException (422) for a body that says something where nothing is taken. An empty object says nothing. */
  check(request: FastifyRequest): void {
    const { body } = request;
    if (body === undefined || !this.without.has(routeOf(request))) return;
    const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
    const errors: ProblemError[] = isObject
      ? Object.keys(body).map((name) => ({ pointer: `/${escapePointer(name)}`, detail: 'no such field' }))
      : [{ pointer: '', detail: 'must be an object' }];
    if (errors.length > 0) throw new ProblemException('invalid-request', undefined, errors.slice(0, TOLD_MOST));
  }
}
