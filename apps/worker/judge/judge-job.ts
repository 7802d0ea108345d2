import type { ExecutionJob, JudgeJob, JudgeOutcome } from '@cordon/contracts';
import type { DiscoveredRuntime } from '@cordon/images';
import type { End, ExecutorOptions } from '../executor.js';
import { Judging } from './judge.js';

/** What judging shares with the executor: who can end it, and whether somebody did. */
export interface JudgeControl {
  /** Takes the means to end it. */
  begin(judging: Judging): void;
  /** It was ended because this worker stops: another one is to do it. */
  handedBack(): boolean;
}

/** Why the judge failed, for whoever reads no further than the record. */
function failureOf({ verdict, tests }: JudgeOutcome): string | null {
  return verdict === 'IE' ? (tests.find(({ message }) => message !== null)?.message ?? null) : null;
}

/** A submission: compiled, run on its tests, compared. Null: to be handed back. */
export async function judgeJob(
  job: ExecutionJob,
  judge: JudgeJob,
  runtime: DiscoveredRuntime,
  attempt: number,
  { pool, image, compiler, runtimes, reader, cores, renderAudit, store, log }: ExecutorOptions,
  control: JudgeControl,
): Promise<End | null> {
  let lost = false;
  const tell = async (type: 'test' | 'audit', data: unknown): Promise<void> => {
    const ours = await store.append(job.id, attempt, [{ type, data }]);
    if (ours) return;
    // We were taken for lost: it waits again, or another worker has it by now. What we find interests nobody.
    lost = true;
    judging.cancel();
  };
  const judging = new Judging(job, judge, {
    pool,
    image,
    compiler,
    runtimes,
    reader,
    cores,
    renderAudit,
    told: (result) => tell('test', result),
    toldAudit: (event) => tell('audit', event),
  });
  control.begin(judging);
  const startedAt = performance.now();
  try {
    const judged = await judging.run(runtime);
    if (lost || (judging.canceled && control.handedBack())) return null;
    const memoryPeakBytes = judged.tests.reduce((most, test) => Math.max(most, test.memoryPeakBytes), 0);
    const usage = { wallMs: performance.now() - startedAt, cpuMs: judging.cpuMs, memoryPeakBytes, syscalls: 0 };
    const state = judging.canceled ? 'canceled' : judged.verdict === 'IE' ? 'error' : 'succeeded';
    return { state, result: { usage, platform: pool.stats().platform, judged, detail: failureOf(judged) }, events: [] };
  } catch (error) {
    // One of its lanes failed: the others must not run on.
    judging.cancel();
    log.error({ execution: job.id, err: error }, 'judging failed');
    return { state: 'error', result: { detail: (error as Error).message }, events: [] };
  }
}
