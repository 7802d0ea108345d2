import { request as httpRequest } from 'node:http';
import type { CreatedKeyDto, ProblemVersionDto, StoredProblemDto, SubmissionDto } from '@cordon/contracts';
import { connect, keys } from '@cordon/queue';
import request from 'supertest';
import { describe, expect, it } from 'vitest';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';
import { zip } from './zip.js';

const cordon = useDeployment({ workers: 1, problemBytes: 24 << 20 });

const SUM = 'print(sum(map(int, input().split())))';

async function make(body: object = {}): Promise<StoredProblemDto> {
  const response = await cordon.postTo('/v1/problems', { title: 'A + B', ...body });
  expect(response.status, response.text).toBe(201);
  return response.body;
}

const upload = (id: string, archive: Buffer, key = KEY): request.Test =>
  request(cordon.app.getHttpServer())
    .post(`/v1/problems/${id}/versions`)
    .set('authorization', `Bearer ${key}`)
    .set('content-type', 'application/zip')
    .send(archive);

async function addZip(id: string, archive: Buffer): Promise<ProblemVersionDto> {
  const response = await upload(id, archive);
  expect(response.status, response.text).toBe(201);
  return response.body;
}

async function judge(body: object, status = 200): Promise<SubmissionDto> {
  const response = await cordon.postTo('/v1/submissions?wait=60', { runtime: 'python', source: SUM, ...body });
  expect(response.status, response.text).toBe(status);
  return response.body;
}

const PAIRS = [
  { name: '10.in', content: '10 1\n' },
  { name: '10.out', content: '11\n' },
  { name: '2.in', content: '2 1\n' },
  { name: '2.ans', content: '3\n' },
];

describe('stored problems', () => {
  it('are made, found, listed page by page and deleted; by their tenant only', async () => {
    const made = await make({ limits: { cpuTimeMs: 1234 }, checker: { kind: 'float', absolute: 0.5 } });
    expect(made).toMatchObject({ title: 'A + B', version: 0, checker: { kind: 'float', absolute: 0.5 } });
    expect(made.limits.cpuTimeMs).toBe(1234);
    expect((await cordon.get(`/v1/problems/${made.id}`)).body).toEqual(made);
    const later = await make({ title: 'later' });
    const first = await cordon.get('/v1/problems?limit=1');
    expect(first.body.items.map(({ id }: StoredProblemDto) => id)).toEqual([later.id]);
    const second = await cordon.get(`/v1/problems?limit=1&cursor=${first.body.nextCursor}`);
    expect(second.body.items[0].id).toBe(made.id);
    for (const path of ['', '/versions', '/tests']) {
      expect((await cordon.get(`/v1/problems/${made.id}${path}`, OTHER_KEY)).status, path).toBe(404);
    }
    expect((await cordon.get('/v1/problems', OTHER_KEY)).body.items).toEqual([]);
    expect((await upload(made.id, zip(PAIRS), OTHER_KEY)).status).toBe(404);
    expect((await cordon.postTo(`/v1/problems/${made.id}/rejudge`, {}, OTHER_KEY)).status).toBe(404);
    expect((await cordon.delete(`/v1/problems/${made.id}`, OTHER_KEY)).status).toBe(404);
    const theirs = await cordon.postTo(
      '/v1/submissions',
      { runtime: 'python', source: SUM, problem: made.id },
      OTHER_KEY,
    );
    expect(theirs.body.errors[0].pointer).toBe('/problem');
    expect((await cordon.delete(`/v1/problems/${made.id}`)).status).toBe(204);
    expect((await cordon.get(`/v1/problems/${made.id}`)).status).toBe(404);
    expect((await cordon.delete(`/v1/problems/${made.id}`)).status).toBe(404);
  });

  it('need the scope judge', async () => {
    const key = await cordon.postTo('/v1/keys', { name: 'runs only', scopes: ['run'] });
    const response = await cordon.get('/v1/problems', (key.body as CreatedKeyDto).key);
    expect(response.status).toBe(403);
  });

  it.each([
    [{}, '/title'],
    [{ title: 'x', surplus: 1 }, '/surplus'],
    [{ title: 'x', limits: { cpuTimeMs: 0 } }, '/limits/cpuTimeMs'],
    [{ title: 'x', checker: { kind: 'custom', runtime: 'python' } }, '/checker/source'],
    [{ title: 'x', checker: { kind: 'custom', runtime: 'nope', source: '' } }, '/checker/runtime'],
    [{ title: 'x', interactor: { runtime: 'nope', source: '' } }, '/interactor/runtime'],
    [
      { title: 'x', interactor: { runtime: 'sh', source: '', files: [{ path: '../x', content: '' }] } },
      '/interactor/files/0/path',
    ],
    [{ title: 'x', checker: { kind: 'exact', files: [] } }, '/checker/files'],
    [
      {
        title: 'x',
        checker: { kind: 'custom', runtime: 'sh', source: '', files: [{ path: 'main.sh', content: '' }] },
      },
      '/checker/files',
    ],
    [{ title: 'x', interactor: { runtime: 'sh', source: '' }, checker: { kind: 'exact' } }, '/checker'],
    [{ title: 'x', defaults: { groupBy: 'name' } }, '/defaults/groupBy'],
  ])('refuses %j', async (body, pointer) => {
    const response = await cordon.postTo('/v1/problems', body);
    expect(response.status).toBe(422);
    expect(response.body.errors.map((error: { pointer: string }) => error.pointer)).toContain(pointer);
  });
});

