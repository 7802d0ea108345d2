import type { ProblemVersionDto, StoredProblemDto, SubmissionDto } from '@cordon/contracts';
import { connect, keys } from '@cordon/queue';
import request from 'supertest';
import { describe, expect, it } from 'vitest';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';
import { type ZipEntry, zip } from './zip.js';

const cordon = useDeployment({ workers: 1, problemBytes: 8 << 20 });
const SUM = 'print(sum(map(int, input().split())))';
const at = (id: string, rest = ''): string => `/v1/problems/${id}${rest}`;

async function make(body: object = {}): Promise<StoredProblemDto> {
  const response = await cordon.postTo('/v1/problems', { title: 'A + B', ...body });
  expect(response.status, response.text).toBe(201);
  return response.body;
}

const send = (id: string, entries: readonly ZipEntry[]): request.Test =>
  request(cordon.app.getHttpServer())
    .post(at(id, '/versions'))
    .set('authorization', `Bearer ${KEY}`)
    .set('content-type', 'application/zip')
    .send(zip(entries));

const patch = (id: string, body: unknown, key = KEY): request.Test =>
  request(cordon.app.getHttpServer())
    .patch(at(id))
    .set('authorization', `Bearer ${key}`)
    .set('content-type', 'application/json')
    .send(JSON.stringify(body));

async function change(id: string, body: object): Promise<StoredProblemDto> {
  const response = await patch(id, body);
  expect(response.status, response.text).toBe(200);
  return response.body;
}

async function addTests(id: string, tests: object[]): Promise<ProblemVersionDto> {
  const response = await cordon.postTo(at(id, '/versions'), { tests });
  expect(response.status, response.text).toBe(201);
  return response.body;
}

async function judge(body: object): Promise<SubmissionDto> {
  const response = await cordon.postTo('/v1/submissions?wait=60', { runtime: 'python', source: SUM, ...body });
  expect(response.status, response.text).toBe(200);
  return response.body;
}

async function counts(id: string, query = ''): Promise<unknown[]> {
  const { body } = await cordon.get(at(id, `/tests${query}`));
  return body.items.map(({ name, points, group }: { name: string; points: number; group: string }) => [
    name,
    points,
    group,
  ]);
}

const versions = async (id: string): Promise<number[]> =>
  (await cordon.get(at(id, '/versions'))).body.items.map(({ version }: ProblemVersionDto) => version);

const PAIR = (name: string): ZipEntry[] => [
  { name: `${name}.in`, content: '1 1\n' },
  { name: `${name}.out`, content: '2\n' },
];

