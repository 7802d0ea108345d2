import type {
  CheckerDto,
  FileDto,
  InteractorDto,
  JudgeChecker,
  JudgeFiles,
  JudgeProgram,
  ProblemError,
  RuntimeDto,
} from '@cordon/contracts';
import { checkFiles } from '../executions/validate.js';
import { ProblemException } from '../http/problem.js';

const TOLERANCE = 1e-6;

/** A runtime by its id or alias. Throws ProblemException (unknown-runtime). */
function runtimeOf(name: string, pointer: string, runtimes: readonly RuntimeDto[]): RuntimeDto {
  const wanted = name.toLowerCase();
  const runtime = runtimes.find(({ id, aliases }) => id === wanted || aliases.includes(wanted));
  if (!runtime) throw new ProblemException('unknown-runtime', undefined, [{ pointer, detail: `no runtime "${name}"` }]);
  return runtime;
}

function filesOf(
  files: readonly FileDto[] | undefined,
  place: string,
  runtime: RuntimeDto | null,
  errors: ProblemError[],
): JudgeFiles {
  if (files?.some(({ path }) => path === runtime?.fileName))
    errors.push({ pointer: `${place}/files`, detail: `"${runtime?.fileName}" is where "source" goes` });
  return checkFiles(files, place, errors);
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
    for (const field of ['runtime', 'source', 'files'] as const) {
      if (checker?.[field] !== undefined) errors.push({ pointer: `/checker/${field}`, detail: 'only for custom' });
    }
    return { kind, absolute, relative, runtime: null, source: null, files: [] };
  }
  for (const field of ['runtime', 'source'] as const) {
    if (checker?.[field] === undefined)
      errors.push({ pointer: `/checker/${field}`, detail: 'a custom checker needs it' });
  }
  const runtime = checker?.runtime === undefined ? null : runtimeOf(checker.runtime, '/checker/runtime', runtimes);
  const files = filesOf(checker?.files, '/checker', runtime, errors);
  return { kind, absolute, relative, runtime: runtime?.id ?? null, source: checker?.source ?? null, files };
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
  const runtime = runtimeOf(interactor.runtime, '/interactor/runtime', runtimes);
  const files = filesOf(interactor.files, '/interactor', runtime, errors);
  return { runtime: runtime.id, source: interactor.source, files };
}
