import { spawnSync } from 'node:child_process';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Cordon, CordonError, type ExecutionEvent, outputBytes } from '@cordon/client';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';

const deployment = useDeployment({ workers: 1 });
const sh = (script: string) => ({ command: ['/bin/sh', '-c', script] });
let cordon: Cordon;
const proxies: Server[] = [];

beforeAll(() => {
  cordon = new Cordon({ url: `http://127.0.0.1:${deployment.port}/`, apiKey: KEY });
});
afterEach(() => {
  for (const proxy of proxies.splice(0)) proxy.close().closeAllConnections();
});

async function collect<T>(all: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const one of all) list.push(one);
  return list;
}

type Relay = (request: IncomingMessage, response: ServerResponse, pass: () => void) => void;

/** The server behind something that breaks: `relay` passes a request on, or does not. */
async function behind(relay: Relay): Promise<Cordon> {
  const proxy = createServer((request, response) => {
    const pass = (): void => {
      const { method, url: path, headers } = request;
      const onward = httpRequest({ host: '127.0.0.1', port: deployment.port, method, path, headers }, (answer) => {
        if (!response.headersSent) response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      response.on('close', () => onward.destroy());
      request.pipe(onward);
    };
    relay(request, response, pass);
  });
  proxies.push(proxy);
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return new Cordon({ url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, apiKey: KEY, retryMs: 10 });
}

describe('the client', () => {
  it('runs a program to its end', async () => {
    const result = await cordon.executions.run({ ...sh('cat; exit 3'), stdin: 'hello' });
    expect(result).toMatchObject({ state: 'failed', exitCode: 3, stdout: 'hello' });
    expect(await cordon.executions.get(result.id)).toEqual(result);
  });

  it('tells what is wrong', async () => {
    const error = await cordon.executions.create({ command: [] }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CordonError);
    expect(error).toMatchObject({ status: 422, type: 'urn:cordon:problem:invalid-request' });
    expect((error as CordonError).problem.errors?.[0].pointer).toBe('/command');
    const stranger = new Cordon({ url: `http://127.0.0.1:${deployment.port}`, apiKey: 'wrong' });
    await expect(stranger.usage()).rejects.toMatchObject({ status: 401 });
  });

  it('events come live, in order, to the result', async () => {
    const { id } = await cordon.executions.create(sh('echo one; sleep 0.5; printf "\\377" >&2; sleep 0.2; echo two'));
    const seen: ExecutionEvent[] = [];
    for await (const event of cordon.executions.events(id)) seen.push(event);
    const output = seen.flatMap((event) => (event.type === 'stdout' ? [event.data.data] : []));
    expect(output.join('')).toBe('one\ntwo\n');
    const error = seen.find((event) => event.type === 'stderr');
    expect(error?.type === 'stderr' && outputBytes(error.data)).toEqual(new Uint8Array([255]));
    expect(seen.at(-1)).toMatchObject({ type: 'result', data: { state: 'succeeded' } });
    const last = seen.at(-1)?.id ?? '';
    for await (const event of cordon.executions.events(id, { after: last })) throw new Error(`came again: ${event.id}`);
  });

  it('events survive connections that break: each once', async () => {
    let cuts = 0;
    const broken = await behind((request, response, pass) => {
      if (request.url?.endsWith('/events') && cuts++ < 4) setTimeout(() => response.destroy(), 150);
      pass();
    });
    const { id } = await broken.executions.create(sh('for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done'));
    let output = '';
    const ids: string[] = [];
    for await (const event of broken.executions.events(id)) {
      ids.push(event.id);
      if (event.type === 'stdout') output += event.data.data;
    }
    expect(cuts).toBeGreaterThan(2);
    expect(output).toBe('1\n2\n3\n4\n5\n6\n7\n8\n');
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('a request whose answer was lost is repeated and runs once', async () => {
    let posts = 0;
    const lossy = await behind((request, response, pass) => {
      // The server gets it; the client does not hear of it.
      if (request.method === 'POST' && posts++ < 2) setTimeout(() => response.destroy(), 300);
      if (request.method === 'POST' && posts <= 2) response.writeHead = () => response;
      if (request.method === 'POST' && posts <= 2) response.write = () => true;
      if (request.method === 'POST' && posts <= 2) response.end = () => response;
      pass();
    });
    const labels = { test: 'lost-answer' };
    await lossy.executions.run({ ...sh('true'), labels });
    expect(posts).toBe(3);
    const all = await collect(cordon.executions.list({ labels }));
    expect(all).toHaveLength(1);
  });

  it('waits as long as a busy server asks', async () => {
    let refused = 0;
    const busy = await behind((_request, response, pass) => {
      if (refused++ > 0) return pass();
      response.writeHead(503, { 'retry-after': '1' }).end('<html>busy</html>');
    });
    const start = performance.now();
    expect(await busy.runtimes()).not.toHaveLength(0);
    expect(performance.now() - start).toBeGreaterThan(950);
  });

  it('gives up when it is told to', async () => {
    const { id } = await cordon.executions.create(sh('sleep 30'));
    const controller = new AbortController();
    const waiting = cordon.executions.wait(id, { signal: controller.signal });
    setTimeout(() => controller.abort(), 100);
    await expect(waiting).rejects.toThrow(/abort/i);
    expect(await cordon.executions.cancel(id)).toMatchObject({ state: 'canceled' });
  });

  it('lists page by page, and its system calls', async () => {
    const labels = { test: 'list' };
    for (let index = 0; index < 5; index++) {
      await cordon.executions.run({ ...sh('cat /etc/hostname'), labels, audit: { level: 'full' } });
    }
    const all = await collect(cordon.executions.list({ labels, pageSize: 2 }));
    expect(all).toHaveLength(5);
    const calls = await collect(cordon.executions.audit(all[0].id, { syscalls: ['execve'] }));
    expect(calls.length).toBeGreaterThan(0);
    expect(calls.every(({ name }) => name === 'execve')).toBe(true);
  });

  it('keys: made, used, listed, revoked', async () => {
    const made = await cordon.keys.create({ name: 'sdk', scopes: ['run'], limits: { executionsPerDay: 1 } });
    const theirs = new Cordon({ url: `http://127.0.0.1:${deployment.port}`, apiKey: made.key, retries: 0 });
    await theirs.executions.run(sh('true'));
    expect(await theirs.usage()).toMatchObject({ executions: 1, limits: { executionsPerDay: 1 } });
    await expect(theirs.executions.create(sh('true'))).rejects.toMatchObject({
      type: 'urn:cordon:problem:quota-exceeded',
    });
    expect((await collect(cordon.keys.list())).map(({ id }) => id)).toContain(made.id);
    await cordon.keys.revoke(made.id);
    await expect(theirs.usage()).rejects.toMatchObject({ status: 401 });
    const other = new Cordon({ url: `http://127.0.0.1:${deployment.port}`, apiKey: OTHER_KEY });
    expect(await collect(other.executions.list())).toEqual([]);
  });

  it('sandboxes: commands, their events, files, and what they did', async () => {
    const sandbox = await cordon.sandboxes.create({ audit: { level: 'full' }, labels: { test: 'sdk' } });
    expect(await sandbox.info()).toMatchObject({ id: sandbox.id, state: 'running', labels: { test: 'sdk' } });
    expect((await cordon.sandboxes.list()).map(({ id }) => id)).toContain(sandbox.id);
    expect(await sandbox.exec({ command: ['cat'], stdin: 'given' })).toMatchObject({ exitCode: 0, stdout: 'given' });
    const bytes = new Uint8Array([0, 255, 10]);
    expect(await sandbox.files.write('dir/file', bytes, { mode: 0o755 })).toEqual({ bytes: 3 });
    expect(await sandbox.files.read('dir/file')).toEqual(bytes);
    expect(await sandbox.files.stat('dir/file')).toMatchObject({ size: 3, mode: 0o755 });
    await sandbox.files.mkdir('dir/sub');
    await sandbox.files.move('dir/file', 'dir/sub/file');
    expect((await sandbox.files.list('dir')).map(({ name }) => name)).toEqual(['sub']);
    await expect(sandbox.files.remove('dir')).rejects.toMatchObject({ status: 409 });
    await sandbox.files.remove('dir', { recursive: true });
    const live = await collect(sandbox.stream(sh('echo one; echo two >&2')));
    expect(live.map(({ type }) => type)).toEqual(['started', 'stdout', 'stderr', 'exit']);
    for await (const { type } of sandbox.stream(sh('echo begun; sleep 93'))) if (type === 'stdout') break;
    const gone = async (): Promise<boolean> => !(await sandbox.processes()).some(({ name }) => name === 'sleep');
    for (const end = Date.now() + 5_000; !(await gone()); ) expect(Date.now()).toBeLessThan(end);
    const { process } = await sandbox.start({ ...sh('read x; echo "<$x>"; sleep 94'), openStdin: true });
    await sandbox.stdin(process, 'in\n', { end: true });
    let output = '';
    for await (const event of sandbox.events(process)) {
      if (event.type !== 'stdout') continue;
      output += event.data;
      await sandbox.signal(process, 15);
    }
    expect(output).toBe('<in>\n');
    expect((await collect(sandbox.audit({ syscalls: ['execve'] }))).every(({ name }) => name === 'execve')).toBe(true);
    const named = await collect(sandbox.audit({ comm: ['sh', 'none'] }));
    expect(new Set(named.map(({ comm }) => comm))).toEqual(new Set(['sh']));
    expect((await sandbox.usage()).syscalls).toBeGreaterThan(0);
    expect(await cordon.sandboxes.at(sandbox.id).delete()).toMatchObject({ state: 'ended' });
    await expect(sandbox.exec(sh('true'))).rejects.toMatchObject({ status: 410 });
  });

  it('code contexts keep their variables; runs come whole, and live', async () => {
    const sandbox = await cordon.sandboxes.create();
    const { id } = await sandbox.contexts.create({ language: 'python' });
    await sandbox.contexts.run(id, { code: 'x = 6' });
    expect((await sandbox.contexts.run(id, { code: 'x * 7' })).results).toEqual([
      { main: true, data: { 'text/plain': '42' } },
    ]);
    const live = await collect(sandbox.contexts.stream(id, { code: 'print("out")\n1/0' }));
    expect(live.map(({ type }) => type).filter((type, at, all) => type !== all[at - 1])).toEqual([
      'stdout',
      'error',
      'end',
    ]);
    for await (const event of sandbox.contexts.stream(id, { code: 'print("loop")\nwhile True: pass' }))
      if (event.type === 'stdout') break;
    expect(await sandbox.contexts.run(id, { code: 'x' })).toMatchObject({ outcome: 'ok' });
    await sandbox.contexts.restart(id);
    expect((await sandbox.contexts.run(id, { code: 'x' })).error?.name).toBe('NameError');
    expect(await sandbox.contexts.list()).toMatchObject([{ id, state: 'idle' }]);
    await sandbox.contexts.delete(id);
    await expect(sandbox.contexts.get(id)).rejects.toMatchObject({ status: 404 });
    await sandbox.delete();
  });

  it('submissions are judged, their tests come live', async () => {
    const tests = [
      { input: '1', expected: '1' },
      { input: '2', expected: '3' },
    ];
    const judged = await cordon.submissions.judge({
      runtime: 'python',
      source: 'print(input())',
      tests,
      labels: { test: 'sdk' },
    });
    expect(judged).toMatchObject({ state: 'succeeded', verdict: 'WA' });
    const events = await collect(cordon.submissions.events(judged.id));
    expect(events.at(-1)).toMatchObject({ type: 'result', data: { verdict: 'WA' } });
    expect(events.filter(({ type }) => type === 'test').length).toBeGreaterThan(0);
    const listed = await collect(cordon.submissions.list({ labels: { test: 'sdk' } }));
    expect(listed.map(({ id }) => id)).toEqual([judged.id]);
  });

  it('its types are those of the document', () => {
    const script = fileURLToPath(new URL('../../scripts/openapi.mjs', import.meta.url));
    const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
  });
});
