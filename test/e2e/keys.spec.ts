import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CreatedKeyDto, CreateKeyDto, ExecutionDto } from '@cordon/contracts';
import request from 'supertest';
import { describe, expect, it } from 'vitest';
import { OTHER_KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 0 });
const TRUE = { command: ['/bin/true'] };

async function createKey(more: Partial<CreateKeyDto> = {}): Promise<CreatedKeyDto> {
  const response = await cordon.postTo('/v1/keys', { name: 'test', scopes: ['run'], ...more });
  expect(response.status, response.text).toBe(201);
  return response.body as CreatedKeyDto;
}

describe('API keys', () => {
  it('a created key works at once; its text is shown once and kept nowhere', async () => {
    const created = await createKey();
    expect((await cordon.post(TRUE, '', created.key)).status).toBe(202);
    const { body } = await cordon.get(`/v1/keys/${created.id}`);
    const { key: _key, ...record } = created;
    expect(body).toEqual(record);
    const list = await cordon.get('/v1/keys');
    expect(list.body.items).toContainEqual(record);
    const onDisk = readdirSync(join(cordon.directory, 'appendonlydir')).map((name) =>
      readFileSync(join(cordon.directory, 'appendonlydir', name), 'latin1'),
    );
    expect(onDisk.join('')).toContain(created.id);
    expect(onDisk.join('')).not.toContain(created.key);
  });

  it('a revoked key is refused from the next request on, and stays in the list', async () => {
    const { id, key } = await createKey();
    expect((await cordon.get('/v1/executions', key)).status).toBe(200);
    const revoked = await cordon.delete(`/v1/keys/${id}`);
    expect(revoked.status).toBe(200);
    expect(revoked.body.revokedAt).not.toBeNull();
    expect((await cordon.get('/v1/executions', key)).status).toBe(401);
    expect((await cordon.delete(`/v1/keys/${id}`)).body).toEqual(revoked.body);
    expect((await cordon.get(`/v1/keys/${id}`)).body).toEqual(revoked.body);
  });

  it('a key whose name looks like a record is revoked like any other', async () => {
    const { id, key } = await createKey({ name: '"revokedAt":null' });
    expect((await cordon.delete(`/v1/keys/${id}`)).body).toMatchObject({ name: '"revokedAt":null' });
    expect((await cordon.get('/v1/executions', key)).status).toBe(401);
  });

  it('an expired key is refused', async () => {
    const { key } = await createKey({ expiresAt: new Date(Date.now() + 400).toISOString() });
    expect((await cordon.get('/v1/executions', key)).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 450));
    expect((await cordon.get('/v1/executions', key)).status).toBe(401);
  });

  it('scopes: a key does what it was made for, admin does all', async () => {
    const judge = await createKey({ scopes: ['judge'] });
    const refused = await cordon.post(TRUE, '', judge.key);
    expect(refused.status).toBe(403);
    expect(refused.body.type).toBe('urn:cordon:problem:forbidden');
    expect((await cordon.get('/v1/runtimes', judge.key)).status).toBe(200);
    const run = await createKey({ scopes: ['run'] });
    for (const answer of [
      cordon.get('/v1/keys', run.key),
      cordon.postTo('/v1/keys', { name: 'more', scopes: ['admin'] }, run.key),
      cordon.delete(`/v1/keys/${run.id}`, run.key),
    ]) {
      expect((await answer).status).toBe(403);
    }
    const admin = await createKey({ scopes: ['admin'] });
    expect((await cordon.post(TRUE, '', admin.key)).status).toBe(202);
  });

  it('a tenant sees its own only, whichever of its keys asks', async () => {
    const mine = await createKey({ tenant: 'team' });
    const colleague = await createKey({ tenant: 'team' });
    const stranger = await createKey();
    const { id } = (await cordon.post(TRUE, '', mine.key)).body as ExecutionDto;
    expect((await cordon.get(`/v1/executions/${id}`, colleague.key)).status).toBe(200);
    for (const key of [stranger.key, OTHER_KEY]) {
      expect((await cordon.get(`/v1/executions/${id}`, key)).status).toBe(404);
      expect((await cordon.get(`/v1/executions/${id}/events`, key)).status).toBe(404);
      expect((await cordon.get(`/v1/executions/${id}/audit`, key)).status).toBe(404);
      expect((await cordon.delete(`/v1/executions/${id}`, key)).status).toBe(404);
      expect((await cordon.get('/v1/executions', key)).body.items).toEqual([]);
    }
    expect((await cordon.delete(`/v1/executions/${id}`, colleague.key)).body.state).toBe('canceled');
  });

  it.each([
    ['no name', { scopes: ['run'] }, '/name'],
    ['no scope', { name: 'x', scopes: [] }, '/scopes'],
    ['a scope there is not', { name: 'x', scopes: ['root'] }, '/scopes'],
    ['a limit of nothing', { name: 'x', scopes: ['run'], limits: { concurrency: 0 } }, '/limits/concurrency'],
    ['an end in the past', { name: 'x', scopes: ['run'], expiresAt: '2001-01-01T00:00:00Z' }, '/expiresAt'],
    ['an end on no day', { name: 'x', scopes: ['run'], expiresAt: '2999-02-31T00:00:00Z' }, '/expiresAt'],
    ['null', { name: null, scopes: ['run'] }, '/name'],
    ['a tenant with a space', { name: 'x', scopes: ['run'], tenant: 'a b' }, '/tenant'],
    ['an unknown field', { name: 'x', scopes: ['run'], color: 'red' }, '/color'],
  ])('refuses %s', async (_name, body, pointer) => {
    const response = await cordon.postTo('/v1/keys', body);
    expect(response.status).toBe(422);
    expect(response.body.errors[0].pointer).toBe(pointer);
  });

  it('a page of keys ends where the next begins', async () => {
    const first = await cordon.get('/v1/keys?limit=2');
    const second = await cordon.get(`/v1/keys?limit=2&cursor=${first.body.nextCursor}`);
    const ids = [...first.body.items, ...second.body.items].map(({ id }) => id);
    expect(new Set(ids).size).toBe(4);
    expect((await cordon.get('/v1/keys?cursor=x')).status).toBe(422);
  });
});

describe('the rate limit of a key', () => {
  it('says what is left; over it 429 with the time to wait, and no other key is affected', async () => {
    const { key } = await createKey({ limits: { requestsPerMinute: 5 } });
    const ask = () => request(cordon.app.getHttpServer()).get('/v1/runtimes').set('authorization', `Bearer ${key}`);
    for (let left = 4; left >= 0; left--) {
      const { status, headers } = await ask();
      expect(status).toBe(200);
      expect(headers).toMatchObject({ 'ratelimit-limit': '5', 'ratelimit-remaining': String(left) });
      expect(headers['ratelimit-policy']).toBe('"requests";q=5;w=60');
    }
    const refused = await ask();
    expect(refused.status).toBe(429);
    expect(refused.body.type).toBe('urn:cordon:problem:rate-limited');
    expect(refused.headers['ratelimit-remaining']).toBe('0');
    const wait = Number(refused.headers['retry-after']);
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(12);
    expect((await cordon.get('/v1/runtimes')).status).toBe(200);
  });
});
