import type { Redis } from 'ioredis';
import { keys } from './names.js';

/**
 * Generic cell rate algorithm (ITU-T I.371): the stored time is when the next request would be on time; a request may come at most
 * `burst` early. Redis' clock, so that API processes agree. -> { allowed, remaining, ms until the burst is whole, ms to wait }
 */
const GCRA = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local window = tonumber(ARGV[2])
local interval = window / tonumber(ARGV[1])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local after = due + interval
if after - now > window then
  return { 0, 0, math.ceil(due - now), math.ceil(after - now - window) }
end
redis.call('SET', KEYS[1], after, 'PX', math.ceil(after - now))
return { 1, math.floor((window - (after - now)) / interval), math.ceil(after - now), 0 }`;

export interface RateDecision {
  readonly allowed: boolean;
  readonly limit: number;
  readonly windowSeconds: number;
  readonly remaining: number;
  /** Seconds until the whole limit is there again. */
  readonly resetSeconds: number;
  /** Seconds to wait before trying again; 0 when allowed. */
  readonly retrySeconds: number;
}

const WINDOW_SECONDS = 60;

/** Counts one request of a key that may make `limit` of them a minute. */
export async function countRequest(redis: Redis, keyId: string, limit: number): Promise<RateDecision> {
  const answer = (await redis.eval(GCRA, 1, keys.rate(keyId), limit, WINDOW_SECONDS * 1000)) as number[];
  const [allowed, remaining, reset, retry] = answer;
  return {
    allowed: allowed === 1,
    limit,
    windowSeconds: WINDOW_SECONDS,
    remaining,
    resetSeconds: Math.ceil(reset / 1000),
    retrySeconds: Math.ceil(retry / 1000),
  };
}
