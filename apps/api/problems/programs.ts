import type {
  CheckerDto,
  InteractorDto,
  JudgeChecker,
  JudgeProgram,
  ProblemError,
  RuntimeDto,
} from '@cordon/contracts';
import { ProblemException } from '../http/problem.js';

const TOLERANCE = 1e-6;

/** The id of a runtime by its id or alias. Throws ProblemException (unknown-runtime). */
function runtimeOf(name: string, pointer: string, runtimes: readonly RuntimeDto[]): string {
  const wanted = name.toLowerCase();
  const runtime = runtimes.find(({ id, aliases }) => id === wanted || aliases.includes(wanted));
  if (!runtime) throw new ProblemException('unknown-runtime', undefined, [{ pointer, detail: `no runtime "${name}"` }]);
  return runtime.id;
}

/** How outputs are compared, with defaults filled in. */
export function checkerOf(
  checker: CheckerDto | undefined,
  runtimes: readonly RuntimeDto[],
  errors: ProblemError[],
): JudgeChecker {
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
  const runtime = checker?.runtime === undefined ? null : runtimeOf(checker.runtime, '/checker/runtime', runtimes);
  return { kind, absolute, relative, runtime, source: checker?.source ?? null };
}

/** The program that talks with the submitted one; null: there is none. */
export function interactorOf(
  interactor: InteractorDto | undefined,
  checker: CheckerDto | undefined,
  runtimes: readonly RuntimeDto[],
  errors: ProblemError[],
): JudgeProgram | null {
  if (!interactor) return null;
  if (checker) errors.push({ pointer: '/checker', detail: 'the interactor judges' });
  return { runtime: runtimeOf(interactor.runtime, '/interactor/runtime', runtimes), source: interactor.source };
}
