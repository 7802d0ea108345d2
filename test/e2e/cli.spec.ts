import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const CORDON = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'scripts', 'cordon');

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the CLI as a shell would; `act` may use the running process. */
function cordon(
  args: readonly string[],
  stdin = '',
  act?: (kill: (signal: NodeJS.Signals) => void, stdout: string) => void,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(CORDON, args, { stdio: 'pipe' });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk;
      act?.((signal) => child.kill(signal), stdout);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin);
  });
}

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'cordon-cli-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Tally {
  readonly name: string;
  readonly count: number;
  readonly time: number;
}

describe('cordon run --profile', () => {
  it('accounts for every nanosecond of the run and every call of the guest', async () => {
    const script = 'for i in 1 2 3 4 5; do test -e /nowhere; done; /bin/true; sleep 0.02';
    const ended = await cordon(['run', '--profile=json', '--', '/bin/sh', '-c', script]);
    expect(ended).toMatchObject({ code: 0, stdout: '' });
    const { phases, total, usage, guest } = JSON.parse(ended.stderr);
    const sum = (list: readonly { time: number }[]) => list.reduce((all, { time }) => all + time, 0);
    expect(sum(phases)).toBeCloseTo(total, -3);
    const names = phases.map(({ name }: Tally) => name);
    for (const name of ['cordon: Node', 'zygote: probe of the platform', 'sentry: files, kernel', 'guest', 'report']) {
      expect(names).toContain(name);
    }
    const calls: Tally[] = guest.calls;
    const counted = (name: string) => calls.find((call) => call.name === name)?.count ?? 0;
    expect(calls.reduce((all, { count }) => all + count, 0)).toBe(usage.syscalls);
    expect(counted('exit_group')).toBe(3);
    expect(counted('execve')).toBe(2);
    expect(guest.loads.count).toBe(3);
    expect(guest.faults.count).toBeGreaterThan(0);
    const work = guest.start + sum([guest.faults, guest.exceptions, guest.wakes, ...calls]);
    expect(work).toBeCloseTo(guest.sentry, -1);
    // The sleep is no work of anybody.
    expect(guest.waiting).toBeGreaterThan(19e6);
    expect(guest.hostCalls.map(({ name }: Tally) => name)).toContain('map');
  });

  it('is a table for people, and goes to stderr', async () => {
    const { stdout, stderr } = await cordon(['run', '--profile', '--', '/bin/echo', 'hello']);
    expect(stdout).toBe('hello\n');
    expect(stderr).toMatch(/sentry: exec \(ELF, interpreter, stack\) +[\d.]+ ms/);
    expect(stderr).toMatch(/\n {2}write +1 +[\d.]+ ms +[\d.]+ % +[\d.]+ us each\n/);
  });

  it('leaves a run that nobody measures as it is', async () => {
    const { stderr } = await cordon(['run', '--json', '--', '/bin/true']);
    const report = JSON.parse(stderr);
    expect(report.reason).toBe('exited');
    expect(report).not.toHaveProperty('profile');
    expect(report).not.toHaveProperty('marks');
  });
});

describe('cordon run', () => {
  it('passes stdin, stdout, stderr and the exit status through', async () => {
    const ended = await cordon(['run', '--', '/bin/sh', '-c', 'cat; echo to stderr >&2; exit 7'], 'from stdin\n');
    expect(ended).toEqual({ code: 7, stdout: 'from stdin\n', stderr: 'to stderr\n' });
  });

  it('answers 128+n for a program that a signal killed', async () => {
    expect((await cordon(['run', '--', '/bin/sh', '-c', 'kill -TERM $$'])).code).toBe(143);
  });

  it('answers 127 and says why for a program that is not there', async () => {
    const ended = await cordon(['run', '--', 'no-such-program']);
    expect(ended.code).toBe(127);
    expect(ended.stderr).toContain('no-such-program: ENOENT');
  });

  it('answers 124 when a limit ended it', async () => {
    const ended = await cordon(['run', '--time', '300ms', '--', '/bin/sleep', '60']);
    expect(ended.code).toBe(124);
    expect(ended.stderr).toContain('timed_out');
  });

  it('takes files, variables, a directory and limits', async () => {
    const file = join(directory, 'input.txt');
    writeFileSync(file, 'content\n');
    const script = 'cat in/put.txt; echo $GREETING; pwd; ulimit -u';
    const options = ['--file', `${file}:in/put.txt`, '--env', 'GREETING=hello', '--cwd', '/work', '--processes', '33'];
    const ended = await cordon(['run', ...options, '--', '/bin/bash', '-c', script]);
    expect(ended.stdout).toBe('content\nhello\n/work\n33\n');
  });

  it('prints the end report with --json', async () => {
    const { stderr } = await cordon(['run', '--json', '--', '/bin/true']);
    expect(JSON.parse(stderr)).toMatchObject({
      reason: 'exited',
      exitCode: 0,
      platform: expect.stringMatching(/^(systrap|ptrace)$/),
    });
  });

  it('ends the guest when it is interrupted, and leaves nothing', async () => {
    let interrupted = false;
    const ended = await cordon(['run', '--', '/bin/sh', '-c', 'echo started; sleep 100'], '', (kill) => {
      if (!interrupted) kill('SIGINT');
      interrupted = true;
    });
    expect(ended.code).toBe(130);
    expect(ended.stdout).toBe('started\n');
  });

  it.each([
    [['run'], 'no program given'],
    [['run', '--memory', 'lots', '--', 'true'], '--memory: "lots" is no size'],
    [['run', '--net', 'internet', '--', 'true'], '--net: "internet" is none of none, loopback'],
    [['run', '--no-such-option', '--', 'true'], "Unknown option '--no-such-option'"],
    [['run', '--file', '/no/such/file', '--', 'true'], '--file: ENOENT'],
    [['fly'], 'no command "fly"'],
  ])('says what is wrong with %j', async (args, message) => {
    const ended = await cordon(args);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(message);
  });
});

describe('cordon trace', () => {
  it('prints the program’s system calls as strace does, to stderr or a file, filtered', async () => {
    const shown = await cordon(['trace', '--', '/bin/cat', '/etc/hostname']);
    expect(shown.code).toBe(0);
    expect(shown.stderr).toMatch(/^openat\(AT_FDCWD, "\/etc\/hostname", O_RDONLY\) += 3$/m);
    expect(shown.stderr).toMatch(/^exit_group\(0\) += \?$/m);
    const file = join(directory, 'trace');
    const written = await cordon(['trace', '-o', file, '-e', 'openat,close', '--', '/bin/sh', '-c', 'echo hi']);
    expect(written).toEqual({ code: 0, stdout: 'hi\n', stderr: '' });
    const names = readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.replace(/^\[pid \d+\] /, '').split('(')[0]);
    expect(new Set(names)).toEqual(new Set(['openat', 'close']));
  });
});

describe('cordon doctor and platforms', () => {
  it('say which layers are on, and which platform works', async () => {
    const doctor = await cordon(['doctor']);
    expect(doctor.code).toBe(0);
    expect(doctor.stdout).toMatch(/^on +seccomp /m);
    expect(doctor.stdout).toMatch(/^on +no-new-privs /m);
    const platforms = await cordon(['platforms']);
    expect(platforms.stdout).toMatch(/^(systrap|ptrace) +works, .* <- auto/m);
  });
});
