import { readFileSync } from 'node:fs';
import { type ProcessHandlers, SessionEnded, type SessionHandle } from '@cordon/pool';
import type { AuditRecord } from '@cordon/sentry/audit/record';
import type { SessionExit } from '@cordon/sentry/boot/session/session-message';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guestPool, specOf, useGuests } from './harness.js';

useGuests();

const audit: AuditRecord[] = [];
let session: SessionHandle;

function open(limits: Parameters<typeof specOf>[0]['limits'] = {}): SessionHandle {
  const { argv, stdin, terminal, ...spec } = specOf({ argv: [], auditLevel: 'security', limits });
  return guestPool().open(spec, { audit: (records) => void audit.push(...records) });
}

interface Ran extends SessionExit {
  readonly stdout: string;
  readonly stderr: string;
}

interface Started {
  readonly stream: number;
  readonly pid: number;
  readonly exited: Promise<Ran>;
  readonly closed: Promise<void>;
  output(): string;
}

interface Options {
  readonly stdin?: boolean;
  readonly terminal?: { rows: number; columns: number };
  readonly timeoutMs?: number;
  readonly cwd?: string;
  readonly env?: readonly string[];
  readonly uid?: number;
  readonly hold?: Promise<void>;
  readonly in?: SessionHandle;
}

async function start(argv: readonly string[], options: Options = {}): Promise<Started> {
  const text = ['', '', ''];
  let exit: (ran: Ran) => void = () => {};
  let close: () => void = () => {};
  const exited = new Promise<Ran>((resolve) => {
    exit = resolve;
  });
  const closed = new Promise<void>((resolve) => {
    close = resolve;
  });
  const handlers: ProcessHandlers = {
    output: async (descriptor, bytes) => {
      await options.hold;
      text[descriptor] += bytes.toString('latin1');
    },
    exit: (end) => exit({ ...end, stdout: text[1], stderr: text[2] }),
    closed: close,
  };
  const started = await (options.in ?? session).start(
    {
      argv,
      env: options.env ?? ['PATH=/usr/bin:/bin'],
      cwd: options.cwd ?? '/work',
      uid: options.uid ?? 1000,
      gid: options.uid ?? 1000,
      stdin: options.stdin ?? false,
      terminal: options.terminal ?? false,
      timeoutMs: options.timeoutMs ?? null,
    },
    handlers,
  );
  return { ...started, exited, closed, output: () => text[1] };
}

async function run(argv: readonly string[], options: Options = {}): Promise<Ran> {
  return (await start(argv, options)).exited;
}

