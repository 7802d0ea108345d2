import { once } from 'node:events';
import { ExecutionsService } from '@cordon/app-api/executions/executions.service';
import { LIMITS, REQUEST_LIMITS } from '@cordon/contracts';
import request from 'supertest';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });
const TRUE = { command: ['/bin/true'] };

// Whatever was sent: nothing queued, and the server goes on.
afterEach(async () => {
  expect(await cordon.app.get(ExecutionsService).counts()).toEqual({ waiting: 0, running: 0 });
  expect((await cordon.get('/v1/executions')).body.items).toEqual([]);
});

interface Refusal {
  readonly name: string;
  readonly body: unknown;
  readonly pointer: string;
  readonly type?: string;
}

const file = (path: string, content = 'x', encoding?: string): unknown => ({
  ...TRUE,
  files: [{ path, content, encoding }],
});

const REFUSALS: readonly Refusal[] = [
  { name: 'unknown runtime', body: { runtime: 'brainfuck', source: '' }, pointer: '/runtime', type: 'unknown-runtime' },
  { name: 'runtime without source', body: { runtime: 'bash' }, pointer: '/source' },
  { name: 'neither runtime nor command', body: {}, pointer: '' },
  { name: 'command and runtime', body: { ...TRUE, runtime: 'bash' }, pointer: '/runtime' },
  { name: 'empty command', body: { command: [] }, pointer: '/command' },
  { name: 'empty program name', body: { command: [''] }, pointer: '/command/0' },
  { name: 'NUL in an argument', body: { command: ['a', 'b\0c'] }, pointer: '/command/1' },
  { name: 'command that is text', body: { command: 'ls' }, pointer: '/command' },
  { name: 'null command', body: { command: null }, pointer: '/command' },
  { name: 'null runtime', body: { runtime: null, source: null }, pointer: '/runtime' },
  { name: 'path that climbs out', body: file('../x'), pointer: '/files/0/path' },
  { name: 'path that climbs out later', body: file('a/../../x'), pointer: '/files/0/path' },
  { name: 'absolute path', body: file('/etc/passwd'), pointer: '/files/0/path' },
  { name: 'path with NUL', body: file('a\0b'), pointer: '/files/0/path' },
  { name: 'empty path', body: file(''), pointer: '/files/0/path' },
  { name: 'path of a directory', body: file('a/'), pointer: '/files/0/path' },
  { name: 'long path component', body: file('a'.repeat(256)), pointer: '/files/0/path' },
  {
    name: 'duplicate paths',
    body: {
      ...TRUE,
      files: [
        { path: 'a', content: '' },
        { path: 'a', content: '' },
      ],
    },
    pointer: '/files/1/path',
  },
  {
    name: 'file that is a directory too',
    body: {
      ...TRUE,
      files: [
        { path: 'a', content: '' },
        { path: 'a/b', content: '' },
      ],
    },
    pointer: '/files',
  },
  {
    name: 'file over the limit',
    body: file('a', 'x'.repeat(REQUEST_LIMITS.fileBytes + 1)),
    pointer: '/files/0/content',
  },
  {
    name: 'too many files',
    body: {
      ...TRUE,
      files: Array.from({ length: REQUEST_LIMITS.files + 1 }, (_, i) => ({ path: `f${i}`, content: '' })),
    },
    pointer: '/files',
  },
  { name: 'invalid base64', body: file('a', '***', 'base64'), pointer: '/files/0/content' },
  { name: 'base64 of a wrong length', body: file('a', 'YWJ', 'base64'), pointer: '/files/0/content' },
  { name: 'unknown encoding', body: file('a', 'x', 'latin1'), pointer: '/files/0/encoding' },
  { name: 'file that is null', body: { ...TRUE, files: [null] }, pointer: '/files/0' },
  { name: 'file without content', body: { ...TRUE, files: [{ path: 'a' }] }, pointer: '/files/0/content' },
  { name: 'invalid base64 on stdin', body: { ...TRUE, stdin: '!', stdinEncoding: 'base64' }, pointer: '/stdin' },
  { name: 'unknown field', body: { ...TRUE, comand: [] }, pointer: '/comand' },
  { name: 'unknown limit', body: { ...TRUE, limits: { wallTime: 1 } }, pointer: '/limits/wallTime' },
  { name: 'limits that are a list', body: { ...TRUE, limits: [] }, pointer: '/limits' },
  { name: 'unknown audit level', body: { ...TRUE, audit: { level: 'all' } }, pointer: '/audit/level' },
  { name: 'unknown network', body: { ...TRUE, network: 'egress' }, pointer: '/network' },
  { name: 'environment value that is a number', body: { ...TRUE, env: { A: 1 } }, pointer: '/env/A' },
  { name: 'environment name with "="', body: { ...TRUE, env: { 'A=B': '' } }, pointer: '/env/A=B' },
  { name: 'working directory with ".."', body: { ...TRUE, cwd: '../..' }, pointer: '/cwd' },
  { name: 'a name that every object has', body: { ...TRUE, toString: 1 }, pointer: '/toString' },
  { name: 'the same in a field', body: { ...TRUE, limits: { hasOwnProperty: 1 } }, pointer: '/limits/hasOwnProperty' },
  { name: 'the same with an object', body: { ...TRUE, constructor: { a: 1 } }, pointer: '/constructor' },
  { name: 'the same in a list', body: { ...TRUE, files: [{ valueOf: 1 }] }, pointer: '/files/0/valueOf' },
  { name: 'an environment that is text', body: { ...TRUE, env: 'A=B' }, pointer: '/env' },
  { name: 'an environment that is a list', body: { ...TRUE, env: ['A=B'] }, pointer: '/env' },
  { name: 'label with a bad name', body: { ...TRUE, labels: { '': 'x' } }, pointer: '/labels/' },
  ...Object.entries(LIMITS).flatMap(([name, { maximum }]): Refusal[] => [
    {
      name: `${name} over the maximum`,
      body: { ...TRUE, limits: { [name]: maximum + 1 } },
      pointer: `/limits/${name}`,
    },
    { name: `${name} of zero`, body: { ...TRUE, limits: { [name]: 0 } }, pointer: `/limits/${name}` },
    { name: `${name} that is text`, body: { ...TRUE, limits: { [name]: '1' } }, pointer: `/limits/${name}` },
    {
      name: `${name} that is no whole number`,
      body: { ...TRUE, limits: { [name]: 1e7 + 0.5 } },
      pointer: `/limits/${name}`,
    },
  ]),
];

