import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });

/** Tells what it was asked; takes, gives and holds back bytes as asked. On port 8000 of IPv4, and 8006 of IPv6 alone. */
const SERVER = `
import http.server, socket, threading, hashlib, json, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *_): pass
    def do_GET(self):
        if self.path.startswith('/big'):
            size = int(self.path.split('?')[1])
            self.send_response(200); self.send_header('Content-Length', size); self.end_headers()
            block = bytes(range(256)) * 256
            while size > 0:
                self.wfile.write(block[:size]); size -= len(block)
        elif self.path == '/break':
            self.send_response(200); self.send_header('Content-Length', 100); self.end_headers()
            self.wfile.write(b'only this'); self.wfile.flush(); self.close_connection = True
        elif self.path == '/slow':
            self.send_response(200); self.send_header('Transfer-Encoding', 'chunked'); self.end_headers()
            for n in range(3):
                self.wfile.write(b'1\\r\\n%d\\r\\n' % n); self.wfile.flush(); time.sleep(0.2)
            self.wfile.write(b'0\\r\\n\\r\\n')
        else: self.tell(b'')
    def tell(self, body):
        told = json.dumps({'method': self.command, 'path': self.path, 'headers': dict(self.headers.items()), 'length': len(body),
            'digest': hashlib.sha256(body).hexdigest()}).encode()
        self.send_response(203, 'Told'); self.send_header('Content-Length', len(told))
        self.send_header('Set-Cookie', 'a=1'); self.send_header('Set-Cookie', 'b=2'); self.send_header('X-Own', 'yes'); self.end_headers()
        if self.command != 'HEAD': self.wfile.write(told)
    def do_POST(self):
        if self.headers.get('Transfer-Encoding') == 'chunked':
            body = b''
            while (size := int(self.rfile.readline(), 16)) > 0: body += self.rfile.read(size); self.rfile.readline()
            self.rfile.readline()
        else: body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        self.tell(body)
    do_PUT = do_DELETE = do_PATCH = do_POST
    do_HEAD = do_OPTIONS = do_GET
class Six(http.server.ThreadingHTTPServer): address_family = socket.AF_INET6
def raw(port, answer):
    listener = socket.create_server(('127.0.0.1', port))
    def loop():
        while True:
            one, _ = listener.accept()
            threading.Thread(target=answer, args=(one,)).start()
    threading.Thread(target=loop, daemon=True).start()
def nonsense(one): one.recv(1000); one.sendall(b'hello, I speak no HTTP\\r\\n\\r\\n'); one.close()
def echo(one):
    import base64
    head = b''
    while b'\\r\\n\\r\\n' not in head: head += one.recv(1)
    key = [l.split(b': ')[1] for l in head.split(b'\\r\\n') if l.lower().startswith(b'sec-websocket-key')][0]
    accept = base64.b64encode(hashlib.sha1(key + b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest())
    one.sendall(b'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + b'\\r\\n\\r\\n')
    while True:
        start = one.recv(2)
        if len(start) < 2: return
        size = start[1] & 127
        if size == 126: size = int.from_bytes(one.recv(2), 'big')
        mask, data = one.recv(4), b''
        while len(data) < size: data += one.recv(size - len(data))
        data = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        length = bytes([size]) if size < 126 else b'\\x7e' + size.to_bytes(2, 'big')
        one.sendall(bytes([start[0]]) + length + data)
        if start[0] & 15 == 8: one.close(); return
raw(8001, nonsense); raw(8002, echo)
threading.Thread(target=http.server.ThreadingHTTPServer(('127.0.0.1', 8000), Handler).serve_forever, daemon=True).start()
threading.Thread(target=Six(('::1', 8006), Handler).serve_forever, daemon=True).start()
print('ready', flush=True)
threading.Event().wait()
`;

let sandbox = '';
const at = (port: number | string, path = ''): string => `/v1/sandboxes/${sandbox}/ports/${port}${path}`;

