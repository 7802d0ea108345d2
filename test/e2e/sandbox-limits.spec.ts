import { once } from 'node:events';
import { createServer, request as passOn } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { CreatedKeyDto, CreateKeyDto, SandboxDto } from '@cordon/contracts';
import { connect, keys, SandboxPlaces, WorkerRegistry } from '@cordon/queue';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1, keySandboxes: 3, workerEnv: { CORDON_SANDBOXES: '6' } });
let redis: ReturnType<typeof connect>;
beforeAll(() => {
  redis = connect(cordon.redis.url);
});
afterAll(() => redis.disconnect());

const UBUNTU = {
  image: { uri: 'ubuntu' },
  entrypoint: ['tail', '-f', '/dev/null'],
  resourceLimits: { memory: '256Mi' },
};

async function createKey(limits: CreateKeyDto['limits'] = {}): Promise<CreatedKeyDto> {
  const response = await cordon.postTo('/v1/keys', { name: 'test', scopes: ['sandbox'], limits });
  expect(response.status, response.text).toBe(201);
  return response.body as CreatedKeyDto;
}

const ask = (key: string, body: object = {}) => cordon.postTo('/v1/sandboxes', body, key);

async function create(key: string, body: object = {}): Promise<string> {
  const response = await ask(key, body);
  expect(response.status, response.text).toBe(201);
  return (response.body as SandboxDto).id;
}

const remove = (key: string, id: string) => cordon.delete(`/v1/sandboxes/${id}`, key);
const live = async (key: string): Promise<number> => (await cordon.get('/v1/usage', key)).body.sandboxes;

describe('the sandboxes of a key', () => {
  it('over its limit: 429 that names it, for this key alone; room again when one is deleted', async () => {
    const { key } = await createKey({ sandboxes: 2 });
    const other = await createKey({ sandboxes: 1 });
    const ids = [await create(key), await create(key)];
    const refused = await ask(key);
    expect(refused.status).toBe(429);
    expect(refused.headers['content-type']).toContain('application/problem+json');
    expect(refused.body).toEqual({
      type: 'urn:cordon:problem:sandbox-limit',
      title: 'This key has as many sandboxes as it may',
      status: 429,
      detail: 'limits.sandboxes of this key is 2: end one first',
    });
    const others = await create(other.key);
    expect((await cordon.get('/v1/usage', key)).body).toMatchObject({ sandboxes: 2, limits: { sandboxes: 2 } });
    await remove(key, ids[0]);
    expect(await live(key)).toBe(1);
    ids[0] = await create(key);
    expect((await ask(key)).status).toBe(429);
    await Promise.all(ids.map((id) => remove(key, id)));
    await remove(other.key, others);
    expect([await live(key), await live(other.key)]).toEqual([0, 0]);
  });

  it('is the deployment’s where its key says none; the keys of the environment have none', async () => {
    const made = await createKey();
    expect(made.limits.sandboxes).toBe(3);
    expect((await cordon.get(`/v1/keys/${made.id}`)).body.limits.sandboxes).toBe(3);
    const ids = [await create(made.key), await create(made.key), await create(made.key)];
    expect((await ask(made.key)).status).toBe(429);
    const mine = [await create(KEY)];
    expect((await cordon.get('/v1/usage')).body).toMatchObject({ sandboxes: 1, limits: { sandboxes: null } });
    await Promise.all([...ids.map((id) => remove(made.key, id)), ...mine.map((id) => remove(KEY, id))]);
  });

  it('a key made before there was such a limit has the deployment’s, too', async () => {
    const made = await createKey();
    const { key, ...record } = made;
    const { sandboxes: _sandboxes, ...limits } = record.limits;
    await redis.set(keys.key(made.id), JSON.stringify({ ...record, limits }));
    await redis.publish(keys.keysChanged, made.id);
    expect((await cordon.get(`/v1/keys/${made.id}`)).body.limits.sandboxes).toBe(3);
    const ids = [await create(key), await create(key), await create(key)];
    expect((await ask(key)).status).toBe(429);
    await Promise.all(ids.map((id) => remove(key, id)));
  });

  it('holds across API processes, for requests of the same moment', async () => {
    const { key } = await createKey({ sandboxes: 2 });
    const second = await cordon.startApi();
    const from = (server: Parameters<typeof request>[0]) =>
      request(server).post('/v1/sandboxes').set('authorization', `Bearer ${key}`).send({});
    const servers = [cordon.app.getHttpServer(), second.getHttpServer()];
    const answers = await Promise.all(Array.from({ length: 12 }, (_, index) => from(servers[index % 2])));
    await second.close();
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([201, 201, ...Array.from({ length: 10 }, () => 429)]);
    const made = answers.filter(({ status }) => status === 201).map(({ body }) => body.id);
    await Promise.all(made.map((id) => remove(key, id)));
    expect(await live(key)).toBe(0);
  });

  it.each([
    ['its time is over', { ttlSeconds: 1 }],
    ['it was idle', { idleSeconds: 1 }],
    ['its processor time is used up', { limits: { cpuTimeMs: 50 } }],
  ])('has room again when %s', async (_why, body) => {
    const { key } = await createKey({ sandboxes: 1 });
    const id = await create(key, body);
    expect((await ask(key)).status).toBe(429);
    if ('limits' in body) {
      const command = ['/bin/sh', '-c', 'while :; do :; done'];
      await cordon.postTo(`/v1/sandboxes/${id}/exec`, { command, background: true }, key);
    }
    await expect.poll(() => live(key), { timeout: 20_000 }).toBe(0);
    await remove(key, await create(key));
  });

  it('counts nothing that no worker had room for', async () => {
    const ids = await Promise.all(Array.from({ length: 6 }, () => create(KEY)));
    const { key } = await createKey({ sandboxes: 1 });
    const full = await ask(key);
    expect(full.status).toBe(503);
    expect(full.body).toMatchObject({ type: 'urn:cordon:problem:unavailable', detail: 'no worker has room' });
    expect(full.headers['retry-after']).toBe('5');
    for (const [path, body, header] of [
      ['/compat/e2b/v2/sandboxes', { templateID: 'base' }, 'X-API-KEY'],
      ['/compat/opensandbox/v1/sandboxes', UBUNTU, 'OPEN-SANDBOX-API-KEY'],
    ] as const) {
      const { status, headers, text } = await cordon.postTo(path, body, key).set(header, key);
      expect(status, text).toBe(503);
      expect(headers['retry-after']).toBe('5');
    }
    expect(await live(key)).toBe(0);
    expect((await ask(key, { platform: 'none such' })).status).toBe(422);
    await remove(KEY, ids[0]);
    await remove(key, await create(key));
    await Promise.all(ids.slice(1).map((id) => remove(KEY, id)));
  });
});

