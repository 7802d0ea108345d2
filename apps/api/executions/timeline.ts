import type { ExecutionDto } from '@cordon/contracts';

/**
 * Where a request's time went, as a Server-Timing header (W3C), in milliseconds: `queue` from acceptance to the begin on a worker,
 * `sentry` the worker's part without the guest's, `guest` its wall time, `answer` from the end to here, `total` all of it in the API.
 * Marks of two processes of one machine: to the millisecond.
 */
export function serverTiming(execution: ExecutionDto, total: number): string {
  const { createdAt, startedAt, finishedAt, usage } = execution;
  const parts: [string, number][] = [['total', total]];
  if (startedAt !== null) parts.push(['queue', Date.parse(startedAt) - Date.parse(createdAt)]);
  if (startedAt !== null && finishedAt !== null) {
    const guest = usage?.wallMs ?? 0;
    parts.push(['sentry', Date.parse(finishedAt) - Date.parse(startedAt) - guest], ['guest', guest]);
    parts.push(['answer', Date.now() - Date.parse(finishedAt)]);
  }
  return parts.map(([name, milliseconds]) => `${name};dur=${Math.max(0, milliseconds).toFixed(1)}`).join(', ');
}
