import type { CaseScore } from './score.ts';

/** One line as a case ends, for whoever watches. */
export function printCase(score: CaseScore): void {
  const { native, guest } = score.seconds;
  const times = `${native.toFixed(1)} s, ${guest.toFixed(1)} s`;
  console.log(`${score.suite}/${score.name}: ${summary(score)} (${times})`);
  if (score.newFailures.length > 0) console.log(score.explanation.replace(/^/gm, '    '));
}

function summary(score: CaseScore): string {
  if (score.baseline.length === 0) return 'skipped: does not pass natively';
  const counts = `${score.passed.length}/${score.baseline.length}`;
  if (score.newFailures.length > 0) return `${counts}, NEW FAILURE ${score.newFailures.join(', ')}`;
  if (score.fixed.length > 0) return `${counts}, fixed ${score.fixed.join(', ')}`;
  return score.knownFailures.length > 0 ? `${counts}, known ${score.knownFailures.join(', ')}` : counts;
}

/** The table of all suites, and what the reader must act on. */
export function printReport(scores: readonly CaseScore[]): void {
  const rows = [['suite', 'native passes', 'ours', 'ratio', 'new failures', 'fixed', 'skipped natively']];
  for (const suite of new Set(scores.map((score) => score.suite))) {
    const own = scores.filter((score) => score.suite === suite);
    const count = (list: (score: CaseScore) => readonly string[]): number => own.flatMap(list).length;
    const baseline = count((score) => score.baseline);
    const passed = count((score) => score.passed);
    rows.push([
      suite,
      String(baseline),
      String(passed),
      baseline > 0 ? `${((100 * passed) / baseline).toFixed(1)} %` : '-',
      String(count((score) => score.newFailures)),
      String(count((score) => score.fixed)),
      String(count((score) => score.skipped)),
    ]);
  }
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) console.log(row.map((cell, column) => cell.padEnd(widths[column])).join('  '));
  printList('not in the baseline (natively failed or skipped)', scores, (score) => score.skipped);
  printList('known failures', scores, (score) => score.knownFailures);
  printList('stale in known-failures.json, remove', scores, (score) => score.fixed);
  printList('NEW FAILURES', scores, (score) => score.newFailures);
}

function printList(title: string, scores: readonly CaseScore[], list: (score: CaseScore) => readonly string[]): void {
  const names = scores.flatMap((score) => list(score).map((name) => `${score.suite}/${name}`));
  if (names.length > 0) console.log(`\n${title}: ${names.length}\n  ${names.join(' ')}`);
}

/** True when nothing failed that was not known, and nothing known passes. */
export const succeeded = (scores: readonly CaseScore[]): boolean =>
  scores.every((score) => score.newFailures.length === 0 && score.fixed.length === 0);