describe('refused with the field named', () => {
  it.each(REFUSALS)('$name', async ({ body, pointer, type }) => {
    const response = await cordon.post(body);
    expect(response.headers['content-type']).toMatch('application/problem+json');
    expect(response.body).toMatchObject({ status: 422, type: `urn:cordon:problem:${type ?? 'invalid-request'}` });
    expect(response.body.errors.map((error: { pointer: string }) => error.pointer)).toContain(pointer);
    expect(response.status).toBe(422);
  });
});

describe('what is told of a field', () => {
  it.each([
    [{ command: 'ls' }, '/command', /must be an array/],
    [{ ...TRUE, stdin: 5 }, '/stdin', /must be a string/],
    [{ ...TRUE, limits: { wallTimeMs: 'x' } }, '/limits/wallTimeMs', /must be an integer/],
    [{ ...TRUE, limits: { wallTimeMs: 0 } }, '/limits/wallTimeMs', /must not be less than/],
    [{ ...TRUE, files: [{ content: 'x' }] }, '/files/0/path', /is missing/],
  ] as const)('%j', async (body, pointer, detail) => {
    const { errors } = (await cordon.post(body)).body as { errors: { pointer: string; detail: string }[] };
    expect(errors).toMatchObject([{ pointer, detail: expect.stringMatching(detail) }]);
  });
});

