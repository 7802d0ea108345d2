import type { SandboxDto } from '@cordon/contracts';
import type { Redis } from 'ioredis';
import { keys } from './names.js';
import { holding } from './sandbox-places.js';

/** How long an ended sandbox is remembered. */
const ENDED_SECONDS = 3600;
/** Records outlive their sandbox's time by this, should nobody be left to end them. */
const SLACK_SECONDS = 3600;
const LIST_MAX = 500;

export interface SandboxRecord {
  readonly tenant: string;
  /** The key that made it; older APIs said none. */
  readonly keyId?: string;
  readonly worker: string;
  readonly sandbox: SandboxDto;
}

/** A record as it is read; older workers wrote less. */
function recordOf(text: string): SandboxRecord {
  const record = JSON.parse(text) as SandboxRecord;
  return { ...record, sandbox: { ...NOT_TOLD, ...record.sandbox } };
}

const NOT_TOLD: Pick<SandboxDto, 'usage' | 'platform'> = { usage: null, platform: 'unknown' };

/** How long what is known of it is kept, from now. */
export function keptSeconds({ state, expiresAt }: SandboxDto): number {
  if (state === 'ended') return ENDED_SECONDS;
  return Math.max(Math.ceil((Date.parse(expiresAt) - Date.now()) / 1000), 0) + SLACK_SECONDS;
}

/** Which sandboxes there are and which worker keeps each; what is inside them is known there alone. */
export class SandboxStore {
  constructor(private readonly redis: Redis) {}

  /** Written by the worker: at the beginning, when its time changes, and at the end, when its place is free. */
  async save(record: SandboxRecord): Promise<void> {
    const { sandbox, tenant, keyId } = record;
    const seconds = keptSeconds(sandbox);
    const write = this.redis
      .multi()
      .set(keys.sandbox(sandbox.id), JSON.stringify(record), 'EX', seconds)
      .expire(keys.sandboxAudit(sandbox.id), seconds)
      .zadd(keys.sandboxesOf(tenant), Date.parse(sandbox.createdAt), sandbox.id);
    if (keyId !== undefined && sandbox.state === 'ended') write.zrem(keys.sandboxPlaces(keyId), sandbox.id);
    else if (keyId !== undefined) holding(write, keyId, [sandbox.id]);
    await write.exec();
  }

  async get(id: string): Promise<SandboxRecord | null> {
    const text = await this.redis.get(keys.sandbox(id));
    return text === null ? null : recordOf(text);
  }

  /** Newest first. */
  async list(tenant: string): Promise<SandboxRecord[]> {
    const place = keys.sandboxesOf(tenant);
    const ids = await this.redis.zrevrange(place, 0, LIST_MAX - 1);
    if (ids.length === 0) return [];
    const texts = await this.redis.mget(ids.map((id) => keys.sandbox(id)));
    const forgotten = ids.filter((_, index) => texts[index] === null);
    if (forgotten.length > 0) await this.redis.zrem(place, forgotten);
    return texts.flatMap((text) => (text === null ? [] : [recordOf(text)]));
  }
}