describe('tests as an archive', () => {
  it('pairs inputs and answers, in natural order', async () => {
    const { id } = await make({ defaults: { points: 5 } });
    expect(await addZip(id, zip(PAIRS))).toMatchObject({ version: 1, tests: 2, bytes: 14 });
    const { body } = await cordon.get(`/v1/problems/${id}/tests`);
    expect(body).toEqual({
      version: 1,
      items: [
        { index: 0, name: '2', inputBytes: 4, expectedBytes: 2, points: 5, group: null },
        { index: 1, name: '10', inputBytes: 5, expectedBytes: 3, points: 5, group: null },
      ],
    });
  });

  it('knows input and output folders, folders as groups, and the litter of desktops', async () => {
    const { id } = await make({ defaults: { groupBy: 'folder' } });
    const archive = zip([
      { name: 'data/', mode: 0o040755 },
      { name: 'data/small/input/1.txt', content: '1' },
      { name: 'data/small/output/1.txt', content: '1', stored: true },
      { name: 'data/large/1.in', content: '1' },
      { name: 'data/large/1.a', content: '1' },
      { name: '__MACOSX/data/._1.in', content: 'x' },
      { name: 'data/.DS_Store', content: 'x' },
    ]);
    await addZip(id, archive);
    const { body } = await cordon.get(`/v1/problems/${id}/tests`);
    expect(body.items.map(({ name, group }: { name: string; group: string }) => [name, group])).toEqual([
      ['large/1', 'large'],
      ['small/1', 'small'],
    ]);
  });

  const ok = { name: '1.in', content: 'x' };
  const answer = { name: '1.out', content: 'x' };
  it.each([
    ['a step out', [{ name: '../1.in' }], /invalid relative path/],
    ['an absolute name', [{ name: '/etc/1.in' }], /absolute path/],
    ['a backslash', [{ name: '..\\1.in' }], /invalid characters/],
    ['a link', [ok, answer, { name: '2.in', content: '/etc/passwd', mode: 0o120777 }], /"2\.in" is a link/],
    ['a stray file', [ok, answer, { name: 'README.md' }], /"README\.md" is neither/],
    ['an input alone', [ok], /"1\.in" has no answer/],
    ['an answer alone', [answer], /"1\.out" is an answer without/],
    ['two answers', [ok, answer, { name: '1.ans' }], /"1\.ans" is given twice/],
    ['the same name twice', [ok, answer, answer], /"1\.out" is in it twice/],
    ['an encrypted file', [ok, { ...answer, flags: 0x0801 }], /"1\.out" is encrypted/],
    ['a file that holds more than it says', [ok, { ...answer, claimedSize: 0 }], /"1\.out" cannot be unpacked/],
    ['a file that claims to be huge', [ok, { ...answer, claimedSize: 2 ** 31 }], /"1\.out" holds over/],
    ['nothing', [], /no tests/],
    ['a control character', [{ name: '1\u0007.in' }], /control characters/],
    ['too many entries', Array.from({ length: 2001 }, (_, index) => ({ name: `${index}.in` })), /more than 2000/],
    [
      'a bomb',
      Array.from({ length: 6 }, (_, index) => ({ name: `${index}.in`, content: Buffer.alloc(8 << 20) })),
      /times its size/,
    ],
  ])('refuses %s, and keeps nothing', async (_what, entries, message) => {
    const { id } = await make();
    const response = await upload(id, zip(entries));
    expect(response.status, response.text).toBe(422);
    expect(JSON.stringify(response.body.errors.map(({ detail }: { detail: string }) => detail))).toMatch(
      new RegExp(message.source.replaceAll('"', '\\\\"')),
    );
    expect((await cordon.get(`/v1/problems/${id}/versions`)).body.items).toEqual([]);
    expect(await staged()).toEqual([]);
  });

  it('refuses what is no archive, and archives anywhere else', async () => {
    const { id } = await make();
    expect((await upload(id, Buffer.from('no zip at all'))).body.detail).toMatch(/not a zip archive/);
    const cut = await upload(id, zip(PAIRS).subarray(0, 100));
    expect(cut.status).toBe(422);
    const elsewhere = await request(cordon.app.getHttpServer())
      .post('/v1/problems')
      .set('authorization', `Bearer ${KEY}`)
      .set('content-type', 'application/zip')
      .send(zip(PAIRS));
    expect(elsewhere.status).toBe(415);
  });

  it('refuses a file that was damaged on its way', async () => {
    const { id } = await make();
    const archive = zip([ok, { ...answer, content: 'whole', stored: true }]);
    archive.write('WHOLE', archive.indexOf('whole'));
    const response = await upload(id, archive);
    expect(response.body).toMatchObject({ status: 422, errors: [{ pointer: '/1.out' }] });
    expect(response.body.detail).toMatch(/checksum/);
    expect(await staged()).toEqual([]);
  });

  it('an upload that breaks off leaves nothing', async () => {
    const { id } = await make();
    await new Promise<void>((resolve) => {
      const client = httpRequest({
        host: '127.0.0.1',
        port: cordon.port,
        path: `/v1/problems/${id}/versions`,
        method: 'POST',
        headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/zip', 'content-length': 1000 },
      });
      client.on('error', () => resolve());
      client.write(zip(PAIRS).subarray(0, 50), () => setTimeout(() => client.destroy(), 50));
    });
    expect((await cordon.get(`/v1/problems/${id}/versions`)).body.items).toEqual([]);
    expect(await staged()).toEqual([]);
    expect((await cordon.get('/readyz')).status).toBe(200);
  });
});

