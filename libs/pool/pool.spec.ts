import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Pool } from '@cordon/pool/pool';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processTree, run, spec, standInPool, until } from './test/helpers.js';

/** Host process ids of the Sentries of a pool: launcher -> zygote -> Sentry. */
function sentries(pool: Pool): number[] {
  return pool.zygotePids().flatMap((launcher) => processTree(launcher).slice(2));
}

/** One that an earlier test left may be on its way out. */
function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

describe('a pool', () => {
  let pool: Pool;
  beforeAll(async () => {
    pool = await standInPool();
  });
  afterAll(() => pool.close());

  it('runs on a spare that was forked before', async () => {
    await until(() => pool.stats().spares === 2, 'two spares');
    const { forked } = pool.stats();
    const { report, stdout } = await run(pool, ['hello']);
    expect(stdout).toBe('hello\n');
    expect(report).toMatchObject({ reason: 'exited', exitCode: 0 });
    expect(pool.stats().forked).toBe(forked);
    await until(() => pool.stats().spares === 2, 'a new spare');
    expect(pool.stats().forked).toBe(forked + 1);
  });

  it('gives a hundred runs a hundred right answers, eight at a time', async () => {
    const waiting = Array.from({ length: 100 }, (_, index) => index);
    const outputs: string[] = [];
    const worker = async () => {
      while (waiting.pop() !== undefined) {
        const { report, stdout } = await run(pool, ['hello']);
        outputs.push(`${report.reason} ${stdout}`);
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    expect(outputs).toEqual(new Array(100).fill('exited hello\n'));
  });

  it('forks children that survive allocation, garbage collection and tier-up', async () => {
    // Without both fixes of zygote-shim.c short runs pass and these hang or die.
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => run(pool, ['work', '1500'])));
    const answers = outcomes.map(({ report, stdout }) => `${report.reason} ${stdout}`);
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toMatch(/^exited \d+$/);
  });

  it('gives every child random numbers and a process id of its own', async () => {
    const outcomes = await Promise.all(Array.from({ length: 4 }, () => run(pool, ['random'])));
    const numbers = outcomes.flatMap(({ stdout }) => JSON.parse(stdout).slice(0, 2) as number[]);
    expect(new Set(numbers).size).toBe(8);
    for (const number of numbers) expect(number >= 0 && number < 1).toBe(true);
  });

  it('passes the boot message and the files on', async () => {
    const out: Uint8Array[] = [];
    const handle = pool.run(
      {
        ...spec(['boot', 'ä', '']),
        files: [
          { path: '/work/a', mode: 0o600, content: Buffer.from('first') },
          { path: '/work/b', mode: 0o644, content: Buffer.from([0, 255]) },
        ],
      },
      {
        stdout: (bytes) => {
          out.push(bytes);
        },
      },
    );
    await handle.ended;
    const message = JSON.parse(Buffer.concat(out).toString());
    expect(message.argv).toEqual(['boot', 'ä', '']);
    expect(message.files).toEqual([
      { path: '/work/a', mode: 0o600, size: 5 },
      { path: '/work/b', mode: 0o644, size: 2 },
    ]);
    expect(message.contents).toBe('first\0ÿ');
    expect(message.image).toBeUndefined();
    expect(message.pinCpu).toBeGreaterThanOrEqual(0);
  });

  it('streams standard input, also what was written before the start', async () => {
    let out = '';
    const handle = pool.run(
      { ...spec(['echo']), stdin: 'stream' },
      {
        stdout: (bytes) => {
          out += Buffer.from(bytes).toString();
        },
      },
    );
    await handle.writeStdin(Buffer.from('one '));
    await handle.writeStdin(Buffer.from('two'));
    handle.endStdin();
    expect((await handle.ended).reason).toBe('exited');
    expect(out).toBe('one two');
    await handle.writeStdin(Buffer.from('too late'));
  });

  it('loses nothing of a Sentry that has ended when there is still something to write to it', async () => {
    let out = '';
    let late: Promise<void> | undefined;
    const handle = pool.run(
      { ...spec(['hello']), stdin: 'stream' },
      {
        // The first frame of all holds the socket back until the Sentry is gone; then input comes for it.
        started: () => undefined,
        stdout: async (bytes) => {
          out += Buffer.from(bytes).toString();
          await new Promise((resolve) => setTimeout(resolve, 150));
          late ??= handle.writeStdin(Buffer.alloc(100_000));
          await new Promise((resolve) => setTimeout(resolve, 50));
        },
      },
    );
    expect((await handle.ended).reason).toBe('exited');
    expect(out).toBe('hello\n');
    await late;
  });

  it.each([
    ['throw', /exited with 70.*nobody catches this/],
    ['exit', /exited with 3/],
    ['out-of-heap', /heap out of memory/],
    ['garbage', /a frame of \d+ bytes/],
    ['false-report', /no known reason/],
    ['log', /a line for the operator.*after the line/],
  ])('reports a Sentry that fails (%s) as error, with the reason, and goes on', async (program, detail) => {
    const { report } = await run(pool, [program]);
    expect(report.reason).toBe('error');
    expect(report.detail).toMatch(detail);
    expect((await run(pool, ['hello'])).stdout).toBe('hello\n');
  });

  it.each([
    ['another image', { image: { name: 'other', mounts: [], files: [], links: [] } }, /image/],
    ['files beyond one frame', { files: [{ path: '/a', mode: 0o644, content: Buffer.alloc(64 << 20) }] }, /bytes/],
    ['no time', { limits: { ...spec(['hello']).limits, wallTimeMs: 0 } }, /wallTimeMs/],
  ])('refuses what it cannot run: %s', async (_what, change, detail) => {
    const report = await pool.run({ ...spec(['hello']), ...change }, {}).ended;
    expect(report.reason).toBe('error');
    expect(report.detail).toMatch(detail);
  });

  it('lets a child catch its own stack overflow', async () => {
    const { report, stdout } = await run(pool, ['stack-overflow']);
    expect([report.reason, stdout]).toEqual(['exited', 'RangeError']);
  });

  it('ends a Sentry that hangs, by the deadline, from outside', async () => {
    const { report } = await run(pool, ['hang'], { wallTimeMs: 50 });
    expect(report.reason).toBe('timed_out');
    expect(report.usage.cpuMs).toBeGreaterThan(10);
  });

  it('asks first, and takes the report of a Sentry that ends itself', async () => {
    const { report } = await run(pool, ['until-killed'], { wallTimeMs: 50 });
    expect(report).toMatchObject({ reason: 'timed_out', platform: 'stand-in' });
  });

  it('kills a Sentry that has reported and does not go', async () => {
    await until(() => sentries(pool).length === 2, 'two spares');
    expect((await run(pool, ['lingers'])).report.reason).toBe('exited');
    await until(() => pool.stats().running === 0 && sentries(pool).length === 2, 'it is gone');
  });

  it('does not take more output from a Sentry than the run may have', async () => {
    const { report, stdout } = await run(pool, ['flood', String(8 << 20)], { outputBytes: 1 << 20 });
    expect(report.reason).toBe('error');
    expect(report.detail).toContain('output');
    expect(stdout.length).toBeLessThanOrEqual((1 << 20) + (1 << 16));
  });

  it('cancels at any time', async () => {
    const running = pool.run(spec(['until-killed']), { started: () => running.cancel() });
    expect((await running.ended).reason).toBe('canceled');
    const hanging = pool.run(spec(['hang']), { started: () => hanging.cancel() });
    expect((await hanging.ended).reason).toBe('canceled');
    const waiting = Array.from({ length: 4 }, () => pool.run(spec(['until-killed']), {}));
    for (const handle of waiting) handle.cancel();
    const reports = await Promise.all(waiting.map(({ ended }) => ended));
    expect(reports.map(({ reason }) => reason)).toEqual(new Array(4).fill('canceled'));
    const over = pool.run(spec(['hello']), {});
    await over.ended;
    over.cancel();
    expect((await over.ended).reason).toBe('exited');
  });

  it('holds the Sentry back while a handler is busy, and loses nothing', async () => {
    let received = 0;
    let concurrent = 0;
    let most = 0;
    const size = 16 << 20;
    const handle = pool.run(spec(['flood', String(size)]), {
      stdout: async (bytes) => {
        most = Math.max(most, ++concurrent);
        await new Promise((resolve) => setImmediate(resolve));
        received += bytes.length;
        concurrent--;
      },
    });
    const report = await handle.ended;
    expect([report.reason, received, most]).toEqual(['exited', size, 1]);
  });

  it('gives the result even if a handler never finishes and the run is canceled', { timeout: 20_000 }, async () => {
    const handle = pool.run(spec(['flood', String(16 << 20)]), { stdout: () => new Promise(() => {}) });
    setTimeout(() => handle.cancel(), 100);
    expect((await handle.ended).reason).toBe('canceled');
  });

  it('survives handlers that throw', async () => {
    const handle = pool.run(spec(['hello']), {
      stdout: () => {
        throw new Error('the consumer is broken');
      },
    });
    const report = await handle.ended;
    expect(report.reason).toBe('error');
    expect(report.detail).toContain('the consumer is broken');
  });

  it('keeps only the descriptors a Sentry needs', async () => {
    await until(() => pool.stats().spares === 2, 'spares');
    const [sentry] = sentries(pool);
    const targets = readdirSync(`/proc/${sentry}/fd`)
      .map((fd) => `${fd === '3' ? 'channel ' : ''}${readlinkSync(`/proc/${sentry}/fd/${fd}`)}`)
      // The child's /dev is detached, so the device reads as /null.
      .filter((target) => target !== '/null' && target !== '/dev/null')
      .map((target) => target.replace(/\d+/, 'N'))
      .sort();
    expect(targets).toEqual(['/memfd:sentry-stderr (deleted)', 'channel socket:[N]']);
  });

  it('reports a Sentry killed from outside as error', async () => {
    const handle = pool.run(spec(['until-killed']), {
      started: () => {
        for (const sentry of sentries(pool)) process.kill(sentry, 'SIGKILL');
      },
    });
    const report = await handle.ended;
    expect(report.reason).toBe('error');
    expect(report.detail).toContain('SIGKILL');
    await until(() => pool.stats().spares === 2, 'new spares');
    expect((await run(pool, ['hello'])).stdout).toBe('hello\n');
  });

  it('starts a run anew whose Sentry died before the guest began, its input included', async () => {
    await until(() => pool.stats().spares === 2, 'spares');
    for (const sentry of sentries(pool)) killIfAlive(sentry);
    // In the same turn: the pool cannot know yet.
    let out = '';
    const handle = pool.run(
      { ...spec(['echo']), stdin: 'stream' },
      {
        stdout: (bytes) => {
          out += Buffer.from(bytes).toString();
        },
      },
    );
    void handle.writeStdin(Buffer.from('once'));
    handle.endStdin();
    expect((await handle.ended).reason).toBe('exited');
    expect(out).toBe('once');
  });

  it('recovers when the zygote is killed: what ran ends as error, what comes waits for the next', async () => {
    const [launcher] = pool.zygotePids();
    const handle = pool.run(spec(['until-killed']), {
      started: () => {
        process.kill(processTree(launcher)[1], 'SIGKILL');
      },
    });
    const report = await handle.ended;
    expect(report.reason).toBe('error');
    expect((await run(pool, ['hello'])).stdout).toBe('hello\n');
    expect(processTree(launcher)).toEqual([]);
  });
});

