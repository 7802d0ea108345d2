import { describe, expect, it } from 'vitest';
import { compile, runBoth, runGuest, useGuests, visible } from './harness.js';

useGuests();

describe('execve', () => {
  it('answers and passes on what Linux does: scripts, nesting, limits, errors', async () => {
    const { native, guest } = await runBoth({ argv: ['./exec'], files: { exec: compile('exec.c') } });
    expect(native.stdout).toContain('[./exec]');
    expect(visible(guest)).toEqual(visible(native));
  });

  it.each([
    ['static', ['-static']],
    ['dynamic', []],
  ])('survives mutated headers of a %s program', async (_kind, flags) => {
    const guest = await runGuest({
      argv: ['./exec', 'fuzz', './hello', '7', '150'],
      files: { exec: compile('exec.c'), hello: compile('hello.c', flags) },
      limits: { wallTimeMs: 25_000, cpuTimeMs: 25_000, memoryBytes: 256 * 1024 ** 2 },
    });
    expect(guest.log).toEqual([]);
    expect(guest.report.reason).toBe('exited');
    expect(guest.stdout).toBe('150 programs\n');
  });
});
