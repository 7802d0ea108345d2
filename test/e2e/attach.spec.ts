import { once } from 'node:events';
import type { ExecutionDto } from '@cordon/contracts';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Deployment, KEY, OTHER_KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });

interface Message {
  readonly type: string;
  readonly data: Record<string, unknown>;
}

/** A client at an execution: sends, and collects what comes. */
class Client {
  readonly messages: Message[] = [];
  readonly closed: Promise<unknown>;
  private constructor(private readonly socket: WebSocket) {
    socket.on('message', (data) => this.messages.push(JSON.parse(String(data))));
    this.closed = once(socket, 'close');
  }

  static async open(id: string): Promise<Client> {
    const socket = connect(id);
    const client = new Client(socket);
    await once(socket, 'open');
    return client;
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  leave(): void {
    this.socket.terminate();
  }

  get stdout(): string {
    return this.messages.flatMap(({ type, data }) => (type === 'stdout' ? [data.data] : [])).join('');
  }

  get result(): Record<string, unknown> | undefined {
    return this.messages.find(({ type }) => type === 'result')?.data;
  }
}

const connect = (id: string, key = KEY): WebSocket =>
  new WebSocket(`ws://127.0.0.1:${cordon.port}/v1/executions/${id}/attach`, {
    headers: { authorization: `Bearer ${key}` },
  });

async function start(script: string, more: object = {}): Promise<string> {
  const { body } = await cordon.post({ command: ['/bin/sh', '-c', script], interactive: true, ...more });
  return (body as ExecutionDto).id;
}

describe('attach', () => {
  it('feeds stdin, in order, whenever it comes, and ends it', async () => {
    const id = await start('cat; echo over', { stdin: 'zero\n' });
    const client = await Client.open(id);
    client.send({ type: 'stdin', data: 'one\n' });
    client.send({ type: 'stdin', data: Buffer.from('two\n').toString('base64'), encoding: 'base64' });
    await expect.poll(() => client.stdout, { timeout: 10_000 }).toBe('zero\none\ntwo\n');
    client.send({ type: 'stdin', data: 'three\n' });
    client.send({ type: 'eof' });
    await client.closed;
    expect(client.result).toMatchObject({ state: 'succeeded', stdout: 'zero\none\ntwo\nthree\nover\n' });
  });

  it('sends signals', async () => {
    const id = await start('trap "echo caught; exit 7" INT; echo ready; while :; do sleep 0.1; done');
    const client = await Client.open(id);
    await expect.poll(() => client.stdout, { timeout: 10_000 }).toBe('ready\n');
    client.send({ type: 'signal', signal: 'SIGINT' });
    await client.closed;
    expect(client.result).toMatchObject({ exitCode: 7, stdout: 'ready\ncaught\n' });
  });

  it('says what it does not understand, and goes on', async () => {
    const client = await Client.open(await start('cat'));
    for (const wrong of ['{', '3', '{}', { type: 'stdin' }, { type: 'signal', signal: 'SIGNOTHING' }])
      client.send(wrong);
    await expect.poll(() => client.messages.filter(({ type }) => type === 'error').length, { timeout: 10_000 }).toBe(5);
    client.send({ type: 'eof' });
    await client.closed;
    expect(client.result).toMatchObject({ state: 'succeeded' });
  });

  it('a client that leaves takes nothing with it: another one goes on', async () => {
    const id = await start('cat');
    const first = await Client.open(id);
    first.send({ type: 'stdin', data: 'a' });
    await expect.poll(() => first.stdout, { timeout: 10_000 }).toBe('a');
    first.leave();
    const second = await Client.open(id);
    second.send({ type: 'stdin', data: 'b' });
    second.send({ type: 'eof' });
    await second.closed;
    expect(second.stdout).toBe('ab');
  });

  it.each([
    [401, 'a wrong key', 'wrong'],
    [404, 'another tenant', OTHER_KEY],
  ])('refuses with %i: %s', async (status, _who, key) => {
    const id = await start('true');
    const socket = connect(id, key);
    socket.on('error', () => undefined);
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(status);
    expect(response.headers['content-type']).toBe('application/problem+json');
    response.destroy();
  });

  it('a server that stops lets its clients go and does not wait for them', async () => {
    const other = new Deployment();
    await other.start(0);
    const { body } = await other.post({ command: ['/bin/cat'], interactive: true });
    const url = `ws://127.0.0.1:${other.port}/v1/executions/${body.id}/attach`;
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${KEY}` } });
    await once(socket, 'message');
    const closed = once(socket, 'close');
    await other.stop();
    expect((await closed)[0]).toBe(1001);
  });

  it('what is no WebSocket is told so', async () => {
    const id = await start('true');
    expect((await cordon.get(`/v1/executions/${id}/attach`)).status).toBe(426);
  });
});

describe('a client that does not read', () => {
  it('and goes on with nonsense is cut off', async () => {
    const body = { command: ['/bin/sleep', '200'], interactive: true, limits: { wallTimeMs: 200_000 } };
    const { id } = (await cordon.post(body)).body as ExecutionDto;
    const socket = connect(id);
    await once(socket, 'open');
    // Cut off with what it has not read: its own writing may fail first.
    socket.on('error', () => undefined);
    let over = false;
    socket.once('close', () => {
      over = true;
    });
    socket.pause();
    // What the host's sockets hold, and what the API would keep, is less than this.
    for (let sent = 0; sent < 1_000_000 && !over; sent += 500) {
      for (let turn = 0; turn < 500; turn++) socket.send('?');
      await new Promise((resolve) => socket.send('?', resolve));
    }
    socket.resume();
    await expect.poll(() => over, { timeout: 20_000 }).toBe(true);
    expect((await cordon.delete(`/v1/executions/${id}`)).body).toMatchObject({ state: 'canceled' });
  }, 120_000);
});
