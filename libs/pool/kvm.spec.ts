/** The KVM platform inside a forked, closed-in Sentry: what is left of KVM there, and nothing else. */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hostImage } from '@cordon/images';
import { Pool } from '@cordon/pool/pool';
import { compileFilter } from '@cordon/sentry/platform/seccomp-program';
import { sentryRules } from '@cordon/sentry/platform/sentry-filter';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processTree, spec, until } from './test/helpers.js';

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

describe.skipIf(reason === '')('a closed-in Sentry with a virtual machine', () => {
  it.skip(`is not tried: ${reason}`);
});

describe.runIf(reason === '').each([false, true])(
  'a closed-in Sentry with a virtual machine, exit-less: %s',
  (kvmExitless) => {
    const image = hostImage();
    let pool: Pool;
    let tools: string;
    beforeAll(async () => {
      tools = mkdtempSync(join(tmpdir(), 'cordon-tools-'));
      const source = new URL('./test/read-filter.c', import.meta.url).pathname;
      execFileSync('cc', ['-O1', '-o', join(tools, 'read-filter'), source]);
      pool = await new Pool({
        image,
        platform: 'kvm',
        spares: 1,
        renewAfter: 1000,
        rehearsals: 1,
        kvmExitless,
      }).start();
    });
    afterAll(async () => {
      await pool.close();
      rmSync(tools, { recursive: true });
    });

    async function spare(): Promise<number> {
      const [launcher] = pool.zygotePids();
      await until(() => pool.stats().spares === 1 && processTree(launcher).length === 3, 'a spare');
      return processTree(launcher)[2];
    }

    function cpuTicks(pid: number): number {
      const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
      return Number(fields[11]) + Number(fields[12]);
    }

    it('holds the machine and its processor, not the device', async () => {
      const pid = await spare();
      const names = readdirSync(`/proc/${pid}/fd`).map((fd) => [fd, readlinkSync(`/proc/${pid}/fd/${fd}`)]);
      const kvm = names.filter(([, name]) => name.includes('kvm'));
      expect(kvm).toEqual([
        ['4000', 'anon_inode:kvm-vm'],
        ['4001', expect.stringMatching(/^anon_inode:kvm-vcpu/)],
      ]);
    });

    it.runIf(process.getuid?.() === 0)('runs under exactly the filter that is written down', async () => {
      const pid = await spare();
      const filters = execFileSync(join(tools, 'read-filter'), [String(pid)], { encoding: 'latin1' });
      const nullDevice = statSync('/dev/null').rdev;
      const nullDescriptors = readdirSync(`/proc/${pid}/fd`)
        .map(Number)
        .filter((fd) => fd > 3 && statSync(`/proc/${pid}/fd/${fd}`).rdev === nullDevice)
        .sort((one, other) => one - other);
      const rules = sentryRules({ nullDescriptors, platform: 'kvm', kvmExitless });
      const written = Buffer.from(compileFilter(rules)).toString('hex');
      expect(filters.trim()).toBe(written);
    });

    it('uses no processor time while its guest sleeps, and is gone when it ended', async () => {
      const pid = await spare();
      const handle = pool.run({ ...spec(['/bin/sleep', '0.8']), image, uid: 1000, gid: 1000 }, {});
      handle.endStdin();
      await delay(300);
      const before = cpuTicks(pid);
      await delay(300);
      expect(cpuTicks(pid) - before).toBeLessThanOrEqual(1);
      const report = await handle.ended;
      expect(report).toMatchObject({ reason: 'exited', exitCode: 0 });
      expect(await spare()).not.toBe(pid);
    });

    it.runIf(availableParallelism() > 1)(
      'runs a guest that only calls in a thread of its own when it may',
      async () => {
        const pid = await spare();
        // The host has a thread of its own in there for each machine.
        const tasks = () =>
          readdirSync(`/proc/${pid}/task`).filter(
            (tid) => !readFileSync(`/proc/${pid}/task/${tid}/comm`, 'latin1').startsWith('kvm-'),
          ).length;
        expect(tasks()).toBe(1);
        const program = `import os, sys
for _ in range(3000): os.getpid()
print(sum(os.getpid() for _ in range(1000)), flush=True)
sys.stdin.read()`;
        let told = '';
        const handle = pool.run(
          { ...spec(['/usr/bin/python3', '-c', program]), image, uid: 1000, gid: 1000, stdin: 'stream' },
          {
            stdout: (bytes) => {
              told += Buffer.from(bytes).toString();
            },
          },
        );
        await until(() => told !== '', 'its calls');
        expect(told).toBe('1000\n');
        expect(tasks()).toBe(kvmExitless ? 2 : 1);
        const before = cpuTicks(pid);
        await delay(300);
        expect(cpuTicks(pid) - before).toBeLessThanOrEqual(1);
        handle.endStdin();
        expect(await handle.ended).toMatchObject({ reason: 'exited', exitCode: 0 });
      },
    );
  },
);
