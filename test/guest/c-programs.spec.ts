import { describe, expect, it } from 'vitest';
import { compile, runBoth, useGuests, visible } from './harness.js';

useGuests();

describe('C programs', () => {
  it.each([
    ['static', ['-static']],
    ['static PIE', ['-static-pie']],
    ['dynamic', []],
    ['dynamic without PIE', ['-no-pie']],
  ])('%s: runs, prints and exits as natively', async (_kind, flags) => {
    const { native, guest } = await runBoth({
      argv: ['./hello', 'world'],
      files: { hello: compile('hello.c', flags) },
    });
    expect(native.stdout).toBe('hello from world with 1 arguments\n');
    expect(visible(guest)).toEqual(visible(native));
  });
});

describe('hot call sites', () => {
  it('answer as natively when they have become jumps: registers, signals, restarts, fork, threads, GS', async () => {
    const { native, guest } = await runBoth({ argv: ['./program'], files: { program: compile('call-sites.c') } });
    expect(native.stdout).toContain('registers kept 200');
    expect(visible(guest)).toEqual(visible(native));
  });
});

describe('the vdso', () => {
  it('tells the time without a trap, and the same time as the calls', async () => {
    const { native, guest } = await runBoth({
      argv: ['./program'],
      files: { program: compile('vdso.c') },
      auditLevel: 'full',
    });
    expect(native.exitCode).toBe(0);
    expect(visible(guest)).toEqual(visible(native));
    // Those it was asked for by syscall(2) are in the log: 2,000 for each of five clocks, as many in the child, a few others; the 30,000 by the library are not.
    expect(guest.audit.filter(({ name }) => name === 'clock_gettime').length).toBeLessThan(13_000);
  });
});
