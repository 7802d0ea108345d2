// `npm test`: sets up what the tests need, builds, runs vitest. Further arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, installDependencies, NODE, ROOT, run } from './lib/project.mjs';
import { ensurePrograms } from './lib/system-packages.mjs';

installDependencies();
ensurePrograms(['redis-server', 'busybox', 'gcc', 'g++', 'python3', 'perl']);
build();
run(NODE, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json']);
const summary = join(mkdtempSync(join(tmpdir(), 'cordon-test-')), 'summary.json');
const reporters = ['--reporter=default', '--reporter=json', `--outputFile=${summary}`];
const result = spawnSync(NODE, ['node_modules/vitest/vitest.mjs', 'run', ...reporters, ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: 'inherit',
});
// One plain line at the end, for people and machines that read logs.
if (existsSync(summary)) {
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(summary, 'utf8'));
  console.log(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`);
}
process.exit(result.status ?? 1);
