import type { ExecutionJob } from '@cordon/contracts';
import type { PoolStats } from '@cordon/pool';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { End } from './executor.js';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** What this worker measures, in seconds as Prometheus wants it. The API shows the sum over all workers. */
export class WorkerMetrics {
  private readonly registry = new Registry();
  private readonly queued = new Histogram({
    name: 'cordon_queue_seconds',
    help: 'From acceptance to the begin on a worker',
    labelNames: ['priority'],
    buckets: SECONDS,
    registers: [this.registry],
  });
  private readonly starts = new Histogram({
    name: 'cordon_start_seconds',
    help: 'From the begin on a worker to the end, without the time the guest ran: start of the Sentry and what is around it',
    labelNames: ['runtime'],
    buckets: SECONDS,
    registers: [this.registry],
  });
  private readonly runs = new Histogram({
    name: 'cordon_run_seconds',
    help: 'Wall time of guests',
    labelNames: ['runtime', 'state'],
    buckets: SECONDS,
    registers: [this.registry],
  });
  private readonly cpu = new Counter({
    name: 'cordon_cpu_seconds_total',
    help: 'Processor time of guests',
    labelNames: ['runtime'],
    registers: [this.registry],
  });
  private readonly restarts = new Counter({
    name: 'cordon_restarts_total',
    help: 'Executions that ended after more than one attempt',
    registers: [this.registry],
  });
  private readonly pool = new Gauge({
    name: 'cordon_pool_sentries',
    help: 'Sentry processes of the pools',
    labelNames: ['state'],
    registers: [this.registry],
  });
  private readonly forked = new Gauge({
    name: 'cordon_pool_forked',
    help: 'Sentries forked since the workers started',
    registers: [this.registry],
  });

  /** `record`: the execution as it was when it began here. */
  ended(job: ExecutionJob, record: Record<string, string>, { state, result }: End): void {
    const runtime = job.runtime ?? 'command';
    const startedAt = Date.parse(record.startedAt);
    const runSeconds = (result.usage?.wallMs ?? 0) / 1000;
    this.queued.observe({ priority: record.priority }, Math.max(0, startedAt - Date.parse(record.createdAt)) / 1000);
    this.starts.observe({ runtime }, Math.max(0, (Date.now() - startedAt) / 1000 - runSeconds));
    this.runs.observe({ runtime, state }, runSeconds);
    this.cpu.inc({ runtime }, (result.usage?.cpuMs ?? 0) / 1000);
    if (record.attempt !== '1') this.restarts.inc();
  }

  /** JSON that prom-client's AggregatorRegistry adds up. */
  async snapshot(pool: PoolStats): Promise<string> {
    this.pool.set({ state: 'spare' }, pool.spares);
    this.pool.set({ state: 'running' }, pool.running);
    this.forked.set(pool.forked);
    return JSON.stringify(await this.registry.getMetricsAsJSON());
  }
}