describe('refused before it is looked at', () => {
  const MALFORMED: readonly { name: string; body: string }[] = [
    { name: 'text', body: 'hello' },
    { name: 'nothing', body: '' },
    { name: 'half an object', body: '{"command":["/bin/true"' },
    { name: '10 MB of nested lists', body: '['.repeat(10 << 20) },
    { name: '10 MB of nested objects', body: '{"a":'.repeat(2 << 20) },
    { name: 'half a surrogate pair', body: '{"command":["/bin/echo","\\ud800"]}' },
  ];
  it.each(MALFORMED)('$name', async ({ body }) => {
    const response = await cordon.post(body);
    expect(response.headers['content-type']).toMatch('application/problem+json');
    expect(response.body).toMatchObject({ status: 400, type: 'urn:cordon:problem:malformed-json' });
  });

  it.each(['[]', '3', 'null', '"x"'])('a body that is %s', async (body) => {
    expect((await cordon.post(body)).body).toMatchObject({ status: 422, errors: [{ pointer: '' }] });
  });

  it('invalid UTF-8', async () => {
    const response = await request(cordon.app.getHttpServer())
      .post('/v1/executions')
      .set('authorization', `Bearer ${KEY}`)
      .set('content-type', 'application/json')
      .serialize((body) => body as string)
      .send(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]));
    expect(response.body).toMatchObject({ status: 400 });
  });

  it('a body over the limit', async () => {
    const response = await cordon.post(`{"stdin":"${'x'.repeat(REQUEST_LIMITS.bodyBytes)}"}`);
    expect(response.body).toMatchObject({ status: 413, type: 'urn:cordon:problem:payload-too-large' });
  });

  it('a body that is not JSON by its type', async () => {
    const response = await cordon.post('a=b').set('content-type', 'application/x-www-form-urlencoded');
    expect(response.body).toMatchObject({ status: 415, type: 'urn:cordon:problem:unsupported-media-type' });
  });

  it('a prototype among the fields', async () => {
    const response = await cordon.post('{"command":[],"__proto__":{"runtime":"bash"},"constructor":{"prototype":{}}}');
    expect(response.status).toBe(422);
    expect(({} as { runtime?: string }).runtime).toBeUndefined();
  });

  it.each(['?wait=-1', '?wait=soon', '?wait=1e9', '?wait='])('%s', async (query) => {
    const response = await cordon.post(TRUE, query);
    expect(response.body).toMatchObject({ status: 422, errors: [{ pointer: '?wait' }] });
  });

  it.each(['?limit=0', '?limit=x', '?cursor=x', '?state=dead', '?label=x'])('a list with %s', async (query) => {
    const response = await cordon.get(`/v1/executions${query}`);
    expect(response.body).toMatchObject({ status: 422, errors: [{ pointer: query.split('=')[0] }] });
  });
});

describe('a body that is no object', () => {
  const ANY = 'sbx_000000000000000000000000';
  const PLACES = [
    ['POST', '/v1/executions'],
    ['POST', '/v1/submissions'],
    ['POST', '/v1/submissions/batch'],
    ['POST', '/v1/submissions/x/rejudge'],
    ['POST', '/v1/problems'],
    ['PATCH', '/v1/problems/x'],
    ['POST', '/v1/problems/x/rejudge'],
    ['POST', '/v1/keys'],
    ['POST', '/v1/webhooks/secret'],
    ['POST', '/v1/webhooks/deliveries/x/redeliver'],
    ['POST', '/v1/sandboxes'],
    ['POST', `/v1/sandboxes/${ANY}/extend`],
    ['POST', `/v1/sandboxes/${ANY}/exec`],
    ['POST', `/v1/sandboxes/${ANY}/processes/1/stdin`],
    ['POST', `/v1/sandboxes/${ANY}/processes/1/signal`],
    ['POST', `/v1/sandboxes/${ANY}/files/mkdir`],
    ['POST', `/v1/sandboxes/${ANY}/files/move`],
    ['POST', `/v1/sandboxes/${ANY}/contexts`],
    ['POST', `/v1/sandboxes/${ANY}/contexts/x/run`],
    ['POST', `/v1/sandboxes/${ANY}/contexts/x/restart`],
    ['DELETE', `/v1/sandboxes/${ANY}`],
  ] as const;
  const send = (method: string, path: string, body: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${cordon.port}${path}`, {
      method,
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
      body,
    });

  it.each(PLACES)('%s %s', async (method, path) => {
    for (const body of ['null', '[]', '[{}]', '3', '"x"', 'true']) {
      const response = await send(method, path, body);
      expect(response.status, body).toBe(422);
      const errors = [{ pointer: path.endsWith('/batch') ? expect.anything() : '', detail: expect.anything() }];
      expect(await response.json()).toMatchObject({ type: 'urn:cordon:problem:invalid-request', errors });
    }
    expect((await cordon.get('/v1/sandboxes')).body.items).toEqual([]);
  });

  it('where none is taken: an empty object and no bytes say nothing, anything else is no such field', async () => {
    const place = `/v1/sandboxes/${ANY}/contexts/x/restart`;
    for (const body of ['{}', '']) expect((await send('POST', place, body)).status, body).toBe(404);
    const refused = await send('POST', place, '{"a/b":1,"c":null}');
    expect(((await refused.json()) as { errors: unknown }).errors).toEqual([
      { pointer: '/a~1b', detail: 'no such field' },
      { pointer: '/c', detail: 'no such field' },
    ]);
  });

  it('an absent one makes a sandbox, with and without a type of what is not there', async () => {
    const headers = { authorization: `Bearer ${KEY}` };
    const bare = await fetch(`http://127.0.0.1:${cordon.port}/v1/sandboxes`, { method: 'POST', headers });
    const typed = await send('POST', '/v1/sandboxes', '');
    for (const response of [bare, typed]) {
      expect(response.status).toBe(201);
      await cordon.delete(`/v1/sandboxes/${((await response.json()) as { id: string }).id}`);
    }
    expect((await send('POST', '/v1/executions', '')).status).toBe(400);
  });
});

