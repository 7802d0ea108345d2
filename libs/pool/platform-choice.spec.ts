import { readFileSync } from 'node:fs';
import { hostImage } from '@cordon/images';
import { describe, expect, it } from 'vitest';
import { createPool } from './index.js';
import type { PlatformProbe } from './types.js';

/** AT_HWCAP2 of this process (getauxval(3)): bit 1 says that user code may read and write FS and GS. */
function mayUseFsGsBase(): boolean {
  const auxv = readFileSync('/proc/self/auxv');
  for (let at = 0; at + 16 <= auxv.length; at += 16) {
    if (auxv.readBigUInt64LE(at) === 26n) return (auxv.readBigUInt64LE(at + 8) & 2n) !== 0n;
  }
  return false;
}

const mayTrap = (): boolean =>
  / trap( |$)/.test(readFileSync('/proc/sys/kernel/seccomp/actions_avail', 'latin1').trim());

const told = (probes: readonly PlatformProbe[]): string =>
  probes
    .map(({ name, works, detail, callTime }) =>
      works ? `${name}: works, ${Math.round(callTime)} ns a call ${detail}`.trim() : `${name}: ${detail}`,
    )
    .join('\n');

describe('auto', () => {
  it('takes a fast platform wherever the host has what systrap needs; where not, it says what is missing', async () => {
    const pool = await createPool({
      image: hostImage(),
      platform: 'auto',
      spares: 1,
      renewAfter: 1000,
      rehearsals: 0,
    });
    const { platform } = pool.stats();
    const probes = pool.probes();
    await pool.close();
    expect(probes.at(-1)).toMatchObject({ name: platform, works: true });
    if (platform !== 'ptrace') return;
    // The slow one was taken. ptrace(2) is permitted then, so only the processor or seccomp(2) can be in the way.
    const reasons = told(probes);
    process.stderr.write(`auto took ptrace, the slow one:\n${reasons}\n`);
    for (const { name, works, detail } of probes) if (!works) expect(detail, name).not.toBe('');
    expect(mayUseFsGsBase() && mayTrap(), `systrap should work here:\n${reasons}`).toBe(false);
  });
});