describe('a manifest in the archive', () => {
  const manifest = (value: unknown, name = 'manifest.json'): ZipEntry => ({
    name,
    content: typeof value === 'string' ? value : JSON.stringify(value),
  });

  it('says what tests count; submissions are scored by it', async () => {
    const { id } = await make({ defaults: { points: 3, groupBy: 'folder' } });
    const entries = [...PAIR('small/1'), ...PAIR('small/2'), ...PAIR('large/1')];
    const tests = [
      { name: 'small/1', points: 10 },
      { name: 'large/1', points: 50, group: 'all' },
      { name: 'small/2', group: '' },
    ];
    expect((await send(id, [...entries, manifest({ tests })])).status).toBe(201);
    expect(await counts(id)).toEqual([
      ['large/1', 50, 'all'],
      ['small/1', 10, 'small'],
      ['small/2', 3, null],
    ]);
    expect(await judge({ problem: id })).toMatchObject({ verdict: 'AC', score: 63, maxScore: 63 });
    const large = 'import sys\nif len(open("/proc/self/status").read()): print(2)';
    expect(await judge({ problem: id, source: large })).toMatchObject({ score: 63 });
  });

  it('lies at the top, or in the folder that all lies in', async () => {
    const { id } = await make();
    const folder = PAIR('data/1').concat(manifest({ tests: [{ name: '1', points: 9 }] }, 'data/manifest.json'));
    expect((await send(id, folder)).status).toBe(201);
    expect(await counts(id)).toEqual([['1', 9, null]]);
    const deeper = [...PAIR('a/1'), ...PAIR('b/1'), manifest({ tests: [] }, 'a/manifest.json')];
    expect((await send(id, deeper)).body.errors[0].detail).toContain('"a/manifest.json" is neither');
  });

  const one = { name: '1', points: 1 };
  it.each([
    [{ tests: [{ ...one, points: -1 }] }, '/manifest.json/tests/0/points'],
    [{ tests: [{ ...one, points: 1.5 }] }, '/manifest.json/tests/0/points'],
    [{ tests: [{ ...one, points: 1_000_001 }] }, '/manifest.json/tests/0/points'],
    [{ tests: [{ ...one, points: null }] }, '/manifest.json/tests/0/points'],
    [{ tests: [{ ...one, group: 'x'.repeat(65) }] }, '/manifest.json/tests/0/group'],
    [{ tests: [{ points: 1 }] }, '/manifest.json/tests/0/name'],
    [{ tests: [{ ...one, surplus: 1 }] }, '/manifest.json/tests/0/surplus'],
    [{ tests: [one, { name: '2' }] }, '/manifest.json/tests/1/name'],
    [{ tests: [one, one] }, '/manifest.json/tests/1/name'],
    [{ tests: [] }, '/manifest.json/tests'],
    [{ tests: Array.from({ length: 501 }, () => one) }, '/manifest.json/tests'],
    [{ tests: {} }, '/manifest.json/tests'],
    [[], '/manifest.json'],
    ['{"tests":', '/manifest.json'],
    ['', '/manifest.json'],
    ['['.repeat(100_000), '/manifest.json'],
    [`{"tests":[],"x":"${'y'.repeat(300_000)}"}`, '/manifest.json'],
    ['{"tests":[{"name":"\\ud800"}]}', '/manifest.json'],
  ])('number %# is refused where it is wrong', async (value, pointer) => {
    const { id } = await make();
    const { status, body } = await send(id, [...PAIR('1'), manifest(value)]);
    expect([status, body.errors.map((error: { pointer: string }) => error.pointer)]).toEqual([422, [pointer]]);
    expect(await versions(id)).toEqual([]);
  });
});

