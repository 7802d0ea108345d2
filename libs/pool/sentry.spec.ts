/** The pool with the real kernel: that the parts fit. What guests can do is in test/guest. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostImage } from '@cordon/images';
import { Pool } from '@cordon/pool/pool';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { spec } from './test/helpers.js';

describe('a pool of real Sentries', () => {
  const image = hostImage();
  const log: string[] = [];
  let pool: Pool;
  beforeAll(async () => {
    pool = await new Pool({
      image,
      platform: 'auto',
      spares: 2,
      renewAfter: 1000,
      // More than the product does: what a rehearsal left open would be in the way of the later ones.
      rehearsals: 6,
      log: (line) => {
        log.push(line);
      },
    }).start();
  });
  afterAll(() => pool.close());

  async function sh(script: string) {
    let out = '';
    const report = await pool.run(
      { ...spec(['/bin/sh', '-c', script]), image, env: ['PATH=/usr/bin:/bin'], uid: 1000, gid: 1000 },
      {
        stdout: (bytes) => {
          out += Buffer.from(bytes).toString();
        },
      },
    ).ended;
    return { ...report, out };
  }

  it('rehearses: the script of the rehearsal runs to its end, as often as asked', () => {
    expect(log.filter((line) => line.includes('rehearsal') || line.includes('did not start'))).toEqual([]);
  });

  it('runs a guest in a closed-in child', async () => {
    const { reason, exitCode, out } = await sh('echo out; exit 7');
    expect([reason, exitCode, out]).toEqual(['exited', 7, 'out\n']);
  });

  it('gives every run a file system of its own', async () => {
    await sh('echo secret > /tmp/left');
    expect((await sh('cat /tmp/left 2>/dev/null; echo $?')).out).toBe('1\n');
  });

  it('opens, reads and runs the right files, however many a guest has opened before', async () => {
    const programs = ['sort', 'head', 'tail', 'id', 'date', 'env', 'expr', 'cut'].map((name) => `/usr/bin/${name}`);
    // More than a Sentry keeps open at once.
    const { exitCode, out } = await sh(
      [
        'cd /tmp; find /usr/share -type f -size -20k 2>/dev/null | head -1500 > list; wc -l < list',
        'xargs -d "\\n" cat < list > /dev/null',
        ...programs.map((program) => `${program} --version > /dev/null || echo ${program} does not run`),
        `sha256sum ${programs.join(' ')}`,
      ].join('\n'),
    );
    expect(exitCode).toBe(0);
    const [opened, ...lines] = out.trim().split('\n');
    expect(Number(opened)).toBeGreaterThan(700);
    expect(lines).toEqual(
      programs.map((program) => `${createHash('sha256').update(readFileSync(program)).digest('hex')}  ${program}`),
    );
  });

  it('cancels a guest that spins', async () => {
    const handle = pool.run(
      { ...spec(['/bin/sh', '-c', 'while :; do :; done']), image },
      { started: () => setTimeout(() => handle.cancel(), 50) },
    );
    expect((await handle.ended).reason).toBe('canceled');
  });
});
