import { hostImage } from '@cordon/images';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { PlatformPools } from './platform-pools.js';
import type { PlatformName, PoolOptions, SandboxPool } from './types.js';

/** A pool that only counts its ends. */
function standIn(platform: string): SandboxPool & { closed: number } {
  const pool = { closed: 0, stats: () => ({ platform }), close: async () => void pool.closed++ };
  return pool as unknown as SandboxPool & { closed: number };
}

describe('PlatformPools', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());
  const made: { options: PoolOptions; pool: ReturnType<typeof standIn> }[] = [];

  async function pools(allowed: readonly PlatformName[], broken: readonly PlatformName[] = []): Promise<PlatformPools> {
    made.length = 0;
    const create = async (options: PoolOptions): Promise<SandboxPool> => {
      if (broken.includes(options.platform as PlatformName)) throw new Error('not on this host');
      const pool = standIn(options.platform);
      made.push({ options, pool });
      return pool;
    };
    const options = { image: hostImage(), spares: 3, renewAfter: 10, allowed, idleMs: 1000, create };
    const found = new PlatformPools(standIn('systrap'), options);
    await found.probe();
    made.length = 0;
    return found;
  }

  it('offers its own platform, and of the others those that are allowed and work', async () => {
    expect((await pools([])).offered()).toEqual(['systrap']);
    expect((await pools(['ptrace', 'systrap', 'kvm'], ['kvm'])).offered()).toEqual(['systrap', 'ptrace']);
  });

  it('never gives another platform than the one asked for', async () => {
    const found = await pools(['ptrace']);
    expect((await found.lease('auto'))?.pool).toBe(found.main);
    expect((await found.lease('systrap'))?.pool).toBe(found.main);
    expect(await found.lease('kvm')).toBeNull();
    expect((await found.lease('ptrace'))?.pool.stats().platform).toBe('ptrace');
  });

  it('starts one with its first request, for all that come, and ends it when it was idle', async () => {
    const found = await pools(['ptrace']);
    const [one, other] = await Promise.all([found.lease('ptrace'), found.lease('ptrace')]);
    expect(made).toHaveLength(1);
    expect(made[0].options.spares).toBe(1);
    one?.release();
    await vi.advanceTimersByTimeAsync(5000);
    expect(made[0].pool.closed).toBe(0);
    other?.release();
    await vi.advanceTimersByTimeAsync(900);
    const again = await found.lease('ptrace');
    await vi.advanceTimersByTimeAsync(5000);
    expect(made[0].pool.closed).toBe(0);
    again?.release();
    await vi.advanceTimersByTimeAsync(1000);
    expect(made[0].pool.closed).toBe(1);
    await found.lease('ptrace');
    expect(made).toHaveLength(2);
  });

  it('tries again after one that did not start', async () => {
    const broken: PlatformName[] = [];
    const found = await pools(['ptrace'], broken);
    broken.push('ptrace');
    await expect(found.lease('ptrace')).rejects.toThrow('not on this host');
    broken.length = 0;
    expect(await found.lease('ptrace')).not.toBeNull();
  });

  it('leaves nothing when it is closed', async () => {
    const found = await pools(['ptrace']);
    (await found.lease('ptrace'))?.release();
    await found.close();
    expect(made[0].pool.closed).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
    expect(await found.lease('ptrace')).toBeNull();
  });
});
