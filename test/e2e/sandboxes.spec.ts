import { request as httpRequest, type IncomingMessage } from 'node:http';
import type { ExecResultDto, SandboxDto, SandboxUsageDto } from '@cordon/contracts';
import { connect, WorkerRegistry } from '@cordon/queue';
import request from 'supertest';
import { beforeAll, describe, expect, it } from 'vitest';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });

async function create(body: unknown = {}): Promise<string> {
  const response = await cordon.postTo('/v1/sandboxes', body);
  expect(response.status, response.text).toBe(201);
  return (response.body as SandboxDto).id;
}

const at = (id: string, rest = ''): string => `/v1/sandboxes/${id}${rest}`;

async function exec(id: string, body: object): Promise<ExecResultDto> {
  const response = await cordon.postTo(at(id, '/exec'), body);
  expect(response.status, response.text).toBe(200);
  return response.body as ExecResultDto;
}

const sh = (id: string, script: string, more: object = {}): Promise<ExecResultDto> =>
  exec(id, { command: ['/bin/sh', '-c', script], ...more });

function put(id: string, path: string, content: Buffer | string): request.Test {
  return request(cordon.app.getHttpServer())
    .put(at(id, `/files?path=${encodeURIComponent(path)}`))
    .set('authorization', `Bearer ${KEY}`)
    .set('content-type', 'application/octet-stream')
    .send(content);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('it never came');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function running(id: string): Promise<string[]> {
  const { items } = (await cordon.get(at(id, '/processes'))).body as { items: { name: string }[] };
  return items.map(({ name }) => name);
}

/** Server-sent events of a request, until the stream ends or `enough` says so. */
function events(
  method: string,
  path: string,
  body: object | null,
  headers: Record<string, string> = {},
  enough: (text: string) => boolean = () => false,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port: cordon.port,
      path,
      method,
      headers: {
        authorization: `Bearer ${KEY}`,
        accept: 'text/event-stream',
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
    };
    const client = httpRequest(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (!enough(text)) return;
        resolve(text);
        client.destroy();
      });
      response.on('end', () => resolve(text));
      response.on('error', () => resolve(text));
    });
    client.on('error', reject);
    client.end(body ? JSON.stringify(body) : undefined);
  });
}

const types = (text: string): string[] => [...text.matchAll(/^event: (\w+)$/gm)].map(([, type]) => type);

