import { once } from 'node:events';
import { beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });

interface Message {
  readonly id?: number;
  readonly type: string;
  readonly data: Record<string, unknown>;
}

const connect = (path: string, key = KEY): WebSocket =>
  new WebSocket(`ws://127.0.0.1:${cordon.port}${path}`, { headers: { authorization: `Bearer ${key}` } });

/** A person at a terminal: types, and reads what appears. */
class Client {
  readonly messages: Message[] = [];
  readonly closed: Promise<[number]>;
  private constructor(private readonly socket: WebSocket) {
    socket.on('message', (data) => this.messages.push(JSON.parse(String(data))));
    this.closed = once(socket, 'close') as Promise<[number]>;
  }

  static async open(path: string): Promise<Client> {
    const socket = connect(path);
    const client = new Client(socket);
    await once(socket, 'open');
    return client;
  }

  send(message: unknown): void {
    this.socket.send(Buffer.isBuffer(message) ? message : JSON.stringify(message));
  }

  type(data: string): void {
    this.send({ type: 'stdin', data });
  }

  leave(): void {
    this.socket.terminate();
  }

  get screen(): string {
    return this.messages
      .filter(({ type }) => type === 'stdout')
      .map(({ data }) => Buffer.from(String(data.data), data.encoding as BufferEncoding).toString('utf8'))
      .join('');
  }

  of(type: string): Record<string, unknown> | undefined {
    return this.messages.find((message) => message.type === type)?.data;
  }

  see(text: string | RegExp): Promise<void> {
    return expect.poll(() => this.screen, { timeout: 10_000 }).toMatch(text);
  }
}

let sandbox = '';
const at = (rest: string): string => `/v1/sandboxes/${sandbox}${rest}`;

beforeAll(async () => {
  sandbox = (await cordon.postTo('/v1/sandboxes', {})).body.id;
}, 60_000);

