import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Case, Outcome, Suite, Verdict } from '../case.ts';

const PYTHON = 'python3.11';
const TESTS = '/usr/lib/python3.11/test';

/** A package of many modules that would take minutes as one. */
const ASYNCIO = 'test_asyncio';

const modulesIn = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => /^test_\w+(\.py)?$/.test(name))
    .map((name) => name.replace(/\.py$/, ''))
    .sort();

/** CPython's own tests, one module a case, without network and GUI. */
export const cpython: Suite = {
  name: 'cpython',
  cases() {
    return modulesIn(TESTS)
      .flatMap((name) => (name === ASYNCIO ? modulesIn(join(TESTS, name)).map((part) => `${name}.${part}`) : name))
      .map(caseOf);
  },
};

function caseOf(module: string): Case {
  return {
    name: module,
    argv: [PYTHON, '-m', 'test', '-w', '-u', 'none', module],
    timeoutMs: 200_000,
    verdicts: (outcome) => new Map([[module, verdictOf(outcome)]]),
  };
}

function verdictOf({ exitCode, output }: Outcome): Verdict {
  if (/^1 test skipped|^Result: SKIPPED|resource denied/m.test(output) && exitCode !== 2) return 'skip';
  return exitCode === 0 ? 'pass' : 'fail';
}
