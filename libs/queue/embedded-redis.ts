import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { connect } from './connection.js';

const START_TIMEOUT_MS = 20_000;
const LEAVING_MS = 5_000;
/** Longest path of a unix socket, without its NUL. */
const SOCKET_PATH_MAX = 107;
/** Characters kept of what Redis logs. */
const WORDS_KEPT = 2000;

export interface EmbeddedRedis {
  readonly url: string;
  readonly process: ChildProcess;
  /** The end of what it logged. */
  lastWords(): string;
  /** Ends it after its data is on disk. */
  stop(): Promise<void>;
}

/**
 * A redis-server of our own: data below `directory`, a unix socket no other user can open, every write on disk before it is
 * answered (an accepted job survives a crash). Rejects when redis-server is missing or does not answer.
 */
export async function startRedis(directory: string): Promise<EmbeddedRedis> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const socket = join(directory, 'redis.sock');
  if (Buffer.byteLength(socket) > SOCKET_PATH_MAX)
    throw new Error(`${socket}: too long for a unix socket; choose a shorter CORDON_DATA_DIR`);
  await requireUnused(socket, directory);
  rmSync(socket, { force: true });
  const settings = {
    port: '0',
    unixsocket: socket,
    unixsocketperm: '600',
    dir: directory,
    appendonly: 'yes',
    appendfsync: 'always',
    'maxmemory-policy': 'noeviction',
    save: '',
    daemonize: 'no',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  // A session of its own: Ctrl-C reaches the supervisor, which stops Redis last.
  const child = spawn(...endsWithUs('redis-server', args), { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let words = '';
  const hear = (chunk: Buffer): void => {
    words = (words + chunk.toString()).slice(-WORDS_KEPT);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const failed = new Promise<never>((_resolve, reject) => {
    child.once('error', (error) => reject(new Error(`redis-server: ${error.message}`)));
    child.once('exit', (code) => reject(new Error(`redis-server ended (${code}): ${words}`)));
  });
  failed.catch(() => undefined);
  const url = `unix://${socket}`;
  await Promise.race([failed, answers(url)]);
  return {
    url,
    process: child,
    lastWords: () => words.trim().split('\n').at(-1) ?? '',
    stop: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve();
        child.once('exit', () => resolve());
        child.kill('SIGTERM');
      }),
  };
}

/** Where setpriv(1) is there, the kernel ends Redis when this process dies, however it dies. */
function endsWithUs(program: string, args: readonly string[]): [string, string[]] {
  const supported = spawnSync('setpriv', ['--pdeathsig', 'TERM', 'true'], { stdio: 'ignore' }).status === 0;
  return supported ? ['setpriv', ['--pdeathsig', 'TERM', program, ...args]] : [program, [...args]];
}

/** Two servers on one data directory would ruin it. One that is just ending is waited for. */
async function requireUnused(socket: string, directory: string): Promise<void> {
  const deadline = Date.now() + LEAVING_MS;
  while (await listens(socket)) {
    if (Date.now() > deadline)
      throw new Error(`another redis-server uses ${directory}: is Cordon running there already?`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function listens(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(socket);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}

async function answers(url: string): Promise<void> {
  const redis = connect(url, { retryStrategy: () => 20, connectTimeout: START_TIMEOUT_MS });
  redis.on('error', () => undefined);
  const timer = setTimeout(() => redis.disconnect(), START_TIMEOUT_MS);
  try {
    await redis.ping();
  } finally {
    clearTimeout(timer);
    redis.disconnect();
  }
}
