// `npm run bench`: builds, then measures. Options go to test/bench/bench.mjs.
import { spawnSync } from 'node:child_process';
import { build, installDependencies, NODE, ROOT } from './lib/project.mjs';

installDependencies();
build();
const bench = (...args) => spawnSync(NODE, args, { cwd: ROOT, stdio: 'inherit' }).status ?? 1;

const status = bench('test/bench/bench.mjs', ...process.argv.slice(2));
// Forks, spares and the memory of an idle Sentry have a bench of their own beside the pool.
const partial = process.argv.some((argument) => argument.startsWith('--only') || argument === '--quick');
process.exit(status || (partial ? 0 : bench('libs/pool/bench/pool.mjs')));
