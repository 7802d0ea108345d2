import { existsSync } from 'node:fs';
import type { SubmissionDto } from '@cordon/contracts';
import { describe, expect, it } from 'vitest';
import { OTHER_KEY, useDeployment } from './harness.js';

const deployment = useDeployment({ workers: 1 });

const SUM_C =
  '#include <stdio.h>\nint main(void) { long a, b; while (scanf("%ld %ld", &a, &b) == 2) printf("%ld\\n", a + b); }';
const TESTS = [
  { input: '1 2\n', expected: '3\n' },
  { input: '40 2\n', expected: '42\n' },
];

async function judge(body: object, status = 200): Promise<SubmissionDto> {
  const response = await deployment.postTo('/v1/submissions?wait=60', body);
  expect(response.status, JSON.stringify(response.body)).toBe(status);
  return response.body;
}
const python = (source: string, more: object = {}) => judge({ runtime: 'python', source, tests: TESTS, ...more });
const verdicts = ({ tests }: SubmissionDto) => tests.map(({ verdict }) => verdict);

describe('verdicts', () => {
  it('accepts a right program, compiled once and then from the cache', async () => {
    const first = await judge({ runtime: 'c', source: SUM_C, tests: TESTS });
    expect(first).toMatchObject({ state: 'succeeded', verdict: 'AC', score: 2, maxScore: 2 });
    expect(first.compilation).toMatchObject({ ok: true, cached: false, exitCode: 0 });
    const second = await judge({ runtime: 'c', source: SUM_C, tests: TESTS, parallel: 2 });
    expect(second).toMatchObject({ verdict: 'AC', compilation: { ok: true, cached: true } });
    const other = await judge({ runtime: 'c', source: `${SUM_C}\n`, tests: TESTS });
    expect(other.compilation?.cached).toBe(false);
  });

  it('says what the compiler said', async () => {
    const result = await judge({ runtime: 'c', source: 'int main( {', tests: TESTS });
    expect(result).toMatchObject({ state: 'succeeded', verdict: 'CE', score: 0, compilation: { ok: false } });
    expect(result.compilation?.output).toContain('error');
    expect(verdicts(result)).toEqual(['SK', 'SK']);
  });

  it('wrong answers, with the first difference', async () => {
    const result = await python('print(3)');
    expect(result.verdict).toBe('WA');
    expect(verdicts(result)).toEqual(['AC', 'WA']);
    expect(result.tests[1].difference).toEqual({ line: 1, expected: '42', actual: '3' });
    expect(result.score).toBe(1);
  });

  it.each([
    ['RE', 'raise SystemExit(3)', {}],
    ['RE', 'import os; os.abort()', {}],
    ['TLE', 'while True: pass', { limits: { cpuTimeMs: 300 } }],
    ['TLE', 'import time; time.sleep(60)', { limits: { wallTimeMs: 500 } }],
    [
      'MLE',
      'x = bytearray(1 << 30)\nfor i in range(0, 1 << 30, 4096): x[i] = 1',
      { limits: { memoryBytes: 64 << 20 } },
    ],
    ['OLE', 'while True: print("x" * 1000)', { limits: { outputBytes: 10_000 } }],
    ['PE', 'a, b = map(int, input().split()); print(a + b, "")', { checker: { kind: 'exact' } }],
  ])('%s: %s', async (verdict, source, more) => {
    const result = await python(source, { tests: [TESTS[0]], ...more });
    // A Python that runs out of memory may say so itself.
    expect(verdict === 'MLE' ? ['MLE', 'RE'] : [verdict]).toContain(result.verdict);
  });

  it('stops at the first failure when told to', async () => {
    const tests = [{ expected: '1' }, { expected: '2' }, { expected: '1' }];
    expect(verdicts(await python('print(1)', { tests }))).toEqual(['AC', 'WA', 'AC']);
    expect(verdicts(await python('print(1)', { tests, stopAtFirstFailure: true }))).toEqual(['AC', 'WA', 'SK']);
  });

  it.runIf(existsSync('/usr/bin/javac'))('lets a program for the JVM have most of its memory limit', async () => {
    const source = `public class Main {
      public static void main(String[] words) {
        byte[][] all = new byte[150][];
        for (int i = 0; i < all.length; i++) all[i] = new byte[1 << 20];
        System.out.println(all.length);
      }
    }`;
    const limits = { memoryBytes: 256 << 20 };
    const body = {
      runtime: 'java',
      source,
      tests: [{ expected: '150' }],
      limits,
      compileLimits: { wallTimeMs: 60_000 },
    };
    expect((await judge(body)).tests[0]).toMatchObject({ verdict: 'AC' });
  });

  it('scores groups as a whole', async () => {
    const tests = [
      { expected: '1', points: 10, group: 'a' },
      { expected: '2', points: 20, group: 'a' },
      { expected: '1', points: 5, group: 'b' },
      { expected: '1', points: 7 },
    ];
    expect(await python('print(1)', { tests })).toMatchObject({ score: 12, maxScore: 42, verdict: 'WA' });
  });

  it('each test has a sandbox of its own', async () => {
    const source = 'import os; print(len(os.listdir("."))); open("left", "w").close()';
    const tests = [{ expected: '1' }, { expected: '1' }];
    expect((await python(source, { tests })).verdict).toBe('AC');
  });
});

