import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { compile, runGuest, useGuests } from './harness.js';

useGuests();

/** After every attack the next run on the same pool must be as good as new. */
async function expectWhole(): Promise<void> {
  const next = await runGuest({ argv: ['/bin/echo', 'still here'] });
  const { report, stdout, stderr, log } = next;
  expect({ report, stdout, stderr, log }).toMatchObject({
    stdout: 'still here\n',
    report: { reason: 'exited', exitCode: 0 },
  });
}

const FULL_DISK = `full: ENOSPC size as written: True some: True
one more byte ENOSPC
over what is there 1
fallocate ENOSPC
a hole None
another file ENOSPC
an empty file None
a directory None
a name None
copy_file_range ENOSPC
fsync None
memory: ok
open files keep their room ENOSPC
room again: True ENOSPC
after truncation 1048576
`;

describe('a full file system', () => {
  it('is ENOSPC where room is needed, not the end of the program, and room comes back', async () => {
    const guest = await runGuest({
      argv: ['python3', 'program.py'],
      files: { 'program.py': readFileSync(new URL('programs/full-disk.py', import.meta.url)) },
      limits: { memoryBytes: 64 * 1024 ** 2 },
    });
    expect(guest.stderr).toBe('');
    expect(guest.stdout).toBe(FULL_DISK);
    expect(guest.report).toMatchObject({ reason: 'exited', exitCode: 0 });
  });
});

describe('what processes restrict themselves with', () => {
  it.each([
    ['filters', 64 * 1024],
    ['landlock', 262],
    ['filters of zombies', 64 * 1024],
    ['landlock of zombies', 262],
  ])('takes a bounded part of the kernel’s memory: %s', async (name, most) => {
    const guest = await runGuest({
      argv: ['./program', ...name.split(' of ')],
      files: { program: compile('kernel-memory.c', ['-O1', '-w']) },
    });
    expect(guest.log).toEqual([]);
    const [, last, refused, total] = guest.stdout.match(/^last: (\w+)\nrefused: (\d) total: (\d+)\n$/) ?? [];
    expect({ last, refused }).toEqual({ last: 'ENOMEM', refused: '1' });
    expect(Number(total)).toBeGreaterThan(most / 3);
    expect(Number(total)).toBeLessThanOrEqual(most);
  });
});

