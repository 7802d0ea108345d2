import {
  type CheckerDto,
  CreateSubmissionDto,
  type ExecutionJob,
  type JudgeJob,
  type Priority,
  type ProblemError,
  type RuntimeDto,
} from '@cordon/contracts';
import { limitsOf, validateExecution } from '../executions/validate.js';
import { ProblemException } from '../http/problem.js';
import { validateDto } from '../http/validate-dto.js';
import type { Destinations } from '../webhooks/destination.js';

const TOLERANCE = 1e-6;

function checkChecker(
  checker: CheckerDto | undefined,
  runtimes: readonly RuntimeDto[],
  errors: ProblemError[],
): JudgeJob['checker'] {
  const kind = checker?.kind ?? 'tokens';
  const { absolute = TOLERANCE, relative = TOLERANCE } = checker ?? {};
  if (checker && kind !== 'float') {
    for (const field of ['absolute', 'relative'] as const) {
      if (checker[field] !== undefined) errors.push({ pointer: `/checker/${field}`, detail: 'only for float' });
    }
  }
  if (kind !== 'custom') {
    for (const field of ['runtime', 'source'] as const) {
      if (checker?.[field] !== undefined) errors.push({ pointer: `/checker/${field}`, detail: 'only for custom' });
    }
    return { kind, absolute, relative, runtime: null, source: null };
  }
  for (const field of ['runtime', 'source'] as const) {
    if (checker?.[field] === undefined)
      errors.push({ pointer: `/checker/${field}`, detail: 'a custom checker needs it' });
  }
  const wanted = (checker?.runtime ?? '').toLowerCase();
  const runtime = runtimes.find(({ id, aliases }) => id === wanted || aliases.includes(wanted));
  if (checker?.runtime !== undefined && !runtime) {
    throw new ProblemException('unknown-runtime', undefined, [
      { pointer: '/checker/runtime', detail: `no runtime "${checker.runtime}"` },
    ]);
  }
  return { kind, absolute, relative, runtime: runtime?.id ?? null, source: checker?.source ?? null };
}

/** A validated job. Throws ProblemException with every wrong field. */
export function validateSubmission(
  body: unknown,
  id: string,
  runtimes: readonly RuntimeDto[],
  destinations: Destinations,
): { job: ExecutionJob; labels: Record<string, string>; priority: Priority; webhook: string | null } {
  const dto = validateDto(CreateSubmissionDto, body);
  const { runtime, source, files, limits, labels, priority } = dto;
  // The program is what an execution's is, and its errors have the same pointers.
  const program = Object.fromEntries(
    Object.entries({ runtime, source, files, limits, labels, priority }).filter(([, value]) => value !== undefined),
  );
  const execution = validateExecution(program, id, runtimes, destinations);
  const errors: ProblemError[] = [];
  const judge: JudgeJob = {
    tests: dto.tests.map(({ input = '', expected, points = 1, group = null }) => ({ input, expected, points, group })),
    checker: checkChecker(dto.checker, runtimes, errors),
    compileLimits: limitsOf(dto.compileLimits),
    stopAtFirstFailure: dto.stopAtFirstFailure ?? false,
    parallel: dto.parallel ?? 1,
  };
  if (errors.length > 0) throw new ProblemException('invalid-request', undefined, errors);
  return { ...execution, job: { ...execution.job, auditLevel: 'off', judge } };
}
