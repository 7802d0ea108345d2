import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { connect as connectRedis } from '@cordon/queue';
import request from 'supertest';
import { beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { KEY, OTHER_KEY, useDeployment } from '../e2e/harness.js';

// The npm clients speak in `npm run compat`; here is what they never send, and the wire itself.
const deployment = useDeployment({ workers: 1 });

interface Made {
  readonly sandboxID: string;
  readonly envdAccessToken: string;
}
let made: Made;

const server = () => request(deployment.app.getHttpServer());
const control = (method: 'get' | 'post' | 'delete' | 'put', path: string, key = KEY) =>
  server()[method](`/compat/e2b${path}`).set('X-API-KEY', key);
const data = (method: 'get' | 'post', path: string, { sandboxID, envdAccessToken } = made) =>
  server()
    [method](`/compat/e2b/sandbox${path}`)
    .set('E2b-Sandbox-Id', sandboxID)
    .set('E2b-Sandbox-Port', '49983')
    .set('X-Access-Token', envdAccessToken);
const unary = (path: string, message: object, more: Record<string, string> = {}) =>
  data('post', path)
    .set({ 'content-type': 'application/json', 'connect-protocol-version': '1', ...more })
    .send(message);

function envelope(message: unknown, flags = 0): Buffer {
  const json = Buffer.from(typeof message === 'string' ? message : JSON.stringify(message));
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(json.length, 1);
  return Buffer.concat([head, json]);
}

interface Envelope {
  readonly flags: number;
  readonly message: Record<string, unknown>;
}

function envelopes(bytes: Buffer): Envelope[] {
  const found: Envelope[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at + 1);
    found.push({ flags: bytes[at], message: JSON.parse(bytes.toString('utf8', at + 5, at + 5 + length)) });
    at += 5 + length;
  }
  return found;
}

const asBuffer = (response: NodeJS.ReadableStream, done: (error: Error | null, body: Buffer) => void): void => {
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  response.on('end', () => done(null, Buffer.concat(chunks)));
};

/** Whatever its type says, it is bytes already. */
const asItIs = (body: unknown): string => body as string;

async function stream(path: string, body: Buffer, more: Record<string, string> = {}): Promise<Envelope[]> {
  const response = await data('post', path)
    .set({ 'content-type': 'application/connect+json', ...more })
    .serialize(asItIs)
    .buffer(true)
    .parse(asBuffer as never)
    .send(body);
  expect(response.status).toBe(200);
  expect(response.headers['content-type']).toBe('application/connect+json');
  return envelopes(response.body);
}

const start = (script: string, more: object = {}, headers: Record<string, string> = {}) =>
  stream('/process.Process/Start', envelope({ process: { cmd: '/bin/sh', args: ['-c', script] }, ...more }), headers);

beforeAll(async () => {
  const response = await control('post', '/sandboxes').send({ templateID: 'base', timeout: 120, metadata: { a: 'b' } });
  expect(response.status).toBe(201);
  made = response.body;
}, 60_000);

