// `npm test`: sets up what the tests need, builds, runs vitest. Further arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { build, installDependencies, NODE, ROOT, run } from './lib/project.mjs';
import { ensurePrograms } from './lib/system-packages.mjs';

installDependencies();
ensurePrograms(['redis-server', 'busybox', 'gcc', 'g++', 'python3', 'perl']);
build();
run(NODE, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.test.json']);
const result = spawnSync(NODE, ['node_modules/vitest/vitest.mjs', 'run', ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: 'inherit',
});
process.exit(result.status ?? 1);
