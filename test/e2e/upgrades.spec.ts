import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });
const HANDSHAKE = ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];

/** Says `lines` and `body` on a connection of its own, to the letter. -> status and body of the answer. */
async function say(
  line: string,
  headers: readonly string[],
  body = '',
): Promise<{ status: number; body: Record<string, unknown> }> {
  const socket = connect(cordon.port, '127.0.0.1');
  socket.write([`${line} HTTP/1.1`, 'Host: cordon', ...headers, '', body].join('\r\n'));
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    text += chunk;
  });
  await once(socket, 'close');
  const [head, answer = ''] = text.split('\r\n\r\n');
  return { status: Number(head.split(' ')[1]), body: answer === '' ? {} : JSON.parse(answer) };
}

const upgrade = (protocol: string): string[] => ['Connection: Upgrade, close', `Upgrade: ${protocol}`];

describe('a request to upgrade', () => {
  it.each([
    '//',
    '///',
    '/\\',
    '//[',
    '//:99999/',
    'http://[',
    'http://x:99999/',
    '*',
    '/%ZZ',
    '/v1/sandboxes/%/terminal',
  ])('to %s, which is no URL of ours, is answered, and the server goes on', async (path) => {
    for (const headers of [[...upgrade('websocket'), ...HANDSHAKE], ['Connection: close']]) {
      const { status } = await say(`GET ${path}`, headers);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(500);
    }
    expect((await cordon.get('/healthz')).status).toBe(200);
  });

  it.each(['/nothing', '/v1/nothing', '/compat/piston/nothing'])(
    'where there is no WebSocket (%s) is a request',
    async (path) => {
      expect((await say(`GET ${path}`, [...upgrade('websocket'), ...HANDSHAKE])).status).toBeGreaterThanOrEqual(400);
    },
  );

  it('to HTTP/2 is ignored, as some clients offer it with every request', async () => {
    const offer = [...upgrade('h2c'), 'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA', `Authorization: Bearer ${KEY}`];
    expect(await say('GET /healthz', offer)).toEqual({ status: 200, body: { status: 'ok' } });
    const body = JSON.stringify({ command: ['/bin/echo', 'hi'] });
    const json = ['Content-Type: application/json', `Content-Length: ${body.length}`];
    const ran = await say('POST /v1/executions?wait=30', [...offer, ...json], body);
    expect(ran).toMatchObject({ status: 200, body: { stdout: 'hi\n' } });
  });
});