describe('the sandboxes of a key, when something dies', () => {
  it('a place of an API that died before any worker heard of it lapses', async () => {
    const places = new SandboxPlaces(redis);
    expect(await places.claim('key_a', 'sbx_first', 1, true)).toBe(true);
    expect(await places.claim('key_a', 'sbx_second', 1, true)).toBe(false);
    // A minute later.
    const until = await redis.zscore(keys.sandboxPlaces('key_a'), 'sbx_first');
    const [seconds] = await redis.time();
    expect(Number(until) / 1000 - Number(seconds)).toBeGreaterThan(0);
    expect(Number(until) / 1000 - Number(seconds)).toBeLessThanOrEqual(61);
    await redis.zadd(keys.sandboxPlaces('key_a'), Number(seconds) * 1000 - 1, 'sbx_first');
    expect(await places.count('key_a')).toBe(0);
    // Behind a time without Redis nobody could hold anything: nothing is free yet.
    expect(await places.claim('key_a', 'sbx_second', 1, false)).toBe(false);
    expect(await places.claim('key_a', 'sbx_second', 1, true)).toBe(true);
    expect(await redis.zrange(keys.sandboxPlaces('key_a'), '0', '-1')).toEqual(['sbx_second']);
    await places.release('key_a', 'sbx_second');
    expect(await redis.exists(keys.sandboxPlaces('key_a'))).toBe(0);
  });

  it('what lives is counted again, whatever was lost', async () => {
    const { key, id: keyId } = await createKey({ sandboxes: 1 });
    const id = await create(key);
    await redis.del(keys.sandboxPlaces(keyId));
    await expect.poll(() => live(key), { timeout: 20_000 }).toBe(1);
    expect((await ask(key)).status).toBe(429);
    await remove(key, id);
    expect(await live(key)).toBe(0);
  });

  it('a worker that has made one, but whose answer is lost, keeps none: another is asked', async () => {
    const registry = new WorkerRegistry(redis);
    const [real] = await registry.workers();
    let lost = 0;
    // Passes all on, and breaks off behind a sandbox that is made.
    const broken = createServer((request, response) => {
      const { method, url, headers } = request;
      const onward = passOn(new URL(url ?? '', real.link.url), { method, headers }, (answer) => {
        answer.resume();
        if (!url?.endsWith('/open')) answer.once('end', () => response.writeHead(answer.statusCode ?? 500).end('{}'));
        else answer.once('end', () => request.socket.destroy());
        if (url?.endsWith('/open')) lost++;
      });
      request.pipe(onward);
    });
    broken.listen(0, '127.0.0.1');
    await once(broken, 'listening');
    const url = `http://127.0.0.1:${(broken.address() as AddressInfo).port}`;
    const { key } = await createKey({ sandboxes: 1 });
    // As many as there is room for, but one: one that is left behind would take the last place.
    const others = await Promise.all(Array.from({ length: 5 }, () => create(KEY)));
    for (let turn = 0; lost < 10 && turn < 200; turn++) {
      await registry.announce({ ...real, id: 'broken', link: { ...real.link, url } });
      const id = await create(key);
      expect((await cordon.get(`/v1/sandboxes/${id}`, key)).body.state).toBe('running');
      expect(await live(key)).toBe(1);
      await remove(key, id);
      expect(await live(key)).toBe(0);
    }
    expect(lost).toBeGreaterThanOrEqual(10);
    await redis.del(keys.worker('broken'));
    await Promise.all(others.map((id) => remove(KEY, id)));
    broken.close();
    broken.closeAllConnections();
  });

  it('a worker that stops, and one that is killed, leave nothing counted', async () => {
    const { key } = await createKey({ sandboxes: 2 });
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await Promise.all([create(key), create(key)]);
      expect((await ask(key)).status).toBe(429);
      await cordon.stopWorker([...cordon.workers][0], signal);
      await expect.poll(() => live(key), { timeout: 30_000 }).toBe(0);
      await cordon.startWorker();
    }
    await Promise.all((await Promise.all([create(key), create(key)])).map((id) => remove(key, id)));
  }, 90_000);
});
