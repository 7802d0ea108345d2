import type { ProblemSettings } from '@cordon/contracts';
import type { Redis } from 'ioredis';
import { keys } from '../names.js';
import type { StoredTest } from './problem-store.js';
import { settingsOf } from './settings.js';
import type { StoredFile } from './upload.js';

/** Test data that a worker keeps at hand, in bytes. */
const CACHE_BYTES = 64 << 20;

/** Test data is not there any more: its problem was deleted. */
export class TestDataGone extends Error {
  override readonly name = 'TestDataGone';
}

/** A stored problem as it is judged by. */
export interface JudgedProblem {
  readonly tenant: string;
  readonly settings: ProblemSettings;
  readonly tests: readonly StoredTest[];
}

/** Tests of stored problems as a worker reads them. Content never changes under its digest, so what was read is kept at hand. */
export class TestReader {
  /** In the order of their last use. */
  private readonly cache = new Map<string, Buffer>();
  private cached = 0;

  constructor(private readonly redis: Redis) {}

  /** One version of it. Throws TestDataGone. */
  async problem(id: string, version: number): Promise<JudgedProblem> {
    const [tenant, settings, tests] = await Promise.all([
      this.redis.hget(keys.problem(id), 'tenant'),
      settingsOf(this.redis, id, version, true),
      this.redis.hget(keys.problemVersions(id), String(version)),
    ]);
    if (tenant === null || settings === null || tests === null)
      throw new TestDataGone(`problem ${id}, version ${version} was deleted`);
    return { tenant, settings, tests: JSON.parse(tests) as StoredTest[] };
  }

  async read(tenant: string, { chunks }: StoredFile): Promise<Buffer> {
    const parts = await Promise.all(chunks.map(({ digest }) => this.chunk(tenant, digest)));
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }

  private async chunk(tenant: string, digest: string): Promise<Buffer> {
    const place = keys.chunk(tenant, digest);
    const known = this.cache.get(place);
    if (known) {
      this.cache.delete(place);
      this.cache.set(place, known);
      return known;
    }
    const bytes = await this.redis.getBuffer(place);
    if (bytes === null) throw new TestDataGone('test data was deleted while it was used');
    if (!this.cache.has(place)) {
      this.cache.set(place, bytes);
      this.cached += bytes.length;
    }
    for (const [oldest, { length }] of this.cache) {
      if (this.cached <= CACHE_BYTES) break;
      this.cache.delete(oldest);
      this.cached -= length;
    }
    return bytes;
  }
}
