import { randomBytes } from 'node:crypto';
import type { DeliveryAttemptDto, DeliveryDto, DeliveryState } from '@cordon/contracts';
import type { Redis } from 'ioredis';
import { keys } from './names.js';

/** A message that is due. */
export interface DueDelivery {
  readonly id: string;
  readonly executionId: string;
  readonly tenant: string;
  readonly url: string;
  /** From 1. */
  readonly attempt: number;
}

/**
 * Due messages, each leased to the caller: who dies with one in hand delays it, no more. ARGV: now (ms), lease (ms), most.
 * -> flat list of id and attempt.
 */
const CLAIM = `
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
local claimed = {}
for _, id in ipairs(due) do
  if redis.call('EXISTS', 'cordon:webhook:' .. id) == 0 then
    redis.call('ZREM', KEYS[1], id)
  else
    redis.call('ZADD', KEYS[1], ARGV[1] + ARGV[2], id)
    claimed[#claimed + 1] = id
    claimed[#claimed + 1] = redis.call('HINCRBY', 'cordon:webhook:' .. id, 'attempt', 1)
  end
end
return claimed`;

const LEASE_MS = 60_000;
const AT_ONCE = 16;

export const newDeliveryId = (): string => `whk_${randomBytes(12).toString('hex')}`;

/** Messages to webhooks. One is made by the script that ends its execution (FINISH), so that none is forgotten. */
export class WebhookStore {
  constructor(
    private readonly redis: Redis,
    private readonly retentionSeconds: number,
  ) {}

  /** What a tenant's messages are signed with; made on first use. */
  async secret(tenant: string): Promise<string> {
    const place = keys.webhookSecret(tenant);
    await this.redis.set(place, newSecret(), 'NX');
    return (await this.redis.get(place)) ?? '';
  }

  /** A new secret, from the next message on. */
  async rotateSecret(tenant: string): Promise<string> {
    const secret = newSecret();
    await this.redis.set(keys.webhookSecret(tenant), secret);
    return secret;
  }

  async claim(): Promise<DueDelivery[]> {
    const flat = (await this.redis.eval(CLAIM, 1, keys.webhooksDue, Date.now(), LEASE_MS, AT_ONCE)) as (
      | string
      | number
    )[];
    const due: DueDelivery[] = [];
    for (let index = 0; index < flat.length; index += 2) {
      const id = String(flat[index]);
      const { execution, tenant, url } = await this.redis.hgetall(keys.webhook(id));
      due.push({ id, executionId: execution, tenant, url, attempt: Number(flat[index + 1]) });
    }
    return due;
  }

  /** Writes down how an attempt went. `retryAt` (ms): when the next one is; null: that was the last. */
  async record(id: string, attempt: DeliveryAttemptDto, delivered: boolean, retryAt: number | null): Promise<void> {
    const state: DeliveryState = delivered ? 'delivered' : retryAt === null ? 'failed' : 'pending';
    const multi = this.redis
      .multi()
      .hset(keys.webhook(id), 'state', state)
      .rpush(keys.webhookAttempts(id), JSON.stringify(attempt));
    if (state === 'pending' && retryAt !== null) multi.zadd(keys.webhooksDue, retryAt, id);
    else multi.zrem(keys.webhooksDue, id);
    multi.expire(keys.webhook(id), this.retentionSeconds).expire(keys.webhookAttempts(id), this.retentionSeconds);
    await multi.exec();
  }

  /** Null when there is none, or another tenant's. */
  async get(id: string, tenant: string): Promise<DeliveryDto | null> {
    const [record, attempts, due] = await Promise.all([
      this.redis.hgetall(keys.webhook(id)),
      this.redis.lrange(keys.webhookAttempts(id), 0, -1),
      this.redis.zscore(keys.webhooksDue, id),
    ]);
    if (record.tenant !== tenant) return null;
    return {
      id,
      executionId: record.execution,
      url: record.url,
      state: record.state as DeliveryState,
      createdAt: record.createdAt,
      nextAttemptAt: due === null ? null : new Date(Number(due)).toISOString(),
      attempts: attempts.map((text) => JSON.parse(text) as DeliveryAttemptDto),
    };
  }

  /** Once more, now, with all attempts again before it. False when there is none, or another tenant's. */
  async again(id: string, tenant: string): Promise<boolean> {
    if ((await this.redis.hget(keys.webhook(id), 'tenant')) !== tenant) return false;
    await this.redis
      .multi()
      .hset(keys.webhook(id), 'state', 'pending', 'attempt', 0)
      .zadd(keys.webhooksDue, Date.now(), id)
      .exec();
    return true;
  }

  /** Newest first, from `offset`. Those whose time is over leave the list. */
  async list(tenant: string, offset: number, limit: number): Promise<{ items: DeliveryDto[]; next: number | null }> {
    const place = keys.webhooksOf(tenant);
    await this.redis.zremrangebyscore(place, '-inf', Date.now() - this.retentionSeconds * 1000);
    const ids = await this.redis.zrevrange(place, offset, offset + limit);
    const items = await Promise.all(ids.slice(0, limit).map((id) => this.get(id, tenant)));
    return { items: items.filter((item) => item !== null), next: ids.length > limit ? offset + limit : null };
  }
}

const newSecret = (): string => `whsec_${randomBytes(32).toString('base64url')}`;
