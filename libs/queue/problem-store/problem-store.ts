import { randomBytes } from 'node:crypto';
import { PROBLEM_LIMITS, type ProblemSettings, type ProblemVersionDto } from '@cordon/contracts';
import type { Redis } from 'ioredis';
import { keys } from '../names.js';
import { ADD_VERSION, CHANGE_PROBLEM, CREATE_PROBLEM, DELETE_PROBLEM, DELETE_VERSION } from './problem-scripts.js';
import { decodeSettings, encodeSettings, settingsOf } from './settings.js';
import { type StoredFile, Upload } from './upload.js';

/** Bytes of test data that a tenant may keep, unless the operator says otherwise. */
export const PROBLEM_BYTES_DEFAULT = 1 << 30;

export interface StoredTest {
  readonly name: string;
  readonly input: StoredFile;
  readonly expected: StoredFile;
  readonly points: number;
  readonly group: string | null;
}

export interface StoredProblem {
  readonly id: string;
  readonly settings: ProblemSettings;
  /** The latest; 0: none yet. */
  readonly version: number;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface NewVersion {
  readonly problem: string;
  readonly tenant: string;
  readonly upload: Upload;
  readonly tests: readonly StoredTest[];
  /** The version it builds on, which must still be the latest; null: on none. */
  readonly base: number | null;
}

export interface ProblemChange {
  readonly problem: string;
  readonly tenant: string;
  readonly title: string;
  /** Null: they stay. */
  readonly settings: ProblemSettings | null;
  /** The latest version, which must still be it. */
  readonly base: number;
  /** Those of the new version, with the data of `base`; null: there is none to be. */
  readonly tests: readonly StoredTest[] | null;
}

export type VersionAdded =
  | { readonly what: 'created'; readonly version: ProblemVersionDto }
  /**
   * gone: no such problem; versions: too many; changed: `base` is not the latest any more; lost: the upload took too long; quota: `used` bytes
   * are kept already.
   */
  | { readonly what: 'gone' | 'versions' | 'changed' | 'lost' }
  | { readonly what: 'quota'; readonly used: number };

export const newProblemId = (): string => `prb_${randomBytes(12).toString('hex')}`;

/** Problems, their immutable versions and their test data in Redis. Equal data of a tenant is kept once. */
export class ProblemStore {
  constructor(
    private readonly redis: Redis,
    private readonly bytesMost = PROBLEM_BYTES_DEFAULT,
  ) {}

  /** Null when the tenant has too many. */
  async create(tenant: string, settings: ProblemSettings): Promise<StoredProblem | null> {
    const id = newProblemId();
    const now = new Date();
    const at = now.toISOString();
    const text = encodeSettings(settings);
    const place = [id, tenant, text.settings, at, now.getTime(), PROBLEM_LIMITS.problems, text.sources];
    const made = await this.redis.eval(CREATE_PROBLEM, 0, ...place);
    return made === 1 ? { id, settings, version: 0, createdAt: at, updatedAt: at } : null;
  }

  /** Null when there is none, or another tenant's. Without `whole` it has no sources of programs. */
  async get(id: string, tenant: string, whole: boolean): Promise<StoredProblem | null> {
    const fields = ['tenant', 'settings', 'version', 'createdAt', 'updatedAt', 'title', ...(whole ? ['sources'] : [])];
    const [owner, text, version, createdAt, updatedAt, title, sources = null] = await this.redis.hmget(
      keys.problem(id),
      ...fields,
    );
    if (owner !== tenant || text === null || createdAt === null || updatedAt === null) return null;
    const settings = decodeSettings(text, sources);
    return {
      id,
      settings: title === null ? settings : { ...settings, title },
      version: Number(version),
      createdAt,
      updatedAt,
    };
  }

  /** What one of its versions is judged by; null when there is no such version. */
  settings(id: string, version: number, whole: boolean): Promise<ProblemSettings | null> {
    return settingsOf(this.redis, id, version, whole);
  }

  /** Other settings, points or groups. `created`: with the latest version, new or not. */
  async change({ problem, tenant, title, settings, base, tests }: ProblemChange): Promise<VersionAdded> {
    const text = settings === null ? { settings: '', sources: '' } : encodeSettings(settings);
    const at = new Date().toISOString();
    const bytes = (tests ?? []).reduce((sum, { input, expected }) => sum + input.bytes + expected.bytes, 0);
    const summary = { tests: tests?.length ?? 0, bytes, createdAt: at };
    const [what, number] = (await this.redis.eval(
      CHANGE_PROBLEM,
      0,
      ...[problem, tenant, this.bytesMost, PROBLEM_LIMITS.versions, base, title, text.settings, text.sources, at],
      ...(tests === null ? ['', ''] : [JSON.stringify(tests), JSON.stringify(summary)]),
    )) as [VersionAdded['what'], number];
    if (what === 'created') return { what, version: { version: number, ...summary } };
    return what === 'quota' ? { what, used: number } : { what };
  }

  /** False: there is no such version. */
  async deleteVersion(id: string, tenant: string, version: number): Promise<boolean> {
    return (await this.redis.eval(DELETE_VERSION, 0, id, tenant, version, new Date().toISOString())) === 1;
  }

  /** Newest first; the cursor is how many came before. */
  async list(tenant: string, offset: number, limit: number): Promise<{ items: StoredProblem[]; next: number | null }> {
    const ids = await this.redis.zrevrange(keys.problemsOf(tenant), offset, offset + limit);
    const found = await Promise.all(ids.slice(0, limit).map((id) => this.get(id, tenant, false)));
    return { items: found.filter((problem) => problem !== null), next: ids.length > limit ? offset + limit : null };
  }

  async delete(id: string, tenant: string): Promise<boolean> {
    return (await this.redis.eval(DELETE_PROBLEM, 0, id, tenant)) === 1;
  }

  /** Where test data goes before a version takes it. */
  upload(): Upload {
    return new Upload(this.redis);
  }

  async addVersion({ problem, tenant, upload, tests, base }: NewVersion): Promise<VersionAdded> {
    const sizes = new Map<string, number>();
    let bytes = 0;
    for (const { input, expected } of tests) {
      bytes += input.bytes + expected.bytes;
      for (const chunk of [...input.chunks, ...expected.chunks]) sizes.set(chunk.digest, chunk.bytes);
    }
    const summary = { tests: tests.length, bytes, createdAt: new Date().toISOString() };
    const [what, number] = (await this.redis.eval(
      ADD_VERSION,
      0,
      problem,
      tenant,
      upload.id,
      this.bytesMost,
      PROBLEM_LIMITS.versions,
      base ?? '',
      JSON.stringify(tests),
      JSON.stringify(summary),
      summary.createdAt,
      ...[...sizes].flat(),
    )) as [VersionAdded['what'], number];
    if (what === 'created') return { what, version: { version: number, ...summary } };
    return what === 'quota' ? { what, used: number } : { what };
  }

  /** Newest first. */
  async versions(id: string): Promise<ProblemVersionDto[]> {
    const summaries = await this.redis.hgetall(keys.problemSummaries(id));
    return Object.entries(summaries)
      .map(([version, text]) => ({
        version: Number(version),
        ...(JSON.parse(text) as Omit<ProblemVersionDto, 'version'>),
      }))
      .sort((one, other) => other.version - one.version);
  }

  /** Null when there is no such version. */
  async tests(id: string, version: number): Promise<StoredTest[] | null> {
    const text = await this.redis.hget(keys.problemVersions(id), String(version));
    return text === null ? null : (JSON.parse(text) as StoredTest[]);
  }
}
