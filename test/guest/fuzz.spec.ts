import { describe, expect, it } from 'vitest';
import { compile, runGuest, useGuests } from './harness.js';

useGuests();

/** Seeds that once brought a Sentry down stay here. */
const SEEDS = [1, 2, 3, 4];

describe('random system calls with hostile arguments', () => {
  it.each(SEEDS)('seed %i: the kernel answers and lives', async (seed) => {
    const guest = await runGuest({
      argv: ['./fuzz', String(seed), '8'],
      files: { fuzz: compile('fuzz-syscalls.c', ['-O1', '-static']) },
      limits: { memoryBytes: 256 * 1024 ** 2, processes: 64 },
    });
    expect({ report: guest.report, log: guest.log }).toMatchObject({
      report: { reason: 'exited', exitCode: 0 },
      log: [],
    });
    expect(guest.stdout).toContain('survived\n');
  });
});
