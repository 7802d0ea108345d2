import request from 'supertest';
import { beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { KEY, useDeployment } from '../e2e/harness.js';

const deployment = useDeployment({ workers: 1 });
const EXECD = 44_772;
const server = () => request(deployment.app.getHttpServer());

let execd = '';
let headers: Record<string, string> = {};

beforeAll(async () => {
  const at = '/compat/opensandbox/v1/sandboxes';
  const made = await server()
    .post(at)
    .set('OPEN-SANDBOX-API-KEY', KEY)
    .send({ image: { uri: 'ubuntu' }, entrypoint: ['tail', '-f', '/dev/null'], resourceLimits: { memory: '256Mi' } });
  const { body } = await server().get(`${at}/${made.body.id}/endpoints/${EXECD}`).set('OPEN-SANDBOX-API-KEY', KEY);
  execd = body.endpoint.slice(body.endpoint.indexOf('/'));
  headers = body.headers;
});

const ask = (method: 'get' | 'post' | 'delete', path: string) =>
  server()
    [method](execd + path)
    .set(headers);
async function session(body: object = {}): Promise<string> {
  const made = await ask('post', '/pty').send(body);
  expect(made.status, made.text).toBe(201);
  return made.body.session_id;
}

/** A client as execd's are: binary messages whose first byte tells what they are, and JSON. */
class Client {
  readonly frames: Record<string, unknown>[] = [];
  readonly replays: { offset: number; text: string }[] = [];
  readonly output: Record<1 | 2, string> = { 1: '', 2: '' };
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly refused: Promise<{ status: number | undefined; text: string }>;
  private readonly socket: WebSocket;

  constructor(name: string, query = '', more: Record<string, string> = headers) {
    const url = `ws://127.0.0.1:${deployment.port}${execd}/pty/${name}/ws${query}`;
    this.socket = new WebSocket(url, { headers: more });
    this.socket.on('error', () => undefined);
    this.socket.on('message', (data: Buffer, isBinary) => {
      if (!isBinary) this.frames.push(JSON.parse(String(data)));
      else if (data[0] === 3)
        this.replays.push({ offset: Number(data.readBigUInt64BE(1)), text: data.subarray(9).toString() });
      else this.output[data[0] as 1 | 2] += data.subarray(1).toString();
    });
    this.closed = new Promise((resolve) =>
      this.socket.once('close', (code, reason) => resolve({ code, reason: String(reason) })),
    );
    this.refused = new Promise((resolve) =>
      this.socket.once('unexpected-response', (_request, response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode, text }));
      }),
    );
  }

  type(text: string): void {
    this.socket.send(Buffer.concat([Buffer.of(0), Buffer.from(text)]));
  }
  tell(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }
  async says(text: string, stream: 1 | 2 = 1): Promise<void> {
    await expect.poll(() => this.output[stream], { timeout: 20_000 }).toContain(text);
  }
  async hears(frame: object): Promise<void> {
    await expect.poll(() => this.frames, { timeout: 20_000 }).toContainEqual(frame);
  }
  leave(): Promise<unknown> {
    this.socket.close();
    return this.closed;
  }
}

