import type { AuditEntry } from '@cordon/contracts';
import type { Redis } from 'ioredis';
import { keys } from './names.js';

/** System calls in order, and each as strace prints it. */
export interface AuditBatch {
  readonly records: readonly AuditEntry[];
  readonly text: readonly string[];
}

export interface StoredAuditBatch extends AuditBatch {
  /** Its place in the stream. */
  readonly id: string;
}

/** The system calls of sandboxes: a stream each, that outlives its sandbox and the worker. */
export class SandboxAuditStore {
  constructor(private readonly redis: Redis) {}

  /** Those who follow hear of it. Returns its place. `seconds`: from now on until the stream is forgotten. */
  async append(sandbox: string, batch: string, seconds: number): Promise<string> {
    const place = keys.sandboxAudit(sandbox);
    const rows = await this.redis
      .multi()
      .xadd(place, '*', 'batch', batch)
      .expire(place, seconds)
      .publish(keys.news, sandbox)
      .exec();
    const [error, id] = rows?.[0] ?? [new Error('the transaction was aborted'), null];
    if (error) throw error;
    return String(id);
  }

  /** Forgets what came before that place. */
  async trim(sandbox: string, first: string): Promise<void> {
    await this.redis.xtrim(keys.sandboxAudit(sandbox), 'MINID', first);
  }

  /** Those who follow it look whether it has ended. */
  async wake(sandbox: string): Promise<void> {
    await this.redis.publish(keys.news, sandbox);
  }

  /** At most `count` batches behind a place; null: from the first that is kept. */
  async read(sandbox: string, after: string | null, count: number): Promise<StoredAuditBatch[]> {
    const from = after === null ? '-' : `(${after}`;
    const rows = await this.redis.xrange(keys.sandboxAudit(sandbox), from, '+', 'COUNT', count);
    return rows.map(([id, fields]) => ({ id, ...(JSON.parse(fields[1]) as AuditBatch) }));
  }
}
