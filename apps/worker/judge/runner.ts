import { createHash } from 'node:crypto';
import {
  type AuditEntry,
  type AuditEvent,
  type ExecutionJob,
  type ExecutionLimits,
  FIXED_LIMITS,
  LIMITS,
  type LimitName,
  WORK_DIRECTORY,
} from '@cordon/contracts';
import type { DiscoveredRuntime } from '@cordon/images';
import type { EndReport, ImageSpec, RunHandle, RunHandlers, SandboxPool } from '@cordon/pool';
import { environmentOf, GUEST_UID } from '../run-spec.js';
import type { Artifact } from './compile-cache.js';

/** Something that can be run: what its runtime needs is there. */
export interface Program {
  readonly runtime: DiscoveredRuntime;
  readonly artifacts: readonly Artifact[];
}

export interface RunRequest {
  readonly program: Program;
  readonly args: readonly string[];
  /** Beside what the program needs. */
  readonly files?: readonly Artifact[];
  readonly limits: ExecutionLimits;
  readonly stdin: 'empty' | 'stream';
  /** `RunHandlers.idle` is called. */
  readonly tellIdle?: boolean;
  /** Whose system calls they are; absent: not recorded, whatever the submission asks for. */
  readonly audited?: { readonly test: number; readonly program: NonNullable<AuditEvent['program']> };
}

export interface RunnerOptions {
  readonly pool: SandboxPool;
  readonly image: ImageSpec;
  readonly renderAudit: (entry: AuditEntry) => string;
  readonly told: (event: AuditEvent) => Promise<void>;
}

/** Records of one event. */
const RECORDS_AT_ONCE = 500;

/** A file in the work directory. */
export const workFile = (name: string, content: Buffer): Artifact => ({
  path: `${WORK_DIRECTORY}/${name}`,
  mode: 0o644,
  content,
});

/**
 * What a program of the problem's own may use: the default, or what the submission may where that is more. Whoever submits chooses limits,
 * and low ones must not stop the judge.
 */
export function judgeLimits(limits: ExecutionLimits): ExecutionLimits {
  const most = (name: LimitName): [LimitName, number] => [name, Math.max(limits[name], LIMITS[name].default)];
  return Object.fromEntries((Object.keys(LIMITS) as LimitName[]).map(most)) as ExecutionLimits;
}

/** Runs the programs that judging needs, each in a sandbox of its own, and ends them all when it is over. */
export class Runner {
  private readonly handles = new Set<RunHandle>();
  private canceled = false;
  /** Processor time of everything run, ms. */
  cpuMs = 0;
  /** Bytes of audit records of one run. */
  auditBytes: number = FIXED_LIMITS.auditBytes;

  constructor(
    private readonly job: ExecutionJob,
    private readonly options: RunnerOptions,
  ) {}

  cancel(): void {
    this.canceled = true;
    for (const handle of this.handles) handle.cancel();
  }

  start({ program, args, files = [], limits, stdin, tellIdle, audited }: RunRequest, handlers: RunHandlers): RunHandle {
    const { pool, image } = this.options;
    const { auditBytes } = this;
    const auditLevel = audited ? this.job.auditLevel : 'off';
    const audit = audited && auditLevel !== 'off' ? new AuditTeller(audited, this.options) : null;
    const handle = pool.run(
      {
        id: this.job.id,
        image,
        argv: [...program.runtime.run, ...args],
        env: environmentOf(program.runtime, this.job.env),
        cwd: WORK_DIRECTORY,
        uid: GUEST_UID,
        gid: GUEST_UID,
        hostname: 'sandbox',
        limits: { ...limits, ...FIXED_LIMITS, auditBytes },
        auditLevel,
        network: 'none',
        cpus: 1,
        files: [...program.artifacts, ...files],
        stdin,
        terminal: false,
        tellIdle,
      },
      audit ? { ...handlers, audit: (records) => audit.tell(records) } : handlers,
    );
    this.handles.add(handle);
    if (this.canceled) handle.cancel();
    const ended = handle.ended.then(async (report) => {
      this.handles.delete(handle);
      this.cpuMs += report.usage.cpuMs;
      if (report.auditTruncated) await audit?.end();
      return report;
    });
    return {
      writeStdin: (bytes) => handle.writeStdin(bytes),
      endStdin: () => handle.endStdin(),
      resize: (rows, columns) => handle.resize(rows, columns),
      signal: (signal) => handle.signal(signal),
      cancel: () => handle.cancel(),
      marks: handle.marks,
      ended,
    };
  }

  /** To its end, with all that it printed. */
  async run(
    request: Omit<RunRequest, 'stdin'>,
    input: Buffer,
  ): Promise<{ report: EndReport; output: Buffer; errors: Buffer }> {
    const output: Buffer[] = [];
    const errors: Buffer[] = [];
    const handle = this.start(
      { ...request, stdin: input.length === 0 ? 'empty' : 'stream' },
      {
        stdout: (bytes) => void output.push(Buffer.from(bytes)),
        stderr: (bytes) => void errors.push(Buffer.from(bytes)),
      },
    );
    // A program that does not read its input must not hold the test back.
    if (input.length > 0) void handle.writeStdin(input).then(() => handle.endStdin());
    const report = await handle.ended;
    return { report, output: Buffer.concat(output), errors: Buffer.concat(errors) };
  }
}

/** System calls of one run, as events of the submission's stream. */
class AuditTeller {
  private chain = '';

  constructor(
    private readonly whose: NonNullable<RunRequest['audited']>,
    private readonly options: RunnerOptions,
  ) {}

  async tell(records: readonly AuditEntry[]): Promise<void> {
    for (let at = 0; at < records.length; at += RECORDS_AT_ONCE) {
      const some = records.slice(at, at + RECORDS_AT_ONCE);
      this.chain = createHash('sha256').update(this.chain).update(JSON.stringify(some)).digest('hex');
      const text = some.map((record) => this.options.renderAudit(record));
      await this.options.told({ records: some, text, chain: this.chain, ...this.whose });
    }
  }

  end(): Promise<void> {
    return this.options.told({ records: [], text: [], chain: this.chain, ...this.whose, truncated: true });
  }
}