describe('a sandbox', () => {
  let id: string;
  beforeAll(async () => {
    id = await create({ labels: { for: 'test' }, env: { GREETING: 'hello' }, audit: { level: 'security' } });
  });

  it('is there, with what it was asked for', async () => {
    const { body } = await cordon.get(at(id));
    expect(body).toMatchObject({ id, state: 'running', endReason: null, labels: { for: 'test' }, idleSeconds: 900 });
    const { items } = (await cordon.get('/v1/sandboxes')).body as { items: SandboxDto[] };
    expect(items.map((item) => item.id)).toContain(id);
  });

  it('runs commands in one file system', async () => {
    expect(await sh(id, 'echo $GREETING > a; echo err >&2; exit 3')).toMatchObject({
      exitCode: 3,
      signal: null,
      timedOut: false,
      stdout: '',
      stderr: 'err\n',
    });
    expect((await sh(id, 'cat /work/a; pwd; id -u; echo $X', { cwd: '/tmp', env: { X: 'y' } })).stdout).toBe(
      'hello\n/tmp\n1000\ny\n',
    );
    expect((await sh(id, 'id -u', { user: 'root' })).stdout).toBe('0\n');
    expect((await exec(id, { command: ['cat'], stdin: 'given' })).stdout).toBe('given');
    expect(await exec(id, { command: ['sleep', '100'], timeoutMs: 100 })).toMatchObject({
      signal: 'SIGKILL',
      timedOut: true,
    });
  });

  it('cuts the output of a waiting exec visibly, and takes bytes that are no text', async () => {
    const long = await sh(id, 'head -c 3000000 /dev/zero | tr "\\0" x');
    expect([long.stdout.length, long.stdoutTruncated, long.exitCode]).toEqual([1 << 20, true, 0]);
    expect(await sh(id, 'printf "\\377\\376"')).toMatchObject({ stdout: '//4=', stdoutEncoding: 'base64' });
  });

  it('streams a command as it runs', async () => {
    const text = await events('POST', at(id, '/exec'), { command: ['/bin/sh', '-c', 'echo a; sleep 0.1; echo b >&2'] });
    expect(types(text)).toEqual(['started', 'stdout', 'stderr', 'exit']);
  });

  it('keeps a background process: input, attaching again, signals', async () => {
    const started = await cordon.postTo(at(id, '/exec'), {
      command: ['/bin/sh', '-c', 'while read x; do echo "<$x>"; done; echo bye; sleep 100'],
      background: true,
      openStdin: true,
    });
    expect(started.status).toBe(202);
    const place = at(id, `/processes/${started.body.process}`);
    expect((await cordon.postTo(`${place}/stdin`, { data: 'one\n' })).status).toBe(204);
    expect((await cordon.postTo(`${place}/stdin`, { data: 'dHdvCg==', encoding: 'base64', end: true })).status).toBe(
      204,
    );
    const seen = await events('GET', `${place}/events`, null, {}, (text) => text.includes('bye'));
    expect(seen.replace(/\\n/g, '')).toMatch(/<one>.*<two>.*bye/s);
    const last = [...seen.matchAll(/^id: (\d+)$/gm)].at(-1)?.[1] as string;
    const rest = events('GET', `${place}/events`, null, { 'last-event-id': last });
    expect((await cordon.postTo(`${place}/signal`, { signal: 15 })).status).toBe(204);
    expect(types(await rest)).toEqual(['exit']);
    expect((await cordon.postTo(`${place}/signal`, { signal: 15 })).status).toBe(409);
    expect(types(await events('GET', `${place}/events`, null))).toContain('exit');
  });

  it('ends the command of a client that leaves, and lets a background one run', async () => {
    await events('POST', at(id, '/exec'), { command: ['sleep', '91'] }, {}, (text) => text.includes('started'));
    await until(async () => !(await running(id)).includes('sleep'));
    await cordon.postTo(at(id, '/exec'), { command: ['sleep', '92'], background: true });
    expect(await running(id)).toContain('sleep');
  });

  it('writes, reads, lists, moves and removes files', async () => {
    const content = Buffer.alloc(300_000, 'abc\0');
    expect((await put(id, 'dir/file', content)).body).toEqual({ bytes: 300_000 });
    const read = await cordon.get(at(id, '/files?path=dir/file'));
    expect(Buffer.compare(read.body as Buffer, content)).toBe(0);
    expect((await sh(id, 'wc -c < dir/file')).stdout.trim()).toBe('300000');
    expect((await put(id, 'dir/file', 'short')).status).toBe(200);
    expect((await sh(id, 'cat dir/file; ls dir')).stdout).toBe('shortfile\n');
    const stat = await cordon.get(at(id, '/files/stat?path=/work/dir/file'));
    expect(stat.body).toMatchObject({ name: 'file', type: 'file', size: 5, mode: 0o644 });
    expect((await cordon.postTo(at(id, '/files/mkdir'), { path: 'dir/sub' })).status).toBe(204);
    expect((await cordon.postTo(at(id, '/files/move'), { from: 'dir/file', to: 'dir/sub/f' })).status).toBe(204);
    const list = (await cordon.get(at(id, '/files/list?path=dir'))).body as { items: { name: string }[] };
    expect(list.items.map(({ name }) => name)).toEqual(['sub']);
    expect((await cordon.delete(at(id, '/files?path=dir'))).body).toMatchObject({ status: 409, detail: 'ENOTEMPTY' });
    expect((await cordon.delete(at(id, '/files?path=dir&recursive=true'))).status).toBe(204);
    expect((await cordon.get(at(id, '/files?path=dir/file'))).body).toMatchObject({ status: 409, detail: 'ENOENT' });
  });

  it('leaves nothing half-written of an upload that breaks', async () => {
    await put(id, 'kept', 'old');
    await new Promise<void>((resolve) => {
      const client = httpRequest({
        host: '127.0.0.1',
        port: cordon.port,
        path: at(id, '/files?path=kept'),
        method: 'PUT',
        headers: {
          authorization: `Bearer ${KEY}`,
          'content-type': 'application/octet-stream',
          'content-length': 1_000_000,
        },
      });
      client.on('error', () => resolve());
      client.write(Buffer.alloc(200_000, 'x'), () => setTimeout(() => client.destroy(new Error('gone')), 100));
    });
    await until(async () => (await sh(id, 'cat kept; ls -a | grep -c partial')).stdout === 'old0\n');
  });

  it('tells what was wrong with an upload in its middle, not that the client broke it off', async () => {
    const made = await cordon.postTo('/v1/sandboxes', { limits: { fileBytes: 100_000 } });
    const { id: small } = made.body as SandboxDto;
    const answer = await new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
      const client = httpRequest({
        host: '127.0.0.1',
        port: cordon.port,
        path: at(small, '/files?path=big'),
        method: 'PUT',
        headers: {
          authorization: `Bearer ${KEY}`,
          'content-type': 'application/octet-stream',
          'content-length': 1_000_000,
        },
      });
      client.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode, text }));
      });
      client.on('error', reject);
      client.write(Buffer.alloc(200_000, 'x'));
    });
    expect(answer.text).toContain('EFBIG');
    expect(answer.status).toBe(409);
    expect((await sh(small, 'ls -A')).stdout).toBe('');
    await cordon.delete(at(small));
  });

  it('breaks a download off that its end cuts: half a file must not look like a whole one', async () => {
    const short = await create();
    // More than all buffers on the way take.
    await sh(short, 'head -c 200000000 /dev/zero > zeroes');
    const options = {
      host: '127.0.0.1',
      port: cordon.port,
      path: at(short, '/files?path=zeroes'),
      headers: { authorization: `Bearer ${KEY}` },
    };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      httpRequest(options, resolve).on('error', reject).end();
    });
    await cordon.delete(at(short));
    const read = async (): Promise<void> => {
      for await (const _ of response);
    };
    await expect(read()).rejects.toThrow(/aborted/);
  });

  it('tells its usage', async () => {
    const usage = (await cordon.get(at(id, '/usage'))).body;
    expect(usage.cpuMs).toBeGreaterThan(0);
    expect(usage.memoryBytes).toBeGreaterThan(0);
  });

  it('is invisible to others', async () => {
    const theirs = (path: string): Promise<{ status: number }> => cordon.get(path, OTHER_KEY);
    for (const path of ['', '/processes', '/usage', '/audit', '/files?path=a', '/processes/1/events'])
      expect((await theirs(at(id, path))).status, path).toBe(404);
    expect((await cordon.postTo(at(id, '/exec'), { command: ['id'] }, OTHER_KEY)).status).toBe(404);
    expect((await cordon.delete(at(id), OTHER_KEY)).status).toBe(404);
    expect((await cordon.get('/v1/sandboxes', OTHER_KEY)).body).toEqual({ items: [] });
  });

  it.each([
    ['/exec', {}, 422],
    ['/exec', { command: [] }, 422],
    ['/exec', { command: 'ls' }, 422],
    ['/exec', { command: ['a\0b'] }, 422],
    ['/exec', { command: ['ls'], cwd: 5 }, 422],
    ['/exec', { command: ['ls'], nothing: 1 }, 422],
    ['/exec', { command: ['/nowhere'] }, 409],
    ['/exec', { command: ['ls'], cwd: '/nowhere' }, 409],
    ['/exec', '{', 400],
    ['/processes/999999/stdin', { data: 'x' }, 409],
    ['/processes/x/stdin', { data: 'x' }, 404],
    ['/processes/1/signal', { signal: 65 }, 422],
    ['/files/mkdir', { path: '' }, 422],
    ['/files/mkdir', { path: 'a\0' }, 422],
    ['/files/move', { from: 'nothing-there', to: 'b' }, 409],
    ['/extend', { ttlSeconds: 0 }, 422],
  ])('refuses %s %j with %d', async (path, body, status) => {
    const response = await cordon.postTo(at(id, path), body);
    expect(response.status, response.text).toBe(status);
    expect(response.headers['content-type']).toContain('problem+json');
  });

  it('refuses wrong paths and bodies of files', async () => {
    expect((await cordon.get(at(id, '/files'))).status).toBe(422);
    expect((await cordon.get(at(id, '/files?path=a&path=b'))).status).toBe(422);
    expect((await cordon.get(at(id, '/files?path=/work'))).body).toMatchObject({ status: 409, detail: 'EISDIR' });
    expect((await put(id, '/etc/passwd/x', 'x')).body).toMatchObject({ status: 409, detail: 'ENOTDIR' });
    expect((await cordon.get(at(id, '/processes/424242/events'))).status).toBe(404);
    const json = await request(cordon.app.getHttpServer())
      .put(at(id, '/files?path=a'))
      .set('authorization', `Bearer ${KEY}`)
      .send({ a: 1 });
    expect(json.status).toBe(415);
  });
});

