// Everything on one machine: an embedded Redis (unless REDIS_URL is set), the API and a worker, each a process of its own. A part that
// dies is started again; Ctrl-C stops all, Redis last, so that no accepted job is lost.
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { startRedis } from '../libs/queue/dist/embedded-redis.js';
import { ROOT } from './lib/project.mjs';

const RESTART_DELAY_MS = 1_000;
const STOP_TIMEOUT_MS = 20_000;
const host = process.env.HOST ?? '127.0.0.1';
const port = process.env.PORT ?? '8080';
const directory = process.env.CORDON_DATA_DIR;

let stopping = false;
let redis = null;
const parts = new Map();

/** Starts a part and keeps it running. Resolves when it says it is ready; rejects when it ends before. */
function start(name, env) {
  return new Promise((resolve, reject) => {
    // Detached: a Ctrl-C in the terminal reaches only this process, which stops the parts in order. The IPC channel tells them of our end.
    const child = fork(join(ROOT, 'apps', name, 'dist', 'main.js'), { cwd: ROOT, env, detached: true });
    let ready = false;
    parts.set(name, child);
    child.on('message', (message) => {
      if (message !== 'ready') return;
      ready = true;
      resolve();
    });
    child.on('exit', (code, signal) => {
      parts.delete(name);
      if (stopping) return;
      if (!ready) return reject(new Error(`${name} ended before it was ready (${signal ?? code})`));
      console.error(`cordon: ${name} ended (${signal ?? code}); starting it again`);
      setTimeout(() => stopping || start(name, env).catch((error) => stop(1, error.message)), RESTART_DELAY_MS);
    });
  });
}

function stopPart(name) {
  const child = parts.get(name);
  if (!child) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill('SIGTERM');
  });
}

/** Starts Redis and keeps it running: it ends by itself where its disk is full, and what was answered is in its file. */
async function keepRedis() {
  redis = await startRedis(join(directory, 'redis'));
  redis.process.once('exit', (code, signal) => {
    if (stopping) return;
    console.error(`cordon: redis-server ended (${signal ?? code}); starting it again ${redis.lastWords()}`);
    setTimeout(restartRedis, RESTART_DELAY_MS);
  });
}

function restartRedis() {
  if (stopping) return;
  keepRedis().catch((error) => {
    console.error(`cordon: ${error.message}`);
    setTimeout(restartRedis, RESTART_DELAY_MS);
  });
}

async function stop(code, reason) {
  if (stopping) return;
  stopping = true;
  if (reason) console.error(`cordon: ${reason}`);
  await stopPart('api');
  await stopPart('worker');
  await redis?.stop();
  process.exit(code);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void stop(0));
// Started by start.mjs: its end is ours.
if (process.send) process.on('disconnect', () => void stop(1, 'the start script ended'));

try {
  if (!process.env.REDIS_URL) await keepRedis();
  // The console belongs to whoever typed npm start: routine lines only on demand.
  const env = {
    LOG_LEVEL: 'warn',
    CORDON_CACHE_DIR: join(directory, 'compile-cache'),
    ...process.env,
    REDIS_URL: process.env.REDIS_URL ?? redis.url,
  };
  await Promise.all([start('api', env), start('worker', env)]);
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const key = process.env.CORDON_API_KEY.split(',')[0];
  console.log(`
Cordon is ready.

  URL      ${url}
  API key  ${key}
  Docs     ${url}/docs

Try:

  curl -s '${url}/v1/executions?wait=10' -H 'Authorization: Bearer ${key}' \\
    -H 'Content-Type: application/json' -d '{"runtime":"python","source":"print(6*7)"}'

Ctrl-C stops everything.`);
} catch (error) {
  await stop(1, error.message);
}
