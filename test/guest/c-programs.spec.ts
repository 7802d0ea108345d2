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