describe('renewal and end', () => {
  it('renews the zygote after so many forks, without losing a run', async () => {
    const pool = await standInPool({ renewAfter: 5, spares: 1 });
    try {
      const [first] = pool.zygotePids();
      const long = run(pool, ['work', '600']);
      for (let index = 0; index < 12; index++) expect((await run(pool, ['hello'])).stdout).toBe('hello\n');
      await until(() => pool.zygotePids().length > 0 && !pool.zygotePids().slice(-1).includes(first), 'a new zygote');
      expect((await long).report.reason).toBe('exited');
      await until(() => !pool.zygotePids().includes(first), 'the old zygote gone');
      expect(processTree(first)).toEqual([]);
    } finally {
      await pool.close();
    }
  });

  it('leaves no process after close, and ends what ran', async () => {
    const pool = await standInPool();
    const launchers = pool.zygotePids();
    const running = [run(pool, ['hang']), run(pool, ['until-killed']), run(pool, ['work', '5000'])];
    await until(() => pool.stats().running === 3, 'three running');
    const all = launchers.flatMap((launcher) => processTree(launcher));
    expect(all.length).toBeGreaterThan(4);
    await pool.close();
    expect(all.filter((pid) => alive(pid))).toEqual([]);
    const reports = await Promise.all(running);
    expect(reports.map(({ report }) => report.reason)).toEqual(['canceled', 'canceled', 'canceled']);
    expect((await run(pool, ['hello'])).report.reason).toBe('error');
  });

  it('leaves no process when the worker is killed', async () => {
    const script = `
      import { standInPool, run } from '${new URL('./test/helpers.ts', import.meta.url).href}';
      const pool = await standInPool();
      run(pool, ['hang']);
      setTimeout(() => process.stdout.write(pool.zygotePids().join()), 200);
    `;
    const child = spawnSync(
      process.execPath,
      ['--input-type=module', '-e', `${script}\nsetTimeout(() => process.kill(process.pid, 'SIGKILL'), 400);`],
      { encoding: 'utf8' },
    );
    const launcher = Number(child.stdout);
    expect(launcher, child.stderr).toBeGreaterThan(1);
    await until(() => !alive(launcher), 'the launcher gone');
    await until(() => processTree(launcher).length === 0, 'its tree gone');
  });

  it('says why when no Sentry can be started', async () => {
    await expect(standInPool({}, { sentryModule: 'file:///nowhere.mjs' })).rejects.toThrow(/nowhere/);
  });

  // Needs root to become somebody else, and a checkout that everybody may read.
  const everybody = () =>
    spawnSync('cat', [fileURLToPath(import.meta.url)], { uid: 65534, gid: 65534, stdio: 'ignore' }).status === 0;
  it.runIf(process.getuid?.() === 0 && everybody())('works for an ordinary user', () => {
    const script = `
      import { PLATFORM_STAND_IN, standInPool, run } from '${new URL('./test/helpers.ts', import.meta.url).href}';
      const pool = await standInPool();
      const hello = await run(pool, ['hello']);
      await pool.close();
      const real = await standInPool({}, { sentryModule: PLATFORM_STAND_IN });
      const traps = await run(real, ['traps', '100']);
      await real.close();
      process.stdout.write(JSON.stringify({ stdout: hello.stdout, reason: traps.report.reason, detail: traps.report.detail }));
    `;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      uid: 65534,
      gid: 65534,
      cwd: '/',
      env: { PATH: process.env.PATH },
    });
    expect(JSON.parse(child.stdout || '{}'), child.stderr).toEqual({
      stdout: 'hello\n',
      reason: 'exited',
      detail: null,
    });
  });
});

function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}