describe('other settings', () => {
  it('are a new version with the same tests; older ones stay as they were', async () => {
    const { id } = await make({ checker: { kind: 'exact' } });
    await addTests(id, [
      { name: 'a', input: '1 1', expected: '2' },
      { name: 'b', input: '2 2', expected: '4' },
    ]);
    expect(await judge({ problem: id })).toMatchObject({ verdict: 'PE', version: 1 });
    const changed = await change(id, { checker: { kind: 'tokens' }, limits: { outputBytes: 1000 } });
    expect(changed).toMatchObject({ version: 2, checker: { kind: 'tokens' }, limits: { outputBytes: 1000 } });
    expect(await judge({ problem: id })).toMatchObject({ verdict: 'AC', version: 2, score: 2 });
    expect(await judge({ problem: id, version: 1 })).toMatchObject({ verdict: 'PE', version: 1 });
    const long = {
      problem: id,
      source: 'print(sum(map(int, input().split())), " " * 5000)',
      stopAtFirstFailure: true,
    };
    expect((await judge(long)).verdict).toBe('OLE');
    expect((await judge({ ...long, limits: { outputBytes: 100_000 } })).verdict).toBe('AC');
    const old = await judge({ ...long, version: 1 });
    expect(old.verdict).toBe('PE');
    // Judged again, it is by the limits of the version that judges it.
    const again = await cordon.postTo(`/v1/submissions/${old.id}/rejudge`, {});
    expect((await cordon.get(`/v1/submissions/${again.body.id}?wait=60`)).body).toMatchObject({
      verdict: 'OLE',
      version: 2,
    });
    expect((await cordon.get(at(id, '?version=1'))).body).toMatchObject({ version: 1, checker: { kind: 'exact' } });
    expect((await cordon.get(at(id))).body).toEqual(changed);
    expect((await cordon.get(at(id, '?version=3'))).status).toBe(404);
    expect(await versions(id)).toEqual([2, 1]);
  });

  it('points and groups of tests that are there', async () => {
    const { id } = await make();
    await addTests(id, [
      { name: 'a', input: '1 1', expected: '2', group: 'g' },
      { name: 'b', input: '2 2', expected: '5', group: 'g' },
      { name: 'c', input: '2 2', expected: '4' },
    ]);
    const labels = [
      { name: 'a', group: '', points: 7 },
      { name: 'c', group: 'g' },
    ];
    expect(await change(id, { tests: labels, defaults: { points: 4 } })).toMatchObject({
      version: 2,
      defaults: { points: 4 },
    });
    expect(await counts(id)).toEqual([
      ['a', 7, null],
      ['b', 1, 'g'],
      ['c', 1, 'g'],
    ]);
    expect(await counts(id, '?version=1')).toEqual([
      ['a', 1, 'g'],
      ['b', 1, 'g'],
      ['c', 1, null],
    ]);
    expect(await judge({ problem: id })).toMatchObject({ score: 7, maxScore: 9 });
    expect(await judge({ problem: id, version: 1 })).toMatchObject({ score: 1, maxScore: 3 });
    await addTests(id, [{ input: '1 1', expected: '2' }]);
    expect(await counts(id)).toEqual([['1', 4, null]]);
  });

  it('a checker takes the place of an interactor, and the other way round', async () => {
    const interactor = { runtime: 'sh', source: 'exit 1' };
    const { id } = await make({ interactor });
    await addTests(id, [{ input: '1 1', expected: '2' }]);
    expect((await judge({ problem: id })).verdict).toBe('WA');
    expect(await change(id, { checker: { kind: 'tokens' } })).toMatchObject({ interactor: null, version: 2 });
    expect((await judge({ problem: id })).verdict).toBe('AC');
    expect(await change(id, { interactor })).toMatchObject({
      interactor: { runtime: 'sh', source: 'exit 1' },
      version: 3,
    });
    expect((await judge({ problem: id })).verdict).toBe('WA');
    expect((await judge({ problem: id, version: 2 })).verdict).toBe('AC');
    expect((await patch(id, { interactor, checker: { kind: 'exact' } })).body.errors[0].pointer).toBe('/checker');
  });

  it('an answer that is missing is an empty one to a checker that compares', async () => {
    const custom = { kind: 'custom', runtime: 'python', source: 'import sys; sys.exit(0)' };
    const { id } = await make({ checker: custom });
    await send(id, [{ name: '1.in', content: '1 1' }]);
    expect(await judge({ problem: id })).toMatchObject({ verdict: 'AC', version: 1 });
    expect(await change(id, { checker: { kind: 'tokens' } })).toMatchObject({ version: 2 });
    expect(await judge({ problem: id })).toMatchObject({ verdict: 'WA', version: 2 });
    expect(await judge({ problem: id, source: 'pass' })).toMatchObject({ verdict: 'AC', version: 2 });
  });

  it('a title alone, and a problem without tests, need no version', async () => {
    const { id } = await make();
    expect(await change(id, { limits: { cpuTimeMs: 77 }, title: 'first' })).toMatchObject({
      version: 0,
      title: 'first',
    });
    await addTests(id, [{ expected: '1' }]);
    expect(await change(id, { title: 'second' })).toMatchObject({
      version: 1,
      title: 'second',
      limits: { cpuTimeMs: 77 },
    });
    expect((await cordon.get(at(id, '?version=1'))).body.title).toBe('second');
  });

  it.each([
    [{}, ''],
    [{ title: '' }, '/title'],
    [{ title: null }, '/title'],
    [{ surplus: 1 }, '/surplus'],
    [{ limits: { cpuTimeMs: 0 } }, '/limits/cpuTimeMs'],
    [{ checker: { kind: 'custom' } }, '/checker/runtime'],
    [{ defaults: { points: -1 } }, '/defaults/points'],
    [{ tests: [{ name: 'none', points: 1 }] }, '/tests/0/name'],
    [{ tests: [{ name: '1', points: 'x' }] }, '/tests/0/points'],
  ])('%j is refused, and changes nothing', async (body, pointer) => {
    const { id } = await make();
    await addTests(id, [{ expected: '1' }]);
    const { status, body: problem } = await patch(id, body);
    expect([status, problem.errors.map((error: { pointer: string }) => error.pointer)]).toEqual([
      422,
      expect.arrayContaining([pointer]),
    ]);
    expect((await cordon.get(at(id))).body.version).toBe(1);
    expect((await patch(id, { title: 'theirs' }, OTHER_KEY)).status).toBe(404);
  });

  it('changes at once: one wins, or they come one after the other', async () => {
    const { id } = await make();
    await addTests(id, [{ expected: '1' }]);
    const made = await Promise.all([1, 2, 3, 4].map((points) => patch(id, { tests: [{ name: '1', points }] })));
    const won = made.filter(({ status }) => status === 200);
    expect(made.every(({ status }) => status === 200 || status === 409)).toBe(true);
    expect(await versions(id)).toEqual(Array.from({ length: won.length + 1 }, (_, index) => won.length + 1 - index));
  });
});

