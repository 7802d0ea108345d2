import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import request from 'supertest';
import { afterAll, describe, expect, it } from 'vitest';
import { KEY, OTHER_KEY, useDeployment } from '../e2e/harness.js';
import { zip } from '../e2e/zip.js';

const deployment = useDeployment({
  workers: 1,
  webhooks: { allow: ['127.0.0.0/8'], retryMs: 20, retentionSeconds: 3600 },
});
const PYTHON = 71;
const C = 50;

const server = () => request(deployment.app.getHttpServer());
const path = (rest: string): string => `/compat/judge0${rest}`;
const get = (rest: string, key = KEY) => server().get(path(rest)).set('X-Auth-Token', key);
const post = (rest: string, body: object | string = {}, key = KEY) =>
  server().post(path(rest)).set('X-Auth-Token', key).set('content-type', 'application/json').send(body);
const zipOf = (files: Record<string, string>): Buffer =>
  zip(Object.entries(files).map(([name, content]) => ({ name, content })));
const b64 = (text: string): string => Buffer.from(text).toString('base64');

/** A submission that was waited for. */
async function judged(body: object, query = ''): Promise<Record<string, unknown>> {
  const response = await post(`/submissions?wait=true${query}`, body);
  expect(response.status, JSON.stringify(response.body)).toBe(201);
  return response.body;
}
const python = (source_code: string, more: object = {}, query = '') =>
  judged({ language_id: PYTHON, source_code, ...more }, query);

