import type { SandboxDto, WorkerDto } from '@cordon/contracts';
import { connect, keys } from '@cordon/queue';
import { describe, expect, it } from 'vitest';
import { useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });

/** What older versions wrote lacks the fields that were added since. */
async function without(key: string, at: (record: object) => object, fields: readonly string[]): Promise<void> {
  const redis = connect(cordon.redis.url);
  try {
    const record = JSON.parse((await redis.get(key)) ?? '') as object;
    const inner = at(record) as Record<string, unknown>;
    for (const field of fields) {
      expect(inner).toHaveProperty(field);
      delete inner[field];
    }
    await redis.set(key, JSON.stringify(record), 'KEEPTTL');
  } finally {
    redis.disconnect();
  }
}

describe('records that an older version left', () => {
  it('a worker offers its own platform', async () => {
    const [{ id, platform }] = (await cordon.get('/v1/workers')).body as WorkerDto[];
    const whole = connect(cordon.redis.url);
    const before = (await whole.get(keys.worker(id))) ?? '';
    const old = { ...JSON.parse(before), id: 'older' };
    delete old.platforms;
    await whole.multi().set(keys.worker('older'), JSON.stringify(old)).sadd(keys.workers, 'older').exec();
    try {
      const workers = (await cordon.get('/v1/workers')).body as WorkerDto[];
      expect(workers.find((worker) => worker.id === 'older')).toMatchObject({ platform, platforms: [platform] });
      expect(await cordon.run({ command: ['/bin/true'], platform })).toMatchObject({ state: 'succeeded' });
      const other = ['systrap', 'kvm', 'ptrace'].find((name) => name !== platform);
      expect((await cordon.post({ command: ['/bin/true'], platform: other })).status).toBe(422);
    } finally {
      await whole.multi().del(keys.worker('older')).srem(keys.workers, 'older').exec();
      whole.disconnect();
    }
  });

  it('a sandbox is shown with what is known of it', async () => {
    const { id } = (await cordon.postTo('/v1/sandboxes', {})).body as SandboxDto;
    await cordon.delete(`/v1/sandboxes/${id}`);
    await without(keys.sandbox(id), (record) => (record as { sandbox: object }).sandbox, ['usage', 'platform']);
    const shown = { id, state: 'ended', endReason: 'deleted', usage: null, platform: 'unknown' };
    expect((await cordon.get(`/v1/sandboxes/${id}`)).body).toMatchObject(shown);
    const { items } = (await cordon.get('/v1/sandboxes')).body as { items: SandboxDto[] };
    expect(items.find((sandbox) => sandbox.id === id)).toMatchObject(shown);
  });
});
