/** The platform inside a forked, closed-in Sentry: what it needs of the host is there, and nothing survives it. */
import { readFileSync } from 'node:fs';
import { hostImage } from '@cordon/images';
import type { Pool } from '@cordon/pool/pool';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PLATFORM_STAND_IN, processTree, run, standInPool, until } from './test/helpers.js';

describe('a closed-in Sentry with stubs', () => {
  let pool: Pool;
  beforeAll(async () => {
    pool = await standInPool({ image: hostImage(), spares: 1 }, { sentryModule: PLATFORM_STAND_IN });
  });
  afterAll(() => pool.close());

  /** Process trees settle to launcher, zygote, one spare and its template stub. */
  async function settled(): Promise<number[]> {
    const [launcher] = pool.zygotePids();
    await until(() => pool.stats().spares === 1 && processTree(launcher).length === 4, 'only the spare is left');
    return processTree(launcher);
  }

  it('runs guest code and takes its traps', async () => {
    const { report, stdout } = await run(pool, ['traps', '5000']);
    expect(report).toMatchObject({ reason: 'exited', detail: null });
    expect(JSON.parse(stdout).cpu).toBeGreaterThan(0);
    await settled();
  });

  it('reads and maps the image, and cannot write to it or leave it', async () => {
    const { report, stdout } = await run(pool, ['image', 'bin/env']);
    expect(report.reason).toBe('exited');
    const found = JSON.parse(stdout);
    expect(found).toMatchObject({ magic: '\x7fELF', listed: true, mode: 0, mapped: [1, 0x7f] });
    for (const refused of [found.up, found.create, found.write]) expect(refused).toBeLessThan(0);
  });

  it.each(['crash-with-stub', 'hang-with-stub'])('takes its stubs along: %s', async (program) => {
    await run(pool, [program], { wallTimeMs: 100 });
    await settled();
  });

  it('has stubs under a filter of their own, in the same confinement', async () => {
    const stub = (await settled())[3];
    const status = readFileSync(`/proc/${stub}/status`, 'latin1');
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(status).toMatch(/^CapPrm:\t0+$/m);
    // Nothing of the Sentry's memory is left in it: its own page, and what the kernel adds.
    const maps = readFileSync(`/proc/${stub}/maps`, 'latin1').trim().split('\n');
    expect(maps.filter((line) => !/\[v(syscall|var|dso|var_vclock)\]/.test(line))).toHaveLength(1);
  });
});