describe('Judge0: a submission', () => {
  it('waited for: the default fields, in Judge0’s shapes', async () => {
    const body = await python('print(input())', { stdin: 'hello' });
    expect(Object.keys(body).sort()).toEqual(
      ['compile_output', 'memory', 'message', 'status', 'stderr', 'stdout', 'time', 'token'].sort(),
    );
    expect(body).toMatchObject({
      stdout: 'hello\n',
      stderr: null,
      compile_output: null,
      message: null,
      status: { id: 3, description: 'Accepted' },
    });
    expect(body.time).toMatch(/^\d+(\.\d+)?$/);
    expect(body.memory).toBeGreaterThan(1000);
  });

  it('takes and gives bytes that are no text, in base64', async () => {
    const bytes = Buffer.from([0xff, 0, 0xfe, 0xa0]);
    const body = {
      source_code: b64('import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())'),
      stdin: bytes.toString('base64'),
    };
    const ask = (expected: Buffer, query = '&base64_encoded=true&fields=stdin,stdout,expected_output,status') =>
      judged({ language_id: PYTHON, ...body, expected_output: expected.toString('base64') }, query);
    const right = await ask(bytes);
    const { stdin, stdout, expected_output } = right as Record<string, string>;
    expect([stdin, stdout, expected_output].map((text) => Buffer.from(text, 'base64'))).toEqual([bytes, bytes, bytes]);
    expect(right.status).toMatchObject({ id: 3 });
    // As text, both would be the same signs for what is none.
    expect((await ask(Buffer.from([0xfe, 0, 0xff, 0xa0]))).status).toMatchObject({ id: 4 });
    const { token } = await ask(bytes, '&base64_encoded=true&fields=token');
    expect((await get(`/submissions/${token}?fields=stdin`)).status).toBe(400);
  });

  it('has no files where their archive is empty', async () => {
    expect(await python('print(1)', { additional_files: '' })).toMatchObject({ stdout: '1\n' });
  });

  it('refuses in Judge0’s shape what never reaches it', async () => {
    const broken = await post('/submissions', '{broken');
    expect([broken.status, Object.keys(broken.body)]).toEqual([400, ['error']]);
    const form = await post('/submissions', '').set('content-type', 'application/x-www-form-urlencoded').send('a=b');
    expect([form.status, Object.keys(form.body)]).toEqual([415, ['error']]);
    const nowhere = await get('/nowhere');
    expect([nowhere.status, Object.keys(nowhere.body)]).toEqual([404, ['error']]);
    expect((await get('/')).status).toBe(200);
  });

  it('asked for later: in the queue, then done; all fields', async () => {
    const created = await post('/submissions', {
      language_id: String(PYTHON),
      source_code: 'import time; time.sleep(0.3)',
      cpu_time_limit: '2',
    });
    expect(created.status).toBe(201);
    expect(Object.keys(created.body)).toEqual(['token']);
    const { token } = created.body;
    expect([1, 2]).toContain((await get(`/submissions/${token}`)).body.status.id);
    await expect.poll(async () => (await get(`/submissions/${token}`)).body.status.id, { timeout: 10_000 }).toBe(3);
    const all = (await get(`/submissions/${token}?fields=*`)).body;
    expect(all).toMatchObject({
      language_id: PYTHON,
      language: { id: PYTHON, name: expect.stringMatching(/^Python \(3\.\d+/) },
      cpu_time_limit: '2.0',
      wall_time_limit: '10.0',
      memory_limit: 128000,
      number_of_runs: 1,
      enable_network: false,
      exit_code: 0,
      exit_signal: null,
      status_id: 3,
      callback_url: null,
      additional_files: null,
    });
    expect(Number(all.wall_time)).toBeGreaterThan(0.25);
    expect((await get(`/submissions/${token}?fields=status_id,stdin`)).body).toEqual({ status_id: 3, stdin: null });
    const wrong = await get(`/submissions/${token}?fields=status,nothing,more`);
    expect(wrong.status).toBe(400);
    expect(wrong.body).toEqual({ error: 'invalid fields: [nothing, more]' });
  });

  it('in base64, both ways, with Ruby’s line breaks', async () => {
    const text = 'ä'.repeat(60);
    const encoded = b64(`print("${text}")`).replace(/.{60}/g, '$&\n');
    const body = await python(encoded, { stdin: b64(''), expected_output: b64(text) }, '&base64_encoded=true');
    expect(body.status).toMatchObject({ id: 3 });
    expect(body.stdout).toMatch(/^(.{60}\n)+.{1,60}\n$/);
    expect(Buffer.from(String(body.stdout), 'base64').toString()).toBe(`${text}\n`);
  });

  it('whose output is no UTF-8 is told only in base64', async () => {
    const source = 'import os; os.write(1, b"\\xff\\xfe")';
    const response = await post('/submissions?wait=true', { language_id: PYTHON, source_code: source });
    expect(response.status).toBe(201);
    expect(response.body).toEqual({
      error:
        'some attributes for this submission cannot be converted to UTF-8, use base64_encoded=true query parameter',
      token: expect.any(String),
    });
    const { token } = response.body;
    expect((await get(`/submissions/${token}`)).status).toBe(400);
    expect((await get(`/submissions/${token}?base64_encoded=true`)).body.stdout).toBe('//4=\n');
  });

  it.each([
    ['print(1)', { expected_output: '1  \n\n' }, 3, null],
    ['print(2)', { expected_output: '1' }, 4, null],
    ['while True: pass', { cpu_time_limit: 0.2, cpu_extra_time: 0.1 }, 5, 'Time limit exceeded'],
    ['import time; time.sleep(9)', { wall_time_limit: 1 }, 5, 'Time limit exceeded (wall clock)'],
    ['import os; os.kill(os.getpid(), 11)', {}, 7, 'Caught fatal signal 11'],
    ['import os, signal; signal.signal(25, signal.SIG_DFL); os.kill(os.getpid(), 25)', {}, 8, 'Caught fatal signal 25'],
    ['import os; os.kill(os.getpid(), 8)', {}, 9, 'Caught fatal signal 8'],
    ['import os; os.abort()', {}, 10, 'Caught fatal signal 6'],
    ['import sys; sys.exit(3)', {}, 11, 'Exited with error code 3'],
    ['import os; os.kill(os.getpid(), 15)', {}, 12, 'Caught fatal signal 15'],
    ['x = bytearray(200 << 20)', { memory_limit: 50_000 }, undefined, undefined],
  ])('%s %j ends with status %j', async (source, more, status, message) => {
    const body = (await python(source, more, '&fields=*')) as { status: { id: number }; message: string };
    // Python may see ENOMEM before the limit strikes: both are how Judge0 tells it.
    if (status === undefined) expect([11, 12]).toContain(body.status.id);
    else expect(body).toMatchObject({ status: { id: status }, message });
  });

  it('is compiled, with options; what does not compile says so and nothing else', async () => {
    const source = '#include <stdio.h>\nint main(int n, char **v) { printf("%d %s\\n", VALUE, v[1]); return 0; }';
    const good = await judged({
      language_id: C,
      source_code: source,
      compiler_options: '-DVALUE=7 -O2',
      command_line_arguments: '"two words" x',
    });
    expect(good).toMatchObject({ stdout: '7 two words\n', status: { id: 3 } });
    const bad = await judged({ language_id: C, source_code: source }, '&fields=*');
    expect(bad).toMatchObject({
      status: { id: 6, description: 'Compilation Error' },
      time: null,
      memory: null,
      stdout: null,
      stderr: null,
      exit_code: null,
      exit_signal: null,
      message: null,
      compile_output: expect.stringContaining('VALUE'),
    });
  });

  it('obeys limits and switches: stack, files, processes, stderr to stdout, several runs', async () => {
    const limits = 'import resource as r; print(r.getrlimit(r.RLIMIT_STACK)[0])';
    expect(await python(limits, { stack_limit: 16_000 })).toMatchObject({ stdout: `${16_000 * 1024}\n` });
    const big = 'import signal; signal.signal(25, signal.SIG_DFL); open("f", "wb").write(b"x" * (3 << 20))';
    expect((await python(big, { max_file_size: 1024 })).status).toMatchObject({ id: 8 });
    const merged = 'import sys; print("out", flush=True); print("err", file=sys.stderr)';
    expect(await python(merged, { redirect_stderr_to_stdout: true })).toMatchObject({
      stdout: 'out\nerr\n',
      stderr: null,
    });
    const runs = await python('print("same")', { number_of_runs: 3, expected_output: 'same' }, '&fields=*');
    expect(runs).toMatchObject({ status: { id: 3 }, stdout: 'same\n', number_of_runs: 3 });
    const late = await python('print("other")', { number_of_runs: 5, expected_output: 'same' });
    expect(late).toMatchObject({ status: { id: 4 }, stdout: 'other\n' });
  });

  it('brings files in a zip archive; a multi-file program is nothing else', async () => {
    const additional_files = zipOf({ 'data/in.txt': 'from the archive\n' }).toString('base64');
    const source = 'print(open("data/in.txt").read(), end="")';
    expect(await python(source, { additional_files })).toMatchObject({ stdout: 'from the archive\n' });
    const compile = 'gcc -o main main.c';
    const main = '#include <stdio.h>\nint main() { int n; scanf("%d", &n); printf("%d\\n", n * 2); }';
    const multi = zipOf({ 'main.c': main, compile, run: './main' }).toString('base64');
    const made = await judged({ language_id: 89, additional_files: multi, stdin: '21' });
    expect(made).toMatchObject({ stdout: '42\n', status: { id: 3 } });
    const broken = zipOf({ 'main.c': 'int main(', compile, 'run.sh': './main' }).toString('base64');
    expect(await judged({ language_id: 89, additional_files: broken })).toMatchObject({ status: { id: 6 } });
  });

  it.each([
    [{}, { source_code: ["can't be blank"], language_id: ["can't be blank"] }],
    [{ source_code: 'x', language_id: 4711 }, { language_id: ["language with id 4711 doesn't exist"] }],
    [
      { source_code: 'x', language_id: PYTHON, cpu_time_limit: 16, number_of_runs: 0, memory_limit: 'much' },
      {
        cpu_time_limit: ['must be less than or equal to 15.0'],
        number_of_runs: ['must be greater than 0'],
        memory_limit: ['is not a number'],
      },
    ],
    [
      { source_code: 'x', language_id: PYTHON, wall_time_limit: 0.5 },
      { wall_time_limit: ['must be greater than or equal to 1'] },
    ],
    [
      { source_code: 'x', language_id: PYTHON, enable_network: true },
      { enable_network: ['this option cannot be enabled'] },
    ],
    [{ source_code: 'x', language_id: PYTHON, compiler_options: '-O2' }, { compiler_options: [expect.any(String)] }],
    [{ source_code: 'x', language_id: PYTHON, callback_url: 'ftp://x' }, { callback_url: [expect.any(String)] }],
    [
      { source_code: 'x', language_id: PYTHON, callback_url: 'http://10.0.0.1/' },
      { callback_url: [expect.any(String)] },
    ],
    [
      { source_code: 'x', language_id: PYTHON, additional_files: 'bm8gemlw' },
      { additional_files: [expect.any(String)] },
    ],
    [
      { language_id: 89, source_code: 'x' },
      { source_code: [expect.any(String)], additional_files: ["can't be blank"] },
    ],
  ])('%j is refused, field by field', async (body, errors) => {
    const response = await post('/submissions', body);
    expect(response.status).toBe(422);
    expect(response.body).toEqual(errors);
  });
});

describe('Judge0: what is no program of a language', () => {
  const bytes = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0xff, 0xfe]);
  const asBytes = '&base64_encoded=true&fields=stdout,stderr,status,exit_code,source_code';

  it('plain text (43) is its own output, bytes and all', async () => {
    const text = await judged({ language_id: 43, source_code: 'a\n b', expected_output: 'a\n b\n' });
    expect(text).toMatchObject({ stdout: 'a\n b', status: { id: 3 } });
    expect(await judged({ language_id: 43, source_code: 'a', expected_output: 'b' })).toMatchObject({
      status: { id: 4 },
    });
    const told = await judged({ language_id: 43, source_code: bytes.toString('base64') }, asBytes);
    for (const field of ['source_code', 'stdout']) expect(Buffer.from(String(told[field]), 'base64')).toEqual(bytes);
    const help = await judged({ language_id: 43, source_code: 'a', command_line_arguments: 'none.txt' });
    expect(help).toMatchObject({ stdout: 'a', stderr: expect.stringContaining('none.txt'), status: { id: 11 } });
  });

  it('an executable (44) runs: one that was compiled elsewhere, a script, a script that says not of what', async () => {
    const compiled = await judged(
      { language_id: 44, source_code: readFileSync('/bin/echo').toString('base64'), command_line_arguments: 'a "b c"' },
      '&base64_encoded=true&fields=stdout,stderr,status',
    );
    expect(compiled).toMatchObject({ stdout: `${b64('a b c\n')}\n`, stderr: null, status: { id: 3 } });
    for (const first of ['#!/bin/sh\n', '']) {
      const script = `${first}read name; echo "$name $1"`;
      const body = { language_id: 44, source_code: script, stdin: 'x', command_line_arguments: 'y' };
      expect(await judged(body)).toMatchObject({ stdout: 'x y\n', status: { id: 3 } });
    }
  });

  it('a signal is the executable’s; what is none says so', async () => {
    expect(await judged({ language_id: 44, source_code: '#!/bin/sh\nkill -SEGV $$' })).toMatchObject({
      status: { id: 7 },
    });
    const none = await judged({ language_id: 44, source_code: bytes.toString('base64') }, asBytes);
    expect(none).toMatchObject({ status: { id: 11 }, exit_code: 126, stdout: null });
    expect(Buffer.from(String(none.stderr), 'base64').toString()).toContain('Exec format error');
    expect(Buffer.from(String(none.source_code), 'base64')).toEqual(bytes);
  });

  it('its source goes before a file of its name; it is not compiled, and not without a source', async () => {
    const additional_files = zipOf({ 'text.txt': 'from the archive', 'b.txt': 'beside' }).toString('base64');
    const body = { language_id: 43, source_code: 'own ', additional_files, command_line_arguments: 'b.txt' };
    expect(await judged(body)).toMatchObject({ stdout: 'own beside' });
    expect((await post('/submissions', { language_id: 44 })).body).toEqual({ source_code: ["can't be blank"] });
    const options = { language_id: 44, source_code: 'x', compiler_options: '-O2' };
    expect((await post('/submissions', options)).body).toEqual({ compiler_options: [expect.any(String)] });
    expect((await get('/languages/43')).body).toEqual({
      id: 43,
      name: 'Plain Text',
      is_archived: false,
      source_file: 'text.txt',
      compile_cmd: null,
      run_cmd: '/bin/cat text.txt',
    });
    expect((await get('/languages')).body).toContainEqual({ id: 44, name: 'Executable' });
  });
});

