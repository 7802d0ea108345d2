import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createApp } from '@cordon/app-api/app';
import { ApiSettings } from '@cordon/app-api/settings';
import {
  type CreatedKeyDto,
  type CreateKeyDto,
  type ExecutionDto,
  type ExecutionJob,
  KEY_LIMIT_NAMES,
  type KeyLimits,
  LIMITS,
  type Priority,
} from '@cordon/contracts';
import { connect, ExecutionStore, type NewExecution, type Principal, STORE_DEFAULTS, toDto } from '@cordon/queue';
import type { Redis } from 'ioredis';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KEY, useDeployment } from './harness.js';

const API = fileURLToPath(new URL('../../apps/api/dist/main.js', import.meta.url));
const TRUE = { command: ['/bin/true'] };
const cordon = useDeployment({ workers: 0 });
let redis: Redis;
let store: ExecutionStore;

beforeAll(() => {
  redis = connect(cordon.redis.url, { enableAutoPipelining: true });
  store = new ExecutionStore(redis);
});
afterAll(() => redis.disconnect());

const NO_LIMITS = Object.fromEntries(KEY_LIMIT_NAMES.map((name) => [name, null])) as KeyLimits;
const principal = (keyId: string): Principal => ({
  keyId,
  tenant: keyId,
  scopes: ['run'],
  limits: NO_LIMITS,
  expiresAt: null,
});
const newId = (): string => `exe_${randomBytes(12).toString('hex')}`;

/** Accepts an execution as the API does, and no more: no ticket is added. */
async function accept(keyId: string, script = 'true', priority: Priority = 'interactive'): Promise<string> {
  const id = newId();
  const limits = Object.fromEntries(Object.entries(LIMITS).map(([name, row]) => [name, row.default]));
  const job = {
    id,
    runtime: null,
    source: null,
    command: ['/bin/sh', '-c', script],
    args: [],
    files: [],
    stdin: '',
    env: {},
    cwd: '/work',
    limits: limits as ExecutionJob['limits'],
    auditLevel: 'off',
    network: 'none',
  } satisfies ExecutionJob;
  const created: NewExecution = { id, principal: principal(keyId), priority, job, labels: {}, createdAt: new Date() };
  expect((await store.create(created)).what).toBe('created');
  return id;
}

const look = async (id: string): Promise<ExecutionDto> => toDto(id, await redis.hgetall(`cordon:execution:${id}`));
const ended = (id: string, timeout = 20_000): Promise<void> =>
  expect.poll(async () => (await look(id)).state, { timeout, interval: 20 }).toBe('succeeded');

async function createKey(limits: CreateKeyDto['limits']): Promise<CreatedKeyDto> {
  return (await cordon.postTo('/v1/keys', { name: 'test', scopes: ['run'], limits })).body as CreatedKeyDto;
}

async function worker(): Promise<void> {
  if (cordon.workers.size === 0) await cordon.startWorker();
}

async function empty(): Promise<void> {
  await redis.del('cordon:waiting', 'cordon:ring:interactive', 'cordon:ring:batch');
  for (const key of await redis.keys('cordon:lane:*')) await redis.del(key);
}

describe('fair sharing', () => {
  it('keys take turns, whatever each has waiting', async () => {
    for (const key of ['a', 'a', 'a', 'a', 'b', 'b', 'c']) await accept(`key_${key}`);
    const order: string[] = [];
    for (let taken = await store.take('nobody', false); taken; taken = await store.take('nobody', false))
      order.push(taken.record.key);
    expect(order.join(' ').replaceAll('key_', '')).toBe('a b c a b a a');
    await redis.del('cordon:worker:nobody:running', 'cordon:running', 'cordon:running:key_a');
  });

  it('interactive before batch, and batch now and then', async () => {
    await redis.set('cordon:turns', 0);
    for (let index = 0; index < 3; index++) await accept('key_p', 'true', 'batch');
    for (let index = 0; index < 20; index++) await accept('key_p', 'true', 'interactive');
    const order: string[] = [];
    for (let taken = await store.take('nobody', false); taken; taken = await store.take('nobody', false))
      order.push(taken.record.priority[0]);
    expect(order.join('')).toBe(`${'i'.repeat(15)}b${'i'.repeat(5)}bb`);
    await redis.del('cordon:worker:nobody:running', 'cordon:running', 'cordon:running:key_p');
  });
});

