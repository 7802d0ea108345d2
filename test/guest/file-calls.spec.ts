import { describe, expect, it } from 'vitest';
import { compile, runBoth, useGuests, visible } from './harness.js';

useGuests();

/** Natively tests run as whoever runs them: so do these in the guest. */
const uid = process.getuid?.() ?? 0;

/** Both runs work on a tmpfs of theirs, so that what a file system supports is the same. */
describe('file calls with good and bad input', () => {
  it.each(['sparse', 'copying', 'splicing', 'vectors', 'names', 'resolving', 'descriptors', 'fifos', 'asynchronous'])(
    '%s: as natively',
    async (name) => {
      const files = { calls: compile('file-calls.c', ['-O1', '-pthread', '-w']) };
      const { native, guest } = await runBoth({ argv: ['./calls', name], files, uid });
      expect(native.exitCode).toBe(0);
      expect(native.stdout).not.toBe('');
      expect(visible(guest)).toEqual(visible(native));
    },
  );
});

describe('rules of files', () => {
  it.each(['users', 'stamps', 'attributes', 'locks', 'sizes', 'watching'])('%s: as natively', async (name) => {
    const files = { rules: compile('file-rules.c', ['-O1', '-pthread', '-w']) };
    const { native, guest } = await runBoth({ argv: ['./rules', name], files, uid });
    expect(native.exitCode).toBe(0);
    expect(native.stdout).not.toBe('');
    expect(visible(guest)).toEqual(visible(native));
  });
});