async function staged(): Promise<string[]> {
  const redis = connect(cordon.redis.url);
  try {
    return await redis.keys(keys.staged('*', '*'));
  } finally {
    redis.disconnect();
  }
}

describe('versions', () => {
  it('share their data, count against a quota, and give it back', async () => {
    const redis = connect(cordon.redis.url);
    try {
      const { id } = await make();
      const [place] = (await redis.keys('cordon:tenant:*:problems')).map((key) => key.split(':')[2]);
      const used = async (): Promise<number> => Number(await redis.get(keys.chunkBytes(place)));
      const before = await used();
      const large = 'x'.repeat(3 << 20);
      const tests = [{ input: large, expected: large }];
      const add = (more: object) => cordon.postTo(`/v1/problems/${id}/versions`, { tests, ...more });
      expect((await add({})).body).toMatchObject({ version: 1, tests: 1, bytes: 6 << 20 });
      // The same again, twice: one megabyte of x is kept once.
      expect((await used()) - before).toBe(1 << 20);
      expect((await add({})).body.version).toBe(2);
      expect((await add({ append: true, tests: [{ name: 'more', expected: 'y', points: 7 }] })).body).toMatchObject({
        version: 3,
        tests: 2,
      });
      expect((await used()) - before).toBe((1 << 20) + 1);
      const twice = await add({ append: true, tests: [{ name: 'more', expected: 'y' }] });
      expect(twice.body.errors[0].pointer).toBe('/tests/0/name');
      const list = await cordon.get(`/v1/problems/${id}/versions`);
      expect(list.body.items.map(({ version }: ProblemVersionDto) => version)).toEqual([3, 2, 1]);
      const old = await cordon.get(`/v1/problems/${id}/tests?version=1`);
      expect(old.body.items).toHaveLength(1);
      expect((await cordon.get(`/v1/problems/${id}/tests?version=4`)).status).toBe(404);

      const random = Buffer.from(Array.from({ length: 8 << 20 }, () => 32 + Math.floor(Math.random() * 90))).toString();
      const some = [0, 1, 2, 3].map((n) => ({ input: `${n}${random.slice(1)}`, expected: '' }));
      const other = await make();
      for (const [n, test] of some.entries()) {
        const response = await cordon.postTo(`/v1/problems/${other.id}/versions`, { tests: [test] });
        // Each differs in its first chunk alone.
        expect(response.status, `${n} ${response.text.slice(0, 300)}`).toBe(201);
      }
      const shuffled = [1, 2].map((n) => ({ input: random.slice(n) + random.slice(0, n), expected: '' }));
      const full = await cordon.postTo(`/v1/problems/${other.id}/versions`, { tests: shuffled });
      expect(full.status, full.text.slice(0, 200)).toBe(429);
      expect(full.body.type).toBe('urn:cordon:problem:quota-exceeded');
      await cordon.delete(`/v1/problems/${id}`);
      await cordon.delete(`/v1/problems/${other.id}`);
      expect(await used()).toBe(before);
      expect(await redis.keys(`cordon:problem:${id}*`)).toEqual([]);
    } finally {
      redis.disconnect();
    }
  });

  it.each([
    [{ tests: [] }, '/tests'],
    [{ tests: [{ input: 'x' }] }, '/tests/0/expected'],
    [{ tests: [{ expected: '1', name: '' }] }, '/tests/0/name'],
    [{ tests: [{ expected: '1' }], append: 1 }, '/append'],
    [
      {
        tests: [
          { expected: '1', name: 'a' },
          { expected: '1', name: 'a' },
        ],
      },
      '/tests/1/name',
    ],
  ])('refuse %j', async (body, pointer) => {
    const { id } = await make();
    const response = await cordon.postTo(`/v1/problems/${id}/versions`, body);
    expect(response.status).toBe(422);
    expect(response.body.errors.map((error: { pointer: string }) => error.pointer)).toContain(pointer);
  });
});

