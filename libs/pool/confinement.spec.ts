/**
 * What surrounds a Sentry, looked at from outside and tried from inside. Children here are stand-ins that do what a
 * compromised Sentry might: each layer is tried with the ones in front of it taken away.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostImage } from '@cordon/images';
import type { Pool } from '@cordon/pool/pool';
import type { ConfinementLayer } from '@cordon/pool/types';
import { compileFilter } from '@cordon/sentry/platform/seccomp-program';
import { sentryRules } from '@cordon/sentry/platform/sentry-filter';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processTree, run, standInPool, until } from './test/helpers.js';

const root = process.getuid?.() === 0;

async function spareOf(pool: Pool): Promise<number> {
  const [launcher] = pool.zygotePids();
  // One Sentry only: the one before has gone.
  await until(() => pool.stats().spares === 1 && processTree(launcher).length === 3, 'a spare');
  return processTree(launcher)[2];
}

function status(pid: number, field: string): string {
  return new RegExp(`^${field}:[ \\t]*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '';
}

describe('a Sentry from outside', () => {
  let pool: Pool;
  let pid: number;
  let tools: string;
  beforeAll(async () => {
    tools = mkdtempSync(join(tmpdir(), 'cordon-tools-'));
    execFileSync('cc', [
      '-O1',
      '-o',
      join(tools, 'read-filter'),
      new URL('./test/read-filter.c', import.meta.url).pathname,
    ]);
    pool = await standInPool({ image: hostImage(), spares: 1 });
    pid = await spareOf(pool);
  });
  afterAll(async () => {
    await pool.close();
    rmSync(tools, { recursive: true });
  });

  it('has no capability, no way to gain one, and a filter', () => {
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) expect(status(pid, set), set).toMatch(/^0+$/);
    expect(status(pid, 'NoNewPrivs')).toBe('1');
    expect(status(pid, 'Seccomp')).toBe('2');
    expect(status(pid, 'Threads')).toBe('1');
  });

  it.runIf(root)('has an identity nobody else has, and each sibling another', async () => {
    const ids = status(pid, 'Uid');
    const [uid] = ids.split(/\s+/).map(Number);
    expect(uid).toBeGreaterThan(1_000_000_000);
    expect(status(pid, 'Groups').trim()).toBe('');
    await run(pool, ['hello']);
    const next = await spareOf(pool);
    expect(status(next, 'Uid')).not.toBe(ids);
    pid = next;
  });

  it('has namespaces of its own', () => {
    for (const kind of ['mnt', 'net', 'ipc', 'uts', 'pid']) {
      expect(readlinkSync(`/proc/${pid}/ns/${kind}`), kind).not.toBe(readlinkSync(`/proc/self/ns/${kind}`));
    }
    expect(status(pid, 'NSpid').trim().split(/\s+/).at(-1)).toBe('1');
  });

  it('has an empty root', () => {
    expect(readdirSync(`/proc/${pid}/root/`)).toEqual([]);
    expect(readFileSync(`/proc/${pid}/mountinfo`, 'latin1').trim().split('\n')).toHaveLength(1);
  });

  it('has bounded resources', () => {
    const limits = readFileSync(`/proc/${pid}/limits`, 'latin1');
    expect(limits).toMatch(/^Max core file size\s+0\s+0/m);
    expect(limits).toMatch(/^Max open files\s+4096\s+4096/m);
    expect(limits).toMatch(/^Max locked memory\s+0\s+0/m);
  });

  it.runIf(root)('runs under exactly the filter that is written down', () => {
    const filters = execFileSync(join(tools, 'read-filter'), [String(pid)], { encoding: 'latin1' })
      .trim()
      .split('\n');
    const nullDevice = statSync('/dev/null').rdev;
    const nullDescriptors = readdirSync(`/proc/${pid}/fd`)
      .map(Number)
      .filter((fd) => fd > 3 && statSync(`/proc/${pid}/fd/${fd}`).rdev === nullDevice)
      .sort((one, other) => one - other);
    const { platform } = pool.stats();
    const written = Buffer.from(compileFilter(sentryRules({ nullDescriptors, platform }))).toString('hex');
    expect(filters).toEqual([written]);
  });

  it('finds every layer on, on this host or says which is not', () => {
    for (const layer of pool.layers()) {
      expect(layer.consequence).not.toBe('');
      if (!layer.on) expect(layer.detail, layer.name).not.toBe('');
    }
    expect(pool.layers().map(({ name }) => name)).toEqual(
      expect.arrayContaining(['seccomp', 'landlock', 'empty-root', 'no-new-privs', 'capabilities', 'limits']),
    );
  });
});

describe('a host that permits little', () => {
  // As in a container that runs as root without capabilities.
  it.runIf(root)('runs all the same, and says what is missing', () => {
    const script = `
      import { PLATFORM_STAND_IN, standInPool, run } from '${new URL('./test/helpers.ts', import.meta.url).href}';
      const pool = await standInPool({}, { sentryModule: PLATFORM_STAND_IN });
      const { report } = await run(pool, ['traps', '100']);
      process.stdout.write(JSON.stringify({ reason: report.reason, off: pool.layers().filter(({ on }) => !on) }));
      await pool.close();
    `;
    const child = spawnSync(
      'setpriv',
      ['--bounding-set', '-all', '--inh-caps', '-all', process.execPath, '--input-type=module', '-e', script],
      { encoding: 'utf8' },
    );
    const { reason, off } = JSON.parse(child.stdout || '{}') as { reason: string; off: ConfinementLayer[] };
    expect(reason, child.stderr).toBe('exited');
    const names = off.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['mount-namespace', 'pid-namespace', 'empty-root']));
    expect(names).not.toContain('seccomp');
    expect(names).not.toContain('capabilities');
    for (const { name, consequence, detail } of off) expect([name, consequence, detail]).not.toContain('');
  });
});

describe('a compromised Sentry', () => {
  it.each(['open', 'fork', 'exec', 'socket', 'kill', 'chmod'])('is killed when it tries: %s', async (what) => {
    const pool = await standInPool({ spares: 1 });
    try {
      const { report, stdout } = await run(pool, ['attack', what]);
      expect(stdout).toBe('');
      expect(report.reason).toBe('error');
      expect(report.detail).toContain('SIGSYS');
    } finally {
      await pool.close();
    }
  });

  it('without its filter still finds no file and no other user', async () => {
    const pool = await standInPool({ image: hostImage(), spares: 1 }, { without: ['seccomp', 'landlock'] });
    try {
      expect((await run(pool, ['attack', 'open'])).stdout).toBe('ENOENT');
      expect((await run(pool, ['attack', 'chmod'])).stdout).toMatch(/EROFS|EPERM/);
      expect((await run(pool, ['attack', 'setuid'])).stdout).toMatch(root ? /EPERM/ : /EPERM|done/);
      expect((await run(pool, ['attack', 'kill'])).stdout).toBe('ESRCH');
      expect(pool.layers().find(({ name }) => name === 'seccomp')?.on).toBe(false);
    } finally {
      await pool.close();
    }
  });

  it('without filter and namespaces still opens nothing: Landlock', async () => {
    const pool = await standInPool({ image: hostImage(), spares: 1 }, { without: ['seccomp', 'namespaces'] });
    try {
      if (!pool.layers().some(({ name, on }) => name === 'landlock' && on)) return; // not in this kernel: said by layers()
      expect((await run(pool, ['attack', 'open'])).stdout).toBe('EACCES');
      // Node's execve aborts when it fails, and says why.
      expect((await run(pool, ['attack', 'exec'])).log.join()).toContain('EACCES');
    } finally {
      await pool.close();
    }
  });
});
