import type { SubmissionDto, TestResultDto } from '@cordon/contracts';
import { describe, expect, it } from 'vitest';
import { useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });

/** Thinks of the number in its input file; answers "less", "more" or "right" to guesses, at most 20. By testlib's convention. */
const GUESSING = `import sys
secret = int(open(sys.argv[1]).read())
notes = open(sys.argv[2], "w")
limit = int(open(sys.argv[3]).read() or 20)
for turn in range(limit):
    line = sys.stdin.readline()
    if not line:
        print("unexpected end of guesses", file=sys.stderr); sys.exit(1)
    try:
        guess = int(line)
    except ValueError:
        print("no number", file=sys.stderr); sys.exit(2)
    notes.write(line)
    print("right" if guess == secret else "less" if secret < guess else "more", flush=True)
    if guess == secret:
        print(f"found in {turn + 1} turns", file=sys.stderr); sys.exit(0)
print("too many guesses", file=sys.stderr)
sys.exit(1)
`;

const BISECT_C = `#include <stdio.h>
#include <string.h>
int main(void) {
  int low = 1, high = 1000000;
  char said[16];
  for (;;) {
    int guess = (low + high) / 2;
    printf("%d\\n", guess);
    fflush(stdout);
    if (scanf("%15s", said) != 1) return 3;
    if (!strcmp(said, "right")) return 0;
    if (!strcmp(said, "less")) high = guess - 1; else low = guess + 1;
  }
}`;

const TESTS = [{ input: '777777' }, { input: '1' }, { input: '1000000' }];
const WALL = 5_000;

async function judge(body: object, status = 200): Promise<SubmissionDto> {
  const response = await cordon.postTo('/v1/submissions?wait=60', {
    interactor: { runtime: 'python', source: GUESSING },
    tests: [TESTS[0]],
    limits: { wallTimeMs: WALL },
    ...body,
  });
  expect(response.status, response.text).toBe(status);
  return response.body;
}
const python = async (source: string, more: object = {}): Promise<TestResultDto> =>
  (await judge({ runtime: 'python', source, ...more })).tests[0];