describe('E2B: control plane', () => {
  it('creates by both paths, tells and ends', async () => {
    const { status, body } = await control('post', '/v2/sandboxes').send({});
    expect(status).toBe(201);
    expect(body).toMatchObject({
      templateID: 'base',
      envdVersion: expect.any(String),
      envdAccessToken: expect.any(String),
    });
    const info = (await control('get', `/sandboxes/${body.sandboxID}`)).body;
    expect(Date.parse(info.endAt) - Date.parse(info.startedAt)).toBeGreaterThan(290_000);
    expect((await control('post', `/sandboxes/${body.sandboxID}/timeout`).send({ timeout: 10 })).status).toBe(204);
    expect((await control('get', `/sandboxes/${body.sandboxID}/metrics`)).body[0]).toMatchObject({ cpuCount: 1 });
    expect((await control('delete', `/sandboxes/${body.sandboxID}`)).status).toBe(204);
    expect((await control('delete', `/sandboxes/${body.sandboxID}`)).body).toMatchObject({ code: 404 });
    expect((await data('get', '/health', body)).status).toBe(502);
  });

  it('lists page by page, filtered by metadata', async () => {
    const page = await control('get', '/v2/sandboxes?limit=1&metadata=a%3Db');
    expect(page.body).toHaveLength(1);
    expect(page.body[0]).toMatchObject({ sandboxID: made.sandboxID, state: 'running', metadata: { a: 'b' } });
    expect((await control('get', '/v2/sandboxes?metadata=a%3Dc')).body).toEqual([]);
    expect((await control('get', '/v2/sandboxes?nextToken=x')).status).toBe(400);
  });

  it.each([
    [{ templateID: 'nothing' }, 404],
    [{ timeout: 'long' }, 400],
    [{ metadata: { a: 1 } }, 400],
    [{ envVars: [] }, 400],
    [[], 400],
    [{ autoPause: true }, 501],
    [{ network: { allowOut: ['example.org'] } }, 501],
  ])('refuses %j with %d', async (body, status) => {
    const response = await control('post', '/sandboxes').send(body);
    expect(response.status).toBe(status);
    expect(response.body).toEqual({ code: status, message: expect.any(String) });
  });

  it('tells what is no JSON in its own shape', async () => {
    const { status, body } = await control('post', '/sandboxes').set('content-type', 'application/json').send('{"a');
    expect(status).toBe(400);
    expect(body).toEqual({ code: 400, message: expect.any(String) });
  });

  it('refuses without a key, and shows nothing of another tenant’s', async () => {
    expect((await server().get('/compat/e2b/sandboxes')).body).toEqual({ code: 401, message: expect.any(String) });
    expect((await control('get', `/sandboxes/${made.sandboxID}`, OTHER_KEY)).status).toBe(404);
    expect((await control('get', '/sandboxes', OTHER_KEY)).body).toEqual([]);
    for (const what of ['pause', 'fork', 'snapshots'])
      expect((await control('post', `/sandboxes/${made.sandboxID}/${what}`).send({})).body).toMatchObject({
        code: 501,
      });
  });
});

describe('E2B: the limit of a key', () => {
  it('is told in its own shape, and what was refused leaves nothing', async () => {
    const limits = { sandboxes: 1 };
    const { body: one } = await deployment.postTo('/v1/keys', { name: 'one', scopes: ['sandbox'], limits });
    const first = await control('post', '/sandboxes', one.key).send({ templateID: 'base' });
    expect(first.status, first.text).toBe(201);
    const redis = connectRedis(deployment.redis.url);
    const records = async (): Promise<number> => (await redis.keys('cordon:e2b:*')).length;
    const before = await records();
    for (const path of ['/sandboxes', '/v2/sandboxes']) {
      const refused = await control('post', path, one.key).send({ templateID: 'base' });
      expect(refused.status).toBe(429);
      expect(refused.body).toEqual({ code: 429, message: 'limits.sandboxes of this key is 1: end one first' });
    }
    expect(await records()).toBe(before);
    redis.disconnect();
    expect((await control('delete', `/sandboxes/${first.body.sandboxID}`, one.key)).status).toBe(204);
    const again = await control('post', '/sandboxes', one.key).send({ templateID: 'base' });
    expect(again.status).toBe(201);
    await control('delete', `/sandboxes/${again.body.sandboxID}`, one.key);
  });
});

