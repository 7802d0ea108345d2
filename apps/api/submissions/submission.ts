import type { ExecutionDto, JudgeOutcome, SubmissionDto } from '@cordon/contracts';

/** What a record of the store holds when it is a submission's. */
export type JudgedExecution = ExecutionDto & { readonly judged?: JudgeOutcome };

/** A submission as clients see it, from its record. */
export function toSubmission(execution: JudgedExecution): SubmissionDto {
  const { id, state, runtime, detail, labels, createdAt, startedAt, finishedAt, judged } = execution;
  return {
    id,
    state,
    verdict: judged?.verdict ?? (state === 'error' ? 'IE' : null),
    score: judged?.score ?? 0,
    maxScore: judged?.maxScore ?? 0,
    compilation: judged?.compilation ?? null,
    tests: judged?.tests ?? [],
    runtime,
    detail,
    labels,
    createdAt,
    startedAt,
    finishedAt,
  };
}