/** The answer to a WebSocket that is refused. */
async function refusal(path: string, key?: string): Promise<{ status: number; body: { type: string } }> {
  const socket = connect(path, key);
  socket.on('error', () => undefined);
  const [, response] = await once(socket, 'unexpected-response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, body: JSON.parse(Buffer.concat(chunks).toString()) };
}

describe('a terminal in a sandbox', () => {
  it('is a shell with job control, of the size that the client has', async () => {
    const client = await Client.open(at('/terminal?rows=30&columns=100'));
    client.type('stty size; tty; echo $TERM\r');
    await client.see(/30 100\r\n\/dev\/pts\/\d+\r\nxterm-256color/);
    client.send({ type: 'resize', rows: 50, columns: 132 });
    client.type('stty size\r');
    await client.see(/50 132\r\n/);
    client.type('sleep 1000\r');
    await client.see(/sleep 1000\r\n/);
    client.send(Buffer.from('\u0003'));
    client.type('echo status $?\r');
    await client.see(/status 130/);
    client.type('exit 5\r');
    await client.closed;
    expect(client.of('exit')).toMatchObject({ exitCode: 5, signal: null });
  });

  it('goes on when the client leaves, and shows the next one what it missed', async () => {
    const first = await Client.open(at('/terminal'));
    await expect.poll(() => first.of('started')).toBeTruthy();
    const process = first.of('started')?.process;
    first.type('remembered=yes; echo one$((1))\r');
    await first.see(/one1/);
    first.leave();
    const seen = Math.max(...first.messages.map(({ id }) => id ?? 0));
    const second = await Client.open(at(`/processes/${process}/attach?from=${seen + 1}`));
    second.type('echo $remembered-two$((2))\r');
    await second.see(/yes-two2/);
    expect(second.screen).not.toContain('one1');
    // Both ways in lead to the same process, and all who look see it end.
    const third = await Client.open(at(`/processes/${process}/attach`));
    await third.see(/one1.*yes-two2/s);
    second.type('\u0004');
    expect((await second.closed)[0]).toBe(1000);
    expect((await third.closed)[0]).toBe(1000);
    expect(third.of('exit')).toMatchObject({ exitCode: 0 });
  });

  it('is what exec gives when asked for one', async () => {
    const { body } = await cordon.postTo(at('/exec'), {
      command: ['/bin/sh', '-c', 'test -t 0 && test -t 1 && stty size; echo err >&2'],
      terminal: { rows: 10, columns: 20 },
    });
    expect(body).toMatchObject({ exitCode: 0, stdout: '10 20\r\nerr\r\n', stderr: '' });
  });

  it('attaches to processes without one: stdin, its end, signals', async () => {
    const command = ['/bin/sh', '-c', 'cat; echo end; trap "echo caught; exit 3" TERM; while :; do sleep 0.1; done'];
    const { body } = await cordon.postTo(at('/exec'), { command, openStdin: true, background: true });
    const client = await Client.open(at(`/processes/${body.process}/attach`));
    client.type('tëxt\n');
    client.send(Buffer.from([0x62, 0x0a]));
    client.send({ type: 'stdin', data: Buffer.from('c\n').toString('base64'), encoding: 'base64' });
    client.send({ type: 'resize', rows: 10, columns: 10 });
    client.send({ type: 'eof' });
    await client.see('tëxt\nb\nc\nend\n');
    expect(client.of('error')).toMatchObject({ detail: expect.stringContaining('ENOTTY') });
    const { items } = (await cordon.get(at('/processes'))).body;
    expect(items).toContainEqual(expect.objectContaining({ process: body.process, command, state: 'running' }));
    client.send({ type: 'signal', signal: 'SIGTERM' });
    await client.closed;
    expect(client.of('exit')).toMatchObject({ exitCode: 3 });
    expect(client.screen.endsWith('caught\n')).toBe(true);
  });

  it('takes more input than fits anywhere, at the pace of the program', async () => {
    const command = ['/bin/sh', '-c', 'sleep 0.5; cksum; cat /dev/null'];
    const { body } = await cordon.postTo(at('/exec'), { command, openStdin: true, background: true });
    const client = await Client.open(at(`/processes/${body.process}/attach`));
    for (let piece = 0; piece < 40; piece++) client.send(Buffer.alloc(100_000, piece));
    client.send({ type: 'eof' });
    await client.closed;
    expect(client.screen).toMatch(/^\d+ 4000000\n$/);
  });

  it('says what it does not understand, and goes on', async () => {
    const client = await Client.open(at('/terminal'));
    for (const message of [[], 'x', { type: 'dance' }, { type: 'stdin' }, { type: 'resize', rows: 0, columns: 1e9 }])
      client.send(message);
    client.send({ type: 'signal', signal: 'SIGNOTHING' });
    await expect.poll(() => client.messages.filter(({ type }) => type === 'error').length).toBe(6);
    client.type('exit\r');
    await client.closed;
  });

  it('is refused before the upgrade, as requests are', async () => {
    expect(await refusal(at('/terminal'), 'wrong')).toMatchObject({ status: 401 });
    expect(await refusal(at('/terminal'), OTHER_KEY)).toMatchObject({ status: 404 });
    expect(await refusal(at('/terminal?rows=0'))).toMatchObject({
      status: 422,
      body: { errors: [{ pointer: '?rows' }] },
    });
    expect(await refusal(at('/terminal?user=nobody'))).toMatchObject({ status: 422 });
    expect(await refusal(at('/terminal?cwd=/nowhere'))).toMatchObject({ status: 409 });
    expect(await refusal(at('/processes/4000000/attach'))).toMatchObject({ status: 404 });
    expect(await refusal(at('/processes/1/attach?from=-1'))).toMatchObject({ status: 422 });
    expect((await cordon.get(at('/terminal'))).status).toBe(426);
    const gone = (await cordon.postTo('/v1/sandboxes', {})).body.id;
    await cordon.delete(`/v1/sandboxes/${gone}`);
    expect(await refusal(`/v1/sandboxes/${gone}/terminal`)).toMatchObject({ status: 410 });
  });

  it('ends with its sandbox, which its client is told', async () => {
    const short = (await cordon.postTo('/v1/sandboxes', {})).body.id;
    const client = await Client.open(`/v1/sandboxes/${short}/terminal`);
    await expect.poll(() => client.of('started')).toBeTruthy();
    await cordon.delete(`/v1/sandboxes/${short}`);
    await client.closed;
    expect(client.of('lost')).toBeTruthy();
  });
});