describe('Judge0: batches, lists, deletion', () => {
  it('takes and tells many at once, each for itself', async () => {
    const submissions = [
      { language_id: PYTHON, source_code: 'print(1)' },
      { language_id: 4711, source_code: 'x' },
      { language_id: PYTHON, source_code: 'print(2)' },
    ];
    const created = await post('/submissions/batch', { submissions });
    expect(created.status).toBe(201);
    expect(created.body).toEqual([
      { token: expect.any(String) },
      { language_id: ["language with id 4711 doesn't exist"] },
      { token: expect.any(String) },
    ]);
    const tokens = [created.body[2].token, 'exe_000000000000000000000000', created.body[0].token].join(',');
    const told = async (): Promise<{ status: { id: number }; stdout: string }[]> =>
      (await get(`/submissions/batch?tokens=${tokens}`)).body.submissions;
    await expect
      .poll(async () => (await told()).map((one) => one?.status.id), { timeout: 10_000 })
      .toEqual([3, undefined, 3]);
    expect((await told()).map((one) => one?.stdout ?? null)).toEqual(['2\n', null, '1\n']);
    const byHeader = await get('/submissions/batch?fields=token').set('tokens', tokens);
    expect(byHeader.body.submissions[0]).toEqual({ token: created.body[2].token });
    expect((await post('/submissions/batch', { submissions: [{}] })).status).toBe(422);
    expect((await post('/submissions/batch', { submissions: [] })).body).toEqual({
      error: 'there should be at least one submission in a batch',
    });
    expect((await post('/submissions/batch', { submissions: Array(21).fill({}) })).status).toBe(400);
    expect((await get('/submissions/batch')).status).toBe(400);
  });

  it('leaves nothing of one that was not accepted', async () => {
    const made = await request(deployment.app.getHttpServer())
      .post('/v1/keys')
      .set('authorization', `Bearer ${KEY}`)
      .send({ name: 'one a day', scopes: ['run', 'judge'], limits: { executionsPerDay: 1 } });
    const { key } = made.body as { key: string };
    const body = { language_id: PYTHON, source_code: 'print(1)' };
    expect((await post('/submissions?wait=true', body, key)).status).toBe(201);
    expect((await post('/submissions?wait=true', body, key)).status).toBe(429);
    const list = (await get('/submissions', key).set('X-Auth-User', key)).body;
    expect(list.submissions.length).toBe(1);
    expect(list.meta.total_count).toBe(1);
  });

  it('lists and deletes for who is authorised', async () => {
    const { token } = await python('print("to go")');
    expect((await get('/submissions')).status).toBe(403);
    const list = await get('/submissions?page=1&per_page=1&fields=token').set('X-Auth-User', KEY);
    expect(list.status).toBe(200);
    expect(list.body.submissions).toEqual([{ token }]);
    expect(list.body.meta).toMatchObject({ current_page: 1, prev_page: null });
    expect(list.body.meta.total_pages).toBe(list.body.meta.total_count);
    expect((await get('/submissions?page=0').set('X-Auth-User', KEY)).body).toEqual({ error: 'invalid page: 0' });
    expect((await get('/submissions?per_page=-1').set('X-Auth-User', KEY)).body).toEqual({
      error: 'invalid per_page: -1',
    });
    const remove = (one: unknown, user?: string) =>
      server()
        .delete(path(`/submissions/${one}`))
        .set('X-Auth-Token', KEY)
        .set(user ? { 'X-Auth-User': user } : {});
    expect((await remove(token)).status).toBe(403);
    expect((await remove(token, OTHER_KEY)).status).toBe(403);
    const gone = await remove(token, KEY).set('content-type', 'application/json');
    expect(gone.status).toBe(200);
    expect(Buffer.from(gone.body.stdout, 'base64').toString()).toBe('to go\n');
    expect((await get(`/submissions/${token}`)).status).toBe(404);
    expect((await remove(token, KEY)).status).toBe(404);
    const running = (await post('/submissions', { language_id: PYTHON, source_code: 'import time; time.sleep(3)' }))
      .body;
    expect((await remove(running.token, KEY)).body.error).toMatch(
      /^submission cannot be deleted because its status is [12] \((In Queue|Processing)\)$/,
    );
  });

  it('shows nothing of another tenant’s', async () => {
    const { token } = await python('print(1)');
    expect((await get(`/submissions/${token}`, OTHER_KEY)).status).toBe(404);
    expect((await get(`/submissions/batch?tokens=${token}`, OTHER_KEY)).body).toEqual({ submissions: [null] });
    expect((await get('/submissions', OTHER_KEY).set('X-Auth-User', OTHER_KEY)).body.meta.total_count).toBe(0);
  });
});

