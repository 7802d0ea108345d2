import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { KEY, useDeployment } from '../e2e/harness.js';

const cordon = useDeployment({ workers: 1 });

type Message = Record<string, unknown>;

/** A client of /connect: sends, and collects what comes. */
class Client {
  readonly messages: Message[] = [];
  readonly closed: Promise<[number, string]>;

  private constructor(private readonly socket: WebSocket) {
    socket.on('message', (data) => this.messages.push(JSON.parse(String(data))));
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve([code, String(reason)]));
    });
  }

  static async open(path = '/api/v2/connect', authorization: string | null = KEY): Promise<Client> {
    const headers = authorization === null ? {} : { authorization };
    const socket = new WebSocket(`ws://127.0.0.1:${cordon.port}${path}`, { headers });
    const client = new Client(socket);
    await once(socket, 'open');
    return client;
  }

  send(message: Message | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  type(data: string): void {
    this.send({ type: 'data', stream: 'stdin', data });
  }

  leave(): void {
    this.socket.terminate();
  }

  text(stream: string): string {
    return this.messages.flatMap((message) => (message.stream === stream ? [message.data] : [])).join('');
  }

  get exit(): Message | undefined {
    return this.messages.findLast(({ type }) => type === 'exit');
  }
}

const init = (language: string, content: string, more: object = {}) => ({
  type: 'init',
  language,
  version: '*',
  files: [{ content }],
  ...more,
});
const PYTHON = { language: 'python', version: expect.stringMatching(/^3\./) };
/** The file includes itself twice, 20 deep: the preprocessor alone takes seconds. */
const SLOW_TO_COMPILE = `#ifndef N
#define N 0
int main(void) { return 0; }
#endif
#if __INCLUDE_LEVEL__ < 20
#include __FILE__
#include __FILE__
#endif
`;
const DONE = [4999, 'Job Completed'];
const until = (client: Client, stream: string, text: string) =>
  expect.poll(() => client.text(stream), { timeout: 10_000 }).toBe(text);