describe('limits end a run from outside the guest', () => {
  it('while(1); ends as cpu_exceeded', async () => {
    const guest = await runGuest({ argv: ['./spin'], files: { spin: compile('spin.c') }, limits: { cpuTimeMs: 300 } });
    expect(guest.report.reason).toBe('cpu_exceeded');
    expect(guest.report.usage.cpuMs).toBeGreaterThanOrEqual(280);
    await expectWhole();
  });

  it('however many threads and CPUs share the time, what is used is the limit and little more', async () => {
    const program = 'import os\nfor i in range(3): os.fork()\nwhile True: pass';
    const guest = await runGuest({ argv: ['python3', '-c', program], limits: { cpuTimeMs: 400 } });
    expect(guest.report.reason).toBe('cpu_exceeded');
    expect(guest.report.usage.cpuMs).toBeGreaterThanOrEqual(400);
    // How soon the Sentry gets a processor of a busy machine is not in its hands.
    expect(guest.report.usage.cpuMs).toBeLessThan(800);
  });

  it('a spinning guest that blocks every signal ends as timed_out at the wall limit', async () => {
    const guest = await runGuest({
      argv: ['./spin', 'block'],
      files: { spin: compile('spin.c') },
      limits: { wallTimeMs: 500, cpuTimeMs: 60_000 },
    });
    expect(guest.report.reason).toBe('timed_out');
    await expectWhole();
  });

  it('sleeping for ever ends as timed_out', async () => {
    const guest = await runGuest({ argv: ['/bin/sleep', 'infinity'], limits: { wallTimeMs: 300 } });
    expect(guest.report.reason).toBe('timed_out');
    await expectWhole();
  });

  it('a memory bomb ends as memory_exceeded', async () => {
    const guest = await runGuest({
      argv: ['./membomb'],
      files: { membomb: compile('membomb.c') },
      limits: { memoryBytes: 64 * 1024 ** 2 },
    });
    expect(guest.report.reason).toBe('memory_exceeded');
    expect(guest.report.usage.memoryPeakBytes).toBeLessThanOrEqual(64 * 1024 ** 2);
    await expectWhole();
  });

  it('so does a call that is to fill more memory than there may be', async () => {
    const guest = await runGuest({
      argv: ['/bin/dd', 'if=/dev/zero', 'of=/dev/null', 'bs=200M', 'count=1'],
      limits: { memoryBytes: 64 * 1024 ** 2 },
    });
    expect(guest.report.reason).toBe('memory_exceeded');
    await expectWhole();
  });

  it('a file bomb gets ENOSPC and the run goes on', async () => {
    const guest = await runGuest({
      argv: ['/bin/sh', '-c', 'head -c 200M /dev/zero > big; echo status $?; rm big; echo small > ok && cat ok'],
      limits: { memoryBytes: 96 * 1024 ** 2 },
    });
    expect(guest.stdout).toBe('status 1\nsmall\n');
    expect(guest.stderr).toContain('No space left on device');
    await expectWhole();
  });

  it('a file over the file limit gets SIGXFSZ', async () => {
    const guest = await runGuest({
      argv: ['/bin/bash', '-c', 'head -c 3M /dev/zero > big; echo status $?; stat -c %s big'],
      limits: { fileBytes: 1024 ** 2 },
    });
    expect(guest.stdout).toBe(`status ${128 + 25}\n${1024 ** 2}\n`);
  });

  it('a fork bomb meets EAGAIN at the task limit and ends at the wall limit', async () => {
    const guest = await runGuest({
      argv: ['./forkbomb'],
      files: { forkbomb: compile('forkbomb.c') },
      limits: { processes: 32, wallTimeMs: 1500, cpuTimeMs: 60_000 },
    });
    expect(guest.report.reason).toBe('timed_out');
    expect(guest.stdout).toContain('fork: Resource temporarily unavailable');
    await expectWhole();
  });

  it('a thread bomb meets EAGAIN at the task limit', async () => {
    const guest = await runGuest({
      argv: [
        '/usr/bin/python3',
        '-c',
        'import threading,time\nn=0\ntry:\n  while True:\n    threading.Thread(target=time.sleep,args=(9,),daemon=True).start(); n+=1\nexcept RuntimeError as e: print(n, e, flush=True)\nimport os; os._exit(0)',
      ],
      limits: { processes: 20 },
    });
    expect(guest.stdout).toBe("19 can't start new thread\n");
    await expectWhole();
  });

  it('an endless yes ends as output_exceeded with exactly the limit delivered', async () => {
    const guest = await runGuest({ argv: ['/usr/bin/yes'], limits: { outputBytes: 100_000 } });
    expect(guest.report.reason).toBe('output_exceeded');
    expect(guest.stdoutBytes.length).toBe(100_000);
    await expectWhole();
  });

  it('too many open files give EMFILE', async () => {
    const guest = await runGuest({
      argv: [
        '/usr/bin/python3',
        '-c',
        'l=[]\ntry:\n  while True: l.append(open("/dev/null"))\nexcept OSError as e: print(e.errno, len(l)+3)',
      ],
      limits: { openFiles: 64 },
    });
    expect(guest.stdout).toBe('24 64\n');
  });
});

describe('how a run ends', () => {
  it('an absent program: exit 127 and a detail that names it', async () => {
    const guest = await runGuest({ argv: ['no-such-program'] });
    expect(guest.report).toMatchObject({ reason: 'exited', exitCode: 127 });
    expect(guest.report.detail).toContain('no-such-program');
  });

  it('a signal', async () => {
    const guest = await runGuest({ argv: ['/bin/sh', '-c', 'kill -SEGV $$'] });
    expect(guest.report).toMatchObject({ reason: 'signaled', signal: 'SIGSEGV', exitCode: null });
  });

  it('children that outlive the first process are ended with it', async () => {
    const guest = await runGuest({
      argv: ['/bin/sh', '-c', 'sleep 1000 & (trap "" HUP TERM; while :; do :; done) & echo bye'],
    });
    expect(guest.report).toMatchObject({ reason: 'exited', exitCode: 0 });
    expect(guest.stdout).toBe('bye\n');
  });
});

describe('limits of the host', () => {
  const CORDON = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'scripts', 'cordon');
  // The host does not count root's processes; only root can become somebody whose processes it counts alone.
  const asNobody = ['--reuid=65534', '--regid=65534', '--clear-groups', 'prlimit', '--nproc=110', 'env', 'HOME=/tmp'];

  const reachable =
    spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'test', '-x', CORDON]).status === 0;

  it.skipIf(reachable)(
    'a thread that it refuses: not tried, as only root can become nobody, or nobody cannot reach the checkout',
  );

  it.runIf(reachable).each(['auto', 'ptrace'])(
    'a thread or process that it refuses is EAGAIN to the guest, and nothing worse, on %s',
    (platform) => {
      const program = `
import os, threading, time
def most(make):
    for count in range(200):
        try: make()
        except (OSError, RuntimeError): return count
print(20 < most(lambda: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()) < 110, most(os.fork), flush=True)
os._exit(0)
`;
      const command = [...asNobody, CORDON, 'run', '--platform', platform, '--', 'python3', '-c', program];
      const { status, stdout, stderr } = spawnSync('setpriv', command, { encoding: 'utf8' });
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: 'True 0\n', stderr: '' });
    },
  );
});
