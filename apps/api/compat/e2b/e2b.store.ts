import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { PREFIX } from '@cordon/queue';
import type { Redis } from 'ioredis';

/** What E2B's clients said of a sandbox, beside our own record of it. */
export interface E2bRecord {
  readonly tenant: string;
  readonly templateId: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Opens the data plane of this sandbox, and nothing else. */
  readonly accessToken: string;
  readonly envVars: Readonly<Record<string, string>>;
}

const place = (id: string): string => `${PREFIX}:e2b:${id}`;
/** Longer than any sandbox lives. */
const KEPT_SECONDS = 3 * 86_400;
/** A record does not change: it need not be read for each call. */
const CACHED = 1000;

const ID_PREFIX = 'sbx_';

/** The sandbox that a token says it is for. */
export function idOfToken(token: string): string | null {
  const id = /^ea_([a-z0-9]{24})_/.exec(token)?.[1];
  return id === undefined ? null : ID_PREFIX + id;
}

export class E2bStore {
  private readonly cache = new Map<string, E2bRecord>();

  constructor(private readonly redis: Redis) {}

  /** Names its sandbox: some calls of older clients carry nothing else. */
  newToken(id: string): string {
    return `ea_${id.slice(ID_PREFIX.length)}_${randomBytes(24).toString('hex')}`;
  }

  async save(id: string, record: E2bRecord): Promise<void> {
    await this.redis.set(place(id), JSON.stringify(record), 'EX', KEPT_SECONDS);
  }

  /** Of a sandbox that could not be had. */
  async forget(id: string): Promise<void> {
    this.cache.delete(id);
    await this.redis.del(place(id));
  }

  defaultContext(id: string, language: string): Promise<string | null> {
    return this.redis.hget(`${place(id)}:contexts`, language);
  }

  /** -> the one that there is: whoever came first made it. */
  async setDefaultContext(id: string, language: string, context: string): Promise<string> {
    const key = `${place(id)}:contexts`;
    await this.redis.multi().hsetnx(key, language, context).expire(key, KEPT_SECONDS).exec();
    return (await this.redis.hget(key, language)) ?? context;
  }

  async get(id: string): Promise<E2bRecord | null> {
    const known = this.cache.get(id);
    if (known) return known;
    const text = await this.redis.get(place(id));
    if (text === null) return null;
    const record = JSON.parse(text) as E2bRecord;
    if (this.cache.size >= CACHED) this.cache.delete(this.cache.keys().next().value as string);
    this.cache.set(id, record);
    return record;
  }
}

/** In a time that tells nothing. */
export function sameToken(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

/** Whether a URL was signed by who has the token: `v1_` and the digest of what it permits. `expires`: seconds since 1970. */
export function signatureHolds(
  signature: string,
  path: string,
  operation: 'read' | 'write',
  user: string,
  token: string,
  expires: string | null,
): boolean {
  if (expires !== null && !(Number(expires) * 1000 > Date.now())) return false;
  const signed = [path, operation, user, token, ...(expires === null ? [] : [expires])].join(':');
  const digest = createHash('sha256').update(signed).digest('base64').replace(/=+$/, '');
  return sameToken(signature, `v1_${digest}`);
}