describe('limits of a key', () => {
  it('waiting: 429, and room again when one is canceled', async () => {
    const { key } = await createKey({ queued: 2 });
    const first = await cordon.post(TRUE, '', key);
    expect((await cordon.post(TRUE, '', key)).status).toBe(202);
    const refused = await cordon.post(TRUE, '', key);
    expect(refused.status).toBe(429);
    expect(refused.body.type).toBe('urn:cordon:problem:quota-exceeded');
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    await cordon.delete(`/v1/executions/${first.body.id}`, key);
    expect((await cordon.post(TRUE, '', key)).status).toBe(202);
    await empty();
  });

  it('executions a day: 429 until midnight UTC; a repeated request counts once', async () => {
    const { key } = await createKey({ executionsPerDay: 2 });
    const repeat = () => cordon.post(TRUE, '', key).set('idempotency-key', 'once');
    const first = await repeat();
    expect((await cordon.post(TRUE, '', key)).status).toBe(202);
    const refused = await cordon.post(TRUE, '', key);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(24 * 3600);
    expect((await repeat()).body.id).toBe(first.body.id);
    const usage = await cordon.get('/v1/usage', key);
    expect(usage.body).toMatchObject({ executions: 2, queued: 2, running: 0, limits: { executionsPerDay: 2 } });
    await empty();
  });
});

describe('a full queue', () => {
  it('refuses with 503 and Retry-After, and keeps nothing of it', async () => {
    const settings = { ...STORE_DEFAULTS, queueMost: 2 };
    const app = await createApp(new ApiSettings(cordon.redis.url, '127.0.0.1', 0, [KEY], settings));
    await app.listen(0, '127.0.0.1');
    try {
      const post = () =>
        request(app.getHttpServer()).post('/v1/executions').set('authorization', `Bearer ${KEY}`).send(TRUE);
      expect((await post()).status).toBe(202);
      expect((await post()).status).toBe(202);
      const records = (await redis.keys('cordon:execution:*')).length;
      const refused = await post();
      expect(refused.status).toBe(503);
      expect(refused.body.type).toBe('urn:cordon:problem:queue-full');
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
      expect((await redis.keys('cordon:execution:*')).length).toBe(records);
    } finally {
      await app.close();
      await empty();
    }
  });
});

// From here on a worker runs; what comes before takes executions by hand.
describe('an accepted execution runs', () => {
  it('whose API died before it woke a worker', async () => {
    await worker();
    await ended(await accept('key_orphan'));
  });

  it('whose API was killed with -9 at any moment', async () => {
    await worker();
    const before = new Set(await redis.keys('cordon:execution:exe_????????????????????????'));
    for (let round = 0; round < 3; round++) {
      const { child, port } = await startApi();
      const dead = new Promise((resolve) => child.once('exit', resolve));
      const posts = Array.from({ length: 40 }, () =>
        request(`http://127.0.0.1:${port}`)
          .post('/v1/executions')
          .set('authorization', `Bearer ${KEY}`)
          .send(TRUE)
          .then(
            ({ body }) => (body as ExecutionDto).id,
            () => null,
          ),
      );
      await new Promise((resolve) => setTimeout(resolve, 20 + 15 * round));
      child.kill('SIGKILL');
      await dead;
      await Promise.all(posts);
    }
    const ids = (await redis.keys('cordon:execution:exe_????????????????????????')).filter((name) => !before.has(name));
    expect(ids.length).toBeGreaterThan(0);
    for (const name of ids) await ended(name.slice('cordon:execution:'.length));
    expect(await store.counts()).toEqual({ waiting: 0, running: 0 });
  }, 60_000);

  it('whose worker was killed with -9: again within seconds', async () => {
    await worker();
    const id = await accept('key_lost', 'sleep 1; echo done');
    await expect.poll(async () => (await look(id)).state, { timeout: 5_000, interval: 20 }).toBe('running');
    await cordon.stopWorker([...cordon.workers][0], 'SIGKILL');
    await cordon.startWorker();
    const there = Date.now();
    await ended(id);
    expect(Date.parse((await look(id)).startedAt ?? '') - there).toBeLessThan(10_000);
  });

  it('that a worker took without hearing of it', async () => {
    await worker();
    const [workerId] = await redis.smembers('cordon:workers');
    // What is left when the connection breaks between the script and its answer.
    let id = '';
    do id = await accept('key_stray');
    while ((await store.take(workerId, false))?.id !== id);
    expect((await look(id)).state).toBe('running');
    await ended(id);
  });
});

