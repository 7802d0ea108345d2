import type { Redis } from 'ioredis';
import { keys } from './names.js';

/** Which submissions came together. */
export class BatchStore {
  constructor(
    private readonly redis: Redis,
    /** As long as the submissions themselves. */
    private readonly retentionSeconds: number,
  ) {}

  async save(id: string, tenant: string, submissions: readonly string[]): Promise<void> {
    await this.redis.set(keys.batch(id), JSON.stringify({ tenant, submissions }), 'EX', this.retentionSeconds);
  }

  /** Null when there is none, or another tenant's. */
  async get(id: string, tenant: string): Promise<readonly string[] | null> {
    const text = await this.redis.get(keys.batch(id));
    if (text === null) return null;
    const record = JSON.parse(text) as { tenant: string; submissions: string[] };
    return record.tenant === tenant ? record.submissions : null;
  }
}