describe('Piston: WebSocket /connect', () => {
  it.each([
    ['/api/v2/connect', KEY],
    ['/api/v2/piston/connect', `Bearer ${KEY}`],
    ['/compat/piston/api/v2/connect', KEY],
    [`/compat/piston/key/${KEY}/api/v2/connect`, null],
  ])('speaks with a program, at %s', async (path, authorization) => {
    const client = await Client.open(path, authorization);
    client.send(init('py', 'print("you said " + input()); print(input())', { stdin: 'not this\n' }));
    client.type('é\n');
    await until(client, 'stdout', 'you said é\n');
    client.type('more\n');
    expect(await client.closed).toEqual(DONE);
    expect(client.text('stdout')).toBe('you said é\nmore\n');
    expect(client.messages.filter(({ type }) => type !== 'data')).toEqual([
      { type: 'runtime', ...PYTHON },
      { type: 'stage', stage: 'run' },
      { type: 'exit', stage: 'run', code: 0, signal: null },
    ]);
  });

  it('tells the compilation as a stage of its own', async () => {
    const client = await Client.open();
    client.send(
      init('c', '#include <stdio.h>\nint main(void) { char s[9]; puts(fgets(s, 9, stdin)); return 3; }', {
        args: ['x'],
      }),
    );
    client.type('in');
    client.type('put\n');
    expect(await client.closed).toEqual(DONE);
    expect(client.messages).toEqual([
      { type: 'runtime', language: 'c', version: expect.any(String) },
      { type: 'stage', stage: 'compile' },
      { type: 'exit', stage: 'compile', code: 0, signal: null },
      { type: 'stage', stage: 'run' },
      { type: 'data', stream: 'stdout', data: 'input\n\n' },
      { type: 'exit', stage: 'run', code: 3, signal: null },
    ]);
  });

  it('says that a program begins before it says anything itself', async () => {
    const client = await Client.open();
    client.send(init('c', '#include <unistd.h>\nint main(void) { char c; read(0, &c, 1); return c; }'));
    await expect.poll(() => client.messages.at(-1), { timeout: 10_000 }).toEqual({ type: 'stage', stage: 'run' });
    client.type('\x05');
    expect(await client.closed).toEqual(DONE);
    expect(client.exit).toMatchObject({ stage: 'run', code: 5 });
  });

  it('runs nothing that does not compile', async () => {
    const client = await Client.open();
    client.send(init('c', 'int main( {'));
    expect(await client.closed).toEqual(DONE);
    expect(client.text('stderr')).toContain('error');
    expect(client.exit).toEqual({ type: 'exit', stage: 'compile', code: 1, signal: null });
  });

  it('delivers signals', async () => {
    const client = await Client.open();
    client.send(
      init(
        'python',
        'import signal, sys, time\nsignal.signal(signal.SIGUSR1, lambda *_: (print("caught"), sys.exit(7)))\nprint("ready", flush=True)\ntime.sleep(60)',
      ),
    );
    await until(client, 'stdout', 'ready\n');
    client.send({ type: 'signal', signal: 'SIGUSR1' });
    expect(await client.closed).toEqual(DONE);
    expect(client.exit).toEqual({ type: 'exit', stage: 'run', code: 7, signal: null });

    const other = await Client.open();
    other.send(init('python', 'import time\nprint("ready", flush=True)\ntime.sleep(60)'));
    await until(other, 'stdout', 'ready\n');
    other.send({ type: 'signal', signal: 'SIGKILL' });
    expect(await other.closed).toEqual(DONE);
    expect(other.exit).toEqual({ type: 'exit', stage: 'run', code: null, signal: 'SIGKILL' });
  });

  it('delivers signals to the compiler', async () => {
    const client = await Client.open();
    client.send(init('c', SLOW_TO_COMPILE, { compile_timeout: 9_000 }));
    await expect.poll(() => client.messages.at(-1), { timeout: 10_000 }).toEqual({ type: 'stage', stage: 'compile' });
    client.send({ type: 'signal', signal: 'SIGWINCH' });
    client.send({ type: 'signal', signal: 'SIGTERM' });
    expect(await client.closed).toEqual(DONE);
    expect(client.exit).toEqual({ type: 'exit', stage: 'compile', code: null, signal: 'SIGTERM' });
  });

  it('ends what exceeds its time as Piston does', async () => {
    const client = await Client.open();
    client.send(init('python', 'input()', { run_timeout: 400 }));
    expect(await client.closed).toEqual(DONE);
    expect(client.exit).toEqual({ type: 'exit', stage: 'run', code: null, signal: 'SIGKILL' });
  });

  it('waits a second for the first message', async () => {
    const client = await Client.open();
    expect(await client.closed).toEqual([4001, 'Initialization Timeout']);
  });

  it.each([
    [[4003, 'Not yet initialized'], [{ type: 'data', stream: 'stdin', data: 'x' }]],
    [[4003, 'Not yet initialized'], [{ type: 'signal', signal: 'SIGINT' }]],
    [
      [4000, 'Already Initialized'],
      [init('python', 'input()'), init('python', 'input()')],
    ],
    [
      [4004, 'Can only write to stdin'],
      [init('python', 'input()'), { type: 'data', stream: 'stdout', data: 'x' }],
    ],
    [
      [4005, 'Invalid signal'],
      [init('python', 'input()'), { type: 'signal', signal: 'SIGNOTHING' }],
    ],
  ])('closes with %j', async (expected, messages) => {
    const client = await Client.open();
    for (const message of messages) client.send(message);
    expect(await client.closed).toEqual(expected);
  });

  it.each([
    ['{', 'not JSON'],
    [{ type: 'init' }, 'language is required as a string'],
    [init('klingon', ''), 'klingon-* runtime is unknown'],
    [init('python', '', { run_timeout: 'x' }), 'If specified, run_timeout must be a number'],
  ])('tells what is wrong with %j', async (message, text) => {
    const client = await Client.open();
    client.send(message);
    expect(await client.closed).toEqual([4002, 'Notified Error']);
    expect(client.messages).toEqual([{ type: 'error', message: text }]);
  });

  it('ends the program when the client goes', async () => {
    const client = await Client.open();
    client.send(init('python', 'import time\nprint("ready", flush=True)\ntime.sleep(60)', { run_timeout: 60_000 }));
    await until(client, 'stdout', 'ready\n');
    client.leave();
    const newest = async () => (await cordon.get('/v1/executions?limit=1')).body.items[0].state;
    await expect.poll(newest, { timeout: 5_000 }).toBe('canceled');
  });

  it('needs a key', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${cordon.port}/api/v2/connect`, { headers: { authorization: 'x' } });
    const [, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(401);
  });
});
