import { spawnSync } from 'node:child_process';
import { request as httpRequest } from 'node:http';
import type { ContextDto, ContextEvent, ContextLanguage, ContextRunDto, SandboxDto } from '@cordon/contracts';
import { beforeAll, describe, expect, it } from 'vitest';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });
let sandbox: string;

async function create(body: object = {}): Promise<string> {
  const response = await cordon.postTo('/v1/sandboxes', body);
  expect(response.status, response.text).toBe(201);
  return (response.body as SandboxDto).id;
}

beforeAll(async () => {
  sandbox = await create();
});

const at = (rest = '', id = sandbox): string => `/v1/sandboxes/${id}/contexts${rest}`;

async function context(language: ContextLanguage, more: object = {}, id = sandbox): Promise<string> {
  const response = await cordon.postTo(at('', id), { language, ...more });
  expect(response.status, response.text).toBe(201);
  return (response.body as ContextDto).id;
}

async function run(ctx: string, code: string, more: object = {}, id = sandbox): Promise<ContextRunDto> {
  const response = await cordon.postTo(at(`/${ctx}/run`, id), { code, ...more });
  expect(response.status, response.text).toBe(200);
  return response.body as ContextRunDto;
}

/** Asks for the context until it is as wanted. */
async function until(ctx: string, wanted: (context: ContextDto) => boolean, id = sandbox): Promise<void> {
  while (!wanted((await cordon.get(at(`/${ctx}`, id))).body as ContextDto));
}

/** The plain text of the main result. */
const value = ({ results }: ContextRunDto): string | undefined => results.find(({ main }) => main)?.data['text/plain'];

/** Events of a run as they come; `seen` may end it by answering false: the client leaves. */
function stream(
  ctx: string,
  code: string,
  seen: (event: ContextEvent & { at: number }) => boolean = () => true,
): Promise<(ContextEvent & { at: number })[]> {
  return new Promise((resolve, reject) => {
    const client = httpRequest(
      {
        host: '127.0.0.1',
        port: cordon.port,
        path: at(`/${ctx}/run`),
        method: 'POST',
        headers: { authorization: `Bearer ${KEY}`, accept: 'text/event-stream', 'content-type': 'application/json' },
      },
      (response) => {
        const all: (ContextEvent & { at: number })[] = [];
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
          for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
            const match = /^event: (\w+)\ndata: (.*)$/s.exec(text.slice(0, end));
            text = text.slice(end + 2);
            if (!match) continue;
            const event = { type: match[1], ...JSON.parse(match[2]), at: performance.now() };
            all.push(event);
            if (!seen(event)) client.destroy();
          }
        });
        response.on('close', () => resolve(all));
        response.on('error', () => resolve(all));
      },
    );
    client.on('error', reject);
    client.end(JSON.stringify({ code }));
  });
}

async function state(ctx: string): Promise<string> {
  return ((await cordon.get(at(`/${ctx}`))).body as ContextDto).state;
}

