import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect } from './connection.js';
import { type EmbeddedRedis, startRedis } from './embedded-redis.js';
import { ExecutionStore } from './execution-store.js';
import { keys } from './names.js';

const SILENCE_MS = 5_000;
const LONG_AGO_MS = 60_000;
const ID = 'exe_of_a_silent_worker';
const directory = mkdtempSync(join(tmpdir(), 'cordon-sweep-'));
let server: EmbeddedRedis;
let redis: Redis;
beforeAll(async () => {
  server = await startRedis(directory);
  redis = connect(server.url);
}, 30_000);
afterAll(async () => {
  redis.disconnect();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** An execution that runs on a worker that said nothing for a minute. */
async function silent(): Promise<void> {
  await redis.zadd('cordon:alive', Date.now() - LONG_AGO_MS, 'w');
  await redis.sadd('cordon:worker:w:running', ID);
  const record = { state: 'running', worker: 'w', key: 'k', priority: 'interactive', place: '1', tenant: 't' };
  await redis.hset(keys.execution(ID), record);
}

const swept = async (): Promise<string | null> => {
  await new ExecutionStore(redis).sweep(SILENCE_MS);
  return redis.hget(keys.execution(ID), 'state');
};

it('a worker is not lost because Redis was away: it is given its time again', async () => {
  await silent();
  expect(await swept(), 'the first sweep').toBe('running');
  expect(await swept(), 'the next one').toBe('running');
  await redis.set('cordon:resumed', Date.now() - SILENCE_MS);
  expect(await swept(), 'when that time is over').toBe('queued');

  await silent();
  await redis.set('cordon:swept', Date.now() - LONG_AGO_MS);
  expect(await swept(), 'after a pause of all sweeps').toBe('running');
});
