import type { BatchDto, RejudgedListDto, SubmissionDto, SubmissionListDto } from '@cordon/contracts';
import request from 'supertest';
import { describe, expect, it } from 'vitest';
import { KEY, OTHER_KEY, useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });

const ONE = { runtime: 'python', source: 'print(1)', tests: [{ expected: '1' }] };

async function batch(submissions: unknown[], key?: string): Promise<BatchDto> {
  const sent = request(cordon.app.getHttpServer())
    .post('/v1/submissions/batch')
    .set('authorization', `Bearer ${KEY}`)
    .set('content-type', 'application/json');
  if (key !== undefined) sent.set('idempotency-key', key);
  const response = await sent.send(JSON.stringify({ submissions }));
  expect(response.status, response.text).toBe(202);
  return response.body;
}

async function list(query: string, key = KEY): Promise<SubmissionDto[]> {
  const response = await cordon.get(`/v1/submissions?${query}`, key);
  expect(response.status, response.text).toBe(200);
  return (response.body as SubmissionListDto).items;
}
const ended = async (id: string): Promise<SubmissionDto> => (await cordon.get(`/v1/submissions/${id}?wait=30`)).body;
const idsOf = (items: readonly SubmissionDto[]): string[] => items.map(({ id }) => id);

async function problem(expected: string): Promise<string> {
  const { body } = await cordon.postTo('/v1/problems', { title: 'One' });
  await addTests(body.id, expected);
  return body.id;
}
const addTests = (id: string, expected: string) =>
  cordon.postTo(`/v1/problems/${id}/versions`, { tests: [{ expected }] });

describe('batches', () => {
  it('look at each submission on its own, and answer in order', async () => {
    const { id, items } = await batch([ONE, { ...ONE, runtime: 'no-such' }, null, { ...ONE, source: 'print(2)' }, 7]);
    expect(items.map(({ submission, problem }) => submission?.state ?? problem?.type)).toEqual([
      'queued',
      'urn:cordon:problem:unknown-runtime',
      'urn:cordon:problem:invalid-request',
      'queued',
      'urn:cordon:problem:invalid-request',
    ]);
    const ids = items.flatMap(({ submission }) => (submission ? [submission.id] : []));
    expect((await ended(ids[0])).verdict).toBe('AC');
    expect(await ended(ids[1])).toMatchObject({ verdict: 'WA', batch: id });
    expect(idsOf(await list(`batch=${id}`))).toEqual(ids);
    expect((await cordon.get(`/v1/submissions?batch=${id}`, OTHER_KEY)).status).toBe(404);
    expect(idsOf(await list(`ids=${ids[1]},sub_nonsense,${ids[0]}`))).toEqual([ids[1], ids[0]]);
    expect(await list(`ids=${ids.join(',')}`, OTHER_KEY)).toEqual([]);
  });

  it('sent again with the same key make nothing twice, and what was refused gets its chance', async () => {
    const first = await batch([ONE, { runtime: 'python' }], 'again');
    const second = await batch([ONE, { ...ONE, source: 'print(1) ' }], 'again');
    expect(second.id).toBe(first.id);
    expect(second.items[0].submission?.id).toBe(first.items[0].submission?.id);
    expect(first.items[1].problem?.status).toBe(422);
    expect(second.items[1].submission?.state).toBe('queued');
    expect(await list(`batch=${first.id}`)).toHaveLength(2);
    const third = await batch([{ ...ONE, source: 'other' }], 'again');
    expect(third.items[0].problem?.type).toBe('urn:cordon:problem:conflict');
  });

  it.each([[{}], [{ submissions: [] }], [{ submissions: {} }], [{ submissions: [ONE], more: 1 }], [[]], ['x']])(
    'refuse %j as a whole',
    async (body) => {
      const response = await cordon.postTo('/v1/submissions/batch', JSON.stringify(body));
      expect(response.status).toBe(422);
    },
  );

  it('keep what came with them when they are sent again in part', async () => {
    const { id, items } = await batch([ONE, { ...ONE, source: 'print(2)' }], 'in part');
    const ids = items.flatMap(({ submission }) => (submission ? [submission.id] : []));
    expect((await batch([ONE], 'in part')).id).toBe(id);
    expect(idsOf(await list(`batch=${id}`))).toEqual(ids);
  });

  it('hold at most 100', async () => {
    const response = await cordon.postTo('/v1/submissions/batch', { submissions: Array(101).fill({}) });
    expect(response.body.errors[0].pointer).toBe('/submissions');
  });
});

