// `npm run bench`: builds, then measures. Options go to test/bench/bench.mjs.
import { spawnSync } from 'node:child_process';
import { build, installDependencies, NODE, ROOT } from './lib/project.mjs';

installDependencies();
build();
process.exit(
  spawnSync(NODE, ['test/bench/bench.mjs', ...process.argv.slice(2)], { cwd: ROOT, stdio: 'inherit' }).status ?? 1,
);
