import type { AuditEntry, ExecutionJob, ExecutionResult, ExecutionState } from '@cordon/contracts';
import type { DiscoveredRuntime } from '@cordon/images';
import type { EndReport, ImageSpec, RunHandle, SandboxPool } from '@cordon/pool';
import { type ExecutionStore, MAX_ATTEMPTS } from '@cordon/queue';
import type { Logger } from 'pino';
import { EventRelay } from './event-relay.js';
import { runSpec } from './run-spec.js';

/** The state that an end reason becomes; an exit status other than 0, or a signal, is a failure of the program. */
function stateOf(report: EndReport): ExecutionState {
  if (report.reason === 'exited') return report.exitCode === 0 ? 'succeeded' : 'failed';
  return report.reason === 'signaled' ? 'failed' : report.reason;
}

export interface ExecutorOptions {
  readonly pool: SandboxPool;
  readonly store: ExecutionStore;
  readonly image: ImageSpec;
  readonly runtimes: ReadonlyMap<string, DiscoveredRuntime>;
  readonly workerId: string;
  readonly log: Logger;
  readonly renderAudit: (entry: AuditEntry) => string;
}

/** Runs jobs on the pool and tells their streams. One result each, whatever happens. */
export class Executor {
  private readonly running = new Map<string, RunHandle>();

  constructor(private readonly options: ExecutorOptions) {}

  get active(): number {
    return this.running.size;
  }

  /** A client wants it to end: no-op when it does not run here. */
  cancel(id: string): void {
    this.running.get(id)?.cancel();
  }

  /** Ends everything that runs here; the executions end as `error` for who reads them. */
  cancelAll(): void {
    for (const handle of this.running.values()) handle.cancel();
  }

  async execute(job: ExecutionJob): Promise<void> {
    const { store, workerId, log } = this.options;
    const attempt = await store.begin(job.id, workerId);
    if (attempt === 0) return;
    if (attempt > MAX_ATTEMPTS) {
      await store.finish(job.id, 0, 'error', { detail: 'its workers were lost' });
      return;
    }
    const runtime = job.runtime === null ? null : (this.options.runtimes.get(job.runtime) ?? null);
    if (job.runtime !== null && runtime === null) {
      await store.finish(job.id, attempt, 'error', { detail: `this worker has no runtime ${job.runtime}` });
      return;
    }
    const relay = new EventRelay(store, job.id, attempt, this.options.renderAudit);
    const report = await this.run(job, runtime, relay);
    if (report.reason === 'error') log.error({ execution: job.id, detail: report.detail }, 'the Sentry failed');
    await relay.finish();
    await store.finish(job.id, attempt, stateOf(report), this.resultOf(report, relay));
  }

  private async run(job: ExecutionJob, runtime: DiscoveredRuntime | null, relay: EventRelay): Promise<EndReport> {
    const { pool, image, log } = this.options;
    const handle = pool.run(runSpec(job, runtime, image), {
      stdout: (bytes) => relay.output('stdout', bytes),
      stderr: (bytes) => relay.output('stderr', bytes),
      audit: (records) => relay.records(records),
      log: (line) => log.warn({ execution: job.id }, line),
    });
    this.running.set(job.id, handle);
    try {
      if (job.stdin !== '') await this.feed(handle, job.stdin);
      return await handle.ended;
    } finally {
      this.running.delete(job.id);
    }
  }

  /** A guest that does not read its input must not hold the run back. */
  private feed(handle: RunHandle, base64: string): Promise<unknown> {
    const fed = handle.writeStdin(Buffer.from(base64, 'base64')).then(
      () => handle.endStdin(),
      () => undefined,
    );
    return Promise.race([fed, handle.ended]);
  }

  private resultOf(report: EndReport, relay: EventRelay): ExecutionResult {
    const stdout = relay.stdout.whole();
    const stderr = relay.stderr.whole();
    const truncated = report.reason === 'output_exceeded';
    return {
      exitCode: report.exitCode,
      signal: report.signal,
      stdout: stdout.data,
      stdoutEncoding: stdout.encoding,
      stderr: stderr.data,
      stderrEncoding: stderr.encoding,
      stdoutTruncated: truncated,
      stderrTruncated: truncated && stderr.data.length > 0,
      detail: report.detail,
      usage: { ...report.usage },
      platform: report.platform,
      auditRecords: relay.auditRecords,
      auditTruncated: report.auditTruncated,
    };
  }
}