describe('checkers', () => {
  it('floats within a tolerance', async () => {
    const tests = [{ expected: '0.3333333333' }];
    const checker = { kind: 'float', absolute: 1e-4, relative: 0 };
    expect((await python('print(0.33334)', { tests, checker })).verdict).toBe('AC');
    expect((await python('print(0.334)', { tests, checker })).verdict).toBe('WA');
  });

  it('a program of the problem, by testlib’s convention', async () => {
    const source = `import sys
given, out, answer = (open(path).read().split() for path in sys.argv[1:4])
if not out: sys.exit(2)
if out[0] == "fail": sys.exit(9)
ok = int(out[0]) * int(out[1]) == int(given[0])
print("factors" if ok else "no factors", file=sys.stderr)
sys.exit(0 if ok else 1)`;
    const checker = { kind: 'custom', runtime: 'python', source };
    const tests = [{ input: '12', expected: '3 4' }];
    const run = (program: string) => python(program, { tests, checker });
    expect((await run('print(2, 6)')).tests[0]).toMatchObject({ verdict: 'AC', message: 'factors' });
    expect((await run('print(2, 7)')).tests[0]).toMatchObject({ verdict: 'WA', message: 'no factors' });
    expect((await run('pass')).verdict).toBe('PE');
    expect(await run('print("fail")')).toMatchObject({ verdict: 'IE', state: 'error' });
  });

  it('have limits of their own: those of a submission can be too low for them', async () => {
    const source = 'import sys; bytearray(b"x") * (64 << 20); sys.exit(open("output.txt").read() != "1\\n")';
    const checker = { kind: 'custom', runtime: 'python', source };
    const limits = { memoryBytes: 16 << 20, processes: 1, fileBytes: 1 };
    expect(await python('print(1)', { tests: [{}], checker, limits })).toMatchObject({ verdict: 'AC' });
  });
});

describe('a submission as a record', () => {
  it('tells each test as it ends, and the result last; resumable', async () => {
    const { body } = await deployment.postTo('/v1/submissions', {
      runtime: 'python',
      source: 'print(3)',
      tests: TESTS,
    });
    expect(body).toMatchObject({ state: 'queued', verdict: null });
    const events = await deployment.events(body.id, undefined, undefined, 'submissions');
    expect(events.filter(({ type }) => type === 'test').map(({ data }) => data.verdict)).toEqual(['AC', 'WA']);
    expect(events.at(-1)).toMatchObject({ type: 'result', data: { verdict: 'WA', score: 1 } });
    const read = await deployment.get(`/v1/submissions/${body.id}`);
    expect(read.body).toEqual(events.at(-1)?.data);
  });

  it('is another tenant’s business only, and no execution', async () => {
    const { id } = await python('print(3)');
    const other = await deployment.get(`/v1/submissions/${id}`, OTHER_KEY);
    expect(other.status).toBe(404);
    const execution = await deployment.get(`/v1/executions/${id}`);
    expect(execution.status).toBe(404);
    const list = await deployment.get('/v1/executions');
    expect(list.body.items.map((item: { id: string }) => item.id)).not.toContain(id);
  });

  it('can be canceled while it is judged', async () => {
    const { body } = await deployment.postTo('/v1/submissions', {
      runtime: 'python',
      source: 'import time; time.sleep(9)',
      tests: TESTS,
      limits: { wallTimeMs: 10_000 },
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const canceled = await deployment.delete(`/v1/submissions/${body.id}`);
    expect(canceled.body.state).toBe('canceled');
  });

  it.each([
    [{ runtime: 'python', source: 'x', tests: [] }, '/tests'],
    [{ runtime: 'python', source: 'x', tests: [{ input: 'x' }] }, '/tests/0/expected'],
    [{ runtime: 'python', tests: TESTS }, '/source'],
    [{ runtime: 'no-such', source: 'x', tests: TESTS }, '/runtime'],
    [{ runtime: 'python', source: 'x', tests: TESTS, checker: { kind: 'custom' } }, '/checker/runtime'],
    [{ runtime: 'python', source: 'x', tests: TESTS, checker: { kind: 'tokens', absolute: 1 } }, '/checker/absolute'],
    [{ runtime: 'python', source: 'x', tests: TESTS, parallel: 99 }, '/parallel'],
    [{ runtime: 'python', source: 'x', tests: TESTS, command: ['x'] }, '/command'],
  ])('refuses %j', async (body, pointer) => {
    const problem = (await judge(body, 422)) as unknown as { errors: { pointer: string }[] };
    expect(problem.errors.map((error) => error.pointer)).toContain(pointer);
  });
});
