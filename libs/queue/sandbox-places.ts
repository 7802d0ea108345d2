import type { ChainableCommander, Redis } from 'ioredis';
import { keys } from './names.js';
import { WORKER_TTL_SECONDS } from './worker-registry.js';

/** As long as a worker counts as there that says nothing: its sandboxes go when it does. */
const HELD_MS = WORKER_TTL_SECONDS * 1000;
/** From the claim to the worker's first word: more than opening ever takes. */
const CLAIMED_MS = 60_000;
/** A set that nobody touches any more. */
const FORGOTTEN_MS = 3_600_000;

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)`;

/** KEYS: the key's places. ARGV: sandbox, how many it may have ('' = any number), 1 to drop those that nobody holds, ms. -> 1 or 0. */
const CLAIM = `${NOW}
if ARGV[3] == '1' then redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now) end
if ARGV[2] ~= '' and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ${FORGOTTEN_MS})
return 1`;

/** KEYS: the key's places. ARGV: ms, sandboxes. */
const HOLD = `${NOW}
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ${FORGOTTEN_MS})`;

/** KEYS: the key's places. -> how many are held. */
const COUNT = `${NOW}
return redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf')`;

/**
 * How many sandboxes of a key live: a sorted set of their ids by the time (ms, Redis' clock) until which each is held. A new one is claimed
 * by the API before any worker hears of it, then held by the worker that keeps it, again and again. So nothing has to be counted down:
 * what is not held any more (its API died before a worker had it, its worker was lost) lapses by itself, and what lives is counted
 * again by the next word of its worker, whatever was lost in between.
 */
export class SandboxPlaces {
  constructor(private readonly redis: Redis) {}

  /**
   * False when the key has `most` of them; null: as many as it likes. `settled`: a place that is not held is free; false behind a time
   * without Redis, when no worker could hold anything.
   */
  async claim(keyId: string, id: string, most: number | null, settled: boolean): Promise<boolean> {
    const place = keys.sandboxPlaces(keyId);
    return (await this.redis.eval(CLAIM, 1, place, id, most ?? '', settled ? 1 : 0, CLAIMED_MS)) === 1;
  }

  /** Said by the worker of all that it keeps, at each of its heartbeats. */
  async hold(held: Iterable<{ keyId: string; id: string }>): Promise<void> {
    const byKey = new Map<string, string[]>();
    for (const { keyId, id } of held) byKey.set(keyId, [...(byKey.get(keyId) ?? []), id]);
    await Promise.all([...byKey].map(([keyId, ids]) => holding(this.redis, keyId, ids)));
  }

  async release(keyId: string, id: string): Promise<void> {
    await this.redis.zrem(keys.sandboxPlaces(keyId), id);
  }

  async count(keyId: string): Promise<number> {
    return Number(await this.redis.eval(COUNT, 1, keys.sandboxPlaces(keyId)));
  }
}

/** As a step of something larger, too. */
export function holding<T extends Redis | ChainableCommander>(
  redis: T,
  keyId: string,
  ids: readonly string[],
): ReturnType<T['eval']> {
  return redis.eval(HOLD, 1, keys.sandboxPlaces(keyId), HELD_MS, ...ids) as ReturnType<T['eval']>;
}
