import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionDto } from '@cordon/contracts';
import { afterAll, beforeAll, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SLOW = 120_000;
const directory = mkdtempSync(join(tmpdir(), 'cordon-start-'));
let port = 0;

beforeAll(async () => {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  port = (probe.address() as AddressInfo).port;
  await new Promise((resolve) => probe.close(resolve));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Started {
  readonly process: ChildProcess;
  readonly curl: string;
  readonly ended: Promise<number | null>;
}

/** `npm start` without npm; resolves when it says it is ready. */
function start(): Promise<Started> {
  const { CORDON_API_KEY: _key, REDIS_URL: _url, ...rest } = process.env;
  const env = { ...rest, PORT: String(port), CORDON_DATA_DIR: directory };
  const child = spawn('node', ['scripts/start.mjs'], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return new Promise((resolve, reject) => {
    let text = '';
    const take = (chunk: Buffer): void => {
      text += chunk;
      const curl = /^ {2}(curl [^\n]*\\\n[^\n]*)\n/m.exec(text)?.[1];
      if (curl && text.includes('Ctrl-C')) resolve({ process: child, curl, ended });
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('exit', (code) => reject(new Error(`ended (${code}): ${text.slice(-2000)}`)));
  });
}

/** Processes that have the data directory in their environment, or (Redis writes over that) their title: all of ours and no other. */
function processesLeft(): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      const title = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
      if (title.startsWith('redis-server') && title.includes(directory)) return true;
      return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`CORDON_DATA_DIR=${directory}`);
    } catch {
      return false;
    }
  });
}

async function until(condition: () => boolean, milliseconds: number): Promise<boolean> {
  for (const deadline = Date.now() + milliseconds; Date.now() < deadline; ) {
    if (condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return condition();
}

async function call(path: string, body?: object): Promise<ExecutionDto> {
  const key = readFileSync(join(directory, 'api-key'), 'utf8').trim();
  const response = await fetch(`http://127.0.0.1:${port}/v1/executions${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  return (await response.json()) as ExecutionDto;
}

it(
  'starts, prints a line that works when pasted, stops on Ctrl-C without a process or an accepted job lost',
  async () => {
    const first = await start();
    const pasted = JSON.parse(execFileSync('sh', ['-c', first.curl], { encoding: 'utf8' })) as ExecutionDto;
    expect(pasted).toMatchObject({ state: 'succeeded', stdout: '42\n' });
    expect(statSync(join(directory, 'api-key')).mode & 0o777).toBe(0o600);
    const accepted: string[] = [];
    for (let index = 0; index < 6; index++) {
      accepted.push((await call('', { command: ['/bin/sh', '-c', `sleep 1; echo ${index}`] })).id);
    }
    first.process.kill('SIGINT');
    expect(await first.ended).toBe(0);
    expect(processesLeft()).toEqual([]);

    const second = await start();
    // Redis ends by itself when its disk is full; it is started again, and has all that was accepted.
    const redis = processesLeft().filter((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('redis-server'),
    );
    expect(redis.length).toBe(1);
    process.kill(Number(redis[0]), 'SIGKILL');
    expect(await until(() => !processesLeft().includes(redis[0]), 10_000)).toBe(true);
    for (const [index, id] of accepted.entries()) {
      // Until it is there again: 503.
      await expect
        .poll(() => call(`/${id}?wait=60`), { timeout: 60_000 })
        .toMatchObject({ state: 'succeeded', stdout: `${index}\n` });
    }
    second.process.kill('SIGKILL');
    expect(await until(() => processesLeft().length === 0, 30_000), `left: ${processesLeft()}`).toBe(true);
  },
  SLOW,
);
