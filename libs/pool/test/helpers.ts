import { readdirSync, readFileSync } from 'node:fs';
import { Pool, type PoolInternals } from '@cordon/pool/pool';
import type { EndReport, PoolOptions, RunSpec } from '@cordon/pool/types';

export const STAND_IN = new URL('./stand-in.mjs', import.meta.url).href;

/** The stand-in with a real platform in it. */
export const PLATFORM_STAND_IN = new URL('./stand-in-platform.mjs', import.meta.url).href;

const EMPTY_IMAGE = { name: 'empty', mounts: [], files: [], links: [] };

/** A pool whose Sentries are the stand-in of stand-in.mjs. */
export async function standInPool(options: Partial<PoolOptions> = {}, internals: PoolInternals = {}): Promise<Pool> {
  const pool = new Pool(
    { image: EMPTY_IMAGE, platform: 'auto', spares: 2, renewAfter: 10_000, rehearsals: 0, ...options },
    { sentryModule: STAND_IN, ...internals },
  );
  images.set(pool, options.image ?? EMPTY_IMAGE);
  return pool.start();
}

const images = new WeakMap<Pool, RunSpec['image']>();

export function spec(argv: readonly string[], limits: Partial<RunSpec['limits']> = {}): RunSpec {
  return {
    id: 'test',
    image: EMPTY_IMAGE,
    argv,
    env: [],
    cwd: '/work',
    uid: 0,
    gid: 0,
    hostname: 'sandbox',
    limits: {
      wallTimeMs: 10_000,
      cpuTimeMs: 10_000,
      memoryBytes: 1 << 28,
      processes: 16,
      outputBytes: 1 << 24,
      fileBytes: 1 << 24,
      openFiles: 64,
      auditBytes: 1 << 20,
      ...limits,
    },
    auditLevel: 'off',
    network: 'none',
    cpus: 1,
    files: [],
    stdin: 'empty',
    terminal: false,
  };
}

export interface Outcome {
  readonly report: EndReport;
  readonly stdout: string;
  readonly log: readonly string[];
}

/** Runs to the end and collects. */
export async function run(
  pool: Pool,
  argv: readonly string[],
  limits: Partial<RunSpec['limits']> = {},
): Promise<Outcome> {
  const chunks: Uint8Array[] = [];
  const log: string[] = [];
  const handle = pool.run(
    { ...spec(argv, limits), image: images.get(pool) ?? EMPTY_IMAGE },
    {
      stdout: (bytes) => {
        chunks.push(Buffer.from(bytes));
      },
      log: (line) => {
        log.push(line);
      },
    },
  );
  const report = await handle.ended;
  return { report, stdout: Buffer.concat(chunks).toString(), log };
}

/** Host process ids below `root`, itself included. */
export function processTree(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      parents.set(Number(name), Number(parent));
    } catch {
      // gone
    }
  }
  const tree = parents.has(root) ? [root] : [];
  for (const pid of tree) for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  return tree;
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
