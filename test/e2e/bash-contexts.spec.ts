import { type ContextRun, Cordon, CordonError, type Sandbox } from '@cordon/client';
import { beforeAll, describe, expect, it } from 'vitest';
import { KEY, useDeployment } from './harness.js';

const deployment = useDeployment({ workers: 1 });
let sandbox: Sandbox;
let ctx: string;

beforeAll(async () => {
  const cordon = new Cordon({ url: `http://127.0.0.1:${deployment.port}`, apiKey: KEY });
  sandbox = await cordon.sandboxes.create();
  ctx = await create();
});

async function create(): Promise<string> {
  return (await sandbox.contexts.create({ language: 'bash', cwd: '/tmp', env: { GREETING: 'hello' } })).id;
}

const run = (code: string, more: { env?: Record<string, string>; timeoutMs?: number } = {}, id = ctx) =>
  sandbox.contexts.run(id, { code, ...more }) as Promise<ContextRun>;

async function printed(code: string, env: Record<string, string> = {}): Promise<string> {
  return (await run(code, { env })).stdout;
}

/** A shell that is just starting a program misses an interrupt: waits until these run. */
async function running(...names: string[]): Promise<void> {
  for (;;) {
    const all = (await sandbox.processes()).map(({ name }) => name);
    if (names.every((name) => all.includes(name))) return;
  }
}

/** Interrupts a run once it has printed something and these programs run. */
async function interrupted(
  code: string,
  ...programs: string[]
): Promise<{ outcome: string; exitCode: number | null; text: string }> {
  let text = '';
  for await (const event of sandbox.contexts.stream(ctx, { code })) {
    if (event.type === 'end') return { outcome: event.outcome, exitCode: event.exitCode, text };
    if (event.type !== 'stdout') continue;
    if (text === '') {
      await running(...programs);
      await sandbox.contexts.interrupt(ctx);
    }
    text += event.text;
  }
  throw new Error('no end');
}

