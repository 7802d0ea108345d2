import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { ExecutionDto } from '@cordon/contracts';
import { connect, ExecutionStore, keys, SandboxStore, startRedis } from '@cordon/queue';
import { describe, expect, it } from 'vitest';
import { Deployment, type SseEvent, useDeployment } from './harness.js';

const sh = (script: string, more: object = {}): object => ({ command: ['/bin/sh', '-c', script], ...more });
/** A worker's lock must run out before its jobs are another's. */
const STALLED_MS = 60_000;

const cordon = useDeployment({ workers: 1 });

async function started(body: object): Promise<string> {
  const { id } = (await cordon.post(body)).body as ExecutionDto;
  await cordon.events(id, undefined, (event) => event.type === 'stdout');
  return id;
}

/** Processes below one, all the way down: the zygote, Sentries, stubs. */
function descendants(pid: number): number[] {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const children = tasks.flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
  );
  return children.flatMap((child) => [child, ...descendants(child)]);
}

async function sandboxOf(deployment: Deployment): Promise<{ id: string; worker: string }> {
  const { id } = (await deployment.postTo('/v1/sandboxes', {})).body as { id: string };
  const redis = connect(deployment.redis.url);
  try {
    return { id, worker: (await new SandboxStore(redis).get(id))?.worker ?? '' };
  } finally {
    redis.disconnect();
  }
}

const results = (events: readonly SseEvent[]): readonly SseEvent[] => events.filter(({ type }) => type === 'result');

describe('whatever dies, an accepted execution has one result', () => {
  it(
    'a worker killed with -9: its processes go, another runs it again, and the stream says so',
    async () => {
      const [worker] = cordon.workers;
      const id = await started(sh('echo on; sleep 2; echo off'));
      const below = descendants(worker.pid ?? 0);
      expect(below.length).toBeGreaterThan(1);
      await cordon.stopWorker(worker, 'SIGKILL');
      await expect.poll(() => below.filter((pid) => existsSync(`/proc/${pid}`)), { timeout: 5_000 }).toEqual([]);
      await cordon.startWorker();
      const events = await cordon.events(id);
      expect(events.some(({ type, data }) => type === 'status' && data.restarted === true)).toBe(true);
      expect(results(events)).toHaveLength(1);
      expect(results(events)[0].data).toMatchObject({ state: 'succeeded', stdout: 'on\noff\n' });
    },
    STALLED_MS,
  );

  it(
    'one that takes its worker with it twice ends as error',
    async () => {
      const id = await started(sh('echo on; sleep 100', { limits: { wallTimeMs: 200_000 } }));
      await cordon.stopWorker([...cordon.workers][0], 'SIGKILL');
      await cordon.startWorker();
      await cordon.events(id, undefined, ({ data }) => data.restarted === true);
      await cordon.stopWorker([...cordon.workers][0], 'SIGKILL');
      await cordon.startWorker();
      const events = await cordon.events(id);
      expect(results(events)).toHaveLength(1);
      expect(results(events)[0].data).toMatchObject({ state: 'error', detail: 'its workers were lost' });
    },
    2 * STALLED_MS,
  );

  it('a worker told to stop lets what is short end', async () => {
    const id = await started(sh('echo on; sleep 1; echo off'));
    await cordon.stopWorker([...cordon.workers][0], 'SIGTERM');
    const { body } = await cordon.get(`/v1/executions/${id}`);
    expect(body).toMatchObject({ state: 'succeeded', stdout: 'on\noff\n' });
    await cordon.startWorker();
  });

  it(
    'and hands back what is long: it waits for the next worker, canceled by nobody',
    async () => {
      const id = await started(sh('echo on; sleep 15; echo off', { limits: { wallTimeMs: 40_000 } }));
      await cordon.stopWorker([...cordon.workers][0], 'SIGTERM');
      expect((await cordon.get(`/v1/executions/${id}`)).body).toMatchObject({ state: 'queued' });
      await cordon.startWorker();
      const events = await cordon.events(id);
      expect(results(events)).toHaveLength(1);
      expect(results(events)[0].data).toMatchObject({ state: 'succeeded', stdout: 'on\noff\n' });
    },
    STALLED_MS,
  );
});

describe('a worker that is taken for lost while it works', () => {
  it(
    'has its submission judged once more: canceled by nobody',
    async () => {
      const tests = Array.from({ length: 8 }, (_, index) => ({ input: `${index}`, expected: `${index}` }));
      const body = { runtime: 'bash', source: 'sleep 0.3; read -r a; echo "$a"', tests };
      const { id } = (await cordon.postTo('/v1/submissions', body)).body as { id: string };
      await cordon.events(id, undefined, ({ type }) => type === 'test', 'submissions');
      const redis = connect(cordon.redis.url);
      try {
        await redis.set('cordon:resumed', 0);
        await new ExecutionStore(redis).sweep(0);
      } finally {
        redis.disconnect();
      }
      const events = await cordon.events(id, undefined, undefined, 'submissions');
      expect(events.some(({ data }) => data.restarted === true)).toBe(true);
      expect(results(events)).toHaveLength(1);
      expect(results(events)[0].data).toMatchObject({ state: 'succeeded', verdict: 'AC', score: 8 });
    },
    STALLED_MS,
  );
});

describe('Redis', () => {
  it(
    'away so long that it forgot the workers: their sandboxes live on',
    async () => {
      const other = new Deployment();
      await other.start(1);
      try {
        const { id, worker } = await sandboxOf(other);
        const dead = new Promise((resolve) => other.redis.process.once('exit', resolve));
        other.redis.process.kill('SIGKILL');
        await dead;
        other.redis = await startRedis(other.directory);
        const redis = connect(other.redis.url);
        await redis.del(keys.worker(worker));
        redis.disconnect();
        expect((await other.get(`/v1/sandboxes/${id}`)).body).toMatchObject({ state: 'running' });
        const ran = async (): Promise<number> =>
          (await other.postTo(`/v1/sandboxes/${id}/exec`, { command: ['/bin/true'] })).status;
        expect([200, 503]).toContain(await ran());
        await expect.poll(ran, { timeout: 20_000 }).toBe(200);
      } finally {
        await other.stop();
      }
    },
    STALLED_MS,
  );

  it('is not started twice on one data directory', async () => {
    await expect(startRedis(cordon.directory)).rejects.toThrow(/is Cordon running there already/);
    expect((await cordon.get('/readyz')).body.redis).toBe(true);
  });

  it(
    'killed with -9: refused while it is away, accepted jobs are there when it is back',
    async () => {
      const other = new Deployment();
      await other.start(0);
      try {
        const accepted: string[] = [];
        for (let index = 0; index < 5; index++) accepted.push((await other.post(sh(`echo ${index}`))).body.id);
        const dead = new Promise((resolve) => other.redis.process.once('exit', resolve));
        other.redis.process.kill('SIGKILL');
        await dead;
        const refused = await other.post(sh('true'));
        expect(refused.status).toBe(503);
        expect(refused.headers['content-type']).toMatch('application/problem+json');
        expect((await other.get('/readyz')).status).toBe(503);
        other.redis = await startRedis(other.directory);
        await other.startWorker();
        for (const [index, id] of accepted.entries()) {
          const { body } = await other.get(`/v1/executions/${id}?wait=20`);
          expect(body).toMatchObject({ state: 'succeeded', stdout: `${index}\n` });
        }
      } finally {
        await other.stop();
      }
    },
    STALLED_MS,
  );
});
