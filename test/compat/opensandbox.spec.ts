import { connect } from 'node:net';
import request from 'supertest';
import { beforeAll, describe, expect, it } from 'vitest';
import { KEY, OTHER_KEY, useDeployment } from '../e2e/harness.js';

const deployment = useDeployment({ workers: 1 });
const EXECD = 44_772;

const server = () => request(deployment.app.getHttpServer());
const at = (path: string): string => `/compat/opensandbox/v1${path}`;
const get = (path: string, key = KEY) => server().get(at(path)).set('OPEN-SANDBOX-API-KEY', key);
const post = (path: string, body?: object, key = KEY) =>
  server().post(at(path)).set('OPEN-SANDBOX-API-KEY', key).send(body);
const BODY = { image: { uri: 'ubuntu' }, entrypoint: ['tail', '-f', '/dev/null'], resourceLimits: { memory: '256Mi' } };

interface Open {
  readonly id: string;
  readonly execd: string;
  readonly headers: Record<string, string>;
}
async function endpoint(id: string, port: number): Promise<{ path: string; headers: Record<string, string> }> {
  const { status, body } = await get(`/sandboxes/${id}/endpoints/${port}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return { path: body.endpoint.slice(body.endpoint.indexOf('/')), headers: body.headers };
}
async function open(more: object = {}): Promise<Open> {
  const { status, body } = await post('/sandboxes', { ...BODY, ...more });
  expect(status, JSON.stringify(body)).toBe(202);
  const { path, headers } = await endpoint(body.id, EXECD);
  return { id: body.id, execd: path, headers };
}
const events = (text: string): Record<string, unknown>[] =>
  text
    .split('\n\n')
    .filter((part) => part.startsWith('data: '))
    .map((part) => JSON.parse(part.slice(6)));

let box: Open;
const execd = (method: 'get' | 'post' | 'delete', path: string) =>
  server()
    [method](box.execd + path)
    .set(box.headers);
async function command(body: object): Promise<Record<string, unknown>[]> {
  const { status, text } = await execd('post', '/command').send(body).buffer(true);
  expect(status, text).toBe(200);
  return events(text);
}

beforeAll(async () => {
  box = await open({ metadata: { of: 'all' }, env: { COLOUR: 'blue' } });
});

describe('OpenSandbox: the lifecycle', () => {
  it('creates, tells, lists by metadata and page, renews, ends', async () => {
    const { id } = await open({ metadata: { of: 'one' }, timeout: 60 });
    const { body } = await get(`/sandboxes/${id}`);
    expect(body).toMatchObject({ id, status: { state: 'Running' }, metadata: { of: 'one' }, image: BODY.image });
    expect(Date.parse(body.expiresAt) - Date.parse(body.createdAt)).toBe(60_000);
    const one = (await get('/sandboxes?metadata=of%3Done&state=Running')).body;
    expect(one.items.map((item: { id: string }) => item.id)).toEqual([id]);
    const second = (await get('/sandboxes?page=2&pageSize=1')).body;
    expect(second.items).toHaveLength(1);
    expect(second.pagination).toEqual({ page: 2, pageSize: 1, totalItems: 2, totalPages: 2, hasNextPage: false });
    const expiresAt = new Date(Date.now() + 600_000).toISOString();
    expect((await post(`/sandboxes/${id}/renew-expiration`, { expiresAt })).body).toEqual({ expiresAt });
    const sooner = await post(`/sandboxes/${id}/renew-expiration`, {
      expiresAt: new Date(Date.now() + 9000).toISOString(),
    });
    expect([sooner.status, sooner.body.code]).toEqual([409, 'DOCKER::EXPIRATION_NOT_EXTENDED']);
    const end = () =>
      server()
        .delete(at(`/sandboxes/${id}`))
        .set('OPEN-SANDBOX-API-KEY', KEY);
    expect((await end()).status).toBe(204);
    expect((await end()).body.code).toBe('DOCKER::SANDBOX_NOT_FOUND');
    expect((await get(`/sandboxes/${id}`)).status).toBe(404);
  });

  it('an entrypoint runs; one that cannot be started leaves no sandbox', async () => {
    const before = (await get('/sandboxes')).body.pagination.totalItems;
    const refused = await post('/sandboxes', { ...BODY, entrypoint: ['/no/such/program'] });
    expect([refused.status, refused.body.code]).toEqual([400, 'DOCKER::INVALID_ENTRYPOINT']);
    expect((await get('/sandboxes')).body.pagination.totalItems).toBe(before);
    const { execd: path, headers } = await open({ entrypoint: ['/bin/sh', '-c', 'echo entered > /work/entered'] });
    const read = () => server().get(`${path}/files/download?path=entered`).set(headers).buffer(true);
    await expect.poll(async () => (await read()).status).toBe(200);
    expect(String((await read()).body)).toBe('entered\n');
  });

  it.each([
    ['no image', { image: undefined }, 400, 'image'],
    ['an unknown image', { image: { uri: 'nobody/has:it' } }, 404, 'image.uri'],
    ['no entrypoint', { entrypoint: [] }, 400, 'entrypoint'],
    ['no limits', { resourceLimits: undefined }, 400, 'resourceLimits'],
    ['too much memory', { resourceLimits: { memory: '64Gi' } }, 400, 'resourceLimits.memory'],
    ['a short time', { timeout: 59 }, 400, 'timeout'],
    ['a wrong env', { env: { A: 1 } }, 400, 'env.A'],
    ['another machine', { platform: { os: 'linux', arch: 'arm64' } }, 400, 'platform'],
    ['reserved metadata', { metadata: { 'opensandbox.io/id': 'x' } }, 400, 'metadata'],
    ['a snapshot', { snapshotId: 'snap' }, 501, 'snapshotId'],
    ['volumes', { volumes: [{ name: 'v' }] }, 501, 'volumes'],
    ['the internet', { networkPolicy: { defaultAction: 'allow' } }, 501, 'networkPolicy'],
  ])('refuses %s', async (_what, more, status, word) => {
    const refused = await post('/sandboxes', { ...BODY, ...more });
    expect(refused.status).toBe(status);
    expect(refused.body).toEqual({ code: expect.any(String), message: expect.stringContaining(word) });
  });

  it('no key, a wrong key, another tenant, what is not there', async () => {
    expect((await server().get(at('/sandboxes'))).body.code).toBe('MISSING_API_KEY');
    const wrong = await get('/sandboxes', 'wrong');
    expect([wrong.status, wrong.body.code]).toEqual([401, 'INVALID_API_KEY']);
    expect((await get(`/sandboxes/${box.id}`, OTHER_KEY)).status).toBe(404);
    expect((await get('/sandboxes', OTHER_KEY)).body.items).toEqual([]);
    expect((await post(`/sandboxes/${box.id}/pause`)).body.code).toBe('NOT_IMPLEMENTED');
    expect((await get(`/sandboxes/${box.id}/endpoints/0`)).body.code).toBe('DOCKER::INVALID_PORT');
    expect((await post('/metrics/events', {})).body).toEqual({ code: 'NOT_FOUND', message: expect.any(String) });
    const malformed = await server()
      .post(at('/sandboxes'))
      .set({ 'OPEN-SANDBOX-API-KEY': KEY, 'content-type': 'application/json' })
      .send('{"image":');
    expect([malformed.status, malformed.body.code]).toEqual([400, 'INVALID_REQUEST_BODY']);
  });
});

describe('OpenSandbox: the limit of a key', () => {
  it('is told in its own shape; an entrypoint that cannot be started takes no place', async () => {
    const limits = { sandboxes: 1 };
    const { body: one } = await deployment.postTo('/v1/keys', { name: 'one', scopes: ['sandbox'], limits });
    expect((await post('/sandboxes', { ...BODY, entrypoint: ['/none/such'] }, one.key)).status).toBe(400);
    const first = await post('/sandboxes', BODY, one.key);
    expect(first.status, first.text).toBe(202);
    const refused = await post('/sandboxes', BODY, one.key);
    expect(refused.status).toBe(429);
    expect(refused.body).toEqual({
      code: 'TOO_MANY_REQUESTS',
      message: 'limits.sandboxes of this key is 1: end one first',
    });
    const gone = await server()
      .delete(at(`/sandboxes/${first.body.id}`))
      .set('OPEN-SANDBOX-API-KEY', one.key);
    expect(gone.status).toBe(204);
    const { body } = await deployment.get('/v1/usage', one.key);
    expect(body.sandboxes).toBe(0);
  });
});

describe('OpenSandbox: execd', () => {
  it('a command: init, lines of both streams, the end', async () => {
    const told = await command({ command: 'echo "$COLOUR"; echo; printf "a\\rb"; echo err >&2' });
    expect(told[0]).toMatchObject({ type: 'init', text: expect.stringMatching(/^cmd-\d+$/) });
    const texts = (type: string) => told.filter((event) => event.type === type).map(({ text }) => text);
    expect(texts('stdout')).toEqual(['blue', '\n', 'a', 'b']);
    expect(texts('stderr')).toEqual(['err']);
    expect(told.at(-1)).toMatchObject({ type: 'execution_complete', execution_time: expect.any(Number) });
    const failed = (await command({ command: 'exit 7' })).at(-1);
    expect(failed).toMatchObject({ type: 'error', error: { ename: 'CommandExecError', evalue: '7' } });
  });

  it('a client that leaves ends its command', async () => {
    const { port } = deployment.app.getHttpServer().address() as { port: number };
    const body = JSON.stringify({ command: 'echo $$ > /work/pid; exec sleep 100' });
    const socket = connect(port, '127.0.0.1');
    const [[name, token]] = Object.entries(box.headers);
    socket.write(
      `POST ${box.execd}/command HTTP/1.1\r\nHost: x\r\n${name}: ${token}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    const alive = async () => (await command({ command: 'kill -0 $(cat /work/pid)' })).at(-1)?.type;
    await expect.poll(alive).toBe('execution_complete');
    socket.destroy();
    await expect.poll(alive).toBe('error');
  });

  it('refuses what is no command, no token, no such place', async () => {
    const bad = async (body: object) => {
      const { status, body: answer } = await execd('post', '/command').send(body);
      return [status, answer.code];
    };
    const invalid = [400, 'INVALID_REQUEST_BODY'];
    expect(await bad({})).toEqual(invalid);
    expect(await bad({ command: 'a\0b' })).toEqual(invalid);
    expect(await bad({ command: 'true', timeout: 0 })).toEqual(invalid);
    expect(await bad({ command: 'true', gid: 0 })).toEqual(invalid);
    expect(await bad({ command: 'true', uid: 5 })).toEqual(invalid);
    expect((await bad({ command: 'true', cwd: '/not/there' }))[0]).toBe(404);
    expect((await server().get(`${box.execd}/ping`)).status).toBe(401);
    const other = await server().get(`${box.execd}/ping`).set('X-EXECD-ACCESS-TOKEN', 'wrong');
    expect([other.status, other.body.code]).toEqual([401, 'UNAUTHORIZED']);
    expect((await execd('get', '/command/status/cmd-999')).status).toBe(404);
    expect((await execd('get', '/nothing')).body.code).toBe('NOT_FOUND');
    for (const path of ['/metrics/watch', '/v1/isolated/session'])
      expect((await execd('post', path)).body.code).toBe('NOT_IMPLEMENTED');
    const large = await execd('post', '/command').send({ command: 'x'.repeat(20 << 20) });
    expect(large.status).toBe(413);
  });

  it('runs commands in sessions: state stays, and each run says with which status it ended', async () => {
    const made = await execd('post', '/session');
    expect([made.status, made.body]).toEqual([200, { session_id: expect.any(String) }]);
    const { session_id } = made.body as { session_id: string };
    const run = async (body: object): Promise<Record<string, unknown>[]> => {
      const { status, text } = await execd('post', `/session/${session_id}/run`).send(body).buffer(true);
      expect(status, text).toBe(200);
      return events(text);
    };
    const [init, first, second, end] = await run({ command: 'x=1; printf "a\nb"; cd /usr' });
    expect(init).toMatchObject({ type: 'init', text: session_id });
    expect([first, second]).toMatchObject([
      { type: 'stdout', text: 'a' },
      { type: 'stdout', text: 'b' },
    ]);
    expect(end).toMatchObject({ type: 'execution_complete', execution_time: expect.any(Number) });
    const failed = await run({ command: 'pwd; echo $x >&2; (exit 5)' });
    expect(failed.slice(1)).toMatchObject([
      { type: 'stdout', text: '/usr' },
      { type: 'stderr', text: '1' },
      { type: 'error', error: { ename: 'CommandExecError', evalue: '5' } },
    ]);
    expect((await run({ command: 'pwd', cwd: '/tmp' }))[1]).toMatchObject({ text: '/tmp' });
    expect((await run({ command: 'sleep 60', timeout: 100 })).at(-1)).toMatchObject({ error: { evalue: '-1' } });
    // It is none of the contexts for code.
    expect((await execd('get', '/code/contexts')).body).toEqual([]);
    for (const [body, status] of [
      [{}, 400],
      [{ command: ' ' }, 400],
      [{ command: 'true', timeout: 0 }, 400],
      [{ command: 'true', cwd: '/not/there' }, 404],
    ] as const)
      expect((await execd('post', `/session/${session_id}/run`).send(body)).status).toBe(status);
    expect((await execd('post', '/session').send({ cwd: '/not/there' })).status).toBe(404);
    expect((await run({ command: 'exit 6' })).at(-1)).toMatchObject({ error: { evalue: '6' } });
    const over = await execd('post', `/session/${session_id}/run`).send({ command: 'true' });
    expect([over.status, over.body.message]).toEqual([404, `session ${session_id} has ended`]);
    expect((await execd('delete', `/session/${session_id}`)).status).toBe(200);
    expect((await execd('delete', `/session/${session_id}`)).status).toBe(404);
    const context = await execd('post', '/code/context').send({ language: 'bash' });
    expect((await execd('post', `/session/${context.body.id}/run`).send({ command: 'true' })).status).toBe(404);
    await execd('delete', `/code/contexts/${context.body.id}`);
  });

  it('uploads pairs of parts; one that breaks off leaves what was', async () => {
    const upload = execd('post', '/files/upload');
    for (const [path, text] of [
      ['up/one', '1'],
      ['/work/up/two', '22'],
    ]) {
      upload.attach('metadata', Buffer.from(JSON.stringify({ path, mode: 600 })), 'metadata');
      upload.attach('file', Buffer.from(text), 'name');
    }
    expect((await upload).status).toBe(200);
    const info = (await execd('get', '/files/info?path=up/one&path=/work/up/two')).body;
    expect(info).toMatchObject({ 'up/one': { size: 1, mode: 600 }, '/work/up/two': { size: 2, owner: 'root' } });
    expect((await execd('post', '/files/upload').attach('file', Buffer.from('x'), 'x')).body.code).toBe(
      'INVALID_FILE_METADATA',
    );
    const { port } = deployment.app.getHttpServer().address() as { port: number };
    const socket = connect(port, '127.0.0.1');
    const [[name, token]] = Object.entries(box.headers);
    const part = (field: string, text: string): string =>
      `--b\r\nContent-Disposition: form-data; name="${field}"; filename="x"\r\n\r\n${text}`;
    socket.write(
      `POST ${box.execd}/files/upload HTTP/1.1\r\nHost: x\r\n${name}: ${token}\r\nContent-Length: 99999\r\n` +
        `Content-Type: multipart/form-data; boundary=b\r\n\r\n${part('metadata', '{"path":"/work/up/one"}')}\r\n` +
        part('file', 'y'.repeat(5000)),
    );
    const names = async () =>
      (await execd('get', '/directories/list?path=/work/up')).body.map((file: { path: string }) => file.path);
    await expect.poll(names).toHaveLength(3);
    socket.destroy();
    await expect.poll(names).toEqual(['/work/up/one', '/work/up/two']);
    expect(String((await execd('get', '/files/download?path=up/one').buffer(true)).body)).toBe('1');
  });

  it('downloads ranges and lines', async () => {
    await command({ command: 'seq 1 5 > /work/five' });
    const read = async (query: string, range = '') => {
      const { status, body, text } = await execd('get', `/files/download?path=/work/five${query}`)
        .set(range ? { Range: range } : {})
        .buffer(true);
      return [status, text ?? String(body)];
    };
    expect(await read('')).toEqual([200, '1\n2\n3\n4\n5\n']);
    expect(await read('', 'bytes=2-3')).toEqual([206, '2\n']);
    expect(await read('', 'bytes=-2')).toEqual([206, '5\n']);
    expect((await read('', 'bytes=100-'))[0]).toBe(416);
    expect(await read('&offset=1&limit=2')).toEqual([200, '2\n3\n']);
    expect(await read('&limit=0')).toEqual([200, '']);
    expect((await execd('get', '/files/download')).body.code).toBe('MISSING_QUERY');
  });

  it('code keeps its variables; contexts by id', async () => {
    const run = async (body: object) => events((await execd('post', '/code').send(body).buffer(true)).text);
    await run({ code: 'x = 20' });
    const told = await run({ code: 'print("out")\nx + 1', context: { language: 'python' } });
    expect(told).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ type: 'stdout', text: expect.stringContaining('out') }),
        expect.objectContaining({ type: 'result', results: expect.objectContaining({ 'text/plain': '21' }) }),
        expect.objectContaining({ type: 'execution_count', execution_count: 2 }),
      ]),
    );
    const { id } = (await execd('post', '/code/context').send({ language: 'python' })).body;
    const failed = await run({ code: 'x', context: { id, language: 'python' } });
    expect(failed.find(({ type }) => type === 'error')).toMatchObject({ error: { ename: 'NameError' } });
    expect((await execd('delete', `/code/contexts/${id}`)).status).toBe(200);
    expect((await execd('get', `/code/contexts/${id}`)).body.code).toBe('CONTEXT_NOT_FOUND');
    expect((await execd('post', '/code').send({ code: '1', context: { language: 'go' } })).body.code).toBe(
      'NOT_SUPPORTED',
    );
  });

  it('servers of the guest see neither token nor key', async () => {
    const listing =
      'import http.server as h\nclass H(h.BaseHTTPRequestHandler):\n def do_GET(self):\n  self.send_response(200); self.end_headers(); self.wfile.write(str(self.headers).lower().encode())\nh.HTTPServer(("127.0.0.1", 8000), H).serve_forever()';
    await command({ command: `exec python3 -c '${listing}'`, background: true });
    const { path, headers } = await endpoint(box.id, 8000);
    const ask = () =>
      server().get(`${path}/`).set(headers).set({ 'OPEN-SANDBOX-API-KEY': KEY, 'x-mine': 'yes' }).buffer(true);
    await expect.poll(async () => (await ask()).status, { timeout: 10_000 }).toBe(200);
    const answer = await ask();
    const seen = answer.text ?? String(answer.body);
    expect(seen).toContain('x-mine: yes');
    expect(seen).not.toMatch(/execd-access|api-key/);
    expect((await server().get(`${path}/`)).status).toBe(401);
  });
});
