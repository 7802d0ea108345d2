import { PROBLEMS, Problem, type ProblemType } from '@cordon/contracts';
import { applyDecorators } from '@nestjs/common';
import { ApiExtraModels, ApiResponse, getSchemaPath } from '@nestjs/swagger';

/** What every endpoint behind a key may answer. */
const ALWAYS: readonly ProblemType[] = ['unauthorized', 'forbidden', 'rate-limited', 'unavailable', 'internal'];

/** Documents the problem documents that an endpoint answers, beside those that all do. */
export function ApiProblems(...types: readonly ProblemType[]): MethodDecorator {
  const byStatus = new Map<number, string[]>();
  for (const type of new Set([...types, ...ALWAYS])) {
    const { status, title } = PROBLEMS[type];
    byStatus.set(status, [...(byStatus.get(status) ?? []), `\`${type}\`: ${title}`]);
  }
  const content = { 'application/problem+json': { schema: { $ref: getSchemaPath(Problem) } } };
  const responses = [...byStatus].map(([status, lines]) =>
    ApiResponse({ status, description: lines.join('; '), content, headers: headersOf(status) }),
  );
  return applyDecorators(ApiExtraModels(Problem), ...responses);
}

function headersOf(status: number): Record<string, { description: string; schema: { type: 'integer' } }> | undefined {
  if (status !== 429 && status !== 503) return undefined;
  return { 'Retry-After': { description: 'Seconds to wait', schema: { type: 'integer' } } };
}