describe('the door of a worker', () => {
  it('is not shown, and opens to nobody without its token', async () => {
    expect((await cordon.get('/v1/workers')).text).not.toMatch(/token|link/);
    const redis = connect(cordon.redis.url);
    const [worker] = await new WorkerRegistry(redis).workers();
    redis.disconnect();
    const id = await create();
    for (const authorization of ['', 'Bearer x', `Bearer ${KEY}`]) {
      const response = await fetch(`${worker.link.url}${at(id, '/usage').slice(3)}`, {
        method: 'POST',
        headers: { authorization },
        body: '{}',
      });
      expect(response.status).toBe(401);
    }
  });
});

describe('the end of a sandbox', () => {
  it('comes when it is deleted; what runs is told, what is asked later is 410', async () => {
    const id = await create();
    const stream = events('POST', at(id, '/exec'), { command: ['sleep', '100'] });
    await until(async () => (await running(id)).includes('sleep'));
    expect((await cordon.delete(at(id))).body).toMatchObject({ state: 'ended', endReason: 'deleted' });
    expect(types(await stream)).toEqual(['started', 'lost']);
    for (const [path, body] of [
      ['/exec', { command: ['id'] }],
      ['/extend', { ttlSeconds: 5 }],
    ] as const)
      expect((await cordon.postTo(at(id, path), body)).body).toMatchObject({
        status: 410,
        type: 'urn:cordon:problem:sandbox-ended',
      });
    expect((await cordon.delete(at(id))).status).toBe(410);
    expect((await cordon.get(at(id))).body).toMatchObject({ state: 'ended', endReason: 'deleted' });
  });

  it('keeps what it had used', async () => {
    const id = await create();
    expect((await cordon.get(at(id))).body.usage).toBeNull();
    await sh(id, 'head -c 4000000 /dev/zero > /tmp/big');
    const running: SandboxUsageDto = (await cordon.get(at(id, '/usage'))).body;
    const deleted = (await cordon.delete(at(id))).body as SandboxDto;
    const { body } = await cordon.get(at(id));
    expect(body).toEqual(deleted);
    expect((await cordon.get('/v1/sandboxes')).body.items).toContainEqual(deleted);
    const { usage } = deleted;
    for (const name of ['wallMs', 'cpuMs', 'memoryPeakBytes', 'syscalls'] as const)
      expect(usage?.[name], name).toBeGreaterThanOrEqual(running[name]);
    expect(usage?.memoryPeakBytes).toBeGreaterThan(4_000_000);
    expect((await cordon.get(at(id, '/usage'))).status).toBe(410);
    const short = await create({ ttlSeconds: 1, limits: { cpuTimeMs: 60_000 } });
    await until(async () => (await cordon.get(at(short))).body.state === 'ended');
    const expired = (await cordon.get(at(short))).body as SandboxDto;
    expect(expired).toMatchObject({ endReason: 'expired', usage: { syscalls: expect.any(Number) } });
    expect(expired.usage?.wallMs).toBeGreaterThanOrEqual(900);
  });

  it('comes with its time, which can be extended, and with idleness', async () => {
    const longer = await create({ ttlSeconds: 2 });
    expect((await cordon.postTo(at(longer, '/extend'), { ttlSeconds: 60 })).status).toBe(200);
    const short = await create({ ttlSeconds: 1 });
    const idle = await create({ idleSeconds: 1 });
    const busy = await create({ idleSeconds: 1 });
    const waiting = exec(busy, { command: ['sleep', '2'] });
    await until(async () => (await cordon.get(at(short))).body.endReason === 'expired');
    await until(async () => (await cordon.get(at(idle))).body.endReason === 'idle');
    expect((await waiting).exitCode).toBe(0);
    expect((await sh(longer, 'echo here')).stdout).toBe('here\n');
  });

  it('comes with its worker, and says so at once', async () => {
    const worker = await cordon.startWorker();
    const ids = await Promise.all(Array.from({ length: 12 }, () => create()));
    await cordon.stopWorker(worker, 'SIGKILL');
    const answers = await Promise.all(ids.map((id) => cordon.postTo(at(id, '/exec'), { command: ['/bin/true'] })));
    const lost = answers.filter(({ status }) => status !== 200);
    expect(lost.length).toBeGreaterThan(0);
    expect(lost.length).toBeLessThan(12);
    for (const { body } of lost) expect(body).toMatchObject({ status: 410, detail: expect.stringContaining('worker') });
    for (const [index, { status }] of answers.entries()) {
      const { body } = await cordon.get(at(ids[index]));
      const lostOne = { state: 'ended', endReason: 'worker_lost', usage: null };
      expect(body).toMatchObject(status === 200 ? { state: 'running', usage: null } : lostOne);
    }
  });

  it.each([
    [{ limits: { memoryBytes: 1 } }, '/limits/memoryBytes'],
    [{ ttlSeconds: 'long' }, '/ttlSeconds'],
    [{ network: 'all' }, '/network'],
    [{ env: { 'A=B': 'c' } }, '/env/A=B'],
    [{ image: 'other' }, '/image'],
  ])('a request that asks for %j makes none', async (body, pointer) => {
    const response = await cordon.postTo('/v1/sandboxes', body);
    expect(response.status).toBe(422);
    expect(response.body.errors[0].pointer).toBe(pointer);
  });
});
