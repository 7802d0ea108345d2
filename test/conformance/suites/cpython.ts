import { readdirSync } from 'node:fs';
import type { Case, Outcome, Suite, Verdict } from '../case.ts';

const PYTHON = 'python3.11';
const TESTS = '/usr/lib/python3.11/test';

/** CPython's own tests, one module a case, without network and GUI. */
export const cpython: Suite = {
  name: 'cpython',
  cases() {
    return readdirSync(TESTS)
      .filter((name) => /^test_\w+(\.py)?$/.test(name))
      .map((name) => name.replace(/\.py$/, ''))
      .sort()
      .map(caseOf);
  },
};

function caseOf(module: string): Case {
  return {
    name: module,
    argv: [PYTHON, '-m', 'test', '-w', '-u', 'none', module],
    timeoutMs: 60_000,
    verdicts: (outcome) => new Map([[module, verdictOf(outcome)]]),
  };
}

function verdictOf({ exitCode, output }: Outcome): Verdict {
  if (/^1 test skipped|^Result: SKIPPED|resource denied/m.test(output) && exitCode !== 2) return 'skip';
  return exitCode === 0 ? 'pass' : 'fail';
}
