import { describe, expect, it } from 'vitest';
import { compile, runBoth, useGuests } from './harness.js';

useGuests();

/** The same program natively and inside, each on pseudoterminals of its own. */
async function compare(source: string): Promise<void> {
  const { native, guest } = await runBoth({ argv: ['./program'], files: { program: compile(source) } });
  expect(native.exitCode).toBe(0);
  // Two processes print side by side: which of them comes first is nobody's promise.
  const lines = (text: string): string[] => text.split('\n').sort();
  expect(lines(guest.stdout)).toEqual(lines(native.stdout));
  expect(guest.exitCode).toBe(0);
}

describe('terminals as on Linux', () => {
  it('edit, map, echo and hold what is typed and written (N_TTY)', () => compare('tty-discipline.c'), 30_000);
  it('control sessions, stop background jobs, hang up', () => compare('tty-sessions.c'), 30_000);
});
