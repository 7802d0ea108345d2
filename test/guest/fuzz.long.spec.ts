import { describe, expect, it } from 'vitest';
import { compile, runGuest, useGuests } from './harness.js';

useGuests();

/** How long to go on: FUZZ_SECONDS, or two minutes for each kind. */
const SECONDS = Number(process.env.FUZZ_SECONDS ?? 120);
/** Where to begin: FUZZ_SEED repeats a run that failed. */
const FIRST = Number(process.env.FUZZ_SEED ?? Math.floor(Date.now() / 1000) % 1_000_000);

describe('random system calls for minutes: every seed ends as a program does, not as a Sentry does', () => {
  it.each(['narrow', 'wide'])('%s', { timeout: (SECONDS + 120) * 1000 }, async (kind) => {
    const files = { fuzz: compile('fuzz-syscalls.c', ['-O1', '-static', '-pthread']) };
    const until = Date.now() + SECONDS * 1000;
    let seeds = 0;
    for (let seed = FIRST; Date.now() < until; seed++, seeds++) {
      const guest = await runGuest({
        argv: ['./fuzz', String(seed), '20', kind],
        files,
        limits: { memoryBytes: 256 * 1024 ** 2, processes: 64, wallTimeMs: 60_000, cpuTimeMs: 60_000 },
        uid: seed % 2 === 0 ? 0 : 1000,
      });
      const { reason, detail } = guest.report;
      // A guest may well run out of memory or time; it may not find an internal error.
      expect({ seed, reason, detail, log: guest.log }).toMatchObject({ log: [] });
      expect(['exited', 'signaled', 'memory_exceeded', 'cpu_exceeded', 'timed_out'], `seed ${seed}`).toContain(reason);
    }
    console.log(`${kind}: seeds ${FIRST} to ${FIRST + seeds - 1} survived`);
    expect(seeds).toBeGreaterThan(0);
  });
});
