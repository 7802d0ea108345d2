import { createPool } from './create-pool.js';
import type { PlatformChoice, PlatformName, PoolOptions, SandboxPool } from './types.js';

/** How long a pool beside the main one is kept without any run. */
const IDLE_MS = 60_000;

/** A pool that is in use until `release`, which is called once. */
export interface Lease {
  readonly pool: SandboxPool;
  release(): void;
}

interface Entry {
  readonly pool: Promise<SandboxPool>;
  uses: number;
  idle: NodeJS.Timeout | null;
}

export interface PlatformPoolsOptions extends Omit<PoolOptions, 'platform'> {
  /** Platforms that a request may name beside the main pool's own. */
  readonly allowed: readonly PlatformName[];
  readonly idleMs?: number;
  /** For tests. */
  readonly create?: (options: PoolOptions) => Promise<SandboxPool>;
}

/**
 * The main pool, which is always there, and one more for each other platform that a request may name and that works here: started by the
 * first request, ended when nothing ran on it for a while. Never another platform than the one asked for.
 */
export class PlatformPools {
  private readonly entries = new Map<PlatformName, Entry>();
  private working: readonly PlatformName[] = [];
  private readonly create: (options: PoolOptions) => Promise<SandboxPool>;

  constructor(
    readonly main: SandboxPool,
    private readonly options: PlatformPoolsOptions,
  ) {
    this.create = options.create ?? createPool;
  }

  /** Finds out, by doing it, which of the allowed platforms work here; resolves when it is known. */
  async probe(): Promise<void> {
    const { allowed, log } = this.options;
    const own = this.main.stats().platform;
    const working: PlatformName[] = [];
    for (const platform of allowed) {
      if (platform === own) continue;
      try {
        const pool = await this.create({ ...this.poolOptions(platform), spares: 1, rehearsals: 0 });
        await pool.close();
        working.push(platform);
      } catch (error) {
        log?.(`platform ${platform} is allowed and does not work here: ${(error as Error).message}`);
      }
    }
    this.working = working;
  }

  /** What a request may name: the main pool's platform first. */
  offered(): string[] {
    return [this.main.stats().platform, ...this.working];
  }

  /** The pool for a request; null: it may not have that platform, or not here. Rejects when the pool does not start. */
  async lease(choice: PlatformChoice): Promise<Lease | null> {
    if (choice === 'auto' || choice === this.main.stats().platform) return { pool: this.main, release: () => {} };
    if (!this.working.includes(choice)) return null;
    const entry = this.entry(choice);
    entry.uses++;
    if (entry.idle !== null) clearTimeout(entry.idle);
    entry.idle = null;
    const release = (): void => this.release(choice, entry);
    try {
      return { pool: await entry.pool, release };
    } catch (error) {
      // The next request tries anew.
      if (this.entries.get(choice) === entry) this.entries.delete(choice);
      throw error;
    }
  }

  private entry(platform: PlatformName): Entry {
    const known = this.entries.get(platform);
    if (known) return known;
    const entry: Entry = { pool: this.create(this.poolOptions(platform)), uses: 0, idle: null };
    this.entries.set(platform, entry);
    return entry;
  }

  private poolOptions(platform: PlatformName): PoolOptions {
    const { allowed: _allowed, idleMs: _idle, create: _create, ...rest } = this.options;
    // Somebody waits for it: one rehearsal has most of what three have.
    return { ...rest, platform, spares: 1, rehearsals: 1 };
  }

  private release(platform: PlatformName, entry: Entry): void {
    entry.uses--;
    if (entry.uses > 0 || this.entries.get(platform) !== entry) return;
    entry.idle = setTimeout(() => {
      this.entries.delete(platform);
      void entry.pool.then((pool) => pool.close());
    }, this.options.idleMs ?? IDLE_MS);
  }

  /** Ends all but the main pool. */
  async close(): Promise<void> {
    this.working = [];
    const entries = [...this.entries.values()];
    this.entries.clear();
    for (const { idle } of entries) if (idle !== null) clearTimeout(idle);
    await Promise.allSettled(entries.map(async ({ pool }) => (await pool).close()));
  }
}
