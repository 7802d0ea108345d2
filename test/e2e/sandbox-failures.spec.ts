import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { connect as dial } from 'node:net';
import type { SandboxDto } from '@cordon/contracts';
import { connect, WorkerRegistry } from '@cordon/queue';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });
const at = (id: string, rest = ''): string => `/v1/sandboxes/${id}${rest}`;

async function create(body: object = {}): Promise<string> {
  const response = await cordon.postTo('/v1/sandboxes', body);
  expect(response.status, response.text).toBe(201);
  return (response.body as SandboxDto).id;
}

async function exec(id: string, command: string[], more: object = {}): Promise<{ stdout: string; process: number }> {
  const response = await cordon.postTo(at(id, '/exec'), { command, ...more });
  expect([200, 202], response.text).toContain(response.status);
  return response.body;
}

/** A WebSocket server of the plainest kind: it agrees, says "up", and listens. A second connection has it end in the middle of a frame. */
const SERVER = `
import base64, hashlib, socket, sys, threading, time
listener = socket.create_server(('127.0.0.1', 8000))
print('ready', flush=True)
def serve(one):
    head = b''
    while b'\\r\\n\\r\\n' not in head: head += one.recv(1)
    key = [line.split(b': ')[1] for line in head.split(b'\\r\\n') if line.lower().startswith(b'sec-websocket-key')][0]
    accept = base64.b64encode(hashlib.sha1(key + b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest())
    one.sendall(b'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + b'\\r\\n\\r\\n')
    one.sendall(b'\\x81\\x02up')
    if b'/half' in head: one.sendall(b'\\x81\\x09half'); one.close()
    elif b'/gone' in head: one.close()
    elif b'/long' in head: one.sendall(b'\\x82\\x7e\\x01\\x00' + bytes(256) + b'\\x82\\x7f' + (70000).to_bytes(8, 'big') + bytes(70000)); one.close()
    elif b'/bye' in head: one.sendall(b'\\x88\\x05\\x0f\\xa1bye'); one.recv(100); one.close()
    else: one.recv(100)
while True: threading.Thread(target=serve, args=(listener.accept()[0],)).start()
`;

async function serveIn(id: string): Promise<void> {
  const { process } = await exec(id, ['python3', '-uc', SERVER], { background: true });
  for await (const text of (await events(id, process)) ?? []) if (text.includes('ready')) return;
}

async function events(id: string, process: number): Promise<AsyncIterable<string> | undefined> {
  const response = await fetch(`http://127.0.0.1:${cordon.port}${at(id, `/processes/${process}/events`)}`, {
    headers: { authorization: `Bearer ${KEY}` },
  });
  return response.body?.pipeThrough(new TextDecoderStream()) as AsyncIterable<string> | undefined;
}

/** The events of a command as they come. */
async function streamOf(id: string, command: string[]): Promise<AsyncIterator<string>> {
  const response = await fetch(`http://127.0.0.1:${cordon.port}${at(id, '/exec')}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', accept: 'text/event-stream' },
    body: JSON.stringify({ command }),
  });
  if (!response.body) throw new Error(`no body: ${response.status}`);
  return response.body.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]() as AsyncIterator<string>;
}

class Client {
  readonly messages: string[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  private constructor(readonly socket: WebSocket) {
    socket.on('message', (data) => this.messages.push(String(data)));
    socket.on('error', () => undefined);
    this.closed = once(socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }));
  }

  static async open(path: string): Promise<Client> {
    const headers = { authorization: `Bearer ${KEY}` };
    const client = new Client(new WebSocket(`ws://127.0.0.1:${cordon.port}${path}`, { headers }));
    await once(client.socket, 'open');
    return client;
  }

  sees(text: string): Promise<void> {
    return expect.poll(() => this.messages.join(''), { timeout: 10_000 }).toContain(text);
  }
}

/** Processes below one, all the way down: the zygote, Sentries, stubs. */
function descendants(pid: number): number[] {
  try {
    const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
    );
    return children.flatMap((child) => [child, ...descendants(child)]);
  } catch {
    // It went while it was looked at.
    return [];
  }
}