const sh = (script: string, options: Options = {}): Promise<Ran> => run(['/bin/sh', '-c', script], options);

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('it never came');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('a session', () => {
  beforeAll(() => {
    session = open();
  });
  afterAll(async () => {
    session.end();
    await session.ended;
  });

  it('runs one program after another in one file system', async () => {
    expect(await sh('echo one > a; echo out; echo err >&2; exit 3')).toMatchObject({
      exitCode: 3,
      signal: null,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect((await sh('cat a; pwd; id -u; echo $X', { env: ['X=y'] })).stdout).toBe('one\n/work\n1000\ny\n');
    expect((await sh('id -u', { uid: 0 })).stdout).toBe('0\n');
  });

  it('runs many at once and keeps their output apart', async () => {
    const ran = await Promise.all(
      Array.from({ length: 20 }, (_, index) => sh(`for i in 1 2 3 4 5; do echo ${index}; done`)),
    );
    for (const [index, { stdout }] of ran.entries()) expect(stdout).toBe(`${index}\n`.repeat(5));
  });

  it('says what cannot be started', async () => {
    await expect(run(['nothing-of-the-kind'])).rejects.toMatchObject({ errno: 'ENOENT' });
    await expect(run(['/etc/passwd'])).rejects.toMatchObject({ errno: 'EACCES' });
    await expect(run(['/bin/true'], { cwd: '/nowhere' })).rejects.toMatchObject({ errno: 'ENOENT' });
    await expect(run(['/bin/true'], { cwd: '/etc/passwd' })).rejects.toMatchObject({ errno: 'ENOTDIR' });
  });

  it('feeds standard input, larger than any buffer, and ends it', async () => {
    const process = await start(['/usr/bin/wc', '-c'], { stdin: true });
    for (let chunk = 0; chunk < 32; chunk++)
      await session.ask({ op: 'stdin', process: process.stream }, Buffer.alloc(65536, 'x'));
    await session.ask({ op: 'stdin', process: process.stream });
    expect((await process.exited).stdout.trim()).toBe(String(32 * 65536));
  });

  it('ends a program by a signal, by its timeout with its children, and tells which', async () => {
    const sleeper = await start(['/bin/sleep', '100']);
    await session.ask({ op: 'signal', process: sleeper.stream, signal: 15 });
    expect(await sleeper.exited).toMatchObject({ signal: 'SIGTERM', timedOut: false });
    await expect(session.ask({ op: 'signal', process: sleeper.stream, signal: 15 })).rejects.toMatchObject({
      errno: 'ESRCH',
    });
    const late = await start(['/bin/sh', '-c', 'sleep 100 & sleep 100'], { timeoutMs: 100 });
    expect(await late.exited).toMatchObject({ signal: 'SIGKILL', timedOut: true });
    await late.closed;
  });

  it('goes on with the output of what a program leaves behind, and init reaps it', async () => {
    const process = await start(['/bin/sh', '-c', '(sleep 0.2; echo later) & echo now']);
    expect((await process.exited).stdout).toBe('now\n');
    await process.closed;
    expect(process.output()).toBe('now\nlater\n');
    await until(async () => (await session.ask({ op: 'processes' })).reply.processes?.length === 0);
  });

  it('holds back the one whose output is not taken, and nobody else', async () => {
    let release: () => void = () => {};
    const hold = new Promise<void>((resolve) => {
      release = resolve;
    });
    const held = await start(['/bin/sh', '-c', 'head -c 2000000 /dev/zero; echo done >&2'], { hold });
    expect((await sh('head -c 2000000 /dev/zero | wc -c')).stdout.trim()).toBe('2000000');
    expect((await sh('head -c 500000 /dev/zero')).stdout.length).toBe(500_000);
    expect((await session.ask({ op: 'processes' })).reply.processes?.some(({ stream }) => stream === held.stream)).toBe(
      true,
    );
    release();
    const ran = await held.exited;
    expect([ran.stdout.length, ran.stderr]).toEqual([2_000_000, 'done\n']);
  });

  it('gives a program a terminal', async () => {
    const process = await start(['/bin/sh', '-c', 'tty; stty size; read x; stty size; echo "<$x>"'], {
      stdin: true,
      terminal: { rows: 24, columns: 80 },
    });
    await until(() => process.output().includes('24 80'));
    await session.ask({ op: 'resize', process: process.stream, rows: 30, columns: 100 });
    await session.ask({ op: 'stdin', process: process.stream }, Buffer.from('word\n'));
    expect((await process.exited).stdout).toMatch(/\/dev\/pts\/\d+\r\n24 80\r\nword\r\n30 100\r\n<word>\r\n/);
  });

  it('reads, writes, lists, moves and removes files', async () => {
    const path = '/work/deep/er/file';
    const text = Buffer.from('0123456789');
    await session.ask({ op: 'write', path, offset: 0, truncate: true, mode: 0o640 }, text);
    await session.ask({ op: 'write', path, offset: null, truncate: false, mode: 0o644 }, Buffer.from('end'));
    expect((await sh('cat deep/er/file; stat -c " %a %U" deep/er/file')).stdout).toMatch(/^0123456789end 640 /);
    const { reply, bytes } = await session.ask({ op: 'read', path, offset: 8, length: 3 });
    expect([reply.size, bytes.toString()]).toEqual([13, '89e']);
    expect((await session.ask({ op: 'read', path, offset: 13, length: 3 })).bytes.length).toBe(0);
    const { entry } = (await session.ask({ op: 'stat', path })).reply;
    expect(entry).toMatchObject({ name: 'file', type: 'file', size: 13, mode: 0o640, uid: 1000 });
    await session.ask({ op: 'move', from: path, to: '/work/deep/moved' });
    await sh('cd deep; ln -s moved link; mkfifo fifo');
    const listed = (await session.ask({ op: 'list', path: '/work/deep', offset: 0 })).reply.entries ?? [];
    expect(listed.map(({ name, type }) => `${name} ${type}`).sort()).toEqual([
      'er directory',
      'fifo fifo',
      'link symlink',
      'moved file',
    ]);
    expect(listed.find(({ name }) => name === 'link')?.target).toBe('moved');
    const removal = { op: 'remove', path: '/work/deep' } as const;
    await expect(session.ask({ ...removal, recursive: false })).rejects.toMatchObject({ errno: 'ENOTEMPTY' });
    await session.ask({ ...removal, recursive: true });
    await expect(session.ask({ op: 'stat', path: '/work/deep' })).rejects.toMatchObject({ errno: 'ENOENT' });
  });

  it('lists a directory of any size in pieces', async () => {
    await sh('mkdir many; cd many; for i in $(seq 1 200); do : > file$i; done');
    const names: string[] = [];
    let offset: number | null = 0;
    while (offset !== null) {
      const { reply }: { reply: { entries?: readonly { name: string }[]; next?: number | null } } = await session.ask({
        op: 'list',
        path: '/work/many',
        offset,
      });
      names.push(...(reply.entries ?? []).map(({ name }) => name));
      offset = reply.next ?? null;
    }
    expect(new Set(names).size).toBe(200);
    expect(names.length).toBe(200);
  });

  it('does file requests as its user, and no devices or pipes', async () => {
    const refused = async (path: string): Promise<unknown> =>
      session.ask({ op: 'read', path, offset: 0, length: 1 }).then(
        () => 'read',
        ({ errno }: { errno: string }) => errno,
      );
    expect(await refused('/dev/zero')).toBe('EINVAL');
    expect(await refused('/work')).toBe('EISDIR');
    expect(await refused('/etc/passwd/x')).toBe('ENOTDIR');
    await sh('mkfifo pipe; echo secret > hidden; chown 0 hidden; chmod 600 hidden', { uid: 0 });
    expect(await refused('/work/pipe')).toBe('EINVAL');
    expect(await refused('/work/hidden')).toBe('EACCES');
    await expect(
      session.ask({ op: 'write', path: '/etc/x', offset: 0, truncate: true, mode: 0o644 }, Buffer.from('x')),
    ).rejects.toMatchObject({ errno: 'EACCES' });
  });

  it('shows process 1 as the kernel own, whom no signal reaches', async () => {
    const ran = await sh(
      'kill -9 1; kill -15 1; cat /proc/1/comm; cut -d" " -f3 /proc/1/stat; cat /proc/1/maps /proc/1/cmdline',
      {
        uid: 0,
      },
    );
    expect(ran.stdout).toBe('init\nS\n');
    expect((await sh('sleep 100 & kill -9 -1; echo left', { uid: 0 })).stdout).toBe('left\n');
    expect((await sh('echo alive')).stdout).toBe('alive\n');
  });

  it('records the calls of all its life', async () => {
    await sh('echo x > /work/recorded');
    await session.ask({ op: 'flush' });
    await until(() => audit.some((record) => JSON.stringify(record).includes('/work/recorded')));
  });
});

describe('sessions of their own', () => {
  it('lose a program to the memory limit, not the sandbox', async () => {
    const small = open({ memoryBytes: 64 << 20 });
    const hog = await run(['/usr/bin/python3', '-c', 'x = b"x" * 10**9'], { in: small });
    expect(hog.exitCode === 1 || hog.signal === 'SIGKILL').toBe(true);
    expect((await sh('echo alive', { in: small })).stdout).toBe('alive\n');
    small.end();
    await small.ended;
  });

  it('end when told, or when their time is over; requests say so then', async () => {
    const one = open();
    const sleeper = await start(['/bin/sleep', '100'], { in: one });
    one.end();
    expect((await one.ended).reason).toBe('canceled');
    await sleeper.closed;
    await expect(one.ask({ op: 'processes' })).rejects.toBeInstanceOf(SessionEnded);
    const two = open();
    await sh(':', { in: two });
    two.endAfter(50);
    expect((await two.ended).reason).toBe('timed_out');
  });

  it('live as long as they were told last, also when that was before they began', async () => {
    const three = open({ wallTimeMs: 300 });
    three.endAfter(60_000);
    await sh('sleep 0.5', { in: three });
    expect((await sh('echo here', { in: three })).stdout).toBe('here\n');
    three.end();
    await three.ended;
  });

  it('use no CPU while idle', async () => {
    const idle = open();
    await sh('sleep 100 & echo', { in: idle });
    const { pid } = await start(['/bin/sleep', '1'], { in: idle });
    expect(pid).toBeGreaterThan(1);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const before = childrenTicks();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    // One tick is 10 ms; other Sentries of this pool are idle too.
    expect(childrenTicks() - before).toBeLessThanOrEqual(1);
    idle.end();
    await idle.ended;
  }, 15_000);
});

/** utime + stime of all descendants of this process's pool, in ticks of 10 ms. */
function childrenTicks(): number {
  const launchers = (guestPool() as unknown as { zygotePids(): number[] }).zygotePids();
  let ticks = 0;
  const add = (pid: number): void => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    ticks += Number(fields[11]) + Number(fields[12]);
    for (const child of readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' '))
      if (child !== '') add(Number(child));
  };
  for (const launcher of launchers) add(launcher);
  return ticks;
}
