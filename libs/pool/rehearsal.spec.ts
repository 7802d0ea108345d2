/** Running guests in the zygote before the first fork: worth having, never needed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { PLATFORM_STAND_IN, run, standInPool } from './test/helpers.js';

it('starts without rehearsals when they fail', async () => {
  const log: string[] = [];
  // The stand-in knows no program /bin/sh.
  const pool = await standInPool({ rehearsals: 2, log: (line) => log.push(line) }, { sentryModule: PLATFORM_STAND_IN });
  try {
    expect(log.join('\n')).toContain('rehearsal:');
    expect((await run(pool, ['traps', '100'])).report.reason).toBe('exited');
  } finally {
    await pool.close();
  }
});

it('tries again later, and goes on with what it has until that works', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'rehearsal-'));
  const mended = join(directory, 'mended');
  const module = new URL('./test/stand-in-recovers.mjs', import.meta.url);
  module.searchParams.set('mended', mended);
  const log: string[] = [];
  const pool = await standInPool(
    { rehearsals: 2, log: (line) => log.push(line) },
    { sentryModule: module.href, rehearseAgainMs: 1 },
  );
  const failed = (): number => log.filter((line) => line.includes('did not start')).length;
  const works = async (): Promise<void> =>
    expect((await run(pool, ['traps', '100'])).report.reason, log.join('\n')).toBe('exited');
  try {
    expect(pool.newestZygote()?.rehearsals).toBe(0);
    await expect.poll(() => works().then(failed), { timeout: 20_000 }).toBeGreaterThan(1);
    expect(pool.newestZygote()?.rehearsals).toBe(0);
    writeFileSync(mended, '');
    await expect.poll(() => works().then(() => pool.newestZygote()?.rehearsals), { timeout: 20_000 }).toBe(2);
    await works();
  } finally {
    await pool.close();
    rmSync(directory, { recursive: true });
  }
});

it('rehearses where it can, and children start from a clean kernel all the same', async () => {
  const log: string[] = [];
  const pool = await standInPool(
    { rehearsals: 2, log: (line) => log.push(line) },
    { sentryModule: new URL('./test/stand-in-rehearsed.mjs', import.meta.url).href },
  );
  try {
    expect(log.join('\n')).not.toContain('rehearsal:');
    const { report, stdout } = await run(pool, ['traps', '100']);
    expect(report.reason).toBe('exited');
    expect(JSON.parse(stdout).cpu).toBeLessThan(1e9);
  } finally {
    await pool.close();
  }
});