describe('a bash context', () => {
  it('keeps variables, functions, aliases, descriptors, options and its directory', async () => {
    expect(
      await run('x="a  b"; declare -a list=(1 2); f() { echo "f $1 $x"; }; cd /usr; alias say="echo said"'),
    ).toMatchObject({
      outcome: 'ok',
      exitCode: 0,
      stdout: '',
      stderr: '',
      error: null,
      results: [],
    });
    await run('exec 7>/tmp/seven; shopt -s extglob; set -o noglob');
    expect(await printed('f y; say it; echo "${list[1]} $GREETING $PWD"; echo seven >&7; cat /tmp/seven; echo *')).toBe(
      'f y a  b\nsaid it\n2 hello /usr\nseven\n*\n',
    );
    expect((await run('shopt extglob; set +o noglob; declare local_to_nothing=1')).stdout).toMatch(/extglob\s+on/);
    expect(await printed('echo $local_to_nothing')).toBe('1\n');
  });

  it('tells the status of the last command, and both outputs apart', async () => {
    const failed = await run('echo out; echo err >&2; (exit 3)');
    expect(failed).toMatchObject({
      outcome: 'error',
      exitCode: 3,
      stdout: 'out\n',
      stderr: 'err\n',
      error: { name: 'ExitStatus', value: '3' },
    });
    expect(await run('echo $?; true')).toMatchObject({
      stdout: '3\n',
      exitCode: 0,
      executionCount: failed.executionCount + 1,
    });
    expect(await run('no-such-program')).toMatchObject({
      exitCode: 127,
      stderr: 'bash: no-such-program: command not found\n',
    });
    expect(await run('if then fi')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('syntax error near'),
    });
    expect(await run('')).toMatchObject({ outcome: 'ok', exitCode: 0 });
    expect(await run('# only a remark')).toMatchObject({ outcome: 'ok', stdout: '' });
  });

  it('outlives what would end a script', async () => {
    expect(await run('break; continue; return 4')).toMatchObject({ outcome: 'error', exitCode: 2 });
    expect(await run('set -u; echo $not_there; echo behind')).toMatchObject({ exitCode: 1, stdout: '' });
    expect(await run('set +u; echo ${x:?} ${y:?none}')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('none'),
    });
    expect(await run('PROMPT_COMMAND=; echo never')).toMatchObject({ exitCode: 1, stdout: '' });
    expect(await printed('echo "$x"')).toBe('a  b\n');
  });

  it('has no input, no descriptors of ours, and no variables of ours in its programs', async () => {
    expect(await run('read line; echo "$? $line"; cat; ls /proc/self/fd; env')).toMatchObject({ outcome: 'ok' });
    const descriptors = await printed('exec 7>&-; ls /proc/self/fd');
    expect(descriptors.split('\n').filter((fd) => Number(fd) > 3)).toEqual([]);
    expect(await printed('env | grep -ci cordon; cat; python3 -c "print(input())" 2>&1 | tail -1')).toBe(
      '0\nEOFError: EOF when reading a line\n',
    );
  });

  it('has variables for one run only', async () => {
    const env = { ONCE: "it's\n2", x: 'other', 'A.B': 'c', GREETING: '' };
    const once = await run('echo "$ONCE|$x|$GREETING|"; env | grep -c ^ONCE; env | grep ^x=', { env });
    expect(once).toMatchObject({
      stdout: "it's\n2|other||\n1\nx=other\n",
      stderr: 'bash: A.B: no name of a variable\n',
    });
    expect(await printed('echo "$x|${ONCE-none}|$GREETING"; env | grep ^x=; env | grep ^GREETING')).toBe(
      'a  b|none|hello\nGREETING=hello\n',
    );
  });

  it('takes much code, and code in any script', async () => {
    const word = 'y'.repeat(60_000);
    expect(await printed(`long='${word}'; echo \${#long}; echo "äöü €"`)).toBe('60000\näöü €\n');
    expect(await printed('cat <<END\nhere $x\nEND\necho done')).toBe('here a  b\ndone\n');
    expect(await printed('a\0b() { echo nul; }; ab')).toBe('nul\n');
  });

  it('is interrupted: loops, programs, pipelines; and goes on with all it knows', async () => {
    const ended = { outcome: 'interrupted', exitCode: 130, text: 'on\n' };
    expect(await interrupted('while :; do echo on; done')).toMatchObject({ outcome: 'interrupted', exitCode: 130 });
    expect(await interrupted('echo on; tail -f /dev/null; echo off', 'tail')).toEqual(ended);
    expect(await interrupted('echo on; tail -f /dev/null | cat; echo off', 'tail', 'cat')).toEqual(ended);
    expect(await interrupted('sleep 100 & echo on; wait; echo off')).toEqual(ended);
    expect(await printed('echo "$x"; f z')).toBe('a  b\nf z a  b\n');
    expect(await run('sleep 100', { timeoutMs: 200 })).toMatchObject({ outcome: 'timed_out', exitCode: 130 });
    expect(await run('(exit 130)')).toMatchObject({ outcome: 'error', exitCode: 130 });
    expect((await interrupted('trap "echo caught; stop=1" INT; echo on; until [ "$stop" ]; do :; done')).text).toBe(
      'on\ncaught\n',
    );
    // A trap for INT is over with its run.
    expect(await interrupted('while :; do echo on; done')).toMatchObject({ outcome: 'interrupted' });
    await sandbox.contexts.interrupt(ctx);
    expect(await printed('echo idle ones do not mind')).toBe('idle ones do not mind\n');
  });

  it('interrupts as fast as they come lose no run', async () => {
    for (let round = 0; round < 20; round++) {
      const [{ outcome }] = await Promise.all([
        run(`x=${round}; :`),
        sandbox.contexts.interrupt(ctx),
        sandbox.contexts.interrupt(ctx),
      ]);
      expect(['ok', 'interrupted']).toContain(outcome);
    }
    expect(await run('echo still here')).toMatchObject({ outcome: 'ok', stdout: 'still here\n' });
  });

  it('output cannot end a run: not by what was seen before, nor by anything found in the shell', async () => {
    // Every token that was used until now is in here, were any kept; and frames made of them.
    const forged = await run(
      [
        'tokens=$( { set; declare -p; declare -f; echo "$_ $BASH_COMMAND"; cat /proc/$$/cmdline /proc/$$/environ; history; } 2>/dev/null | tr -c "0-9a-f" "\\n" | grep -xE "[0-9a-f]{32}" | sort -u )',
        'echo "found $(echo $tokens | wc -w)"',
        'for token in $tokens 00000000000000000000000000000000; do printf "\\e]%s;001b.{\\"type\\":\\"end\\",\\"exitCode\\":0}" $token; done',
        'echo; echo behind; (exit 9)',
      ].join('\n'),
    );
    expect(forged).toMatchObject({ outcome: 'error', exitCode: 9 });
    expect(forged.stdout).toMatch(/^found \d+\n[\s\S]*"exitCode":0\}\nbehind\n$/);
    const apart = await run('printf "\\e]"; printf "\\e"; echo; printf "half"');
    expect(apart.stdout).toBe('\x1b]\x1b\nhalf');
  });

  it('tracing shows the code, and does not disturb', async () => {
    // The code is inside an eval: a plus for each level.
    const traced = async (code: string): Promise<string> => (await run(code, { env: { ONCE: '1' } })).stderr;
    expect(await traced('set -x; echo traced')).toBe('++ echo traced\n');
    expect(await traced('f() { echo $1; }; f more\n# a remark\n(exit 3)')).toBe('++ f more\n++ echo more\n++ exit 3\n');
    expect(await traced('echo $?; set +x; echo quiet')).toBe('++ echo 3\n++ set +x\n');
    expect(await traced('echo quiet')).toBe('');
    expect(await traced('set -v\necho one')).toBe('echo one\n');
    expect(await traced('echo two\necho three')).toBe('echo two\necho three\n');
    expect(await traced('set +v')).toBe('set +v\n');
    expect(await run('echo $-')).toMatchObject({ stdout: expect.not.stringMatching(/[xv]/), stderr: '' });
  });

  it('tracing goes on behind what ends a run early', async () => {
    expect(await run('set -x; echo ${nope:?}; echo never')).toMatchObject({ exitCode: 1, stdout: '' });
    expect(await run('while :; do :; done', { timeoutMs: 300 })).toMatchObject({ outcome: 'timed_out' });
    const { stderr, stdout } = await run('echo "$-"');
    expect(stderr).toMatch(/^\+\+ echo \w*x\w*\n$/);
    expect(stdout).toContain('x');
    expect((await run('set +x')).stderr).toBe('++ set +x\n');
    // A trap for ERR hears of nothing twice because of us.
    expect(await run('trap "echo failed" ERR; (exit 5)')).toMatchObject({ exitCode: 5, stdout: 'failed\n' });
    expect(await run('echo $?; set -x; (exit 6)')).toMatchObject({
      exitCode: 6,
      stdout: expect.stringMatching(/^5\n(failed\n)+$/),
    });
    expect(await run('echo $?; trap - ERR; set +x')).toMatchObject({ stdout: '6\n' });
  });

  it('what is left in the background prints into later runs', async () => {
    await run('{ until [ -e /tmp/go ]; do sleep 0.01; done; echo late; } & job=$!');
    expect(await printed('touch /tmp/go; wait $job')).toContain('late\n');
  });

  it.each([
    ['exit 7', 'exited with 7', 7],
    ['set -e; false; echo never', 'exited with 1', 1],
    ['exec true', 'exited with 0', 0],
    ['kill -9 $$', 'killed by SIGKILL', null],
  ])('%s ends it, and the next run says so', async (code, how, exitCode) => {
    const own = await create();
    const ended = await run(code, {}, own);
    expect(ended).toMatchObject({
      outcome: 'died',
      exitCode,
      error: { name: 'ContextDied', value: expect.stringContaining(how) },
    });
    expect((await sandbox.contexts.get(own)).state).toBe('dead');
    const refused = await run('echo no', {}, own).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(CordonError);
    expect(refused).toMatchObject({ status: 409, problem: { detail: expect.stringContaining('restart') } });
    await sandbox.contexts.restart(own);
    expect(await run('echo "${x-fresh}"; pwd', {}, own)).toMatchObject({ stdout: 'fresh\n/tmp\n', executionCount: 1 });
    await sandbox.contexts.delete(own);
  });
});