describe('E2B: envd', () => {
  it('a form that breaks off in the middle of a file leaves nothing', async () => {
    const { port } = deployment.app.getHttpServer().address() as { port: number };
    const socket = connect(port, '127.0.0.1');
    socket.write(
      `POST /compat/e2b/sandbox/files HTTP/1.1\r\nHost: x\r\nX-Access-Token: ${made.envdAccessToken}\r\n` +
        `E2b-Sandbox-Id: ${made.sandboxID}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 99999\r\n\r\n` +
        `--b\r\nContent-Disposition: form-data; name="file"; filename="torn/file"\r\n\r\n${'y'.repeat(5000)}`,
    );
    const listed = async (): Promise<number | undefined> =>
      (await unary('/filesystem.Filesystem/ListDir', { path: 'torn' })).body.entries?.length;
    await expect.poll(listed).toBe(1);
    socket.destroy();
    await expect.poll(listed).toBe(0);
  });

  it('streams a process: start, data, end', async () => {
    const events = await start('printf out; printf err >&2; exit 4');
    expect(events[0].message).toEqual({ event: { start: { pid: expect.any(Number) } } });
    const end = events.at(-2) as Envelope;
    expect(end.message).toMatchObject({ event: { end: { exitCode: 4, exited: true, status: 'exit status 4' } } });
    expect(events.at(-1)).toEqual({ flags: 2, message: {} });
    const datas = events.flatMap(({ message }) => (message as { event?: { data?: object } }).event?.data ?? []);
    expect(datas).toContainEqual({ stdout: Buffer.from('out').toString('base64') });
    expect(datas).toContainEqual({ stderr: Buffer.from('err').toString('base64') });
  });

  it('tells errors of streams in their end', async () => {
    const [missing] = await stream('/process.Process/Start', envelope({ process: { cmd: '/nothing' } }));
    expect(missing).toMatchObject({ flags: 2, message: { error: { code: 'not_found' } } });
    const [nowhere] = await start('true', { process: { cmd: '/bin/true', cwd: '/nowhere' } });
    expect(nowhere).toMatchObject({ flags: 2, message: { error: { code: 'not_found' } } });
    const [unknown] = await stream('/process.Process/Connect', envelope({ process: { pid: 99_999 } }));
    expect(unknown).toMatchObject({ flags: 2, message: { error: { code: 'not_found' } } });
    const late = await start('sleep 20', {}, { 'connect-timeout-ms': '300' });
    expect(late.at(-1)).toMatchObject({ flags: 2, message: { error: { code: 'deadline_exceeded' } } });
  });

  it.each([
    ['no envelope', Buffer.from('{}')],
    ['half an envelope', envelope({ process: {} }).subarray(0, 8)],
    ['two envelopes', Buffer.concat([envelope({}), envelope({})])],
    ['no JSON', envelope('{nonsense')],
    ['a compressed one', envelope({}, 1)],
    ['no program', envelope({ process: {} })],
    ['words that are none', envelope({ process: { cmd: 'a', args: [1] } })],
    ['a size that is none', envelope({ process: { cmd: 'a' }, pty: { size: { rows: -1, cols: 1e9 } } })],
  ])('refuses a start with %s', async (_name, body) => {
    const events = await stream('/process.Process/Start', body);
    expect(events).toHaveLength(1);
    expect(events[0].flags).toBe(2);
    expect(['invalid_argument', 'unimplemented']).toContain(
      (events[0].message as { error: { code: string } }).error.code,
    );
  });

  it('does files as Connect calls', async () => {
    const [writeAs, readAs] = [
      await data('post', '/files?path=dir/f.bin').set('content-type', 'application/octet-stream').send('content'),
      await data('get', '/files?path=dir/f.bin'),
    ];
    expect(writeAs.body).toEqual([{ path: '/home/user/dir/f.bin', name: 'f.bin', type: 'file' }]);
    expect(readAs.body.toString()).toBe('content');
    const { entry } = (await unary('/filesystem.Filesystem/Stat', { path: '~/dir/f.bin' })).body;
    expect(entry).toMatchObject({ type: 'FILE_TYPE_FILE', size: '7', owner: 'user', mode: 0o644 });
    const list = (await unary('/filesystem.Filesystem/ListDir', { path: '/home/user', depth: 2 })).body.entries;
    expect(list.map((one: { path: string }) => one.path)).toEqual(
      expect.arrayContaining(['/home/user/dir', '/home/user/dir/f.bin']),
    );
    const again = await unary('/filesystem.Filesystem/MakeDir', { path: 'dir' });
    expect(again).toMatchObject({ status: 409, body: { code: 'already_exists' } });
    expect((await unary('/filesystem.Filesystem/Stat', { path: 'no' })).body).toMatchObject({ code: 'not_found' });
    const denied = await unary('/filesystem.Filesystem/MakeDir', { path: '/root/x' });
    expect(denied).toMatchObject({ status: 403, body: { code: 'permission_denied' } });
    const root = { authorization: `Basic ${Buffer.from('root:').toString('base64')}` };
    expect((await unary('/filesystem.Filesystem/MakeDir', { path: '/root/x' }, root)).status).toBe(200);
    expect((await unary('/filesystem.Filesystem/Watch', {})).status).toBe(501);
    expect((await unary('/filesystem.Filesystem/Stat', { path: 7 })).status).toBe(400);
  });

  it('watches for those who ask: each event once, until the watcher is removed', async () => {
    const call = (method: string, message: object, more: Record<string, string> = {}) =>
      unary(`/filesystem.Filesystem/${method}`, message, more);
    const write = (path: string, content = 'x') =>
      data('post', `/files?path=${path}`).set('content-type', 'application/octet-stream').send(content);
    await call('MakeDir', { path: 'asked/below' });
    const [flat, deep] = await Promise.all([
      call('CreateWatcher', { path: 'asked' }),
      call('CreateWatcher', { path: '~/asked', recursive: true, includeEntry: true }),
    ]);
    expect(flat.body).toEqual({ watcherId: expect.any(String) });
    const seen = async ({ body: { watcherId } }: { body: { watcherId: string } }) =>
      (await call('GetWatcherEvents', { watcherId })).body.events as { name: string; type: string; entry?: object }[];
    expect(await seen(flat)).toEqual([]);
    expect((await call('Move', { source: 'asked/below', destination: 'asked/moved' })).status).toBe(200);
    const moved = [
      { name: 'below', type: 'EVENT_TYPE_RENAME' },
      { name: 'moved', type: 'EVENT_TYPE_CREATE' },
    ];
    const all: object[] = [];
    await expect.poll(async () => all.push(...(await seen(flat)))).toBeGreaterThanOrEqual(2);
    expect(all).toEqual(moved);
    expect(await seen(flat)).toEqual([]);
    await write('asked/moved/file');
    const entries: { name: string; type: string; entry?: object }[] = [];
    await expect
      .poll(async () => {
        entries.push(...(await seen(deep)));
        return entries.find(({ name, type }) => name === 'moved/file' && type === 'EVENT_TYPE_CREATE')?.entry;
      })
      .toMatchObject({ path: '/home/user/asked/moved/file', type: 'FILE_TYPE_FILE', size: '1' });
    expect(entries.slice(0, 2)).toMatchObject([moved[0], { ...moved[1], entry: { path: '/home/user/asked/moved' } }]);
    expect(await seen(flat)).toEqual([]);
    expect((await call('RemoveWatcher', flat.body)).body).toEqual({});
    for (const method of ['GetWatcherEvents', 'RemoveWatcher'])
      expect(await call(method, flat.body)).toMatchObject({ status: 404, body: { code: 'not_found' } });
    expect((await call('RemoveWatcher', deep.body)).status).toBe(200);
    for (const [message, code] of [
      [{ path: 'nowhere' }, 'not_found'],
      [{ path: 'asked/moved/file' }, 'invalid_argument'],
      [{ path: '/root' }, 'permission_denied'],
      [{ path: 5 }, 'invalid_argument'],
    ] as const)
      expect((await call('CreateWatcher', message)).body).toMatchObject({ code });
    const root = { authorization: `Basic ${Buffer.from('root:').toString('base64')}` };
    expect((await call('CreateWatcher', { path: '/root' }, root)).status).toBe(200);
    expect((await call('GetWatcherEvents', { watcherId: 7 })).status).toBe(400);
  });

  it('watchers are bounded: in number, and in what they keep', async () => {
    const own = (await control('post', '/sandboxes').send({})).body as Made;
    const call = (method: string, message: object) =>
      data('post', `/filesystem.Filesystem/${method}`, own).set('content-type', 'application/json').send(message);
    const watchers: string[] = [];
    for (let count = 0; count < 64; count++)
      watchers.push((await call('CreateWatcher', { path: '/tmp' })).body.watcherId);
    expect((await call('CreateWatcher', { path: '/tmp' })).body).toMatchObject({ code: 'resource_exhausted' });
    for (const watcherId of watchers.slice(1)) await call('RemoveWatcher', { watcherId });
    // Far more than is kept anywhere, and nobody asks.
    const name = 'n'.repeat(200);
    const script = `import os\nfor i in range(40000):\n  os.close(os.open(f"/tmp/${name}{i}", os.O_CREAT)); os.remove(f"/tmp/${name}{i}")`;
    const command = { command: ['python3', '-c', script] };
    const made = await server()
      .post(`/v1/sandboxes/${own.sandboxID}/exec`)
      .set('authorization', `Bearer ${KEY}`)
      .send(command);
    expect(made.body).toMatchObject({ exitCode: 0 });
    let told = 0;
    const lost: number[] = [];
    for (let last = 1; last > 0; ) {
      const { body } = await call('GetWatcherEvents', { watcherId: watchers[0] });
      if (body.code === 'resource_exhausted') lost.push(told);
      last = body.events?.length ?? 1;
      told += body.events?.length ?? 0;
    }
    expect(lost).toEqual([told]);
    expect(told).toBeGreaterThan(1000);
    expect(told).toBeLessThan(80_000);
    expect((await call('MakeDir', { path: '/tmp/after' })).status).toBe(200);
    const names = async () =>
      (await call('GetWatcherEvents', { watcherId: watchers[0] })).body.events.map((one: { name: string }) => one.name);
    await expect.poll(names).toContain('after');
    expect((await control('delete', `/sandboxes/${own.sandboxID}`)).status).toBe(204);
    expect((await call('GetWatcherEvents', { watcherId: watchers[0] })).status).toBe(502);
  });

  it('answers for files with numbers', async () => {
    expect((await data('get', '/files?path=no')).body).toMatchObject({ code: 404 });
    expect((await data('get', '/files?path=/tmp')).body).toMatchObject({ code: 400 });
    expect((await data('get', '/files?path=x&username=nobody')).body).toMatchObject({ code: 401 });
    expect((await data('post', '/files').send('x')).status).toBe(400);
    const form = data('post', '/files').attach('file', Buffer.from('1'), 'one').attach('file', Buffer.from('2'), 'two');
    expect((await form).body.map(({ path }: { path: string }) => path)).toEqual(['/home/user/one', '/home/user/two']);
  });

  it('opens to the token of the sandbox, or what was signed with it, and to nothing else', async () => {
    const bare = (path: string, token?: string) =>
      server()
        .get(`/compat/e2b/sandbox${path}`)
        .set('E2b-Sandbox-Id', made.sandboxID)
        .set(token ? { 'X-Access-Token': token } : {});
    expect((await bare('/health')).status).toBe(204);
    expect((await bare('/envs')).body).toMatchObject({ code: 'unauthenticated' });
    expect((await bare('/envs', KEY)).status).toBe(401);
    expect((await bare('/envs', `${made.envdAccessToken}0`)).status).toBe(401);
    const other = (await control('post', '/sandboxes').send({})).body as Made;
    expect((await bare('/envs', other.envdAccessToken)).status).toBe(401);
    await data('post', '/files?path=s').set('content-type', 'application/octet-stream').send('signed');
    const sign = (expires: number): string => {
      const text = ['s', 'read', 'user', made.envdAccessToken, expires].join(':');
      const digest = createHash('sha256').update(text).digest('base64').replace(/=+$/, '');
      return `/files?path=s&username=user&signature=v1_${encodeURIComponent(digest)}&signature_expiration=${expires}`;
    };
    const now = Math.floor(Date.now() / 1000);
    expect((await bare(sign(now + 60))).body.toString()).toBe('signed');
    expect((await bare(sign(now - 60))).status).toBe(401);
    expect((await bare(sign(now + 60).replace('path=s', 'path=dir'))).status).toBe(401);
    const unknown = { sandboxID: 'sbx_000000000000000000000000', envdAccessToken: 'x' };
    expect((await data('get', '/health', unknown)).status).toBe(502);
    expect((await data('get', '/envs', { ...unknown, sandboxID: '../x' })).status).toBe(502);
  });

  it('goes on with a process whose client has left', async () => {
    const pending = data('post', '/process.Process/Start')
      .set('content-type', 'application/connect+json')
      .serialize(asItIs)
      .send(envelope({ process: { cmd: '/bin/sh', args: ['-c', 'sleep 0.5; echo done > /tmp/left'] } }));
    pending.catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 200));
    pending.abort();
    await expect
      .poll(async () => (await data('get', '/files?path=/tmp/left')).body.toString(), { timeout: 5000 })
      .toBe('done\n');
  });
});

