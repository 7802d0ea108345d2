import type {
  AuditEntry,
  CompilationDto,
  ExecutionJob,
  ExecutionLimits,
  ExecutionResult,
  ExecutionState,
} from '@cordon/contracts';
import type { DiscoveredRuntime } from '@cordon/images';
import type { EndReport, ImageSpec, PlatformPools, RunHandle, SandboxPool } from '@cordon/pool';
import { type ExecutionStore, type InputMessage, monotonic, type Taken, type TestReader } from '@cordon/queue';
import type { Logger } from 'pino';
import type { Cores, Leave } from './cores.js';
import { EventRelay, type RelayedEvent } from './event-relay.js';
import type { Artifact } from './judge/compile-cache.js';
import type { Compiled, Compiler } from './judge/compiler.js';
import { type JudgeControl, judgeJob } from './judge/judge-job.js';
import type { WorkerMetrics } from './metrics.js';
import { named } from './named.js';
import { filesOf, runSpec } from './run-spec.js';
import { Timeline } from './timeline.js';
import { HeldOutput, varied, withMeanUsage, wrapped } from './variant.js';

/** The state that an end reason becomes; an exit status other than 0, or a signal, is a failure of the program. */
function stateOf(report: EndReport): ExecutionState {
  if (report.reason === 'exited') return report.exitCode === 0 ? 'succeeded' : 'failed';
  return report.reason === 'signaled' ? 'failed' : report.reason;
}

export interface ExecutorOptions {
  readonly pool: SandboxPool;
  readonly pools: PlatformPools;
  readonly store: ExecutionStore;
  readonly image: ImageSpec;
  readonly runtimes: ReadonlyMap<string, DiscoveredRuntime>;
  readonly workerId: string;
  readonly compiler: Compiler;
  readonly reader: TestReader;
  readonly cores: Cores;
  readonly metrics: WorkerMetrics;
  readonly log: Logger;
  readonly renderAudit: (entry: AuditEntry) => string;
}

/** An execution that begins here, and its place among the worker's guests. */
export interface Begun {
  readonly taken: Taken;
  readonly leave: Leave;
  /** When: CLOCK_MONOTONIC, ns. */
  readonly at: number;
}

interface Running {
  /** Null before the pool has it. */
  handle: RunHandle | null;
  /** Of a submission: what ends it. */
  judging: { cancel(): void } | null;
  /** A client asked for its end. */
  canceled: boolean;
  /** When it is wanted. */
  readonly timeline: Timeline | null;
}

/** How an execution ends. */
export interface End {
  readonly state: ExecutionState;
  readonly result: Partial<ExecutionResult>;
  /** What its stream does not have yet. */
  readonly events: readonly RelayedEvent[];
}

/** How long a cancellation, or input, waits for the execution it is meant for. */
const EARLY_MS = 10_000;

/** Runs jobs on the pool and tells their streams. One result each, whatever happens. */
export class Executor {
  private readonly running = new Map<string, Running>();
  private readonly canceled = new Set<string>();
  private readonly early = new Map<string, InputMessage[]>();
  private stopping = false;
  private draining = false;

  constructor(private readonly options: ExecutorOptions) {}

  get active(): number {
    return this.running.size;
  }

  get ids(): Iterable<string> {
    return this.running.keys();
  }

  /** A client wants it to end. One that does not run here may be about to: what `take` gave is still on its way. */
  cancel(id: string): void {
    const run = this.running.get(id);
    if (run) {
      run.canceled = true;
      run.handle?.cancel();
      run.judging?.cancel();
    } else {
      this.remember(id);
    }
  }

  /** From a client that is attached, to an execution that runs here or is on its way here. */
  input(message: InputMessage): void {
    const handle = this.running.get(message.id)?.handle;
    if (!handle) this.keep(message);
    // A guest that ended meanwhile reads no more.
    else if (message.kind === 'stdin') handle.writeStdin(Buffer.from(message.base64, 'base64')).catch(() => undefined);
    else if (message.kind === 'eof') handle.endStdin();
    else handle.signal(message.number);
  }

  private keep(message: InputMessage): void {
    const { id } = message;
    const list = this.early.get(id);
    if (list) return void list.push(message);
    this.early.set(id, [message]);
    setTimeout(() => this.early.delete(id), EARLY_MS).unref();
  }