describe('a parameter that there is not', () => {
  it.each([
    ['POST', '/v1/executions?wiat=30', '?wiat', 'no such parameter, but wait, timeline'],
    ['GET', '/v1/executions?limit=1&Cursor=x', '?Cursor', /limit/],
    ['GET', '/v1/executions/exe_000000000000000000000000?wait=1&x', '?x', /wait/],
    ['GET', '/v1/runtimes?_=1', '?_', 'no such parameter: none is taken here'],
    ['HEAD', '/v1/runtimes?_=1', null, null],
    ['POST', '/v1/sandboxes?wait=1', '?wait', /none is taken/],
    ['PUT', '/v1/sandboxes/sbx_000000000000000000000000/files?path=a&mod=600', '?mod', /mode/],
    ['GET', '/v1/keys?__proto__=1', '?__proto__', /limit/],
    ['GET', '/v1/keys?toString=1', '?toString', /limit/],
    ['GET', '/v1/keys?a%2Fb%20c=1', '?a/b c', /limit/],
    ['DELETE', '/v1/executions/x?force=true', '?force', /none is taken/],
  ] as const)('%s %s: 422 that points to it', async (method, path, pointer, detail) => {
    const response = await fetch(`http://127.0.0.1:${cordon.port}${path}`, {
      method,
      headers: { authorization: `Bearer ${KEY}`, ...(method === 'POST' ? { 'content-type': 'application/json' } : {}) },
      ...(method === 'POST' ? { body: JSON.stringify(TRUE) } : method === 'PUT' ? { body: Buffer.from('x') } : {}),
    });
    expect(response.status).toBe(422);
    expect(response.headers.get('content-type')).toMatch('application/problem+json');
    if (pointer === null) return;
    const told = typeof detail === 'string' ? detail : expect.stringMatching(detail as RegExp);
    expect(await response.json()).toMatchObject({
      type: 'urn:cordon:problem:invalid-request',
      errors: [{ pointer, detail: told }],
    });
  });

  it('is one of several: each is named', async () => {
    const { body } = await cordon.get('/v1/keys?limit=1&a=1&b=2&b=3');
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual(['?a', '?b']);
  });

  it('of no route at all is 404, and nobody without a key is told', async () => {
    expect((await cordon.get('/v1/nothing?x=1')).status).toBe(404);
    expect((await cordon.get('/v1/keys?x=1', 'wrong')).status).toBe(401);
  });

  it('at a WebSocket is refused before it is one', async () => {
    for (const [path, name] of [
      ['/v1/sandboxes/sbx_000000000000000000000000/terminal?row=5', '?row'],
      ['/v1/sandboxes/sbx_000000000000000000000000/processes/1/attach?form=5', '?form'],
      ['/v1/executions/exe_000000000000000000000000/attach?from=5', '?from'],
    ]) {
      const headers = { authorization: `Bearer ${KEY}` };
      const socket = new WebSocket(`ws://127.0.0.1:${cordon.port}${path}`, { headers });
      socket.on('error', () => undefined);
      const [, answer] = await once(socket, 'unexpected-response');
      expect(answer.statusCode).toBe(422);
      const body = JSON.parse(Buffer.concat(await answer.toArray()).toString());
      expect(body.errors).toMatchObject([{ pointer: name }]);
    }
  });

  it('is nobody’s business where other services’ clients ask, nor where a server of the guest is asked', async () => {
    expect((await cordon.get('/compat/piston/api/v2/runtimes?x=1')).status).toBe(200);
    expect((await cordon.get('/compat/judge0/languages?x=1').set('X-Auth-Token', KEY)).status).toBe(200);
    expect((await cordon.get('/compat/e2b/v2/sandboxes?x=1').set('X-API-KEY', KEY)).status).toBe(200);
    expect((await cordon.get('/compat/opensandbox/v1/sandboxes?x=1').set('OPEN-SANDBOX-API-KEY', KEY)).status).toBe(
      200,
    );
    expect((await cordon.get('/healthz?x=1')).status).toBe(200);
    const { body } = await cordon.postTo('/v1/sandboxes', {});
    // Nobody listens there, and nobody minds the question.
    expect((await cordon.get(`/v1/sandboxes/${body.id}/ports/8000/?x=1`)).status).toBe(502);
    expect((await cordon.get(`/v1/sandboxes/${body.id}/ports/8000?x=1`)).status).toBe(502);
    await cordon.delete(`/v1/sandboxes/${body.id}`);
  });
});