describe('with a worker', () => {
  it('an idle one hears of a new execution at once, without a ticket', async () => {
    await worker();
    const [workerId] = await redis.smembers('cordon:workers');
    await expect.poll(() => redis.sismember('cordon:idle', workerId), { timeout: 10_000 }).toBe(1);
    const tickets = await redis.get('cordon:executions:id');
    for (let index = 0; index < 3; index++) {
      expect((await cordon.post(TRUE, '?wait=30')).body.state).toBe('succeeded');
    }
    expect(await redis.get('cordon:executions:id')).toBe(tickets);
    expect(await redis.sismember('cordon:idle', workerId)).toBe(1);
  });

  it('one that is called idle and hears nothing is passed over', async () => {
    await worker();
    for (let index = 0; index < 5; index++) await redis.sadd('cordon:idle', `ghost-${index}`);
    for (let index = 0; index < 8; index++) {
      expect((await cordon.post(TRUE, '?wait=30')).body.state).toBe('succeeded');
    }
    // All of them are passed over by an execution that comes while the only worker is not idle.
    await redis.sadd('cordon:idle', 'ghost-9');
    const [workerId] = await redis.smembers('cordon:workers');
    await redis.srem('cordon:idle', workerId);
    expect((await cordon.post(TRUE, '?wait=30')).body.state).toBe('succeeded');
    expect(await redis.sismember('cordon:idle', 'ghost-9')).toBe(0);
  });

  it('10,000 of one key do not delay the one of another', async () => {
    await Promise.all(Array.from({ length: 10_000 }, () => accept('key_greedy')));
    await worker();
    await expect.poll(() => redis.zcard('cordon:waiting'), { timeout: 10_000 }).toBeLessThan(9_990);
    const waiting = await redis.zcard('cordon:waiting');
    const id = await accept('key_modest');
    await ended(id);
    // While it waited and ran, at most a few of the other key's had their turn.
    expect(waiting - (await redis.zcard('cordon:waiting'))).toBeLessThan(60);
    await empty();
  }, 60_000);

  it('concurrency: the rest waits, others do not', async () => {
    const { key, id: keyId } = await createKey({ concurrency: 1 });
    await worker();
    const ids: string[] = [];
    for (let index = 0; index < 3; index++) {
      ids.push((await cordon.post({ command: ['/bin/sleep', '0.4'] }, '', key)).body.id);
    }
    let most = 0;
    const watch = setInterval(async () => {
      most = Math.max(most, await redis.scard(`cordon:running:${keyId}`));
    }, 10);
    const free = await cordon.post(TRUE, '?wait=10');
    expect((await look(ids[2])).state).toBe('queued');
    expect(free.body.state).toBe('succeeded');
    for (const id of ids) await ended(id);
    clearInterval(watch);
    expect(most).toBe(1);
  });

  it('processor seconds a day: 429 once they are used up', async () => {
    const { key } = await createKey({ cpuSecondsPerDay: 1 });
    await worker();
    const spin = { command: ['/bin/sh', '-c', 'while :; do :; done'], limits: { cpuTimeMs: 1_100 } };
    expect((await cordon.post(spin, '?wait=20', key)).body.state).toBe('cpu_exceeded');
    const refused = await cordon.post(TRUE, '', key);
    expect(refused.status).toBe(429);
    expect(refused.body.detail).toContain('processor time');
    expect((await cordon.get('/v1/usage', key)).body.cpuSeconds).toBeGreaterThan(1);
  });
});

describe('/metrics', () => {
  it('queue, start and run times of all workers, pool, rejects', async () => {
    await worker();
    await cordon.run(TRUE);
    await cordon.post({ command: [] });
    const wanted = [
      /^cordon_queue_seconds_count\{.*priority="interactive".*\} [1-9]/m,
      /^cordon_start_seconds_count\{.*runtime="command".*\} [1-9]/m,
      /^cordon_run_seconds_count\{.*state="succeeded".*\} [1-9]/m,
      /^cordon_pool_sentries\{.*state="spare".*\} \d/m,
      /^cordon_rejects_total\{type="invalid-request"\} [1-9]/m,
      /^cordon_executions\{state="waiting"\} 0/m,
    ];
    const missing = async (): Promise<RegExp[]> => {
      const { text } = await cordon.get('/metrics');
      return wanted.filter((line) => !line.test(text));
    };
    // A worker tells what it measured every five seconds.
    await expect.poll(missing, { timeout: 12_000, interval: 200 }).toEqual([]);
  });
});

/** A free port of this machine, and an API process on it. */
async function startApi(): Promise<{ child: ChildProcess; port: number }> {
  const port = await new Promise<number>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
  const env = {
    ...process.env,
    REDIS_URL: cordon.redis.url,
    CORDON_API_KEY: KEY,
    PORT: String(port),
    LOG_LEVEL: 'fatal',
  };
  const child = fork(API, { env, execArgv: [] });
  await new Promise((resolve) => child.once('message', resolve));
  return { child, port };
}
