import { describe, expect, it } from 'vitest';
import { compile, runGuest, runNative, useGuests, visible } from './harness.js';

useGuests();

/** Real, effective, saved user and group; AT_SECURE; dumpable: as Linux 6.16 and later, whose rules for no_new_privs changed last. */
const EXPECTED: readonly (readonly [program: string, ids: string, secure: number, dumpable: number])[] = [
  ['plain as root', 'uid 0 0 0 gid 0 0 0', 0, 1],
  ['plain as user', 'uid 1234 1234 1234 gid 1234 1234 1234', 0, 1],
  ['root by user', 'uid 1234 0 0 gid 1234 1234 1234', 1, 0],
  ['root by root', 'uid 0 0 0 gid 0 0 0', 0, 1],
  ['user by root', 'uid 0 4321 4321 gid 0 0 0', 1, 0],
  ['user by user', 'uid 1234 4321 4321 gid 1234 1234 1234', 1, 0],
  ['group by user', 'uid 1234 1234 1234 gid 1234 4321 4321', 1, 0],
  ['both by user', 'uid 1234 4321 4321 gid 1234 4321 4321', 1, 0],
  ['group without execution', 'uid 0 0 0 gid 0 0 0', 0, 1],
  ['unreadable', 'uid 1234 1234 1234 gid 1234 1234 1234', 0, 0],
  ['no_new_privs', 'uid 1234 1234 1234 gid 1234 1234 1234', 0, 1],
  ['death signal and stack', 'uid 1234 0 0 gid 1234 1234 1234', 1, 0],
  ['death signal, plain', 'uid 1234 1234 1234 gid 1234 1234 1234', 0, 1],
  ['effective id only', 'uid 1234 4321 4321 gid 0 0 0', 1, 0],
  ['effective id only, no_new_privs', 'uid 1234 4321 4321 gid 0 0 0', 1, 0],
  ['nosuid', 'uid 1234 1234 1234 gid 1234 1234 1234', 0, 1],
  ['shared directory', 'uid 1234 1234 1234 gid 1234 1234 1234', 1, 1],
];

describe('set-user-ID programs', () => {
  const program = () => ({
    argv: ['./program'],
    files: { program: compile('set-user-id.c', ['-O1', '-static', '-w']) },
  });

  it('run as their owners, unless the mount, no_new_privs or a shared directory forbids', async () => {
    const guest = await runGuest({ ...program(), uid: 0, env: { NOSUID: '1' } });
    const seen = [...guest.stdout.matchAll(/^(.*): (uid .*?) secure (\d) .* dumpable (\d) /gm)].map(
      ([, name, ids, secure, dumpable]) => [name, ids, Number(secure), Number(dumpable)],
    );
    expect(seen).toEqual(EXPECTED);
    expect(guest.stdout).toMatch(/death signal and stack: .* death 0 stack small/);
    expect(guest.stdout).toMatch(/death signal, plain: .* death 15 stack large/);
    expect(guest.stdout).toContain('mode after a write 777\n');
    // What is to run with other rights gets no LD_PRELOAD: the C library goes by AT_SECURE.
    expect(guest.stdout.match(/environment cleaned/g)).toHaveLength(EXPECTED.filter(([, , secure]) => secure).length);
  });

  it('never run with a filter that a thread of their caller made everybody’s meanwhile', async () => {
    const files = { program: compile('exec-race.c', ['-O1', '-static', '-pthread', '-w']) };
    const guest = await runGuest({ argv: ['./program'], files, uid: 0, cpus: 2 });
    expect(guest.stdout).toBe('filtered root 0, neither 0, rounds 60\n');
  });

  it('are not run for a tracer without rights; nobody looks into who has a capability more: as natively', async () => {
    const files = { program: compile('tracer-rights.c', ['-O1', '-static', '-w']) };
    const guest = await runGuest({ argv: ['./program'], files, uid: 0 });
    expect(guest.stdout).toBe(
      [
        'untraced: uid 1234 0 0',
        'traced by one without rights: uid 1234 1234 1234',
        'traced by root: uid 1234 0 0',
        'has a capability more: link EACCES, file EACCES',
        'ptrace(PTRACE_SEIZE, target, 0, 0) = -1 EPERM',
        'has none: link read, file read',
        'is not dumpable: link EACCES, file EACCES',
        'ptrace(PTRACE_SEIZE, target, 0, 0) = -1 EPERM\n',
      ].join('\n'),
    );
    if (process.getuid?.() !== 0) return;
    const native = await runNative({ argv: ['./program'], files });
    expect(visible(native).stdout).toBe(guest.stdout);
  });

  const memory = () => ({
    argv: ['./program'],
    files: { program: compile('exec-memory.c', ['-O1', '-static', '-no-pie', '-w']) },
  });

  it('are not in the /proc/N/mem that was opened before', async () => {
    const guest = await runGuest({ ...memory(), uid: 0 });
    expect(guest.stderr).toBe('');
    expect(guest.stdout).toBe('before: 8\nafter: read 0 0 write 0 0\nanew: -1 EACCES\nchanged: 0\n');
  });

  it.runIf(process.getuid?.() === 0)('are not there natively either', async () => {
    const native = await runNative(memory());
    expect(visible(native).stdout).toBe('before: 8\nafter: read 0 0 write 0 0\nanew: -1 EACCES\nchanged: 0\n');
  });

  it.runIf(process.getuid?.() === 0)('answer as natively', async () => {
    const native = await runNative(program());
    const guest = await runGuest({ ...program(), uid: 0 });
    // Older kernels take the effective id away as well.
    const comparable = (text: string): string => text.replace(/^effective id only, no_new_privs: .*$/m, '');
    expect(comparable(visible(guest).stdout)).toBe(comparable(native.stdout));
  });
});