describe('who asks, and for what', () => {
  it.each([undefined, '', 'Bearer', 'Bearer wrong', `Basic ${KEY}`, KEY])('authorization %j', async (authorization) => {
    const call = request(cordon.app.getHttpServer()).post('/v1/executions').send(TRUE);
    const response = await (authorization === undefined ? call : call.set('authorization', authorization));
    expect(response.body).toMatchObject({ status: 401, type: 'urn:cordon:problem:unauthorized' });
    expect(response.headers['www-authenticate']).toBe('Bearer');
  });

  it.each([
    '/v1/executions/exe_000000000000000000000000',
    '/v1/executions/x',
    '/v1/executions/..%2f..',
    '/v1/executions/%ZZ',
    '/v1/nothing',
  ])('unknown: %s', async (path) => {
    const response = await cordon.get(path);
    expect(response.headers['content-type']).toMatch('application/problem+json');
    expect(response.body).toMatchObject({ status: 404, type: 'urn:cordon:problem:not-found' });
  });

  it.each(['events', 'audit'])('unknown execution’s %s', async (part) => {
    const response = await cordon.get(`/v1/executions/exe_000000000000000000000000/${part}`, OTHER_KEY);
    expect(response.body).toMatchObject({ status: 404 });
  });
});

describe('what is told of a wrong field', () => {
  it.each([
    ['/v1/executions', { command: 'ls' }, '/command', 'command must be an array'],
    ['/v1/executions', { ...TRUE, labels: 5 }, '/labels', 'labels must be an object'],
    [
      '/v1/executions',
      { ...TRUE, limits: { wallTimeMs: 'x' } },
      '/limits/wallTimeMs',
      'wallTimeMs must be an integer number',
    ],
    [
      '/v1/executions',
      { ...TRUE, limits: { wallTimeMs: 0 } },
      '/limits/wallTimeMs',
      'wallTimeMs must not be less than 1',
    ],
    ['/v1/executions', { ...TRUE, nothing: 1 }, '/nothing', 'no such field'],
    ['/v1/submissions', { runtime: 5, source: '', tests: [{ expected: '' }] }, '/runtime', 'runtime must be a string'],
    ['/v1/submissions', { source: '', tests: [{ expected: '' }] }, '/runtime', 'is missing'],
    ['/v1/submissions', { runtime: 'c', source: '', tests: 'x' }, '/tests', 'tests must be an array'],
    [
      '/v1/submissions',
      { runtime: 'c', source: '', tests: [{ expected: 5 }] },
      '/tests/0/expected',
      'expected must be a string',
    ],
    ['/v1/problems', {}, '/title', 'is missing'],
  ])('%s %j: its type before anything else', async (path, body, pointer, detail) => {
    const response = await cordon.postTo(path, body);
    expect(response.status).toBe(422);
    expect(response.body.errors).toEqual([{ pointer, detail }]);
  });
});
