import { accessSync, constants } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compile, runBoth, runGuest, useGuests, visible } from './harness.js';

/** Why this host has no KVM for us; empty where it has. */
function denied(): string {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

const reason = denied();
const program = (name: string) => ({
  argv: ['./program', ...(name === 'exceptions.c' ? ['with-errors'] : [])],
  files: { program: compile(name) },
});

describe.skipIf(reason === '')('KVM', () => {
  it.skip(`is not tried: ${reason}`);
});

// Every kernel test runs on it with CORDON_TEST_PLATFORM=kvm; these are what shows first when it breaks.
describe.runIf(reason === '')('KVM', () => {
  useGuests('kvm');

  it('is what these run on', async () => {
    const { report } = await runGuest({ argv: ['/bin/true'] });
    expect(report).toMatchObject({ reason: 'exited', exitCode: 0, platform: 'kvm' });
    expect(report.usage.cpuMs).toBeGreaterThan(0);
  });

  it.each([
    ['exceptions', 'exceptions.c'],
    ['threads', 'threads.c'],
    ['clocks', 'vdso.c'],
    ['fork and wait', 'fork-wait.c'],
  ])('%s: as natively', async (_what, name) => {
    const { native, guest } = await runBoth(program(name));
    expect(native.exitCode).toBe(0);
    expect(visible(guest)).toEqual(visible(native));
  });

  it('runs a shell with its children', async () => {
    const script = 'seq 100 | sort -r | head -3; (exit 3); echo $?; kill -9 $$';
    const { native, guest } = await runBoth({ argv: ['/bin/sh', '-c', script] });
    expect(native.signal).toBe('SIGKILL');
    expect(visible(guest)).toEqual(visible(native));
  });

  it('ends a guest that spins in its own code when its time is up', async () => {
    const { report } = await runGuest({
      argv: ['./program'],
      files: { program: compile('spin.c') },
      limits: { cpuTimeMs: 200 },
    });
    expect(report.reason).toBe('cpu_exceeded');
  });
});