beforeAll(async () => {
  sandbox = (await cordon.postTo('/v1/sandboxes', {})).body.id;
  const command = ['/bin/sh', '-c', `python3 -c "$SERVER" & echo $! > /work/pid; wait`];
  const { body } = await cordon.postTo(`/v1/sandboxes/${sandbox}/exec`, { command, env: { SERVER }, background: true });
  const waiting = `/v1/sandboxes/${sandbox}/processes/${body.process}/events`;
  await new Promise<void>((resolve) => {
    const asked = httpRequest(options(waiting), (answer) =>
      answer.on('data', (data) => String(data).includes('ready') && resolve()),
    );
    asked.end();
  });
}, 60_000);

const options = (path: string, key = KEY): object => ({
  host: '127.0.0.1',
  port: cordon.port,
  path,
  headers: { authorization: `Bearer ${key}` } as OutgoingHttpHeaders,
});

interface Answer {
  readonly status: number;
  readonly message: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

function ask(
  path: string,
  more: { method?: string; headers?: object; body?: Buffer; key?: string } = {},
): Promise<Answer> {
  const { method = 'GET', headers = {}, body, key = KEY } = more;
  return new Promise((resolve, reject) => {
    const asked = httpRequest(
      { ...options(path), method, headers: { authorization: `Bearer ${key}`, ...headers } },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const { statusCode = 0, statusMessage = '' } = answer;
          resolve({ status: statusCode, message: statusMessage, headers: answer.headers, body: Buffer.concat(chunks) });
        });
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
}

const told = (
  answer: Answer,
): { method: string; path: string; headers: Record<string, string>; length: number; digest: string } =>
  JSON.parse(answer.body.toString());

describe('a port of a sandbox', () => {
  it.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])(
    'by %s: request and answer as they are',
    async (method) => {
      const answer = await ask(at(8000, '/a/..%2f/b?x=1&y=%20'), {
        method,
        headers: { 'X-Own': 'ours', cookie: 'c=3' },
      });
      expect(answer).toMatchObject({ status: 203, message: 'Told' });
      expect(answer.headers).toMatchObject({ 'x-own': 'yes', 'set-cookie': ['a=1', 'b=2'] });
      const { path, headers, method: asked } = told(answer);
      expect({ path, asked }).toEqual({ path: '/a/..%2f/b?x=1&y=%20', asked: method });
      expect(headers).toMatchObject({
        Host: 'localhost:8000',
        'X-Own': 'ours',
        cookie: 'c=3',
        'X-Forwarded-Prefix': at(8000),
        'X-Forwarded-For': expect.stringContaining('127.0.0.1'),
        'X-Forwarded-Host': `127.0.0.1:${cordon.port}`,
      });
    },
  );

  it('without a path is its root; HEAD has no body', async () => {
    expect(told(await ask(at(8000))).path).toBe('/');
    expect(told(await ask(`${at(8000)}?q`)).path).toBe('/?q');
    expect(await ask(at(8000, '/'), { method: 'HEAD' })).toMatchObject({ status: 203, body: Buffer.alloc(0) });
  });

  it('never hears of the key, and of an Authorization that is its own', async () => {
    expect(JSON.stringify(told(await ask(at(8000))))).not.toContain(KEY);
    const answer = await ask(at(8000), { headers: { 'cordon-key': KEY, authorization: 'Basic dTpw' } });
    expect(told(answer).headers.authorization).toBe('Basic dTpw');
    expect(JSON.stringify(told(answer))).not.toContain(KEY);
  });

  it('takes and gives 10 MB, of any content, with and without a length', async () => {
    const body = randomBytes(10 << 20);
    const digest = createHash('sha256').update(body).digest('hex');
    const types = [
      { 'content-type': 'application/json' },
      { 'transfer-encoding': 'chunked', 'content-type': 'text/plain' },
    ];
    for (const headers of types)
      expect(told(await ask(at(8000), { method: 'POST', body, headers }))).toMatchObject({ length: 10 << 20, digest });
    const answer = await ask(at(8000, `/big?${10 << 20}`));
    expect(answer.body.length).toBe(10 << 20);
    expect(answer.body.every((byte, index) => byte === (index & 255))).toBe(true);
  });

  it('streams: pieces arrive as they are sent', async () => {
    const times: number[] = [];
    await new Promise<void>((resolve) => {
      httpRequest(options(at(8000, '/slow')), (answer) => {
        answer.on('data', () => times.push(Date.now()));
        answer.on('end', resolve);
      }).end();
    });
    expect(times.length).toBe(3);
    expect(times[2] - times[0]).toBeGreaterThan(250);
  });

  it('holds the server back when the client does not read, and lets go when it leaves', async () => {
    const asked = httpRequest(options(at(8000, `/big?${1 << 30}`)));
    asked.end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    answer.pause();
    await new Promise((resolve) => setTimeout(resolve, 300));
    answer.destroy();
    // The thread that wrote ends with a broken pipe: nothing of it stays.
    const connections = async (): Promise<string> => {
      const command = ['/bin/sh', '-c', 'grep -c ":1F40 .* 01 " /proc/net/tcp || true'];
      return (await cordon.postTo(`/v1/sandboxes/${sandbox}/exec`, { command })).body.stdout;
    };
    await expect.poll(connections, { timeout: 10_000 }).toBe('0\n');
  });

  it('is found on IPv6 when only there somebody listens', async () => {
    expect((await ask(at(8006, '/six'))).status).toBe(203);
  });

  it('where nobody listens, nonsense is spoken, or the server breaks off: told', async () => {
    const nobody = await ask(at(9));
    expect(nobody).toMatchObject({ status: 502, headers: { 'content-type': 'application/problem+json' } });
    expect(JSON.parse(nobody.body.toString())).toMatchObject({ detail: 'port 9: ECONNREFUSED' });
    expect((await ask(at(8001))).status).toBe(502);
    await expect(ask(at(8000, '/break'))).rejects.toThrow();
  });

  it('is no port, nobody’s, or another’s: 404, 401; of an ended sandbox: 410', async () => {
    for (const port of ['0', '65536', 'x', '-1']) expect((await ask(at(port, '/'))).status).toBe(404);
    expect((await ask(at(8000), { key: 'wrong' })).status).toBe(401);
    expect((await ask(at(8000), { key: OTHER_KEY })).status).toBe(404);
    const gone = (await cordon.postTo('/v1/sandboxes', {})).body.id;
    await cordon.delete(`/v1/sandboxes/${gone}`);
    expect((await ask(`/v1/sandboxes/${gone}/ports/80/`)).status).toBe(410);
    const offline = (await cordon.postTo('/v1/sandboxes', { network: 'none' })).body.id;
    expect((await ask(`/v1/sandboxes/${offline}/ports/80/`)).status).toBe(502);
  });

  it('passes WebSockets', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${cordon.port}${at(8002, '/ws')}`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    await once(socket, 'open');
    for (const message of ['hällo', 'x'.repeat(5000)]) {
      socket.send(message);
      expect(String((await once(socket, 'message'))[0])).toBe(message);
    }
    socket.close(1000);
    await once(socket, 'close');
    const refused = new WebSocket(`ws://127.0.0.1:${cordon.port}${at(8000, '/')}`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    refused.on('error', () => undefined);
    const [, answer] = await once(refused, 'unexpected-response');
    expect(answer.statusCode).toBe(203);
  });

  it('survives clients that go away in the middle of an upload', async () => {
    const socket = connect(cordon.port, '127.0.0.1');
    socket.write(
      `POST ${at(8000)} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\ncontent-length: 1000000\r\n\r\npart`,
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    socket.destroy();
    expect((await ask(at(8000))).status).toBe(203);
  });
});
