import { existsSync } from 'node:fs';
import { hostImage } from '@cordon/images';
import { createPool } from '@cordon/pool';

/** What can run guest code here: probed by running a guest, not by asking for versions. */
export async function platforms(): Promise<number> {
  const image = hostImage();
  let chosen = '';
  let found: string;
  try {
    const pool = await createPool({ image, platform: 'ptrace', spares: 1, renewAfter: 1000, rehearsals: 0 });
    chosen = pool.stats().platform;
    found = 'works';
    await pool.close();
  } catch (error) {
    found = `does not work: ${(error as Error).message}`;
  }
  const kvm = existsSync('/dev/kvm') ? '/dev/kvm is there' : 'no /dev/kvm';
  process.stdout.write(`ptrace   ${found}${chosen === 'ptrace' ? '  <- chosen' : ''}\n`);
  process.stdout.write('systrap  not implemented yet\n');
  process.stdout.write(`kvm      not implemented yet (${kvm})\n`);
  return chosen ? 0 : 1;
}
