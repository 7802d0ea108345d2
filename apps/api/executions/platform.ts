import type { WorkerInfo } from '@cordon/queue';
import { ProblemException } from '../http/problem.js';

/** The operator does not allow that platform, or it does not work on the workers that would run the guest. */
export function noPlatform(platform: string, workers: readonly WorkerInfo[]): ProblemException {
  const common = (workers[0]?.platforms ?? []).filter((name) =>
    workers.every(({ platforms }) => platforms.includes(name)),
  );
  const there = common.length > 0 ? `there is: auto, ${common.join(', ')}` : 'there is: auto';
  return new ProblemException('invalid-request', undefined, [
    { pointer: '/platform', detail: `"${platform}" is not allowed or does not work here; ${there}` },
  ]);
}
