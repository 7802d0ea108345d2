import { describe, expect, it } from 'vitest';
import { compile, runGuest, useGuests } from './harness.js';

useGuests();

const calls = compile('calls.c');
const COUNT = 200_000;

/** Bytes that one such call (or one of several, as `read+write`) allocates in the Sentry's heap, when it is made over and over. */
async function bytesOf(name: string, syscalls: string, auditLevel: 'off' | 'security' | 'full'): Promise<number> {
  const { exitCode, report } = await runGuest({
    argv: ['./calls', name, String(COUNT)],
    files: { calls },
    auditLevel,
    watchHeap: true,
  });
  expect(exitCode).toBe(0);
  const use = report.heap?.find((one) => one.name === syscalls);
  expect(use?.windows).toBeGreaterThan(20);
  return use?.bytes ?? Number.NaN;
}

/**
 * What a call may allocate in steady state, without audit and with all of it: one number in a box (16 bytes) less than what would be one more
 * than now. What is left: about 5 bytes of a clock read in every seventh trap, an address in a box where a function is given it, the time of
 * an access, and the file description that open makes. Calls that are made in turn count together, each with its share.
 */
const BOUNDS: readonly (readonly [name: string, syscalls: string, off: number, full: number])[] = [
  ['getppid', 'getppid', 16, 16],
  ['lseek', 'lseek', 16, 16],
  ['futex', 'futex', 48, 48],
  ['read', 'pread64', 48, 64],
  ['write', 'pwrite64', 32, 48],
  ['offset', 'read+write+lseek', 24, 32],
  ['fstat', 'fstat', 32, 48],
  ['stat', 'newfstatat', 48, 80],
  ['open', 'close+openat', 80, 88],
  ['clock', 'clock_gettime', 48, 64],
  ['poll', 'poll', 32, 48],
  ['pipe', 'read+write', 32, 48],
];

describe('the heap of a Sentry', () => {
  it.each(BOUNDS)('%s allocates next to nothing', async (name, syscalls, off, full) => {
    expect(await bytesOf(name, syscalls, 'off')).toBeLessThanOrEqual(off);
    expect(await bytesOf(name, syscalls, 'full')).toBeLessThanOrEqual(full);
  });

  it('a call that is not recorded costs no byte more than without audit', async () => {
    const off = await bytesOf('getppid', 'getppid', 'off');
    expect((await bytesOf('getppid', 'getppid', 'security')) - off).toBeLessThan(1);
  });

  it('a recorded call reads no clock', async () => {
    const off = await bytesOf('getppid', 'getppid', 'off');
    // A reading leaves 16 bytes; this is a share of what sends a batch of records.
    expect((await bytesOf('getppid', 'getppid', 'full')) - off).toBeLessThan(12);
  });
});