describe('E2B: code interpreter', () => {
  const ask = (method: 'get' | 'post', path: string) => data(method, path).set('E2b-Sandbox-Port', '49999');

  it('runs code in the default context, as lines of JSON', async () => {
    const response = await ask('post', '/execute')
      .send({ code: 'print("hi")\n[1, 2]' })
      .buffer(true)
      .parse(asBuffer as never);
    const lines = String(response.body)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ type, text }) => (type === 'stdout' ? text : '')).join('')).toBe('hi\n');
    expect(lines).toContainEqual(expect.objectContaining({ type: 'result', is_main_result: true, text: '[1, 2]' }));
    expect(lines.at(-1)).toEqual({ type: 'end_of_execution' });
    expect((await ask('get', '/contexts')).body).toHaveLength(1);
  });

  it('says in plain text what is wrong', async () => {
    for (const body of [
      {},
      { code: 1 },
      { code: 'x', language: 'klingon' },
      { code: 'x', language: 'r' },
      { code: 'x', language: 'java' },
      { code: 'x', context_id: 'c', language: 'python' },
    ])
      expect((await ask('post', '/execute').send(body)).status).toBe(400);
    expect((await ask('post', '/execute').send({ code: 'x', context_id: 'ctx_none' })).status).toBe(404);
    expect((await ask('get', '/nothing')).headers['content-type']).toMatch('text/plain');
  });
});

describe('E2B: WebSockets to servers inside', () => {
  const refused = (headers: Record<string, string>): Promise<[number | undefined, unknown]> =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`ws://127.0.0.1:${deployment.port}/compat/e2b/sandbox/`, {
        headers: { 'E2b-Sandbox-Id': made.sandboxID, 'E2b-Sandbox-Port': '8000', ...headers },
      });
      socket.on('error', () => undefined);
      socket.once('open', () => reject(new Error('it was let in')));
      socket.once('unexpected-response', (_request, response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve([response.statusCode, JSON.parse(text)]));
      });
    });

  it('are refused with a status that says why', async () => {
    expect(await refused({})).toEqual([401, { code: 401, message: expect.stringContaining('X-Access-Token') }]);
    expect(await refused({ 'E2b-Sandbox-Id': 'sbx_000000000000000000000000', 'X-Access-Token': 'x' })).toEqual([
      502,
      { code: 502, message: 'the sandbox was not found' },
    ]);
    const token = { 'X-Access-Token': made.envdAccessToken };
    const [status] = await refused(token);
    expect(status).toBe(502);
  });
});
