import type { AuditEntry, ExecutionJob, ExecutionResult, ExecutionState } from '@cordon/contracts';
import type { DiscoveredRuntime } from '@cordon/images';
import type { EndReport, ImageSpec, RunHandle, SandboxPool } from '@cordon/pool';
import type { ExecutionStore } from '@cordon/queue';
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

interface Running {
  /** Null before the pool has it. */
  handle: RunHandle | null;
  /** A client asked for its end. */
  canceled: boolean;
}

/** Runs jobs on the pool and tells their streams. One result each, whatever happens. */
export class Executor {
  private readonly running = new Map<string, Running>();
  private draining = false;

  constructor(private readonly options: ExecutorOptions) {}

  get active(): number {
    return this.running.size;
  }

  /** A client wants it to end: no-op when it does not run here. */
  cancel(id: string): void {
    const run = this.running.get(id);
    if (!run) return;
    run.canceled = true;
    run.handle?.cancel();
  }

  /** Ends everything that runs here and hands it back to the queue, for another worker. */
  handBackAll(): void {
    this.draining = true;
    for (const { handle } of this.running.values()) handle?.cancel();
  }

  async execute(job: ExecutionJob): Promise<'done' | 'hand-back'> {
    const run: Running = { handle: null, canceled: false };
    // Known before it begins, so that no cancellation falls between the two.
    this.running.set(job.id, run);
    try {
      const attempt = await this.options.store.begin(job.id, this.options.workerId);
      if (attempt > 0) return await this.attempt(job, attempt, run);
      if (attempt < 0) await this.options.store.finish(job.id, 0, 'canceled', {});
      return 'done';
    } finally {
      this.running.delete(job.id);
    }
  }

  private async attempt(job: ExecutionJob, attempt: number, run: Running): Promise<'done' | 'hand-back'> {
    const { store, log } = this.options;
    const runtime = job.runtime === null ? null : (this.options.runtimes.get(job.runtime) ?? null);
    if (job.runtime !== null && runtime === null) {
      await store.finish(job.id, attempt, 'error', { detail: `this worker has no runtime ${job.runtime}` });
      return 'done';
    }
    const relay = new EventRelay(store, job.id, attempt, this.options.renderAudit);
    const report = await this.run(job, runtime, relay, run);
    if (report.reason === 'canceled' && this.draining && !run.canceled) {
      await relay.finish();
      return (await store.handBack(job.id, attempt)) ? 'hand-back' : 'done';
    }
    if (report.reason === 'error') log.error({ execution: job.id, detail: report.detail }, 'the Sentry failed');
    await relay.finish();
    await store.finish(job.id, attempt, stateOf(report), this.resultOf(report, relay));
    return 'done';
  }

  private async run(
    job: ExecutionJob,
    runtime: DiscoveredRuntime | null,
    relay: EventRelay,
    run: Running,
  ): Promise<EndReport> {
    const { pool, image, log } = this.options;
    const handle = pool.run(runSpec(job, runtime, image), {
      stdout: (bytes) => relay.output('stdout', bytes),
      stderr: (bytes) => relay.output('stderr', bytes),
      audit: (records) => relay.records(records),
      log: (line) => log.warn({ execution: job.id }, line),
    });
    run.handle = handle;
    if (run.canceled || this.draining) handle.cancel();
    if (job.stdin !== '') await this.feed(handle, job.stdin);
    return handle.ended;
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
