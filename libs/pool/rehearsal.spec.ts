/** Running guests in the zygote before the first fork: worth having, never needed. */
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
