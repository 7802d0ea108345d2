import { describe, expect, it } from 'vitest';
import { compile, runGuest, useGuests } from '../guest/harness.js';

useGuests();

const tamper = compile('stub-tamper.c', ['-O1', '-pthread', '-w']);
const attack = (mode: string, parent = false) =>
  runGuest({
    argv: parent
      ? ['/bin/sh', '-c', `./tamper ${mode} > /dev/null 2>&1; echo after; ls -d /usr; (exit 3); echo $?`]
      : ['./tamper', mode],
    files: { tamper },
    limits: { wallTimeMs: 8000, cpuTimeMs: 1500 },
  });

/** However the attacker fares, its Sentry ends it in order, within its limits. */
const IN_ORDER = ['exited', 'signaled', 'cpu_exceeded', 'timed_out'];

describe('what the platform keeps in a guest’s address space', () => {
  it.each(['ones', 'zeros', 'race', 'jump', 'deaf', 'deaf-calls'])(
    '%s: the Sentry ends the run in order',
    async (mode) => {
      const { report, stdout, log } = await attack(mode);
      expect({ reason: report.reason, log, known: IN_ORDER.includes(report.reason) }).toMatchObject({ known: true });
      expect(stdout).not.toContain('the stub answered');
    },
  );

  it('cannot be unmapped, replaced or protected by system calls', async () => {
    const { stdout, report } = await attack('unmap');
    // The ptrace platform keeps nothing where these calls aim: there it is the guest's own to map. With KVM guest memory ends below.
    const answers =
      report.platform === 'ptrace' ? 'munmap -1\nmmap 0\nmprotect 0\n' : 'munmap -1\nmmap 1\nmprotect -1\n';
    expect(stdout).toBe(`${answers}whole\nalive\n`);
  });

  // With KVM there is no stub to jump to: that attacker faults until its time is up, and all of the sandbox's with it.
  const attacks = process.env.CORDON_TEST_PLATFORM === 'kvm' ? ['ones'] : ['ones', 'jump', 'deaf-calls'];
  it.each(attacks)('%s: other processes of the sandbox go on', async (mode) => {
    const { stdout } = await attack(mode, true);
    expect(stdout).toBe('after\n/usr\n3\n');
  });
});
