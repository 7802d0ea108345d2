import { describe, expect, it } from 'vitest';
import { compile, runBoth, useGuests, visible } from './harness.js';

useGuests();

describe('memory as a C program sees it', () => {
  it.each([
    'rights',
    'refusals',
    'files',
    'forks',
    'moves',
    'advice',
    'breaks',
    'vectors',
    'limits',
    'threads',
    'overflow',
  ])('%s: as natively', async (name) => {
    const { native, guest } = await runBoth({ argv: ['./memory', name], files: { memory: compile('memory.c') } });
    expect(native.exitCode).toBe(0);
    expect(native.stdout).not.toBe('');
    expect(visible(guest)).toEqual(visible(native));
  });

  it('mremap, MAP_GROWSDOWN, reservations, /proc/self/smaps: as natively', async () => {
    const { native, guest } = await runBoth({
      argv: ['./program'],
      files: { program: compile('remap.c', ['-O1', '-w']) },
    });
    expect(native.stdout).toContain('right of a hole');
    expect(visible(guest)).toEqual(visible(native));
  });

  it.for(['remove', 'cache', 'release', 'policies'])('%s: as natively', async (section, { skip }) => {
    const files = { program: compile('memory-advice.c', ['-O1', '-w']) };
    const { native, guest } = await runBoth({ argv: ['./program', section], files });
    // Not every kernel knows all of these calls.
    skip(/ENOSYS|^no /m.test(native.stdout), 'this kernel cannot be compared with');
    expect(native.stdout).not.toBe('');
    expect(visible(guest)).toEqual(visible(native));
  });
});
