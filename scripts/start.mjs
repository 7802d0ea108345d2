// `npm start`: sets everything up and starts Redis, API and worker. `npm run start:api` / `start:worker` start one part
// with REDIS_URL. Runs on the machine's own Node; the parts run on the project's.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { apiKey, dataDirectory } from './lib/data-directory.mjs';
import { build, fail, installDependencies, NODE, ROOT } from './lib/project.mjs';
import { ensurePrograms } from './lib/system-packages.mjs';

const part = process.argv[2] ?? 'all';
if (!['all', 'api', 'worker'].includes(part)) fail(`no part "${part}": api, worker, or nothing for all`);
if (part !== 'all' && !process.env.REDIS_URL)
  fail(`REDIS_URL is not set: ${part} alone needs the Redis that both share`);

installDependencies();
if (!process.env.REDIS_URL) ensurePrograms(['redis-server']);
build();

// The channel tells the child of our end, however we end.
const stdio = ['inherit', 'inherit', 'inherit', 'ipc'];
const directory = dataDirectory();
const env = { ...process.env, CORDON_API_KEY: apiKey(directory), CORDON_DATA_DIR: directory };
if (part === 'all') {
  // Replaces this process in all but name: signals reach it through the terminal's process group or from us.
  const child = spawn(NODE, [join(ROOT, 'scripts', 'supervise.mjs')], { cwd: ROOT, env, stdio });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill('SIGTERM'));
  child.on('exit', (code) => process.exit(code ?? 1));
} else {
  const main = join(ROOT, 'apps', part, 'dist', 'main.js');
  if (part === 'api')
    console.log(`Cordon API on http://${env.HOST ?? '127.0.0.1'}:${env.PORT ?? 8080}, key ${env.CORDON_API_KEY}`);
  const child = spawn(NODE, [main], { cwd: ROOT, env, stdio });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill('SIGTERM'));
  child.on('exit', (code) => process.exit(code ?? 1));
}
