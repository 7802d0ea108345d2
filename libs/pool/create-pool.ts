import { Pool } from './pool.js';
import type { PoolOptions, SandboxPool } from './types.js';

/** A pool with its first spare ready. Rejects, with the reason, where no Sentry can be started. */
export async function createPool(options: PoolOptions): Promise<SandboxPool> {
  const pool = new Pool(options);
  try {
    return await pool.start();
  } catch (error) {
    await pool.close();
    throw error;
  }
}
