import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Destinations } from '@cordon/app-api/webhooks/destination';
import type { DeliveryDto, ExecutionDto } from '@cordon/contracts';
import { STORE_DEFAULTS } from '@cordon/queue';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OTHER_KEY, useDeployment } from './harness.js';

const cordon = useDeployment({
  workers: 1,
  store: STORE_DEFAULTS,
  webhooks: { allow: ['127.0.0.1/32'], retryMs: 100, retentionSeconds: 60 },
});

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}
let receiver: Server;
const received: Received[] = [];
/** What the receiver answers next; 200 when there is nothing. */
const answers: number[] = [];

beforeAll(async () => {
  receiver = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    received.push({ path: request.url ?? '', headers: request.headers, body });
    const status = answers.shift() ?? 200;
    response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end();
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
});
afterAll(() => receiver.close().closeAllConnections());

const hook = (path: string): string => `http://127.0.0.1:${(receiver.address() as AddressInfo).port}${path}`;

async function run(url: string): Promise<ExecutionDto> {
  return cordon.run({ command: ['/bin/echo', 'hi'], webhook: { url } });
}

async function delivery(executionId: string): Promise<DeliveryDto> {
  const { body } = await cordon.get('/v1/webhooks/deliveries');
  return body.items.find((item: DeliveryDto) => item.executionId === executionId);
}

const becomes = (executionId: string, state: string): Promise<void> =>
  expect.poll(async () => (await delivery(executionId)).state, { timeout: 8_000 }).toBe(state);

describe('webhooks', () => {
  it('are told of the end, signed', async () => {
    const execution = await run(hook('/signed'));
    await becomes(execution.id, 'delivered');
    const { headers, body } = received.filter(({ path }) => path === '/signed')[0];
    const [, seconds, mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['cordon-signature'])) ?? [];
    const { secret } = (await cordon.get('/v1/webhooks/secret')).body;
    expect(mac).toBe(createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex'));
    expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(30);
    expect(JSON.parse(body)).toMatchObject({ type: 'execution.finished', data: { id: execution.id, stdout: 'hi\n' } });
  });

  it('are tried again until they answer with 2xx; each attempt is in the log', async () => {
    answers.push(500, 302);
    const execution = await run(hook('/flaky'));
    await becomes(execution.id, 'delivered');
    const { attempts } = await delivery(execution.id);
    expect(attempts.map(({ status }) => status)).toEqual([500, 302, 200]);
    expect(received.filter(({ path }) => path === '/flaky')).toHaveLength(3);
    expect(received.filter(({ path }) => path === '/elsewhere')).toHaveLength(0);
  });

  it('that do not answer are in the log too, and can be sent again', async () => {
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(0, '127.0.0.1', resolve));
    const { port } = dead.address() as AddressInfo;
    dead.close();
    const execution = await run(`http://127.0.0.1:${port}/`);
    await expect
      .poll(async () => (await delivery(execution.id)).attempts.length, { timeout: 5_000 })
      .toBeGreaterThan(0);
    const { id, attempts, state } = await delivery(execution.id);
    expect(attempts[0]).toMatchObject({ status: null, error: expect.stringContaining('ECONNREFUSED') });
    expect(state).toBe('pending');
    const again = await cordon.postTo(`/v1/webhooks/deliveries/${id}/redeliver`, {});
    expect(again.body).toMatchObject({ id, state: 'pending' });
  });

  it('are a tenant’s own', async () => {
    const execution = await run(hook('/own'));
    const { id } = await delivery(execution.id);
    expect((await cordon.get(`/v1/webhooks/deliveries/${id}`, OTHER_KEY)).status).toBe(404);
    expect((await cordon.postTo(`/v1/webhooks/deliveries/${id}/redeliver`, {}, OTHER_KEY)).status).toBe(404);
    expect((await cordon.get('/v1/webhooks/deliveries', OTHER_KEY)).body.items).toEqual([]);
    const secrets = await Promise.all([
      cordon.get('/v1/webhooks/secret'),
      cordon.get('/v1/webhooks/secret', OTHER_KEY),
    ]);
    expect(secrets[0].body.secret).not.toBe(secrets[1].body.secret);
    const rotated = await cordon.postTo('/v1/webhooks/secret', {});
    expect(rotated.body.secret).not.toBe(secrets[0].body.secret);
  });

  it.each([
    'http://127.0.0.2/',
    'http://2130706434/',
    'http://[::1]/',
    'http://[::ffff:10.0.0.1]/',
    'http://[::ffff:127.0.0.2]/',
    'http://169.254.169.254/latest/meta-data/',
    'http://10.1.2.3/',
    'http://0/',
    'http://[fd00:ec2::254]/',
    'http://[64:ff9b::a00:1]/',
    'ftp://example.org/',
    'file:///etc/passwd',
    'http://user:password@example.org/',
    'nonsense',
  ])('may not go to %s', async (url) => {
    const refused = await cordon.post({ command: ['/bin/true'], webhook: { url } });
    expect(refused.status).toBe(422);
    expect(refused.body.errors[0].pointer).toBe('/webhook/url');
  });

  it('may not go to a name that means an address inside', async () => {
    const execution = await run('http://localhost:1/');
    await expect
      .poll(async () => (await delivery(execution.id)).attempts.length, { timeout: 5_000 })
      .toBeGreaterThan(0);
    const none = new Destinations([]);
    await expect(none.resolve(new URL('http://localhost/'))).rejects.toThrow('not on the public internet');
    await expect(none.resolve(new URL('http://1.1.1.1/'))).resolves.toEqual({ address: '1.1.1.1', family: 4 });
  });
});
