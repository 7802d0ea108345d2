import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });
const AUTH = `Authorization: Bearer ${KEY}`;

interface Answer {
  readonly status: number;
  readonly headers: string;
  readonly body: Record<string, unknown>;
}

/** Answers of one connection, one behind the other. */
function answersOf(text: string): Answer[] {
  const answers: Answer[] = [];
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n') + 4;
    const headers = rest.slice(0, end);
    const length = Number(/^content-length: (\d+)/im.exec(headers)?.[1]);
    const body = Buffer.from(rest.slice(end)).subarray(0, length).toString();
    answers.push({ status: Number(headers.split(' ')[1]), headers, body: JSON.parse(body) });
    rest = Buffer.from(rest.slice(end)).subarray(length).toString();
  }
  return answers;
}

const open = (): Socket => connect({ port: cordon.port, host: '127.0.0.1', allowHalfOpen: true }).setEncoding('utf8');

/** All that the server says until it closes by itself. */
async function until(socket: Socket): Promise<Answer[]> {
  let text = '';
  socket.on('data', (chunk: string) => {
    text += chunk;
  });
  socket.on('error', () => undefined);
  await once(socket, 'end');
  socket.end();
  return answersOf(text);
}

function say(text: string): Promise<Answer[]> {
  const socket = open();
  socket.write(text);
  return until(socket);
}

const head = (...lines: string[]): string => [...lines, '', ''].join('\r\n');

afterEach(async () => {
  expect((await cordon.get('/v1/runtimes')).status).toBe(200);
});

const REFUSED: readonly [name: string, text: string, status: number, type: string][] = [
  ['no HTTP at all', 'hello\r\n\r\n', 400, 'malformed-request'],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'malformed-request'],
  ['a method there is not', head('FETCH / HTTP/1.1', 'Host: x'), 400, 'malformed-request'],
  ['a target with a space', head('GET /a b HTTP/1.1', 'Host: x'), 400, 'malformed-request'],
  ['a version there is not', head('GET / HTTP/7.1', 'Host: x'), 400, 'malformed-request'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'malformed-request'],
  ['a header without a colon', head('GET /healthz HTTP/1.1', 'Host: x', 'nothing'), 400, 'malformed-request'],
  ['a space before the colon', head('GET /healthz HTTP/1.1', 'Host : x'), 400, 'malformed-request'],
  ['NUL in a header', head('GET /healthz HTTP/1.1', 'Host: x', 'A: b\0c'), 400, 'malformed-request'],
  ['two hosts', head('GET /healthz HTTP/1.1', 'Host: x', 'host: x', 'Connection: close'), 400, 'malformed-request'],
  [
    'an expectation there is not',
    head('GET /healthz HTTP/1.1', 'Host: x', 'Expect: wonders'),
    417,
    'expectation-failed',
  ],
  ['a tunnel', head('CONNECT example.org:443 HTTP/1.1', 'Host: x'), 405, 'method-not-allowed'],
  ['no host', head('GET /healthz HTTP/1.1', 'Connection: close'), 400, 'malformed-request'],
  [
    'two lengths',
    head('POST /x HTTP/1.1', 'Host: x', 'Content-Length: 1', 'Content-Length: 2'),
    400,
    'malformed-request',
  ],
  ['a length of words', head('POST /x HTTP/1.1', 'Host: x', 'Content-Length: ten'), 400, 'malformed-request'],
  [
    'a length and chunks',
    head('POST /x HTTP/1.1', 'Host: x', 'Content-Length: 5', 'Transfer-Encoding: chunked'),
    400,
    'malformed-request',
  ],
  [
    'a head over the limit',
    head('GET /healthz HTTP/1.1', 'Host: x', `A: ${'x'.repeat(40_000)}`),
    431,
    'headers-too-large',
  ],
  ['a target over the limit', head(`GET /${'x'.repeat(40_000)} HTTP/1.1`, 'Host: x'), 431, 'headers-too-large'],
];