describe('Judge0: callbacks', () => {
  const seen: { method: string; body: Record<string, unknown> }[] = [];
  let refuse = 0;
  const receiver = createServer((call, answer) => {
    let text = '';
    call.on('data', (chunk) => {
      text += chunk;
    });
    call.on('end', () => {
      seen.push({ method: call.method ?? '', body: JSON.parse(text) });
      answer.writeHead(refuse-- > 0 ? 500 : 200).end();
    });
  });
  afterAll(() => receiver.close());

  it('are put, in base64, and tried three times', async () => {
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const callback_url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/done`;
    refuse = 2;
    const { token } = await python('print("told")', { callback_url });
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(3);
    expect(seen[2]).toMatchObject({
      method: 'PUT',
      body: { token, stdout: b64('told\n').concat('\n'), status: { id: 3 } },
    });
    refuse = 10;
    await python('print("never")', { callback_url });
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(6);
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(seen.length).toBe(6);
  });
});

describe('Judge0: what a client asks first', () => {
  it('languages, statuses, configuration, version', async () => {
    const languages = (await get('/languages')).body;
    expect(languages).toContainEqual({ id: PYTHON, name: expect.stringMatching(/^Python \(3/) });
    expect((await get('/languages/all')).body).toContainEqual(expect.objectContaining({ id: C, is_archived: false }));
    expect((await get(`/languages/${C}`)).body).toMatchObject({ id: C, source_file: 'main.c' });
    expect((await get('/languages/1')).status).toBe(404);
    expect((await get('/statuses')).body).toHaveLength(14);
    expect((await get('/config_info')).body).toMatchObject({ max_submission_batch_size: 20, cpu_time_limit: 5 });
    expect((await get('/about')).body.version).toBe('1.13.1');
    expect((await get('/version')).text).toBe('1.13.1');
    expect((await get('/workers')).body[0]).toMatchObject({ available: 2, size: 0 });
    for (const one of ['', '/system_info', '/isolate', '/license', '/statistics'])
      expect((await get(one)).status).toBe(200);
  });

  it('keys: header, parameter, RapidAPI’s header; CORS', async () => {
    expect((await server().get(path('/languages'))).status).toBe(401);
    expect((await get('/languages', 'wrong')).status).toBe(401);
    expect((await server().get(path(`/languages?X-Auth-Token=${KEY}`))).status).toBe(200);
    expect((await server().get(path('/languages')).set('X-RapidAPI-Key', KEY)).status).toBe(200);
    expect((await post('/authenticate')).status).toBe(200);
    expect((await post('/authorize')).status).toBe(403);
    expect((await post('/authorize').set('X-Auth-User', KEY)).status).toBe(200);
    const preflight = await server()
      .options(path('/submissions'))
      .set('access-control-request-headers', 'x-auth-token');
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-headers': 'x-auth-token',
    });
    expect((await get('/languages')).headers['access-control-allow-origin']).toBe('*');
  });
});
