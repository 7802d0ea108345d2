import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EmbeddedRedis, startRedis } from './embedded-redis.js';
import { consume } from './job-queue.js';

const directory = mkdtempSync(join(tmpdir(), 'cordon-queue-'));
let redis: EmbeddedRedis;
beforeAll(async () => {
  redis = await startRedis(directory);
}, 30_000);
afterAll(async () => {
  await redis.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** A consumer whose takes are answered by hand. */
function byHand(concurrency: number) {
  const takes: ((found: string | null) => void)[] = [];
  const ran: string[] = [];
  const consumer = consume<string>(
    redis.url,
    concurrency,
    () => new Promise((answer) => takes.push(answer)),
    async (found) => {
      ran.push(found);
      return null;
    },
  );
  return { consumer, takes, ran };
}

describe('a wake', () => {
  it('makes a slot look, once', async () => {
    const { consumer, takes, ran } = byHand(2);
    await consumer.ready;
    consumer.wake();
    expect(takes).toHaveLength(1);
    takes[0]('one');
    await expect.poll(() => ran).toEqual(['one']);
    await consumer.close();
    expect(takes).toHaveLength(1);
  });

  it('that comes while the last look is on its way back makes another one', async () => {
    const { consumer, takes, ran } = byHand(1);
    await consumer.ready;
    consumer.wake();
    consumer.wake();
    consumer.wake();
    expect(takes).toHaveLength(1);
    takes[0](null);
    await expect.poll(() => takes.length).toBe(2);
    takes[1]('late');
    await expect.poll(() => ran).toEqual(['late']);
    await consumer.close();
    expect(takes).toHaveLength(2);
  });

  it('is nothing to a consumer that closes', async () => {
    const { consumer, takes } = byHand(1);
    await consumer.ready;
    const closed = consumer.close();
    consumer.wake();
    await closed;
    expect(takes).toHaveLength(0);
  });
});
