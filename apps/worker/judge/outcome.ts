import type { TestResultDto, Verdict } from '@cordon/contracts';
import type { EndReport } from '@cordon/pool';

/** Of what a checker or an interactor says. */
const MESSAGE_SHOWN = 1000;

/** What a test's run ended with, before its output is looked at; null: look at its exit status. */
const VERDICT_OF: Readonly<Record<EndReport['reason'], Verdict | null>> = {
  exited: null,
  signaled: 'RE',
  timed_out: 'TLE',
  cpu_exceeded: 'TLE',
  memory_exceeded: 'MLE',
  output_exceeded: 'OLE',
  canceled: 'SK',
  error: 'IE',
};

/** What came of a test, and how the submission's program ended. */
export interface Outcome extends Pick<TestResultDto, 'verdict' | 'message'> {
  readonly difference?: TestResultDto['difference'];
  readonly report: EndReport;
}

/** AC: it ended as it should. */
export function verdictOf({ reason, exitCode }: EndReport): Verdict {
  return VERDICT_OF[reason] ?? (exitCode === 0 ? 'AC' : 'RE');
}

export function messageOf(words: Buffer): string | null {
  return words.toString('utf8').trim().slice(0, MESSAGE_SHOWN) || null;
}

export function toResult(index: number, { verdict, message, difference = null, report }: Outcome): TestResultDto {
  const { usage, exitCode, signal } = report;
  const { cpuMs, wallMs, memoryPeakBytes } = usage;
  return { index, verdict, cpuMs, wallMs, memoryPeakBytes, exitCode, signal, difference, message };
}

export const skipped = (index: number, message: string | null = null): TestResultDto => ({
  index,
  verdict: 'SK',
  cpuMs: 0,
  wallMs: 0,
  memoryPeakBytes: 0,
  exitCode: null,
  signal: null,
  difference: null,
  message,
});

/** Points of accepted tests; those of a group only when all of it is. */
export function score(
  tests: readonly { readonly points: number; readonly group: string | null }[],
  results: readonly Pick<TestResultDto, 'verdict'>[],
): number {
  const failed = new Set<string>();
  tests.forEach(({ group }, index) => {
    if (group !== null && results[index].verdict !== 'AC') failed.add(group);
  });
  return tests.reduce(
    (sum, { points, group }, index) =>
      results[index].verdict === 'AC' && (group === null || !failed.has(group)) ? sum + points : sum,
    0,
  );
}
