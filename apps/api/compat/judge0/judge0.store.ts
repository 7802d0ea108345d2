import { PREFIX } from '@cordon/queue';
import type { Redis } from 'ioredis';
import type { Judge0Fields } from './request.js';

const place = (token: string): string => `${PREFIX}:judge0:${token}`;
const ofTenant = (tenant: string): string => `${PREFIX}:tenant:${tenant}:judge0`;

interface Kept {
  readonly tenant: string;
  readonly fields: Judge0Fields;
}

/** What was asked, beside the execution that it became; kept as long as that one. */
export class Judge0Store {
  constructor(
    private readonly redis: Redis,
    private readonly retentionSeconds: number,
  ) {}

  /** Before its execution is accepted: nothing accepted is without. */
  async save(token: string, tenant: string, fields: Judge0Fields): Promise<void> {
    // Runs take their time before retention begins.
    const seconds = this.retentionSeconds + 3600;
    await this.redis.set(place(token), JSON.stringify({ tenant, fields } satisfies Kept), 'EX', seconds);
  }

  /** Puts it into its tenant's list, which leaves out what is not there (yet). */
  async list(token: string, tenant: string, at: Date): Promise<void> {
    const key = ofTenant(tenant);
    await this.redis
      .multi()
      .zremrangebyscore(key, '-inf', at.getTime() - this.retentionSeconds * 1000)
      .zadd(key, at.getTime(), token)
      .expire(key, this.retentionSeconds + 3600)
      .exec();
  }

  async get(token: string, tenant: string): Promise<Judge0Fields | null> {
    const text = await this.redis.get(place(token));
    const kept = text === null ? null : (JSON.parse(text) as Kept);
    return kept?.tenant === tenant ? kept.fields : null;
  }

  /** Newest first. */
  async page(tenant: string, from: number, count: number): Promise<{ tokens: string[]; total: number }> {
    const key = ofTenant(tenant);
    await this.redis.zremrangebyscore(key, '-inf', Date.now() - this.retentionSeconds * 1000);
    const [tokens, total] = await Promise.all([
      count === 0 ? [] : this.redis.zrevrange(key, from, from + count - 1),
      this.redis.zcard(key),
    ]);
    return { tokens, total };
  }

  async forget(token: string, tenant: string): Promise<void> {
    await this.redis.multi().del(place(token)).zrem(ofTenant(tenant), token).exec();
  }
}
