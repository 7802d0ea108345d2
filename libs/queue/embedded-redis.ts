import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from './connection.js';

const START_TIMEOUT_MS = 20_000;
/** Longest path of a unix socket, without its NUL. */
const SOCKET_PATH_MAX = 107;

export interface EmbeddedRedis {
  readonly url: string;
  readonly process: ChildProcess;
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
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const output: string[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk.toString()));
  const failed = new Promise<never>((_resolve, reject) => {
    child.once('error', (error) => reject(new Error(`redis-server: ${error.message}`)));
    child.once('exit', (code) => reject(new Error(`redis-server ended (${code}): ${output.join('').slice(-2000)}`)));
  });
  failed.catch(() => undefined);
  const url = `unix://${socket}`;
  await Promise.race([failed, answers(url)]);
  return {
    url,
    process: child,
    stop: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve();
        child.once('exit', () => resolve());
        child.kill('SIGTERM');
      }),
  };
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