describe('a Python context', () => {
  let ctx: string;
  beforeAll(async () => {
    ctx = await context('python', { cwd: '/tmp', env: { GREETING: 'hello' } });
  });

  it('keeps its variables from one run to the next, and tells the last value', async () => {
    expect(await run(ctx, 'x = 20\nx + 1')).toMatchObject({ outcome: 'ok', error: null, stdout: '' });
    expect(value(await run(ctx, 'x += 1; x * 2'))).toBe('42');
    expect(value(await run(ctx, '_ + 1'))).toBe('43');
    expect((await run(ctx, 'x = 5')).results).toEqual([]);
    expect((await run(ctx, 'x;')).results).toEqual([]);
    const { executionCount } = await run(ctx, 'None');
    expect((await run(ctx, 'None')).executionCount).toBe(executionCount + 1);
    expect(value(await run(ctx, 'import os; (os.getcwd(), os.environ["GREETING"])'))).toBe("('/tmp', 'hello')");
    expect(value(await run(ctx, 'os.environ["ONCE"]', { env: { ONCE: 'yes' } }))).toBe("'yes'");
    expect(value(await run(ctx, '"ONCE" in os.environ'))).toBe('False');
  });

  it('prints errors as Python does, with the source', async () => {
    const { outcome, error } = await run(ctx, 'def f(n):\n    return 1 / n\n\nf(0)');
    expect(outcome).toBe('error');
    expect(error).toMatchObject({ name: 'ZeroDivisionError', value: 'division by zero' });
    expect(error?.traceback).toMatch(
      /^Traceback \(most recent call last\):\n {2}File "<cell \d+>", line 4, in <module>\n {4}f\(0\)\n/,
    );
    expect(error?.traceback).toContain('    return 1 / n\n');
    expect(error?.traceback).not.toContain('cordon');
    const syntax = await run(ctx, 'x = = 1');
    expect(syntax.error?.name).toBe('SyntaxError');
    expect(syntax.error?.traceback).toContain('    x = = 1\n');
    expect((await run(ctx, 'input("name? ")')).error?.name).toBe('EOFError');
    expect((await run(ctx, 'class E(Exception):\n  def __str__(self): raise E\nraise E')).error?.name).toBe('E');
    expect(value(await run(ctx, 'x'))).toBe('5');
  });

  it('has rich results, and shows values in the middle in their place', async () => {
    const rich = await run(
      ctx,
      [
        'class Rich:',
        '    def _repr_html_(self): return "<b>bold</b>"',
        '    def _repr_png_(self): return b"\\x89PNG"',
        '    def _repr_svg_(self): return "<svg/>"',
        '    def _repr_markdown_(self): return "**bold**"',
        '    def _repr_latex_(self): return "$x$"',
        '    def _repr_json_(self): return {"a": [1]}',
        '    def _repr_mimebundle_(self, include=None, exclude=None): return {"application/x-own": "own"}',
        '    def __repr__(self): return "bold"',
        'Rich()',
      ].join('\n'),
    );
    expect(rich.results).toEqual([
      {
        main: true,
        data: {
          'text/plain': 'bold',
          'text/html': '<b>bold</b>',
          'image/png': 'iVBORw==',
          'image/svg+xml': '<svg/>',
          'text/markdown': '**bold**',
          'text/latex': '$x$',
          'application/json': '{"a": [1]}',
          'application/x-own': 'own',
        },
      },
    ]);
    const events = await stream(ctx, 'print("a")\ndisplay(1, Rich())\nprint("b")\n2');
    const order = events.map((event) =>
      event.type === 'stdout' ? event.text : event.type === 'result' ? event.data['text/plain'] : event.type,
    );
    expect(order.join('|').replaceAll('\n', '').replaceAll('||', '|')).toBe('a|1|bold|b|2|end');
    const broken = await run(ctx, 'class B:\n  def _repr_html_(self): raise ValueError("no")\nB()');
    expect(broken.results).toHaveLength(1);
    expect(broken.stderr).toContain('ValueError: no');
  });

  it('draws with matplotlib, if the image has it', async ({ skip }) => {
    skip(
      spawnSync('/usr/bin/python3', ['-c', 'import matplotlib']).status !== 0,
      'python3-matplotlib is not installed here',
    );
    // A context of its own: the first import makes caches.
    const drawing = await context('python');
    const code = 'import matplotlib.pyplot as plt\nplt.plot([1, 2, 3]); plt.title("one")\nplt.show()\nprint("between")';
    const shown = await run(drawing, code, { timeoutMs: 120_000 });
    expect(shown.error).toBeNull();
    expect(shown.stdout).toBe('between\n');
    expect(shown.results).toHaveLength(1);
    const png = Buffer.from(shown.results[0].data['image/png'], 'base64');
    expect(png.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n');
    expect(png.length).toBeGreaterThan(2000);
    // A figure that is the value of the code, and one that nobody showed.
    const value = await run(drawing, 'f, a = plt.subplots(); a.bar([1, 2], [3, 4]); f');
    expect(value.results.map(({ main, data }) => [main, Object.keys(data).sort()])).toEqual([
      [true, ['image/png', 'text/plain']],
    ]);
    const left = await run(drawing, 'plt.figure(); plt.plot([1]); None');
    expect(left.results).toHaveLength(1);
    expect(Object.keys(left.results[0].data)).toContain('image/png');
  }, 150_000);

  it('streams what is printed as it is written: from C, from programs it starts, to descriptors themselves', async () => {
    const events = await stream(
      ctx,
      [
        'import os, subprocess, sys, time, ctypes',
        'print("partial", end="")',
        'time.sleep(0.4)',
        'os.write(2, b"two")',
        'subprocess.run(["echo", "program"])',
        'ctypes.CDLL(None).puts(b"from C")',
        'os.write(1, "ü".encode()[:1]); os.write(1, "ü".encode()[1:])',
        'None',
      ].join('\n'),
    );
    const partial = events.find((event) => event.type === 'stdout');
    expect(partial).toMatchObject({ text: 'partial' });
    expect((events.at(-1)?.at ?? 0) - (partial?.at ?? 0)).toBeGreaterThan(300);
    const whole = (type: string): string =>
      events.map((event) => (event.type === type && 'text' in event ? event.text : '')).join('');
    expect(whole('stdout')).toContain('program\n');
    expect(whole('stdout')).toContain('from C\n');
    expect(whole('stdout')).toContain('ü');
    expect(whole('stderr')).toBe('two');
    expect(events.at(-1)).toMatchObject({ type: 'end', outcome: 'ok' });
  });

  it('awaits at the top level; tasks go on between runs', async () => {
    expect(value(await run(ctx, 'import asyncio\nawait asyncio.sleep(0.01, "slept")'))).toBe("'slept'");
    await run(
      ctx,
      'async def later():\n  await asyncio.sleep(0.05)\n  global done; done = True\ntask = asyncio.ensure_future(later()) if False else None\nasync def begin():\n  global task\n  task = asyncio.create_task(later())\nawait begin()',
    );
    // No run awaits anything: it can only have gone on between them.
    while (value(await run(ctx, 'globals().get("done", False)')) !== 'True');
    expect(value(await run(ctx, 'asyncio.run(asyncio.sleep(0, "own loop"))'))).toBe("'own loop'");
  });

  it('ends a run that takes too long, and goes on', async () => {
    const looped = await run(ctx, 'kept = 1\nwhile True: pass', { timeoutMs: 300 });
    expect(looped).toMatchObject({ outcome: 'timed_out', error: { name: 'KeyboardInterrupt' } });
    expect(value(await run(ctx, 'kept'))).toBe('1');
    expect(await run(ctx, 'import subprocess; subprocess.run(["sleep", "100"])', { timeoutMs: 300 })).toMatchObject({
      outcome: 'timed_out',
    });
    const awaiting = await run(ctx, 'import asyncio; await asyncio.sleep(100)', { timeoutMs: 300 });
    expect(awaiting.outcome).toBe('timed_out');
  });

  it('is interrupted when asked, and by a client that leaves', async () => {
    const looped = stream(ctx, 'print("begun")\nwhile True: pass', (event) => {
      if (event.type === 'stdout') void cordon.postTo(at(`/${ctx}/interrupt`), {}).then();
      return true;
    });
    expect((await looped).at(-1)).toMatchObject({ type: 'end', outcome: 'interrupted' });
    await stream(ctx, 'left = False\nprint("begun")\nwhile True: pass', (event) => event.type !== 'stdout');
    expect(value(await run(ctx, 'left'))).toBe('False');
    expect((await cordon.postTo(at(`/${ctx}/interrupt`), {})).body).toMatchObject({ id: ctx, state: 'idle' });
  });

  it('is not confused by code that forks, closes descriptors or prints megabytes', async () => {
    const forked = await run(ctx, 'import os\nif os.fork() == 0: print("child")\nelse: os.wait(); print("parent")');
    expect(forked.stdout).toBe('child\nparent\n');
    const much = await run(ctx, 'for i in range(4): print("x" * 1_000_000)\ndisplay("y" * 100_000)\n"z" * 100_000');
    expect([much.stdout.length, much.stdoutTruncated, much.outcome]).toEqual([1 << 20, true, 'ok']);
    expect(much.results.map(({ data }) => data['text/plain'].length)).toEqual([100_002, 100_002]);
    const noise = await run(
      ctx,
      'import threading\nstop = False\ndef noise():\n  while not stop: os.write(1, b"n" * 3000)\nt = threading.Thread(target=noise); t.start()\nfor i in range(20): display("d" * 20000)\nstop = True; t.join()',
    );
    expect(noise.outcome).toBe('ok');
    expect(noise.results).toHaveLength(20);
    expect(noise.results.every(({ data }) => data['text/plain'] === `'${'d'.repeat(20_000)}'`)).toBe(true);
    expect(noise.stdout).toMatch(/^n+$/);
    expect(await run(ctx, 'os.close(1); os.close(2)\n1')).toMatchObject({ outcome: 'ok' });
    expect(value(await run(ctx, '2'))).toBe('2');
  });

  it('cuts a result that is too large, visibly', async () => {
    const { results } = await run(ctx, '"w" * 20_000_000');
    expect(results[0].data['text/plain']).toMatch(/w\n\[cut: 20000002 characters\]$/);
    expect(results[0].data['text/plain'].length).toBeLessThan(8 << 20);
  });
});

describe('a context whose interpreter ends', () => {
  it.each([
    ['python', 'import sys; sys.exit(3)', 'exited with 3'],
    ['python', 'import os; os._exit(4)', 'exited with 4'],
    ['python', 'import os; os.kill(os.getpid(), 9)', 'killed by SIGKILL'],
    ['javascript', 'process.exit(5)', 'exited with 5'],
  ] as const)('%s: %s', async (language, code, how) => {
    const ctx = await context(language);
    await run(ctx, 'before = 1');
    // Each is sent when the one before is known to wait: requests at once have no order.
    const held = run(ctx, language === 'python' ? 'import time; time.sleep(100)' : 'while (true);');
    await until(ctx, ({ state }) => state === 'busy');
    const ending = run(ctx, code);
    await until(ctx, ({ waiting }) => waiting === 1);
    const behind = run(ctx, '1 + 1');
    await until(ctx, ({ waiting }) => waiting === 2);
    await cordon.postTo(at(`/${ctx}/interrupt`), {});
    expect((await held).outcome).toBe('interrupted');
    const [ended, queued] = await Promise.all([ending, behind]);
    expect(ended).toMatchObject({ outcome: 'died', error: { name: 'ContextDied' }, stderr: '' });
    expect(ended.error?.value).toContain(how);
    expect(queued.outcome).toBe('died');
    expect(await state(ctx)).toBe('dead');
    const refused = await cordon.postTo(at(`/${ctx}/run`), { code: '1' });
    expect(refused.status).toBe(409);
    expect(refused.body.detail).toContain('restart');
    const restarted = await cordon.postTo(at(`/${ctx}/restart`), {});
    expect(restarted.body).toMatchObject({ id: ctx, state: 'idle', executionCount: 0 });
    expect(value(await run(ctx, '1 + 1'))).toBe('2');
    expect((await run(ctx, 'before')).outcome).toBe('error');
    expect((await cordon.delete(at(`/${ctx}`))).status).toBe(200);
  });

  it('is killed when it will not be interrupted', async () => {
    const ctx = await context('python');
    const stubborn = await run(ctx, 'import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass', {
      timeoutMs: 200,
    });
    expect(stubborn).toMatchObject({ outcome: 'timed_out', error: { value: expect.stringContaining('SIGKILL') } });
    expect(await state(ctx)).toBe('dead');
    await cordon.delete(at(`/${ctx}`));
  });

  it('runs out of memory with an error, not with its neighbours', async () => {
    const small = await create({ limits: { memoryBytes: 128 << 20 } });
    const ctx = await context('python', {}, small);
    const hog = await run(ctx, 'x = []\nwhile True: x.append(bytearray(1 << 20))', { timeoutMs: 20_000 }, small);
    expect(['error', 'died']).toContain(hog.outcome);
    if (hog.outcome === 'error') expect(hog.error?.name).toBe('MemoryError');
    await cordon.delete(`/v1/sandboxes/${small}`);
  });
});

describe('a JavaScript context', () => {
  let ctx: string;
  beforeAll(async () => {
    ctx = await context('javascript');
  });

  it('keeps const, let, class and function; they may be declared again', async () => {
    expect(value(await run(ctx, 'const a = 1; let b = 2; class C {}; function f() { return a + b }\nf()'))).toBe('3');
    expect(value(await run(ctx, 'const a = 10; f()'))).toBe('12');
    expect(value(await run(ctx, 'new C()'))).toBe('C {}');
    expect((await run(ctx, 'let unused;')).results).toEqual([]);
    expect((await run(ctx, '({ list: [1, 2] })')).results[0].data).toEqual({
      'text/plain': '{ list: [ 1, 2 ] }',
      'application/json': '{"list":[1,2]}',
    });
    expect(value(await run(ctx, 'process.env.ONCE', { env: { ONCE: 'yes' } }))).toBe("'yes'");
    expect(value(await run(ctx, '"ONCE" in process.env'))).toBe('false');
  });

  it('awaits and imports at the top level', async () => {
    expect(value(await run(ctx, 'await new Promise((done) => setTimeout(() => done("late"), 20))'))).toBe("'late'");
    expect(
      value(await run(ctx, "import { sep as s } from 'node:path';\nimport os from 'node:os';\ns + typeof os.EOL")),
    ).toBe("'/string'");
    expect(value(await run(ctx, "const { basename } = await import('node:path'); basename('/a/b')"))).toBe("'b'");
    expect(value(await run(ctx, "require('node:path').sep"))).toBe("'/'");
  });

  it('prints errors as Node does', async () => {
    const { outcome, error } = await run(ctx, 'function g() { throw new TypeError("bad") }\ng()');
    expect(outcome).toBe('error');
    expect(error).toMatchObject({ name: 'TypeError', value: 'bad' });
    expect(error?.traceback).toMatch(/^TypeError: bad\n {4}at g \(cell-\d+:1:22\)\n {4}at cell-\d+:2:1$/);
    expect((await run(ctx, 'await Promise.reject(new Error("async"))')).error?.value).toBe('async');
    expect((await run(ctx, 'let x y')).error).toMatchObject({ name: 'SyntaxError' });
    expect((await run(ctx, 'throw 5')).error).toMatchObject({ value: '5' });
    const late = await run(
      ctx,
      'setTimeout(() => { throw new Error("from a timer") }, 1); await new Promise((r) => setTimeout(r, 100))',
    );
    expect(late.outcome).toBe('ok');
    expect(late.stderr).toContain('Error: from a timer');
  });

  it('shows values, and what is printed, in order', async () => {
    const events = await stream(
      ctx,
      "console.log('a'); display({ [Symbol.for('Jupyter.display')]: () => ({ 'text/html': '<i>' }) }); console.error('e'); require('node:child_process').execSync('echo program', { stdio: 'inherit' }); 1",
    );
    expect(events.map(({ type }) => type)).toEqual(['stdout', 'result', 'stderr', 'stdout', 'result', 'end']);
    expect(events[1]).toMatchObject({ main: false, data: { 'text/html': '<i>' } });
  });

  it('stops loops: of the code itself, behind an await, and in a program it waits for', async () => {
    for (const code of [
      'for (;;);',
      'await null; for (;;);',
      'await new Promise(() => {})',
      'setTimeout(() => { for (;;); }, 10); await new Promise(() => {})',
      "require('node:child_process').execSync('sleep 100')",
    ]) {
      expect([code, (await run(ctx, code, { timeoutMs: 300 })).outcome]).toEqual([code, 'timed_out']);
      expect(value(await run(ctx, '6 * 7'))).toBe('42');
    }
  });
});

describe('contexts', () => {
  it('are listed, are one tenant’s, and say what is wrong', async () => {
    const own = await create();
    const ctx = await context('python', {}, own);
    expect((await cordon.get(at('', own))).body.items).toMatchObject([
      { id: ctx, language: 'python', cwd: '/work', state: 'idle', executionCount: 0 },
    ]);
    expect((await cordon.get(at(`/${ctx}`, own), OTHER_KEY)).status).toBe(404);
    expect((await cordon.postTo(at(`/${ctx}/run`, own), { code: '1' }, OTHER_KEY)).status).toBe(404);
    expect((await cordon.get(at('/ctx_none', own))).body).toMatchObject({ status: 404, detail: 'no such context' });
    const wrong = await cordon.postTo(at('', own), { language: 'cobol', more: 1 });
    expect(wrong.status).toBe(422);
    expect(wrong.body.errors.map(({ pointer }: { pointer: string }) => pointer).sort()).toEqual(['/language', '/more']);
    expect((await cordon.postTo(at('', own), { language: 'python', cwd: '/none' })).body).toMatchObject({
      status: 409,
      detail: 'ENOENT',
    });
    expect((await cordon.postTo(at(`/${ctx}/run`, own), { code: 1 })).body.errors[0].pointer).toBe('/code');
    expect(
      (await cordon.postTo(at(`/${ctx}/run`, own), { code: '1', env: { 'A=': 'b' } })).body.errors[0].pointer,
    ).toBe('/env/A=');
    const running = run(ctx, 'import time; time.sleep(100)', {}, own);
    await until(ctx, ({ state }) => state === 'busy', own);
    expect((await cordon.delete(`/v1/sandboxes/${own}`)).status).toBe(200);
    expect(await running).toMatchObject({ outcome: 'died', error: { value: 'the sandbox has ended' } });
    expect((await cordon.get(at('', own))).status).toBe(410);
  });

  it('are bounded in number, and so are the runs that wait', async () => {
    const own = await create();
    const ids = await Promise.all(Array.from({ length: 16 }, () => context('python', {}, own)));
    expect((await cordon.postTo(at('', own), { language: 'python' })).status).toBe(409);
    const place = at(`/${ids[0]}`, own);
    const first = run(ids[0], 'import time; time.sleep(100)', {}, own);
    await until(ids[0], ({ state }) => state === 'busy', own);
    const statuses: number[] = [];
    let all: Promise<unknown> = Promise.resolve();
    const refused = new Promise<void>((resolve) => {
      all = Promise.all(
        Array.from({ length: 40 }, async () => {
          statuses.push((await cordon.postTo(`${place}/run`, { code: '1' })).status);
          if (statuses.length === 8) resolve();
        }),
      );
    });
    // One runs, 32 wait, and the others are told at once.
    await refused;
    expect(statuses).toEqual(Array(8).fill(503));
    await cordon.postTo(`${place}/interrupt`, {});
    expect((await first).outcome).toBe('interrupted');
    expect(value(await run(ids[0], '6 * 7', {}, own))).toBe('42');
    await all;
    expect(statuses.filter((status) => status === 200)).toHaveLength(32);
    await cordon.delete(`/v1/sandboxes/${own}`);
  });
});
