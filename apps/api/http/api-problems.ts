import { PROBLEMS, type ProblemType } from '@cordon/contracts';
import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';

/** Documents the problems that an endpoint answers beside those that every endpoint does (see openapi.ts). */
export function ApiProblems(...types: readonly ProblemType[]): MethodDecorator {
  const byStatus = new Map<number, string[]>();
  for (const type of types) {
    const { status, title } = PROBLEMS[type];
    byStatus.set(status, [...(byStatus.get(status) ?? []), `\`${type}\`: ${title}`]);
  }
  const content = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
  const retry = { 'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer' as const } } };
  const responses = [...byStatus].map(([status, lines]) =>
    ApiResponse({
      status,
      description: lines.join('; '),
      content,
      ...(status === 429 || status === 503 ? { headers: retry } : {}),
    }),
  );
  return applyDecorators(...responses);
}

/** What an endpoint with a JSON body may answer before it is looked at. */
export const ApiBodyProblems = (...types: readonly ProblemType[]): MethodDecorator =>
  ApiProblems('malformed-json', 'payload-too-large', 'unsupported-media-type', 'invalid-request', ...types);
