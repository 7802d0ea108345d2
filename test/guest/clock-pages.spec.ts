import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const CORDON = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'scripts', 'cordon');
/** Puts the stack of the Sentry where stubs have the host's vdso; with randomisation that happens to one process in 256. */
const FIXED = ['setarch', '--addr-no-randomize'];
const possible = spawnSync(FIXED[0], [...FIXED.slice(1), 'true']).status === 0;

describe('clocks without a trap', () => {
  // A container's seccomp profile may forbid personality(2).
  it.skipIf(!possible).each(['auto', 'ptrace'])('with the stack in their way, on %s', (platform) => {
    const program = ['python3', '-c', 'import time; print(time.time() > 1e9)'];
    const command = [...FIXED.slice(1), CORDON, 'run', '--platform', platform, '--', ...program];
    const { status, stdout, stderr } = spawnSync(FIXED[0], command, { encoding: 'utf8' });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'True\n', stderr: '' });
  });
});
