import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { expect, it } from 'vitest';
import { closedSignal } from './gone.js';

it('a client that left before anybody listened for it is gone', async () => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    client.write('GET / HTTP/1.1\r\nHost: there\r\n\r\n');
    const [, response] = (await once(server, 'request')) as [unknown, ServerResponse];
    const there = closedSignal(response);
    expect(there.aborted).toBe(false);
    client.destroy();
    await once(response, 'close');
    expect(there.aborted).toBe(true);
    expect(closedSignal(response).aborted).toBe(true);
  } finally {
    server.close();
  }
});