const below = ({ pid }: ChildProcess): number[] => descendants(pid ?? 0);
const worker = (): ChildProcess => [...cordon.workers][0];

describe('a worker that is killed', () => {
  it('tells those at its terminals and servers, leaves no process, and its sandboxes are lost', async () => {
    const id = await create();
    await serveIn(id);
    const terminal = await Client.open(at(id, '/terminal'));
    terminal.socket.send(JSON.stringify({ type: 'stdin', data: 'echo $((40+2))\r' }));
    await terminal.sees('42');
    const server = await Client.open(at(id, '/ports/8000/'));
    await server.sees('up');
    const running = exec(id, ['sleep', '1000']).catch((error: Error) => error.message);
    await expect
      .poll(async () => (await cordon.get(at(id, '/processes'))).body.items.map(({ name }: { name: string }) => name))
      .toContain('sleep');
    const streamed = streamOf(id, ['sleep', '1000']);
    const processes = below(worker());
    expect(processes.length).toBeGreaterThan(3);
    expect(await (await streamed).next()).toMatchObject({ value: expect.stringContaining('started') });
    await cordon.stopWorker(worker(), 'SIGKILL');
    expect(await terminal.closed).toEqual({ code: 1011, reason: 'the connection to its worker broke' });
    expect(await server.closed).toEqual({ code: 1014, reason: 'the server in the sandbox is gone' });
    expect(await running).toMatch(/sandbox-ended|unavailable/);
    // An end without the process's own must not look like one.
    await expect((await streamed).next()).rejects.toThrow();
    await expect.poll(() => processes.filter((pid) => existsSync(`/proc/${pid}`)), { timeout: 10_000 }).toEqual([]);
    const lost = { status: 410, detail: 'the worker that kept it was lost, and what was in it' };
    expect((await cordon.postTo(at(id, '/exec'), { command: ['true'] })).body).toMatchObject(lost);
    expect((await cordon.get(at(id, '/ports/8000/'))).body).toMatchObject(lost);
    expect((await cordon.get(at(id))).body).toMatchObject({ state: 'ended', endReason: 'worker_lost', usage: null });
    const refused = new WebSocket(`ws://127.0.0.1:${cordon.port}${at(id, '/terminal')}`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    refused.on('error', () => undefined);
    expect((await once(refused, 'unexpected-response'))[1].statusCode).toBe(410);
    await cordon.startWorker();
  }, 60_000);
});

describe('a WebSocket server that goes', () => {
  it.each([
    ['without a word', '/gone', 1014],
    ['in the middle of a frame', '/half', 1006],
    ['after frames of all lengths', '/long', 1014],
    ['with a close of its own', '/bye', 4001],
  ])('%s', async (_how, path, code) => {
    const id = await create();
    await serveIn(id);
    const client = await Client.open(at(id, `/ports/8000${path}`));
    expect(await client.closed).toMatchObject({ code });
    expect(client.messages[0]).toBe('up');
    await cordon.delete(at(id));
  });

  it('with its sandbox', async () => {
    const id = await create();
    await serveIn(id);
    const client = await Client.open(at(id, '/ports/8000/'));
    await client.sees('up');
    await cordon.delete(at(id));
    expect(await client.closed).toMatchObject({ code: 1014 });
  });
});

/** Processor time of processes, and how often they were given a processor. */
function activity(processes: readonly number[]): { ticks: number; switches: number } {
  const sum = { ticks: 0, switches: 0 };
  for (const pid of processes) {
    // utime and stime, proc_pid_stat(5); the name before them may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    sum.ticks += Number(fields[11]) + Number(fields[12]);
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const status = readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8');
      for (const [, count] of status.matchAll(/ctxt_switches:\s+(\d+)/g)) sum.switches += Number(count);
    }
  }
  return sum;
}

