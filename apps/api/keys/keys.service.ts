import { type CreatedKeyDto, type CreateKeyDto, KEY_LIMIT_NAMES, type KeyDto, type KeyLimits } from '@cordon/contracts';
import { connect, countRequest, KeyStore, keyDigest, keys, type Principal, type RateDecision } from '@cordon/queue';
import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Redis } from 'ioredis';
import { ProblemException } from '../http/problem.js';
import { ApiSettings } from '../settings.js';

const ID = /^key_[0-9a-f]{24}$/;
/** A revoked key is forgotten at once by message; this bounds what a lost message can do. */
const CACHE_MS = 5_000;
const CACHE_MOST = 10_000;

interface Cached {
  readonly principal: Principal;
  readonly until: number;
}

/** Who is behind a key, and the keys themselves. */
@Injectable()
export class KeysService implements OnModuleInit, OnApplicationShutdown {
  private readonly redis: Redis;
  private readonly subscriber: Redis;
  private readonly store: KeyStore;
  private readonly cache = new Map<string, Cached>();

  constructor(private readonly settings: ApiSettings) {
    this.redis = connect(settings.redisUrl, { enableAutoPipelining: true, maxRetriesPerRequest: 1 });
    this.subscriber = connect(settings.redisUrl);
    for (const redis of [this.redis, this.subscriber]) redis.on('error', () => undefined);
    this.store = new KeyStore(this.redis);
  }

  async onModuleInit(): Promise<void> {
    this.subscriber.on('message', () => this.cache.clear());
    await this.subscriber.subscribe(keys.keysChanged);
  }

  onApplicationShutdown(): void {
    this.redis.disconnect();
    this.subscriber.disconnect();
  }

  /** Null for a key that is none of ours, revoked or expired. The keys of the environment need no Redis. */
  async principalOf(key: string): Promise<Principal | null> {
    const now = Date.now();
    const digest = keyDigest(key);
    const cached = this.cache.get(digest);
    const principal =
      cached && cached.until > now
        ? cached.principal
        : (this.settings.principalOf(key) ?? (await this.look(digest, now)));
    return principal === null || (principal.expiresAt !== null && principal.expiresAt <= now) ? null : principal;
  }

  private async look(digest: string, now: number): Promise<Principal | null> {
    const found = await this.store.principal(digest);
    if (found === null) return null;
    const principal = { ...found, limits: this.withDefaults(found.limits) };
    if (this.cache.size >= CACHE_MOST) this.cache.clear();
    this.cache.set(digest, { principal, until: now + CACHE_MS });
    return principal;
  }

  /** Counts a request; null for a key without a limit. */
  async count(principal: Principal): Promise<RateDecision | null> {
    const limit = principal.limits.requestsPerMinute;
    return limit === null ? null : countRequest(this.redis, principal.keyId, limit);
  }

  async create(dto: CreateKeyDto): Promise<CreatedKeyDto> {
    if (dto.expiresAt !== undefined && !(Date.parse(dto.expiresAt) > Date.now())) {
      throw new ProblemException('invalid-request', undefined, [
        { pointer: '/expiresAt', detail: 'must be in the future' },
      ]);
    }
    const limits = Object.fromEntries(KEY_LIMIT_NAMES.map((name) => [name, dto.limits?.[name] ?? null])) as KeyLimits;
    const { record, key } = await this.store.create({
      name: dto.name,
      scopes: dto.scopes,
      tenant: dto.tenant ?? null,
      limits,
      expiresAt: dto.expiresAt === undefined ? null : new Date(dto.expiresAt).toISOString(),
    });
    return { ...this.shown(record), key };
  }

  async get(id: string): Promise<KeyDto> {
    return this.shown(known(ID.test(id) ? await this.store.get(id) : null));
  }

  async revoke(id: string): Promise<KeyDto> {
    const record = known(ID.test(id) ? await this.store.revoke(id) : null);
    // This process need not wait for its own message.
    this.cache.clear();
    return this.shown(record);
  }

  async list(offset: number, limit: number): ReturnType<KeyStore['list']> {
    const { items, next } = await this.store.list(offset, limit);
    return { items: items.map((record) => this.shown(record)), next };
  }

  /** As it holds now: what its maker left open is the deployment's to say. */
  private shown(record: KeyDto): KeyDto {
    return { ...record, limits: this.withDefaults(record.limits) };
  }

  private withDefaults(limits: KeyLimits): KeyLimits {
    return { ...limits, sandboxes: limits.sandboxes ?? this.settings.keySandboxes };
  }
}

function known(record: KeyDto | null): KeyDto {
  if (!record) throw new ProblemException('not-found', 'no such key');
  return record;
}