describe('one version', () => {
  it('is deleted with what only it has; the one before is the latest again, with its settings', async () => {
    const redis = connect(cordon.redis.url);
    try {
      const { id } = await make({ checker: { kind: 'exact' } });
      const [place] = (await redis.keys('cordon:tenant:*:problems')).map((key) => key.split(':')[2]);
      const used = async (): Promise<number> => Number(await redis.get(keys.chunkBytes(place)));
      const before = await used();
      const drop = async (version: number | string): Promise<number> =>
        (await cordon.delete(at(id, `/versions/${version}`))).status;
      await addTests(id, [{ input: '1 1', expected: '2\n' }]);
      const first = await used();
      await addTests(id, [{ input: '1 1', expected: '3\n' }]);
      const source = `# ${'x'.repeat(10_000)}\nimport sys; sys.exit(0)`;
      await change(id, { checker: { kind: 'custom', runtime: 'python', source }, title: 'kept' });
      await change(id, { limits: { cpuTimeMs: 1000 } });
      expect((await used()) - first).toBeGreaterThan(20_000);
      expect(await judge({ problem: id })).toMatchObject({ verdict: 'AC', version: 4 });
      for (const version of [0, 5, 'x', '1.5']) expect([404, 422]).toContain(await drop(version));
      expect((await cordon.delete(at(id, '/versions/1'), OTHER_KEY)).status).toBe(404);
      expect(await drop(4)).toBe(204);
      expect(await drop(4)).toBe(404);
      expect((await cordon.get(at(id))).body).toMatchObject({ version: 3, title: 'kept', checker: { source } });
      expect(await drop(2)).toBe(204);
      expect(await versions(id)).toEqual([3, 1]);
      expect(await judge({ problem: id })).toMatchObject({ verdict: 'AC', version: 3 });
      expect(
        (await cordon.postTo('/v1/submissions', { runtime: 'python', source: SUM, problem: id, version: 2 })).status,
      ).toBe(422);
      expect(await drop(3)).toBe(204);
      expect(await used()).toBe(first);
      expect((await cordon.get(at(id))).body).toMatchObject({ version: 1, checker: { kind: 'exact' }, title: 'kept' });
      expect(await judge({ problem: id })).toMatchObject({ verdict: 'AC', version: 1 });
      // Numbers are not given again.
      expect((await addTests(id, [{ expected: '1' }])).version).toBe(5);
      for (const version of [5, 1]) expect(await drop(version)).toBe(204);
      expect((await cordon.get(at(id))).body).toMatchObject({ version: 0 });
      expect((await addTests(id, [{ expected: '1' }])).version).toBe(6);
      await cordon.delete(at(id));
      expect(await used()).toBe(before);
      expect(await redis.keys(`cordon:problem:${id}*`)).toEqual([]);
    } finally {
      redis.disconnect();
    }
  });

  it('when none is left, settings that change are those of the next', async () => {
    const { id } = await make({ limits: { cpuTimeMs: 100 } });
    await addTests(id, [{ input: '1 1', expected: '2\n' }]);
    expect((await cordon.delete(at(id, '/versions/1'))).status).toBe(204);
    expect(await change(id, { limits: { cpuTimeMs: 900 } })).toMatchObject({ version: 0, limits: { cpuTimeMs: 900 } });
    expect((await addTests(id, [{ input: '1 1', expected: '2\n' }])).version).toBe(2);
    expect((await cordon.get(at(id, '?version=2'))).body.limits).toMatchObject({ cpuTimeMs: 900 });
  });

  it('of a server that kept no settings with versions is judged by the problem’s, and keeps them when those change', async () => {
    const redis = connect(cordon.redis.url);
    try {
      const { id } = await make({ checker: { kind: 'exact' } });
      await addTests(id, [{ input: '1 1', expected: '2\n' }]);
      await addTests(id, [{ input: '1 2', expected: '3\n' }]);
      await redis.del(keys.problemRevisions(id), keys.problemSettings(id), keys.problemSources(id));
      await redis.hdel(keys.problem(id), 'revision', 'made');
      expect((await cordon.get(at(id, '?version=1'))).body).toMatchObject({ version: 1, checker: { kind: 'exact' } });
      expect(await judge({ problem: id, version: 1 })).toMatchObject({ verdict: 'AC', version: 1 });
      expect((await cordon.get(at(id, '?version=3'))).status).toBe(404);
      const never = { kind: 'custom', runtime: 'python', source: 'import sys; sys.exit(1)' };
      expect(await change(id, { checker: never })).toMatchObject({ version: 3 });
      expect(await judge({ problem: id })).toMatchObject({ verdict: 'WA', version: 3 });
      expect(await judge({ problem: id, version: 2 })).toMatchObject({ verdict: 'AC', version: 2 });
      expect((await cordon.delete(at(id, '/versions/3'))).status).toBe(204);
      expect((await cordon.get(at(id))).body).toMatchObject({ version: 2, checker: { kind: 'exact' } });
      expect(await judge({ problem: id })).toMatchObject({ verdict: 'AC', version: 2 });
      await cordon.delete(at(id));
      expect(await redis.keys(`cordon:problem:${id}*`)).toEqual([]);
    } finally {
      redis.disconnect();
    }
  });

  it('judges no more when it is gone, and programs in settings count as data', async () => {
    const { id } = await make();
    await addTests(id, [{ input: '1 1', expected: '2' }]);
    // Both places of the worker are taken until they are canceled.
    const hold = await Promise.all([1, 2].map(() => cordon.post({ command: ['/bin/sleep', '60'] })));
    const { body } = await cordon.postTo('/v1/submissions', { runtime: 'python', source: SUM, problem: id });
    await change(id, { limits: { cpuTimeMs: 900 } });
    expect((await cordon.delete(at(id, '/versions/1'))).status).toBe(204);
    for (const { body: held } of hold) await cordon.delete(`/v1/executions/${held.id}`);
    const ended = await cordon.get(`/v1/submissions/${body.id}?wait=30`);
    expect(ended.body).toMatchObject({ state: 'error', verdict: 'IE', detail: expect.stringContaining('was deleted') });
    const source = 'x'.repeat(200_000);
    let status = 200;
    for (let round = 0; status === 200 && round < 60; round++) {
      const checker = { kind: 'custom', runtime: 'python', source: `${round}${source}` };
      const response = await patch(id, { checker });
      status = response.status;
      if (status !== 200) expect([status, response.body.type]).toEqual([429, 'urn:cordon:problem:quota-exceeded']);
    }
    expect(status).toBe(429);
    expect((await cordon.delete(at(id))).status).toBe(204);
  });
});
