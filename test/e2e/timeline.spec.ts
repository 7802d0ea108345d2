import type { ExecutionDto, TimelineDto } from '@cordon/contracts';
import { describe, expect, it } from 'vitest';
import { useDeployment } from './harness.js';

const cordon = useDeployment({ workers: 1 });

/** In the order in which they happen. */
const STEPS = [
  'accepted',
  'queued',
  'taken',
  'given',
  'platformReady',
  'booted',
  'execDone',
  'firstOutput',
  'guestExit',
  'reported',
  'stored',
  'answered',
] as const;

const stepsOf = (timeline: TimelineDto | undefined) => STEPS.map((step) => timeline?.[step]);
const inOrder = (steps: readonly unknown[]) => expect(steps).toEqual([...(steps as number[])].sort((a, b) => a - b));

describe('the timeline of an execution', () => {
  it('is complete and in order, in whole microseconds', async () => {
    const before = process.hrtime.bigint();
    const { timeline } = await cordon.run({ command: ['/bin/echo', 'hello'], timeline: true });
    const took = Number(process.hrtime.bigint() - before) / 1000;
    expect(Object.keys(timeline ?? {}).sort()).toEqual(['clocks', 'sentry', ...STEPS].sort());
    const steps = stepsOf(timeline);
    for (const step of steps) expect(step).toSatisfy(Number.isInteger);
    inOrder(steps);
    expect(timeline).toMatchObject({ accepted: 0, clocks: 'one', sentry: 'spare' });
    expect(timeline?.answered).toBeLessThanOrEqual(took);
  });

  it('is kept with the result; `answered` belongs to the answer that waited', async () => {
    const ended = await cordon.run({ command: ['/bin/echo', 'hello'], timeline: true });
    const { timeline } = (await cordon.get(`/v1/executions/${ended.id}`)).body as ExecutionDto;
    expect(timeline).toEqual({ ...ended.timeline, answered: null });
  });

  it('says null for what did not happen', async () => {
    const silent = await cordon.run({ command: ['/bin/true'], timeline: true });
    expect(silent.timeline?.firstOutput).toBeNull();
    inOrder(stepsOf(silent.timeline).filter((step) => step !== null));
    const absent = await cordon.run({ command: ['/no/such/program'], timeline: true });
    expect(absent.timeline).toMatchObject({ execDone: null, firstOutput: null });
    expect(absent.timeline?.guestExit).toBeGreaterThan(0);
  });

  it('tells a first byte that came before the end, and waiting in the queue', async () => {
    const hold = cordon.run({ command: ['/bin/sleep', '0.3'] });
    const other = cordon.run({ command: ['/bin/sleep', '0.3'] });
    const { timeline } = await cordon.run({ command: ['/bin/sh', '-c', 'echo now; sleep 0.1'], timeline: true });
    const { firstOutput = 0, guestExit = 0 } = timeline ?? {};
    expect((guestExit ?? 0) - (firstOutput ?? 0)).toBeGreaterThanOrEqual(100_000);
    inOrder(stepsOf(timeline));
    await Promise.all([hold, other]);
  });

  it('is absent unless asked for', async () => {
    expect(await cordon.run({ command: ['/bin/true'] })).not.toHaveProperty('timeline');
    expect(await cordon.run({ command: ['/bin/true'], timeline: false })).not.toHaveProperty('timeline');
    const wrong = await cordon.post({ command: ['/bin/true'], timeline: 'yes' });
    expect(wrong.body).toMatchObject({ status: 422, errors: [{ pointer: '/timeline' }] });
  });

  it('is nothing that a submission has', async () => {
    const body = { runtime: 'python', source: '', tests: [{ input: '', expected: '' }] };
    for (const [field, value] of [
      ['timeline', true],
      ['platform', 'auto'],
      ['network', 'none'],
    ]) {
      const { status, body: problem } = await cordon.postTo('/v1/submissions', { ...body, [field as string]: value });
      expect([status, problem.errors]).toEqual([422, [{ pointer: `/${field}`, detail: 'no such field' }]]);
    }
  });
});