describe('what is no HTTP', () => {
  it.each(REFUSED)('%s: a problem document, and the connection closes', async (_name, text, status, type) => {
    const answers = await say(text);
    expect(answers).toHaveLength(1);
    const [{ headers, body }] = answers;
    expect(body).toMatchObject({ status, type: `urn:cordon:problem:${type}` });
    expect(body.title).toEqual(expect.any(String));
    expect(answers[0].status).toBe(status);
    expect(headers).toMatch(/^content-type: application\/problem\+json(;.*)?\r$/im);
    expect(headers).toMatch(/^connection: close\r$/im);
  });

  it('says what the parser did not like', async () => {
    const [{ body }] = await say(head('FETCH / HTTP/1.1', 'Host: x'));
    expect(body.detail).toMatch(/method/i);
    expect(JSON.stringify(body)).not.toContain('rawPacket');
  });

  it.each([
    ['a size that is none', 'zz\r\n{}\r\n'],
    ['a chunk longer than it says', '1\r\n{}\r\n0\r\n\r\n'],
    ['a size that no number holds', 'fffffffffffffffff\r\n'],
  ])('a body with %s', async (_name, chunks) => {
    const text = head(
      'POST /v1/executions HTTP/1.1',
      'Host: x',
      AUTH,
      'Content-Type: application/json',
      'Transfer-Encoding: chunked',
    );
    const answers = await say(text + chunks);
    expect(answers.map(({ body }) => body)).toMatchObject([
      { status: 400, type: 'urn:cordon:problem:malformed-request' },
    ]);
    expect((await cordon.get('/v1/executions')).body.items).toEqual([]);
  });

  it('extensions of chunks without an end', async () => {
    const text = head(
      'POST /v1/executions HTTP/1.1',
      'Host: x',
      AUTH,
      'Transfer-Encoding: chunked',
      'Content-Type: application/json',
    );
    const [{ status, body }] = await say(`${text}2;${'x'.repeat(40_000)}\r\n{}\r\n0\r\n\r\n`);
    expect({ status, type: body.type }).toEqual({ status: 413, type: 'urn:cordon:problem:payload-too-large' });
  });

  it('a request that does not come to its end in time', async () => {
    const server = cordon.app.getHttpServer() as Server;
    const accepted = once(server, 'connection');
    const socket = open();
    socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n');
    const [theirs] = (await accepted) as [Socket];
    expect((theirs.address() as AddressInfo).port).toBe(cordon.port);
    // As Node says it, a minute later.
    server.emit(
      'clientError',
      Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }),
      theirs,
    );
    const [{ status, body }] = await until(socket);
    expect({ status, type: body.type }).toEqual({ status: 408, type: 'urn:cordon:problem:request-timeout' });
  });

  it('is counted', async () => {
    await say('hello\r\n\r\n');
    const { text } = await cordon.get('/metrics');
    expect(Number(/cordon_rejects_total\{type="malformed-request"\} (\d+)/.exec(text)?.[1])).toBeGreaterThan(0);
  });

  it('a client that goes on sending gets its answer, and is cut off', async () => {
    const socket = open();
    let text = '';
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const more = (): void => {
      if (!socket.destroyed) socket.write('x'.repeat(1 << 16), () => setImmediate(more));
    };
    socket.write('hello\r\n\r\n', more);
    await closed;
    expect(answersOf(text).map(({ status }) => status)).toEqual([400]);
  });
});

describe('what else is on the connection', () => {
  it('a client that waits to be told to go on is told', async () => {
    const body = JSON.stringify({ command: ['/bin/true'] });
    const socket = open();
    const type = 'Content-Type: application/json';
    const lines = [AUTH, type, `Content-Length: ${body.length}`, 'Expect: 100-continue', 'Connection: close'];
    socket.write(head('POST /v1/executions?wait=30 HTTP/1.1', 'Host: x', ...lines));
    const [first] = await once(socket, 'data');
    expect(first).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    socket.write(body);
    const [{ status }] = await until(socket);
    expect(status).toBe(200);
  });

  it('an answer that is under way comes first, and whole', async () => {
    const body = JSON.stringify({ command: ['/bin/sh', '-c', 'sleep 0.3; echo done'] });
    const run = head(
      'POST /v1/executions?wait=30 HTTP/1.1',
      'Host: x',
      AUTH,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
    );
    const answers = await say(`${run}${body}hello\r\n\r\n`);
    expect(answers.map(({ status }) => status)).toEqual([200, 400]);
    expect(answers[0].body).toMatchObject({ state: 'succeeded', stdout: 'done\n' });
  });

  it('requests of the same packet are answered, each', async () => {
    const fine = head('GET /healthz HTTP/1.1', 'Host: x');
    const answers = await say(`${fine}${fine}hello\r\n\r\n`);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 400]);
  });

  it('an answer that was there before the body broke is the only one', async () => {
    const socket = open();
    const text = head(
      'POST /v1/executions HTTP/1.1',
      'Host: x',
      'Content-Type: application/json',
      'Transfer-Encoding: chunked',
    );
    const all = until(socket);
    socket.write(text);
    await once(socket, 'data');
    socket.write('zz\r\n');
    expect((await all).map(({ status }) => status)).toEqual([401]);
  });

  it('others are served meanwhile', async () => {
    const requests = Array.from({ length: 20 }, () => cordon.get('/v1/runtimes'));
    const broken = Array.from({ length: 20 }, (_, index) => say(REFUSED[index % REFUSED.length][1]));
    expect((await Promise.all(requests)).map(({ status }) => status)).toEqual(requests.map(() => 200));
    expect((await Promise.all(broken)).flat()).toHaveLength(20);
  });
});
