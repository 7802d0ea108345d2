// `npm run conformance`: foreign test suites, natively and in a Sentry in the same run. See README.md.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { hostImage } from '@cordon/images';
import { createPool, PLATFORM_NAMES } from '@cordon/pool';
import type { Case, Suite } from './case.ts';
import { runGuest } from './guest.ts';
import { type KnownFailures, readKnownFailures } from './known-failures.ts';
import { runNative } from './native.ts';
import { printCase, printReport, succeeded } from './report.ts';
import { type CaseScore, score } from './score.ts';
import { cpython } from './suites/cpython.ts';
import { go } from './suites/go.ts';
import { stressNg } from './suites/stress-ng.ts';

const SUITES: readonly Suite[] = [stressNg, cpython, go];

const { values: options } = parseArgs({
  options: {
    suite: { type: 'string', multiple: true },
    only: { type: 'string', multiple: true },
    platform: { type: 'string', default: 'auto' },
    json: { type: 'string' },
    resume: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '1' },
    list: { type: 'boolean', default: false },
  },
});

const suites = SUITES.filter((suite) => !options.suite || options.suite.includes(suite.name));
const only = options.only?.flatMap((names) => names.split(','));

/** Scores of an earlier run that `--resume` goes on with. */
function earlier(): CaseScore[] {
  if (!options.resume || !options.json || !existsSync(options.json)) return [];
  return JSON.parse(readFileSync(options.json, 'utf8')) as CaseScore[];
}

/** The user of both worlds: this one, or for root the first ordinary one. */
const ORDINARY_USER = 1000;
const uid = process.getuid?.() || ORDINARY_USER;

async function run(queue: { suite: Suite; testCase: Case }[], scores: CaseScore[]): Promise<void> {
  const known: KnownFailures = readKnownFailures();
  const jobs = Number(options.jobs);
  const platform = PLATFORM_NAMES.find((name) => name === options.platform) ?? 'auto';
  const pool = await createPool({ image: hostImage(), platform, spares: jobs, renewAfter: 100 });
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { suite, testCase } = next;
      const native = await runNative(testCase, uid);
      const passes = !native.timedOut && [...testCase.verdicts(native).values()].includes('pass');
      const guest = passes ? await runGuest(pool, testCase, uid) : null;
      const result = score(suite.name, testCase, native, guest, known);
      scores.push(result);
      printCase(result);
      if (options.json) writeFileSync(options.json, JSON.stringify(scores, null, 1));
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  await pool.close();
}

const scores = earlier();
const done = new Set(scores.map(({ suite, name }) => `${suite}/${name}`));
const queue = suites
  .flatMap((suite) => suite.cases().map((testCase) => ({ suite, testCase })))
  .filter(({ testCase }) => !only || only.includes(testCase.name))
  .filter(({ suite, testCase }) => !done.has(`${suite.name}/${testCase.name}`));
if (options.list) {
  for (const { suite, testCase } of queue) console.log(`${suite.name}/${testCase.name}`);
} else {
  await run(queue, scores);
  printReport(scores);
  process.exitCode = succeeded(scores) ? 0 : 1;
}
