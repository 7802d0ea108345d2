// `npm run compat`: starts a server and has the real clients of other services speak with it. `--only NAME,NAME` picks clients.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, fail, installDependencies, NODE, ROOT, run } from './lib/project.mjs';
import { ensurePrograms } from './lib/system-packages.mjs';

const CLIENTS = join(ROOT, 'test', 'compat');
const READY_MS = 60_000;

installDependencies();
ensurePrograms(['redis-server', 'gcc', 'python3']);
build();
// Not part of the project's own installation: only this script needs them.
if (!existsSync(join(CLIENTS, 'node_modules', '.package-lock.json')))
  run('npm', ['ci', '--no-fund', '--no-audit', '--loglevel=error'], { cwd: CLIENTS });

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

const port = await freePort();
// Some clients take only keys of this form.
const key = `e2b_${randomBytes(20).toString('hex')}`;
const directory = mkdtempSync(join(tmpdir(), 'cordon-compat-'));
const server = spawn(process.execPath, [join(ROOT, 'scripts', 'start.mjs')], {
  cwd: ROOT,
  env: { ...process.env, HOST: '127.0.0.1', PORT: String(port), CORDON_DATA_DIR: directory, CORDON_API_KEY: key },
  stdio: ['ignore', 'ignore', 'inherit'],
});
const ended = new Promise((resolve) => server.on('exit', resolve));
const url = `http://127.0.0.1:${port}`;

async function ready() {
  const deadline = Date.now() + READY_MS;
  while (Date.now() < deadline && server.exitCode === null) {
    if ((await fetch(`${url}/readyz`).catch(() => null))?.ok) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}

let status = 1;
try {
  if (!(await ready())) fail('the server did not become ready');
  const env = { ...process.env, CORDON_URL: url, CORDON_KEY: key };
  const args = [join(CLIENTS, 'main.mjs'), ...process.argv.slice(2)];
  status = spawnSync(NODE, args, { cwd: CLIENTS, env, stdio: 'inherit' }).status ?? 1;
} finally {
  server.kill('SIGINT');
  await ended;
  rmSync(directory, { recursive: true, force: true });
}
process.exit(status);