  private remember(id: string): void {
    this.canceled.add(id);
    setTimeout(() => this.canceled.delete(id), EARLY_MS).unref();
  }

  /** Takes nothing more after what runs. */
  stop(): void {
    this.stopping = true;
  }

  /** Ends everything that runs here and hands it back to the queue, for another worker. */
  handBackAll(): void {
    this.draining = true;
    for (const { handle, judging } of this.running.values()) {
      handle?.cancel();
      judging?.cancel();
    }
  }

  /** A place first, then what runs in it: what waits may be another worker's meanwhile. */
  async take(): Promise<Begun | null> {
    if (this.stopping) return null;
    return this.takeFor(await this.options.cores.enter());
  }

  private async takeFor(leave: Leave): Promise<Begun | null> {
    let taken: Taken | null = null;
    try {
      if (!this.stopping) taken = await this.options.store.take(this.options.workerId, this.options.cores.free);
    } finally {
      if (!taken) leave();
    }
    return taken && { taken, leave, at: monotonic() };
  }

  /** Runs one to its end. -> what this slot runs next, in the same place. */
  async execute({ taken, leave, at }: Begun): Promise<Begun | null> {
    try {
      const next = await this.runToItsEnd(taken, leave, at);
      if (!next) leave();
      return next;
    } catch (error) {
      leave();
      throw error;
    }
  }

  private async runToItsEnd({ id, attempt, job, record }: Taken, leave: Leave, takenAt: number): Promise<Begun | null> {
    if (attempt < 0 || job === null) {
      await this.options.store.finish(id, 0, 'canceled', {});
      return this.takeFor(leave);
    }
    const timeline = job.timeline ? new Timeline(job.timeline, takenAt) : null;
    const run: Running = { handle: null, judging: null, canceled: this.canceled.has(id), timeline };
    this.running.set(id, run);
    try {
      const end = await this.attempt(job, attempt, run);
      if (end === null) {
        await this.options.store.handBack(id, attempt);
        return null;
      }
      this.options.metrics.ended(job, record, end);
      this.options.log.info({ execution: id, attempt, state: end.state, usage: end.result.usage }, 'ended');
      // One round trip, and one write to disk, ends this one and begins the next.
      const result = timeline ? { ...end.result, timeline: timeline.finish() } : end.result;
      const finished = this.options.store.finish(id, attempt, end.state, result, {
        record,
        events: end.events,
      });
      const [, next] = await Promise.all([finished, this.takeFor(leave)]);
      return next;
    } finally {
      // Taken for lost, it may have come back meanwhile, and run again here.
      if (this.running.get(id) === run) this.running.delete(id);
    }
  }

  /** Null: to be handed back. */
  private async attempt(accepted: ExecutionJob, attempt: number, run: Running): Promise<End | null> {
    const { store, log } = this.options;
    const found = accepted.runtime === null ? null : (this.options.runtimes.get(accepted.runtime) ?? null);
    const { program: job, runtime: own } = found ? named(accepted, found) : { program: accepted, runtime: null };
    const runtime = varied(job, own);
    if (job.runtime !== null && runtime === null) {
      return { state: 'error', result: { detail: `this worker has no runtime ${job.runtime}` }, events: [] };
    }
    if (job.judge && runtime) return judgeJob(job, job.judge, runtime, attempt, this.options, this.controlOf(run));
    const staged = job.compileLimits && runtime ? await this.compile(job, runtime, job.compileLimits, run) : null;
    if (staged !== null && staged.artifacts === null) return this.notCompiled(staged, run);
    if (staged?.compilation && job.interactive) await this.tellCompiled(job.id, attempt, staged.compilation);
    const relay = new EventRelay(store, job.id, attempt, this.options.renderAudit);
    try {
      const report = await this.runs(job, runtime, relay, run, staged?.artifacts ?? null);
      const events = await relay.finish();
      if (report.reason === 'canceled' && this.draining && !run.canceled) {
        if (events.length > 0) await store.append(job.id, attempt, events);
        return null;
      }
      if (report.reason === 'error') log.error({ execution: job.id, detail: report.detail }, 'the Sentry failed');
      const compilation = staged?.compilation ?? undefined;
      return { state: stateOf(report), result: { ...this.resultOf(report, relay), compilation }, events };
    } catch (error) {
      log.error({ execution: job.id, err: error }, 'the execution failed');
      return { state: 'error', result: { detail: (error as Error).message }, events: [] };
    }
  }

