import { describe, expect, it } from 'vitest';
import { compile, runGuest, useGuests } from './harness.js';

useGuests();

const calls = compile('calls.c');
const COUNT = 400_000;

/** Bytes that one such call allocates in the Sentry's heap, when it is made over and over. */
async function bytesOf(name: string, syscall: string, auditLevel: 'off' | 'security' | 'full'): Promise<number> {
  const { exitCode, report } = await runGuest({
    argv: ['./calls', name, String(COUNT)],
    files: { calls },
    auditLevel,
    watchHeap: true,
  });
  expect(exitCode).toBe(0);
  const use = report.heap?.find((one) => one.name === syscall);
  expect(use?.windows).toBeGreaterThan(20);
  return use?.bytes ?? Number.NaN;
}

/** What a call may allocate in steady state: numbers that V8 keeps in boxes, and what its answer is built from. To shrink. */
const BOUNDS: readonly (readonly [name: string, syscall: string, bytes: number])[] = [
  ['getppid', 'getppid', 64],
  ['futex', 'futex', 128],
  ['read', 'pread64', 128],
  ['write', 'pwrite64', 128],
  ['fstat', 'fstat', 128],
  ['stat', 'newfstatat', 128],
];

describe('the heap of a Sentry', () => {
  it.each(BOUNDS)('%s allocates next to nothing', async (name, syscall, most) => {
    expect(await bytesOf(name, syscall, 'off')).toBeLessThanOrEqual(most);
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