describe('the list of submissions', () => {
  it('is newest first, page by page, by label and by problem', async () => {
    const id = await problem('1');
    const made: string[] = [];
    for (let n = 0; n < 3; n++) {
      const more = n === 1 ? {} : { labels: { team: `t${n}` } };
      const { body } = await cordon.postTo('/v1/submissions', { runtime: 'python', source: '', problem: id, ...more });
      made.unshift(body.id);
    }
    await batch([ONE]);
    expect(idsOf(await list(`problem=${id}`))).toEqual(made);
    expect(idsOf(await list('label=team%3Dt2'))).toEqual([made[0]]);
    expect(await list(`problem=${id}&label=team%3Dt1`)).toEqual([]);
    const page = (await cordon.get(`/v1/submissions?problem=${id}&limit=2`)).body as SubmissionListDto;
    expect(idsOf(page.items)).toEqual(made.slice(0, 2));
    expect(idsOf(await list(`problem=${id}&limit=2&cursor=${page.nextCursor}`))).toEqual(made.slice(2));
    expect(idsOf(await list('limit=100'))).toEqual(expect.arrayContaining(made));
    expect(await list('', OTHER_KEY)).toEqual([]);
    expect(await list(`problem=${id}`, OTHER_KEY)).toEqual([]);
    // Executions are no submissions.
    await cordon.run({ command: ['/bin/true'] });
    expect((await list('limit=100')).every((item) => item.id.startsWith('sub_'))).toBe(true);
  });

  it.each(['limit=0', 'limit=101', 'cursor=x', 'label=x', 'ids=a&batch=b', 'ids=a&cursor=b', 'ids=a&ids=b'])(
    'refuses ?%s',
    async (query) => {
      expect((await cordon.get(`/v1/submissions?${query}`)).status).toBe(422);
    },
  );
});

describe('judging again', () => {
  it('makes a new submission of the same source, with the latest tests or those asked for', async () => {
    const id = await problem('2');
    const made = await cordon.postTo('/v1/submissions?wait=30', {
      runtime: 'python',
      source: 'print(1)',
      problem: id,
      labels: { team: 'again' },
    });
    expect(made.body).toMatchObject({ verdict: 'WA', version: 1, rejudgeOf: null });
    await addTests(id, '1');
    const again = await cordon.postTo(`/v1/submissions/${made.body.id}/rejudge`, {});
    expect(again.status).toBe(202);
    expect(again.headers.location).toBe(`/v1/submissions/${again.body.id}`);
    expect(again.body).toMatchObject({
      state: 'queued',
      rejudgeOf: made.body.id,
      version: 2,
      labels: { team: 'again' },
    });
    expect((await ended(again.body.id)).verdict).toBe('AC');
    // The old one stays as it was.
    expect(await ended(made.body.id)).toEqual(made.body);
    const old = await cordon.postTo(`/v1/submissions/${made.body.id}/rejudge?version=1`, {});
    expect(await ended(old.body.id)).toMatchObject({ verdict: 'WA', version: 1 });
    expect((await cordon.postTo(`/v1/submissions/${made.body.id}/rejudge?version=9`, {})).status).toBe(422);
    expect((await cordon.postTo(`/v1/submissions/${made.body.id}/rejudge`, {}, OTHER_KEY)).status).toBe(404);
    await cordon.delete(`/v1/problems/${id}`);
    expect((await cordon.postTo(`/v1/submissions/${made.body.id}/rejudge`, {})).status).toBe(409);
  });

  it('works for tests that came with it, and while it still runs', async () => {
    const { items } = await batch([{ ...ONE, source: 'import time; time.sleep(0.5); print(1)' }]);
    const id = items[0].submission?.id ?? '';
    const again = await cordon.postTo(`/v1/submissions/${id}/rejudge`, {});
    expect(again.body).toMatchObject({ rejudgeOf: id, problem: null, batch: null });
    expect((await ended(again.body.id)).verdict).toBe('AC');
    expect((await cordon.postTo(`/v1/submissions/${id}/rejudge?version=1`, {})).status).toBe(422);
  });

  it('says so when the source was too long to keep', async () => {
    const long = { ...ONE, tests: [{ input: 'x'.repeat(5 << 20), expected: '1' }] };
    const { body } = await cordon.postTo('/v1/submissions?wait=30', long);
    expect(body.verdict).toBe('AC');
    const again = await cordon.postTo(`/v1/submissions/${body.id}/rejudge`, {});
    expect(again.status).toBe(409);
    expect(again.body.detail).toMatch(/not kept/);
  });

  it('all submissions of a problem, page by page, each once', async () => {
    const id = await problem('2');
    const { items } = await batch(
      ['print(1)', 'print(2)', 'print(3)'].map((source) => ({ runtime: 'python', source, problem: id })),
    );
    const ids = items.map(({ submission }) => submission?.id ?? '');
    await Promise.all(ids.map(ended));
    await addTests(id, '1');
    const rejudge = async (query: string, key: string): Promise<RejudgedListDto> => {
      const response = await request(cordon.app.getHttpServer())
        .post(`/v1/problems/${id}/rejudge?${query}`)
        .set('authorization', `Bearer ${KEY}`)
        .set('idempotency-key', key);
      expect(response.status, response.text).toBe(202);
      return response.body;
    };
    const first = await rejudge('limit=2', 'page');
    expect(first.items).toHaveLength(2);
    const repeated = await rejudge('limit=2', 'page');
    expect(repeated.items.map(({ submission }) => submission?.id)).toEqual(
      first.items.map(({ submission }) => submission?.id),
    );
    const second = await rejudge(`limit=2&cursor=${first.nextCursor}`, 'page');
    expect(new Set([...first.items, ...second.items].map(({ from }) => from))).toEqual(new Set(ids));
    expect(await ended(second.items[0].submission?.id ?? '')).toMatchObject({ verdict: 'AC', version: 2 });
    // Once more: those that came from judging again are not multiplied.
    const all = await rejudge('', 'more');
    expect(all.items.map(({ from }) => from).sort()).toEqual([...ids].sort());
  });
});