describe('sandboxes where nothing happens', () => {
  it('50 of them take no processor time while another one works', async () => {
    const busy = await create();
    await exec(busy, ['/bin/true']);
    const before = new Set(below(worker()));
    const ids: string[] = [];
    for (let count = 0; count < 50; count++) {
      const id = await create();
      ids.push(id);
      // A shell that waits for input.
      await exec(id, ['/bin/sh'], { background: true, openStdin: true });
    }
    const idle = below(worker()).filter((pid) => !before.has(pid) && existsSync(`/proc/${pid}`));
    // The first was a spare before.
    expect(idle.length).toBeGreaterThanOrEqual(98);
    const others = (): number[] => below(worker()).filter((pid) => !idle.includes(pid) && existsSync(`/proc/${pid}`));
    const used = async (): Promise<number> => (await cordon.get(at(busy, '/usage'))).body.cpuMs;
    const work = (): Promise<unknown> => exec(busy, ['python3', '-c', 'sum(i * i for i in range(1_000_000))']);
    // What Sentries that have just begun still have to do they do; then there is nothing.
    let now = activity(idle);
    for (let last = -1; last !== now.ticks; ) {
      last = now.ticks;
      await work();
      now = activity(idle);
    }
    const begin = { used: await used(), others: activity(others()).switches };
    while ((await used()) < begin.used + 1000) await work();
    const after = activity(idle);
    // Clocks of limits are looked at now and then: less than a tick for all of them together, and another if that is how it falls.
    expect(after.ticks - now.ticks).toBeLessThanOrEqual(2);
    expect(after.switches - now.switches).toBeLessThan(activity(others()).switches - begin.others);
    await Promise.all([...ids, busy].map((id) => cordon.delete(at(id))));
  }, 120_000);
});

describe('a sandbox whose time is over', () => {
  const apart = useDeployment({ workers: 1 });

  it('leaves no process on the host', async () => {
    const count = (): number => below([...apart.workers][0]).length;
    // A zygote and a spare that waits; nothing else was ever here.
    let base = -1;
    await expect
      .poll(
        () => {
          const known = base;
          base = count();
          return base > 1 && base === known;
        },
        { timeout: 20_000, interval: 500 },
      )
      .toBe(true);
    const made: string[] = [];
    for (let index = 0; index < 3; index++) {
      const { body } = await apart.postTo('/v1/sandboxes', { ttlSeconds: 3 });
      made.push(body.id);
      await apart.postTo(at(body.id, '/exec'), { command: ['sleep', '1000'], background: true });
    }
    // A Sentry and what holds its guest, at least.
    expect(count()).toBeGreaterThanOrEqual(base + 6);
    for (const id of made)
      await expect.poll(async () => (await apart.get(at(id))).body.endReason, { timeout: 20_000 }).toBe('expired');
    await expect.poll(count, { timeout: 20_000 }).toBe(base);
  }, 60_000);
});

/** As an API that goes as soon as it has asked. */
async function askAndLeave(path: string, body: object): Promise<void> {
  const redis = connect(cordon.redis.url);
  const [{ link }] = await new WorkerRegistry(redis).workers();
  redis.disconnect();
  const { hostname, port } = new URL(link.url);
  const text = JSON.stringify(body);
  const socket = dial(Number(port), hostname);
  const head = `POST ${path} HTTP/1.1\r\nHost: worker\r\nAuthorization: Bearer ${link.token}\r\nContent-Length: ${text.length}\r\n\r\n`;
  await new Promise((written) => socket.write(head + text, written));
  socket.destroy();
  await once(socket, 'close');
}

describe('whoever leaves while a request is under way', () => {
  it('leaves no command, no watch and no use behind', async () => {
    const id = await create({ idleSeconds: 10 });
    const start = { argv: ['/bin/sleep', '1000'], env: {}, cwd: '/work', root: false, stdin: false, terminal: false };
    for (let turn = 0; turn < 8; turn++) {
      await askAndLeave(`/sandboxes/${id}/start`, { ...start, timeoutMs: null, background: false });
      await askAndLeave(`/sandboxes/${id}/watch`, { path: '/work', recursive: false, root: false });
    }
    const left = async (): Promise<unknown> => (await cordon.get(at(id, '/processes'))).body.items;
    await expect.poll(left, { timeout: 20_000 }).toEqual([]);
    const state = async (): Promise<unknown> => (await cordon.get(at(id))).body;
    await expect.poll(state, { timeout: 30_000 }).toMatchObject({ state: 'ended', endReason: 'idle' });
  }, 90_000);
});