  /** The stage before the run, in a sandbox of its own. */
  private async compile(
    job: ExecutionJob,
    runtime: DiscoveredRuntime,
    limits: ExecutionLimits,
    run: Running,
  ): Promise<Compiled> {
    const gone = new AbortController();
    run.judging = { cancel: () => gone.abort() };
    if (run.canceled || this.draining) gone.abort();
    const compiled = await this.options.compiler.compile(
      { runtime, files: filesOf(job, runtime), limits },
      gone.signal,
    );
    run.judging = null;
    return compiled;
  }

  private notCompiled({ compilation, failure }: Compiled, run: Running): End | null {
    if (this.draining && !run.canceled) return null;
    const state = run.canceled ? 'canceled' : failure === null ? 'failed' : 'error';
    return { state, result: { compilation: compilation ?? undefined, detail: failure }, events: [] };
  }

  /** Whoever talks with the program wants to know that it begins. */
  private async tellCompiled(id: string, attempt: number, compilation: CompilationDto): Promise<void> {
    const data = { state: 'running', at: new Date().toISOString(), compilation };
    await this.options.store.append(id, attempt, [{ type: 'status', data }]);
  }

  private controlOf(run: Running): JudgeControl {
    return {
      begin: (judging) => {
        run.judging = judging;
        if (run.canceled || this.draining) judging.cancel();
      },
      handedBack: () => this.draining && !run.canceled,
    };
  }

  /** All runs of a job: one, as a rule. The stream has the last one's output. */
  private async runs(
    job: ExecutionJob,
    runtime: DiscoveredRuntime | null,
    relay: EventRelay,
    run: Running,
    artifacts: readonly Artifact[] | null,
  ): Promise<EndReport> {
    const { runs, expected } = job.variant?.repeat ?? { runs: 1, expected: null };
    const earlier: EndReport[] = [];
    while (earlier.length < runs - 1) {
      const held = new HeldOutput();
      const report = await this.run(job, runtime, relay, run, artifacts, held);
      earlier.push(report);
      const passed = report.reason === 'exited' && report.exitCode === 0 && held.wrote(expected);
      if (passed && !run.canceled) continue;
      await held.giveTo(relay);
      return withMeanUsage(earlier);
    }
    return withMeanUsage([...earlier, await this.run(job, runtime, relay, run, artifacts)]);
  }

  private async run(
    job: ExecutionJob,
    runtime: DiscoveredRuntime | null,
    relay: EventRelay,
    run: Running,
    artifacts: readonly Artifact[] | null,
    output: Pick<EventRelay, 'output'> = relay,
  ): Promise<EndReport> {
    const { pools, image, log } = this.options;
    const whole = runSpec(job, runtime, image);
    const argv = artifacts && runtime ? [...runtime.run, ...job.args] : whole.argv;
    const marks = run.timeline !== null;
    const spec = { ...whole, files: artifacts ?? whole.files, argv: wrapped(job, argv), marks };
    const { platform = 'auto' } = job;
    const lease = await pools.lease(platform);
    if (lease === null) throw new Error(`this worker runs no guests on ${platform}`);
    const handle = lease.pool.run(spec, {
      stdout: (bytes) => output.output('stdout', bytes),
      stderr: (bytes) => output.output('stderr', bytes),
      audit: (records) => relay.records(records),
      log: (line) => log.warn({ execution: job.id }, line),
    });
    void handle.ended.then(() => lease.release());
    run.handle = handle;
    if (run.canceled || this.draining) handle.cancel();
    const fed = job.stdin === '' ? null : this.feed(handle, job.stdin, !job.interactive);
    for (const message of this.early.get(job.id) ?? []) this.input(message);
    this.early.delete(job.id);
    await fed;
    const report = await handle.ended;
    run.timeline?.ran(handle.marks, report);
    return report;
  }

  /** A guest that does not read its input must not hold the run back. */
  private feed(handle: RunHandle, base64: string, end: boolean): Promise<unknown> {
    const fed = handle.writeStdin(Buffer.from(base64, 'base64')).then(
      () => end && handle.endStdin(),
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
