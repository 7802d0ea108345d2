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
 * What a call may allocate in steady state, without audit and with all of it. A number in a box would be 16 bytes: none is allowed but one in
 * every second call on a pipe, and what open makes, the file description. Calls that are made in turn count together, each with its share.
 */
const BOUNDS: readonly (readonly [name: string, syscalls: string, bytes: number])[] = [
  ['getppid', 'getppid', 4],
  ['lseek', 'lseek', 4],
  ['futex', 'futex', 4],
  ['read', 'pread64', 4],
  ['write', 'pwrite64', 4],
  ['offset', 'read+write+lseek', 4],
  ['fstat', 'fstat', 4],
  ['stat', 'newfstatat', 4],
  ['open', 'close+openat', 64],
  ['clock', 'clock_gettime', 4],
  ['poll', 'poll', 4],
  ['pipe', 'read+write', 12],
];

describe('the heap of a Sentry', () => {
  it.each(BOUNDS)('%s allocates nothing, or next to nothing', async (name, syscalls, bytes) => {
    expect(await bytesOf(name, syscalls, 'off')).toBeLessThanOrEqual(bytes);
    expect(await bytesOf(name, syscalls, 'full')).toBeLessThanOrEqual(bytes);
  });

  it('a call that is not recorded costs no byte more than without audit', async () => {
    const off = await bytesOf('getppid', 'getppid', 'off');
    expect((await bytesOf('getppid', 'getppid', 'security')) - off).toBeLessThan(1);
  });
});
