import type { ExecutionDto, RuntimeDto, SubmissionDto } from '@cordon/contracts';
import { RUNTIMES } from '@cordon/images';
import { beforeAll, describe, expect, it } from 'vitest';
import { useDeployment } from '../e2e/harness.js';
import { HELLO } from './hello.js';

/**
 * Every row of the catalogue whose programs are here, as a client uses it: one program that greets and reads, compiled and run by the judge in
 * two sandboxes, and by an execution in one, both within the default limits. `packages` of a row says what brings its programs.
 */
const cordon = useDeployment({ workers: 1 });
const INPUT = 'world\nmore\n';
const OUTPUT = 'hello\nworld\n';

let offered = new Set<string>();
beforeAll(async () => {
  const { body } = await cordon.get('/v1/runtimes');
  offered = new Set((body as RuntimeDto[]).map(({ id }) => id));
});

describe('the catalogue', () => {
  it('has a program for each row, and no other', () => {
    expect(Object.keys(HELLO).sort()).toEqual(RUNTIMES.map(({ id }) => id).sort());
  });

  it.for([...RUNTIMES])('$id', async ({ id, packages }, { skip }) => {
    skip(!offered.has(id), `not here: ${packages.join(' ')}`);
    const source = HELLO[id];
    const tests = [{ input: INPUT, expected: OUTPUT }];
    const judged = await cordon.postTo('/v1/submissions?wait=60', {
      runtime: id,
      source,
      tests,
      checker: { kind: 'lines' },
    });
    const { verdict, compilation, tests: results } = judged.body as SubmissionDto;
    expect(verdict, JSON.stringify({ compilation, results })).toBe('AC');
    const run = await cordon.post({ runtime: id, source, stdin: INPUT }, '?wait=60');
    const { state, stdout, stderr } = run.body as ExecutionDto;
    expect({ state, stdout }, stderr).toEqual({ state: 'succeeded', stdout: OUTPUT });
  });
});