describe('OpenSandbox: terminals', () => {
  it('a shell of its own, on a terminal that has a size; it ends with its status', async () => {
    const name = await session({ cwd: '/tmp' });
    expect((await ask('get', `/pty/${name}`)).body).toEqual({ session_id: name, running: false, output_offset: 0 });
    const client = new Client(name);
    await client.hears({ type: 'connected', session_id: name, mode: 'pty' });
    client.tell({ type: 'resize', rows: 41, cols: 123 });
    client.type('tty; pwd; id -u; stty size\n');
    await client.says('/tmp\r\n0\r\n41 123\r\n');
    expect(client.output[1]).toContain('/dev/pts/');
    client.tell({ type: 'stdin', data: 'echo plain $((6*7))\n' });
    await client.says('plain 42');
    client.tell({ type: 'ping' });
    await client.hears({ type: 'pong' });
    client.tell({ type: 'nothing' });
    await client.hears({ type: 'error', code: 'INVALID_FRAME', error: 'unknown frame type "nothing"' });
    client.tell('no JSON');
    client.type('exit 3\n');
    await client.hears({ type: 'exit', exit_code: 3 });
    expect(await client.closed).toEqual({ code: 1000, reason: 'process exited' });
    expect((await ask('get', `/pty/${name}`)).body.running).toBe(false);
  });

  it('goes on without its client, and tells what was missed', async () => {
    const name = await session();
    const first = new Client(name);
    await first.hears({ type: 'connected', session_id: name, mode: 'pty' });
    first.type('kept=yes; echo first-$((1+1))\n');
    await first.says('first-2');
    await first.leave();
    const { running, output_offset } = (await ask('get', `/pty/${name}`)).body;
    expect(running).toBe(true);
    expect(output_offset).toBeGreaterThan(0);
    const second = new Client(name, `?since=${output_offset - 3}`);
    await second.hears({ type: 'connected', session_id: name, mode: 'pty' });
    expect(second.replays.map(({ offset }) => offset)).toEqual([output_offset - 3]);
    expect(second.replays[0].text.length).toBe(3);
    second.type('echo $kept-$((2+2))\n');
    await second.says('yes-4');
    await second.leave();
    const third = new Client(name);
    await third.hears({ type: 'connected', session_id: name, mode: 'pty' });
    expect(third.replays[0].offset).toBe(0);
    expect(third.replays[0].text).toContain('first-2');
    await third.leave();
  });

  it('one client at a time, unless another takes over', async () => {
    const name = await session();
    const first = new Client(name);
    await first.hears({ type: 'connected', session_id: name, mode: 'pty' });
    const refused = await new Client(name).refused;
    expect([refused.status, JSON.parse(refused.text).code]).toEqual([409, 'ALREADY_CONNECTED']);
    const second = new Client(name, '?takeover=1');
    await second.hears({ type: 'connected', session_id: name, mode: 'pty' });
    expect(await first.closed).toEqual({ code: 4001, reason: 'TAKEN_OVER' });
    second.type('echo still-$((3+3))\n');
    await second.says('still-6');
    await second.leave();
  });

  it('on pipes when it is asked for, with both streams apart', async () => {
    const name = await session({ command: 'read line; echo "out $line"; echo err >&2; kill -9 $$' });
    const client = new Client(name, '?pty=0');
    await client.hears({ type: 'connected', session_id: name, mode: 'pipe' });
    client.type('typed\n');
    await client.hears({ type: 'exit', exit_code: -1 });
    expect(client.output).toEqual({ 1: 'out typed\n', 2: 'err\n' });
  });

  it('counts output that is not kept any more', async () => {
    const name = await session({ command: 'seq -w 1 400000; cat' });
    const first = new Client(name, '?pty=0');
    await first.says('400000\n');
    await first.leave();
    const bytes = 400_000 * 7;
    expect((await ask('get', `/pty/${name}`)).body).toMatchObject({ running: true, output_offset: bytes });
    const second = new Client(name, '?pty=0');
    await second.hears({ type: 'connected', session_id: name, mode: 'pipe' });
    const [{ offset, text }] = second.replays;
    expect(offset).toBeGreaterThan(0);
    expect(offset + text.length).toBe(bytes);
    await second.leave();
  });

  it('is ended and forgotten by DELETE', async () => {
    const name = await session();
    const client = new Client(name);
    await client.hears({ type: 'connected', session_id: name, mode: 'pty' });
    expect((await ask('delete', `/pty/${name}`)).status).toBe(200);
    await client.hears({ type: 'exit', exit_code: -1 });
    for (const method of ['get', 'delete'] as const)
      expect((await ask(method, `/pty/${name}`)).body).toMatchObject({ code: 'CONTEXT_NOT_FOUND' });
  });

  it('refuses before the upgrade, in its own shape', async () => {
    const none = await new Client('none').refused;
    expect([none.status, JSON.parse(none.text).code]).toEqual([404, 'CONTEXT_NOT_FOUND']);
    const stranger = await new Client(await session(), '', {}).refused;
    expect([stranger.status, JSON.parse(stranger.text).code]).toEqual([401, 'UNAUTHORIZED']);
    for (const body of [{ command: 7 }, { command: 'a\0' }, { cwd: 7 }, []])
      expect((await ask('post', '/pty').send(body)).status, JSON.stringify(body)).toBe(400);
  });
});