describe('submissions of a stored problem', () => {
  it('are judged by its tests, limits and checker, and say which version', async () => {
    const { id } = await make({ checker: { kind: 'exact' }, limits: { cpuTimeMs: 400 } });
    await addZip(id, zip(PAIRS));
    expect(await judge({ problem: id })).toMatchObject({
      verdict: 'AC',
      score: 2,
      maxScore: 2,
      problem: id,
      version: 1,
    });
    expect((await judge({ problem: id, source: 'a, b = input().split(); print(int(a) + int(b), "")' })).verdict).toBe(
      'PE',
    );
    expect((await judge({ problem: id, source: 'while True: pass', stopAtFirstFailure: true })).tests[0]).toMatchObject(
      {
        verdict: 'TLE',
      },
    );
    await cordon.postTo(`/v1/problems/${id}/versions`, { tests: [{ input: '1 1', expected: '3\n' }], append: true });
    expect(await judge({ problem: id })).toMatchObject({ verdict: 'WA', version: 2, score: 2, maxScore: 3 });
    expect(await judge({ problem: id, version: 1 })).toMatchObject({ verdict: 'AC', version: 1 });
  });

  it('are judged by a checker of the problem’s own, whose source is shown to who asks for the problem alone', async () => {
    const source = 'import sys, rules\nsys.exit(0 if rules.good(int(open(sys.argv[2]).read())) else 1)';
    const files = [{ path: 'rules.py', content: 'def good(number): return number % 2' }];
    const { id } = await make({ checker: { kind: 'custom', runtime: 'py', source, files } });
    await cordon.postTo(`/v1/problems/${id}/versions`, { tests: [{ input: '1 2' }, { input: '1 1' }] });
    const result = await judge({ problem: id });
    expect(result.tests.map(({ verdict }) => verdict)).toEqual(['AC', 'WA']);
    const again = await cordon.postTo(`/v1/submissions/${result.id}/rejudge`, {});
    expect((await cordon.get(`/v1/submissions/${again.body.id}?wait=30`)).body.score).toBe(1);
    const content = Buffer.from(files[0].content).toString('base64');
    expect((await cordon.get(`/v1/problems/${id}`)).body.checker).toEqual({
      kind: 'custom',
      runtime: 'python',
      source,
      files: [{ path: 'rules.py', content, encoding: 'base64' }],
    });
    const list = (await cordon.get('/v1/problems')).body.items as StoredProblemDto[];
    expect(list.find((one) => one.id === id)?.checker).toEqual({ kind: 'custom', runtime: 'python' });
  });

  it('carry large and many tests', async () => {
    const { id } = await make();
    const numbers = '1 '.repeat(500_000);
    await addZip(
      id,
      zip([
        { name: 'big.in', content: numbers },
        { name: 'big.out', content: '500000\n' },
      ]),
    );
    expect(await judge({ problem: id })).toMatchObject({ verdict: 'AC' });
  });

  it.each([
    [{ tests: [{ expected: '1' }] }, '/tests'],
    [{ checker: { kind: 'exact' } }, '/checker'],
    [{ interactor: { runtime: 'sh', source: '' } }, '/interactor'],
    [{ version: 99 }, '/problem'],
    [{ problem: 'prb_0123456789abcdef01234567' }, '/problem'],
    [{ problem: '../x' }, '/problem'],
  ])('refuse %j', async (body, pointer) => {
    const { id } = await make();
    await addZip(id, zip(PAIRS));
    const problem = (await judge({ problem: id, ...body }, 422)) as unknown as { errors: { pointer: string }[] };
    expect(problem.errors.map((error) => error.pointer)).toContain(pointer);
  });

  it('need tests', async () => {
    const { id } = await make();
    const problem = (await judge({ problem: id }, 422)) as unknown as { errors: { detail: string }[] };
    expect(problem.errors[0].detail).toMatch(/no tests yet/);
    expect(await judge({ version: 1, tests: [{ expected: '1' }] }, 422)).toMatchObject({
      errors: [{ pointer: '/version' }],
    });
  });

  it('end as error when their problem is deleted before they are judged', async () => {
    const { id } = await make();
    await addZip(id, zip(PAIRS));
    // Both places of the worker are taken.
    const hold = { command: ['/bin/sleep', '1.5'] };
    await Promise.all([cordon.post(hold), cordon.post(hold)]);
    const { body } = await cordon.postTo('/v1/submissions', { runtime: 'python', source: SUM, problem: id });
    await cordon.delete(`/v1/problems/${id}`);
    const ended = await cordon.get(`/v1/submissions/${body.id}?wait=30`);
    expect(ended.body).toMatchObject({ state: 'error', verdict: 'IE', detail: expect.stringContaining('was deleted') });
  });
});
