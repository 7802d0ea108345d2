import type { ExecutionDto, JudgeOrigin, JudgeOutcome, SubmissionDto } from '@cordon/contracts';

/** What a record of the store holds when it is a submission's. */
export type JudgedExecution = ExecutionDto & { readonly judged?: JudgeOutcome; readonly origin?: JudgeOrigin };

const NOWHERE: JudgeOrigin = { problem: null, version: null, batch: null, rejudgeOf: null };

/** A submission as clients see it, from its record. */
export function toSubmission(execution: JudgedExecution): SubmissionDto {
  const { id, state, runtime, detail, labels, createdAt, startedAt, finishedAt, judged, origin } = execution;
  const { problem, version, batch, rejudgeOf } = origin ?? NOWHERE;
  return {
    id,
    state,
    verdict: judged?.verdict ?? (state === 'error' ? 'IE' : null),
    score: judged?.score ?? 0,
    maxScore: judged?.maxScore ?? 0,
    compilation: judged?.compilation ?? null,
    tests: judged?.tests ?? [],
    runtime,
    problem,
    version,
    batch,
    rejudgeOf,
    detail,
    labels,
    createdAt,
    startedAt,
    finishedAt,
  };
}
