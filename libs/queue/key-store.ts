import { createHash, randomBytes } from 'node:crypto';
import { KEY_LIMIT_NAMES, type KeyDto, type KeyLimits, type Scope } from '@cordon/contracts';
import type { Redis } from 'ioredis';
import { keys } from './names.js';

/** Who a request comes from. */
export interface Principal {
  readonly keyId: string;
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  readonly limits: KeyLimits;
  /** When the key ends by itself, ms since the epoch; null: never. */
  readonly expiresAt: number | null;
}

export interface NewKey {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly tenant: string | null;
  readonly limits: KeyLimits;
  readonly expiresAt: string | null;
}

/** Keys are 256 random bits: one pass of SHA-256 hides them as well as a slow hash would. */
export const keyDigest = (key: string): string => createHash('sha256').update(key).digest('hex');

/** A record as it is read: those of older versions know fewer limits. */
function recordOf(text: string): KeyDto {
  const record = JSON.parse(text) as KeyDto;
  const limits = Object.fromEntries(KEY_LIMIT_NAMES.map((name) => [name, record.limits[name] ?? null])) as KeyLimits;
  return { ...record, limits };
}

/** -> the record as it is now, or nil. Revoking twice keeps the first time. */
const REVOKE = `
local text = redis.call('GET', KEYS[1])
if not text then return nil end
local record = cjson.decode(text)
if record.revokedAt ~= cjson.null then return text end
text = string.gsub(text, '"revokedAt":null', '"revokedAt":"' .. ARGV[1] .. '"', 1)
redis.call('SET', KEYS[1], text)
redis.call('HDEL', KEYS[2], ARGV[3])
redis.call('PUBLISH', KEYS[3], ARGV[2])
return text`;

/** API keys in Redis: the record by id, the id by digest. The text of a key is nowhere. */
export class KeyStore {
  constructor(private readonly redis: Redis) {}

  /** The record and, this once, the key's text. */
  async create(wanted: NewKey): Promise<{ record: KeyDto; key: string }> {
    const id = `key_${randomBytes(12).toString('hex')}`;
    const key = `cordon_${randomBytes(32).toString('base64url')}`;
    const now = new Date();
    // revokedAt first: REVOKE changes the first one it meets, and a name may hold anything.
    const record = {
      revokedAt: null,
      id,
      name: wanted.name,
      scopes: [...wanted.scopes],
      tenant: wanted.tenant ?? id,
      limits: wanted.limits,
      createdAt: now.toISOString(),
      expiresAt: wanted.expiresAt,
    } satisfies KeyDto;
    const digest = keyDigest(key);
    await this.redis
      .multi()
      .set(keys.key(id), JSON.stringify(record))
      .hset(keys.keyDigests, digest, id)
      .set(`${keys.key(id)}:digest`, digest)
      .zadd(keys.keyIds, now.getTime(), id)
      .exec();
    return { record, key };
  }

  async get(id: string): Promise<KeyDto | null> {
    const text = await this.redis.get(keys.key(id));
    return text === null ? null : recordOf(text);
  }

  /** Null when there is none. Its record stays: executions name it. */
  async revoke(id: string): Promise<KeyDto | null> {
    const digest = await this.redis.get(`${keys.key(id)}:digest`);
    const place = [keys.key(id), keys.keyDigests, keys.keysChanged];
    const text = await this.redis.eval(REVOKE, 3, ...place, new Date().toISOString(), id, digest ?? '');
    return text === null ? null : recordOf(String(text));
  }

  /** Newest first; the cursor is how many came before. */
  async list(offset: number, limit: number): Promise<{ items: KeyDto[]; next: number | null }> {
    const ids = await this.redis.zrevrange(keys.keyIds, offset, offset + limit);
    const page = ids.slice(0, limit);
    const texts = page.length === 0 ? [] : await this.redis.mget(page.map((id) => keys.key(id)));
    const items = texts.flatMap((text) => (text === null ? [] : [recordOf(text)]));
    return { items, next: ids.length > limit ? offset + limit : null };
  }

  /** Null for a key that is none of ours, is revoked or has expired. */
  async principal(digest: string): Promise<Principal | null> {
    const id = await this.redis.hget(keys.keyDigests, digest);
    const record = id === null ? null : await this.get(id);
    if (!record || record.revokedAt !== null) return null;
    const expiresAt = record.expiresAt === null ? null : Date.parse(record.expiresAt);
    return { keyId: record.id, tenant: record.tenant, scopes: record.scopes, limits: record.limits, expiresAt };
  }
}
