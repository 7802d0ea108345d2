import {
  CreateSubmissionDto,
  type ExecutionJob,
  type JudgeJob,
  type LimitsDto,
  type Priority,
  type ProblemError,
  type ProblemSettings,
  type RuntimeDto,
} from '@cordon/contracts';
import { limitsOf, validateExecution } from '../executions/validate.js';
import { ProblemException } from '../http/problem.js';
import { validateDto } from '../http/validate-dto.js';
import { checkerOf, interactorOf } from '../problems/programs.js';
import type { Destinations } from '../webhooks/destination.js';

/** The stored problem that a submission names, and which version of it is meant. */
export interface NamedProblem {
  readonly id: string;
  readonly version: number;
  readonly settings: ProblemSettings;
}

/** What a submission is part of. */
export interface SubmissionContext {
  /** Null: it names none, or one that is not there. */
  readonly problem: NamedProblem | null;
  readonly batch: string | null;
}

/** What a problem says is not for a submission to say. */
const OF_THE_PROBLEM = ['tests', 'checker', 'interactor'] as const;

function testsOf(dto: CreateSubmissionDto, errors: ProblemError[]): JudgeJob['tests'] {
  if (dto.problem !== undefined) {
    for (const field of OF_THE_PROBLEM) {
      if (dto[field] !== undefined) errors.push({ pointer: `/${field}`, detail: 'not together with "problem"' });
    }
    return [];
  }
  if (dto.version !== undefined) errors.push({ pointer: '/version', detail: 'only together with "problem"' });
  if (dto.tests === undefined) errors.push({ pointer: '/tests', detail: 'give "tests", or a stored "problem"' });
  const answerless = dto.interactor !== undefined || dto.checker?.kind === 'custom';
  return (dto.tests ?? []).map(({ input = '', expected, points = 1, group = null }, index) => {
    if (expected === undefined && !answerless)
      errors.push({
        pointer: `/tests/${index}/expected`,
        detail: 'only an interactor or a custom checker does without',
      });
    return { input, expected: expected ?? '', points, group };
  });
}

/** The problem's limits, where the submission has none of its own. */
export const over = (problem: LimitsDto | undefined, own: LimitsDto | undefined): LimitsDto => ({
  ...problem,
  ...given(own),
});

/** What is said: a DTO has all of its fields. */
const given = (limits: LimitsDto | undefined): LimitsDto =>
  Object.fromEntries(Object.entries(limits ?? {}).filter(([, value]) => value !== undefined));

/** A validated job. Throws ProblemException with every wrong field. */
export function validateSubmission(
  body: unknown,
  id: string,
  runtimes: readonly RuntimeDto[],
  destinations: Destinations,
  { problem, batch }: SubmissionContext = { problem: null, batch: null },
): { job: ExecutionJob; labels: Record<string, string>; priority: Priority; webhook: string | null } {
  const dto = validateDto(CreateSubmissionDto, body);
  const errors: ProblemError[] = [];
  const tests = testsOf(dto, errors);
  if (dto.problem !== undefined && problem === null)
    errors.push({ pointer: '/problem', detail: 'no such problem, or no such version' });
  if (problem?.version === 0) errors.push({ pointer: '/problem', detail: 'it has no tests yet' });
  const settings = problem?.settings;
  // A problem's own programs stay with it: they may be long, and its submissions many.
  const checker = settings ? null : checkerOf(dto.checker, runtimes, errors);
  const interactor = settings ? null : interactorOf(dto.interactor, dto.checker, runtimes, errors);
  if (errors.length > 0) throw new ProblemException('invalid-request', undefined, errors);
  const { runtime, source, files, labels, priority } = dto;
  const limits = over(settings?.limits, dto.limits);
  // The program is what an execution's is, and its errors have the same pointers.
  const program = Object.fromEntries(
    Object.entries({ runtime, source, files, limits, labels, priority }).filter(([, value]) => value !== undefined),
  );
  const execution = validateExecution(program, id, runtimes, destinations);
  const judge: JudgeJob = {
    tests,
    checker,
    ...(interactor ? { interactor } : {}),
    compileLimits: limitsOf(over(settings?.compileLimits, dto.compileLimits)),
    stopAtFirstFailure: dto.stopAtFirstFailure ?? false,
    parallel: dto.parallel ?? 1,
    ...(settings ? { own: { limits: given(dto.limits), compileLimits: given(dto.compileLimits) } } : {}),
    origin: { problem: problem?.id ?? null, version: problem?.version ?? null, batch, rejudgeOf: null },
  };
  return { ...execution, job: { ...execution.job, auditLevel: dto.audit?.level ?? 'off', judge } };
}