describe('interactive problems', () => {
  it('accept a program that talks well, with what the interactor says', async () => {
    const result = await judge({ runtime: 'c', source: BISECT_C, tests: TESTS, parallel: 2 });
    expect(result).toMatchObject({ verdict: 'AC', score: 3 });
    expect(result.tests[0].message).toMatch(/^found in \d+ turns$/);
    // What the submission took, not the interactor.
    expect(result.tests[0].cpuMs).toBeLessThan(200);
  });

  it('give the answer file as third argument', async () => {
    const tests = [{ input: '777777', expected: '2' }];
    const result = await judge({ runtime: 'c', source: BISECT_C, tests });
    expect(result.tests[0]).toMatchObject({ verdict: 'WA', message: 'too many guesses' });
  });

  it.each([
    ['wrong guesses', 'for i in range(99): print(5, flush=True); input()', 'WA', 'too many guesses'],
    ['nonsense', 'print("hello", flush=True); input()', 'PE', 'no number'],
    ['an end too soon', 'print(5, flush=True); input()', 'WA', 'unexpected end of guesses'],
    // It would get EOFError once the interactor is gone: what came first counts.
    ['a failure after the verdict', 'for i in range(99): print(5, flush=True)\nwhile True: input()', 'WA', 'too many'],
    ['a crash', 'print(5, flush=True); input(); raise SystemExit(7)', 'RE', null],
    ['a crash after all was found', 'print(777777, flush=True); input(); raise SystemExit(7)', 'RE', 'found in 1'],
    ['a signal', 'import os; os.abort()', 'RE', null],
    ['computing for ever', 'print(5, flush=True)\nwhile True: pass', 'TLE', null],
  ])('%s', async (_what, source, verdict, message) => {
    const result = await python(source, { limits: { wallTimeMs: WALL, cpuTimeMs: 500 } });
    expect(result.verdict, JSON.stringify(result)).toBe(verdict);
    if (message !== null) expect(result.message).toContain(message);
  });

  it.each([
    ['a guess that never left its buffer', 'import sys; sys.stdout.write("5\\n"); sys.stdin.readline()'],
    ['one answer too many waited for', 'print(5, flush=True); input(); input()'],
    ['threads that all wait', 'import threading; t = threading.Thread(target=input); t.start(); t.join()'],
    ['a child that waits', 'import subprocess; subprocess.run(["cat"])'],
    ['a select without an end', 'import select, sys; select.select([sys.stdin], [], [])'],
  ])('a deadlock is found at once: %s', async (_what, source) => {
    const result = await python(source);
    expect(result).toMatchObject({ verdict: 'TLE', message: expect.stringContaining('deadlock') });
    expect(result.wallMs).toBeLessThan(WALL / 2);
  });

  it('a runtime with timers of its own that waits for 2 s is taken for one in a deadlock; one that thinks is not', async () => {
    // What a JVM or Go does: a thread that never sleeps long, and one that reads.
    const ticking = (rest: string): string => `import threading, time, sys
def tick():
    while True: time.sleep(0.05)
threading.Thread(target=tick, daemon=True).start()
${rest}`;
    const result = await python(ticking('sys.stdin.readline()'));
    expect(result).toMatchObject({ verdict: 'TLE', message: expect.stringContaining('deadlock') });
    expect(result.wallMs).toBeGreaterThan(2_000);
    expect(result.wallMs).toBeLessThan(WALL - 1_000);
    const thinking = `def think():
    end = time.process_time() + 2.6
    while time.process_time() < end: pass
    print(777777, flush=True)
threading.Thread(target=think).start()
sys.stdin.readline()`;
    expect((await python(ticking(thinking), { limits: { wallTimeMs: 9_000 } })).verdict).toBe('AC');
  });

  it('who sleeps, or waits with a time limit of its own, is in no deadlock', async () => {
    const sleeper = 'import time; time.sleep(0.7); print(777777, flush=True); input()';
    expect((await python(sleeper)).verdict).toBe('AC');
    const poller = 'import select, sys\nselect.select([sys.stdin], [], [], 0.7); print(777777, flush=True); input()';
    expect((await python(poller)).verdict).toBe('AC');
    const alarmed = 'import signal\nsignal.signal(14, lambda *_: print(777777, flush=True))\nsignal.alarm(1); input()';
    expect((await python(alarmed)).verdict).toBe('AC');
  });

  it('sleeping past the wall limit is no deadlock either, but too long', async () => {
    const result = await python('import time; time.sleep(60)', { limits: { wallTimeMs: 600 } });
    expect(result).toMatchObject({ verdict: 'TLE' });
    expect(result.message ?? '').not.toContain('deadlock');
  });

  it('floods end at the output limit, whoever floods', async () => {
    const echoing = { runtime: 'python', source: 'import sys\nfor line in sys.stdin: pass\nsys.exit(1)' };
    const flood = 'while True: print("x" * 1000)';
    const limits = { outputBytes: 100_000, wallTimeMs: WALL };
    expect((await python(flood, { interactor: echoing, limits })).verdict).toBe('OLE');
    const quiet = 'import time\nwhile True: time.sleep(1)';
    const result = await python(quiet, { interactor: { runtime: 'python', source: flood } });
    expect(result).toMatchObject({ verdict: 'IE', message: expect.stringContaining('output_exceeded') });
  });

  it('large amounts pass both ways', async () => {
    const echo =
      'import sys\nwhile True:\n  data = sys.stdin.buffer.readline()\n  if not data: break\n  sys.stdout.buffer.write(data); sys.stdout.flush()';
    const source = `import sys
for size in (1, 1000, 100000, 900000):
    line = b"y" * size + b"\\n"
    sys.stdout.buffer.write(line); sys.stdout.flush()
    if sys.stdin.buffer.readline() != line: sys.exit(1)
`;
    const interactor = { runtime: 'python', source };
    const result = await python(echo, { interactor, limits: { wallTimeMs: WALL, outputBytes: 4 << 20 } });
    expect(result.verdict).toBe('AC');
  });

  it.each([
    ['crashes', 'import os; os.abort()', 'SIGABRT'],
    ['exits with a status of its own', 'import sys; sys.exit(3)', '3'],
    ['hangs', 'import time; time.sleep(60)', 'timed_out'],
  ])('an interactor that %s is the judge’s failure', async (_what, source, message) => {
    const waiting = 'import time\nwhile True: time.sleep(0.01)';
    const program = message === 'timed_out' ? 'pass' : waiting;
    const limits = { wallTimeMs: 1_000 };
    const result = await judge({
      runtime: 'python',
      source: program,
      interactor: { runtime: 'python', source },
      limits,
    });
    expect(result).toMatchObject({ verdict: 'IE', state: 'error' });
    expect(result.tests[0].message).toContain(message);
  });

  it('an interactor that does not compile is the judge’s failure', async () => {
    const result = await judge({ runtime: 'c', source: BISECT_C, interactor: { runtime: 'c', source: 'int main( {' } });
    expect(result).toMatchObject({ verdict: 'IE', detail: expect.stringContaining('did not compile') });
  });

  it('both programs are audited when asked', async () => {
    const result = await judge({ runtime: 'c', source: BISECT_C, audit: { level: 'full' } });
    const all = await cordon.get(`/v1/submissions/${result.id}/audit`);
    const records = all.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { program: string; name: string; test: number });
    expect(new Set(records.map(({ program }) => program))).toEqual(new Set(['submission', 'interactor']));
    expect(records.every(({ test }) => test === 0)).toBe(true);
    expect(records.filter(({ program, name }) => program === 'submission' && name === 'write').length).toBeGreaterThan(
      5,
    );
    const text = await cordon.get(`/v1/submissions/${result.id}/audit?format=strace&program=interactor&test=0`);
    expect(text.text).toMatch(/^\[test 0 interactor\]\[pid 1\] \w+\(/);
    expect(text.text).toContain('input.txt');
    expect((await cordon.get(`/v1/submissions/${result.id}/audit?test=5`)).text).toBe('');
    const without = await judge({ runtime: 'c', source: BISECT_C });
    expect((await cordon.get(`/v1/submissions/${without.id}/audit`)).text).toBe('');
    for (const query of ['format=x', 'program=x', 'test=x'])
      expect((await cordon.get(`/v1/submissions/${result.id}/audit?${query}`)).status, query).toBe(422);
  });

  it('can be stored, without answers', async () => {
    const made = await cordon.postTo('/v1/problems', {
      title: 'Guess',
      interactor: { runtime: 'python', source: GUESSING },
      limits: { wallTimeMs: WALL },
    });
    const { id } = made.body;
    const version = await cordon.postTo(`/v1/problems/${id}/versions`, { tests: TESTS });
    expect(version.body.tests).toBe(3);
    const response = await cordon.postTo('/v1/submissions?wait=60', { runtime: 'c', source: BISECT_C, problem: id });
    expect(response.body).toMatchObject({ verdict: 'AC', score: 3, problem: id, version: 1 });
  });

  it('are canceled as a whole', async () => {
    const { body } = await cordon.postTo('/v1/submissions', {
      runtime: 'python',
      source: 'import time; time.sleep(60)',
      interactor: { runtime: 'python', source: GUESSING },
      tests: TESTS,
    });
    await cordon.events(body.id, undefined, ({ data }) => data.state === 'running', 'submissions');
    const canceled = await cordon.delete(`/v1/submissions/${body.id}`);
    expect(canceled.body.state).toBe('canceled');
  });

  it('have no checker', async () => {
    const refused = await judge({ runtime: 'c', source: BISECT_C, checker: { kind: 'exact' } }, 422);
    expect(refused).toMatchObject({ errors: [{ pointer: '/checker' }] });
  });
});
