import type { Duplex } from 'node:stream';
import {
  FIXED_LIMITS,
  type OpenSandbox,
  type SandboxDto,
  type SandboxEnd,
  type StartProcess,
  WORK_DIRECTORY,
} from '@cordon/contracts';
import {
  Dialed,
  type EndReport,
  type ImageSpec,
  type ProcessHandlers,
  type SandboxPool,
  type SessionHandle,
  type SessionRequest,
} from '@cordon/pool';
import { Contexts } from '../contexts/contexts.js';
import { ENVIRONMENT, GUEST_UID } from '../run-spec.js';
import type { AuditWriter } from './audit-writer.js';
import { ProcessLog } from './process-log.js';
import { Watchers } from './watchers.js';

/** Processes that have ended and are remembered for those who attach later. */
const ENDED_KEPT = 64;
const SIGKILL = 9;

export interface Started {
  readonly process: number;
  readonly log: ProcessLog;
}

/** Whose a sandbox is. */
export interface Owner {
  readonly tenant: string;
  /** In whose places it is counted; an older API names none. */
  readonly keyId?: string;
}

/** One sandbox on this worker: its session, its processes, its time. */
export class LiveSandbox {
  sandbox: SandboxDto;
  private readonly session: SessionHandle;
  private readonly processes = new Map<number, ProcessLog>();
  private readonly env: Readonly<Record<string, string>>;
  private endReason: SandboxEnd | null = null;
  private idle: NodeJS.Timeout | null = null;
  /** Requests under way: not idle. */
  private uses = 0;
  readonly contexts = new Contexts(this);
  readonly watchers = new Watchers(this);
  readonly ended: Promise<SandboxEnd>;

  constructor(
    pool: SandboxPool,
    image: ImageSpec,
    { sandbox, env }: OpenSandbox,
    readonly owner: Owner,
    readonly audit: AuditWriter,
    log: (line: string) => void,
  ) {
    this.sandbox = { ...sandbox, platform: pool.stats().platform };
    this.env = { ...ENVIRONMENT, ...env };
    const wallTimeMs = Math.max(1, Date.parse(sandbox.expiresAt) - Date.now());
    this.session = pool.open(
      {
        id: sandbox.id,
        image,
        env: [],
        cwd: WORK_DIRECTORY,
        uid: GUEST_UID,
        gid: GUEST_UID,
        hostname: 'sandbox',
        limits: { ...sandbox.limits, ...FIXED_LIMITS, auditBytes: 64 << 20, wallTimeMs, outputBytes: 1 },
        auditLevel: sandbox.auditLevel,
        network: sandbox.network,
        cpus: 1,
        files: [],
      },
      { audit: (entries) => audit.records(entries, this.sandbox), log },
    );
    this.ended = this.session.ended.then((report) => this.over(report));
    this.rest();
  }

  /** Anything that is asked of it keeps it from being idle until it is done. */
  async use<T>(work: () => Promise<T>): Promise<T> {
    const done = this.busy();
    try {
      return await work();
    } finally {
      done();
    }
  }

  /** Not idle until the function it returns is called. */
  busy(): () => void {
    this.uses++;
    if (this.idle !== null) clearTimeout(this.idle);
    this.idle = null;
    return () => {
      this.uses--;
      if (this.uses === 0) this.rest();
    };
  }

  ask(request: SessionRequest, bytes?: Uint8Array): ReturnType<SessionHandle['ask']> {
    return this.session.ask(request, bytes);
  }

  async start(request: StartProcess): Promise<Started> {
    const log = new ProcessLog();
    // Output may come together with the answer: its stream begins with `started`.
    let announce = (): void => undefined;
    const ready = new Promise<void>((resolve) => {
      announce = resolve;
    });
    const done = this.busy();
    try {
      const { stream, pid } = await this.spawn(request, {
        output: async (descriptor, bytes) => {
          await ready;
          await log.output(descriptor, bytes);
        },
        exit: async (exit) => {
          await ready;
          log.exit(exit);
        },
      });
      this.processes.set(stream, log);
      this.forgetEnded();
      log.started(stream, pid);
      announce();
      return { process: stream, log };
    } finally {
      done();
    }
  }

  /** A process whose streams are the caller's own: nobody attaches to it. */
  spawn(
    request: Omit<StartProcess, 'background'>,
    handlers: ProcessHandlers,
  ): Promise<{ stream: number; pid: number }> {
    const { root, argv, cwd, stdin, terminal, timeoutMs } = request;
    const id = root ? 0 : GUEST_UID;
    const env = Object.entries({ ...this.env, ...request.env }).map(([name, value]) => `${name}=${value}`);
    return this.session.start({ argv, env, cwd, uid: id, gid: id, stdin, terminal, timeoutMs }, handlers);
  }

  /** A connection to one of its ports; keeps it from being idle while it lasts. */
  async dial(port: number): Promise<Duplex> {
    const done = this.busy();
    try {
      return (await Dialed.open(this.session, port)).once('close', done);
    } catch (error) {
      done();
      throw error;
    }
  }

  /** Lines of what happens in a directory, until `close` or its end; keeps the sandbox from being idle. */
  async watch(
    request: Parameters<SessionHandle['watch']>[0],
    lines: (bytes: Buffer) => void | Promise<void>,
    over: () => void,
  ): Promise<() => void> {
    const done = this.busy();
    let open = true;
    const end = (): void => {
      if (!open) return;
      open = false;
      done();
      over();
    };
    try {
      const stop = await this.watchIdly(request, lines, end);
      return () => {
        stop();
        end();
      };
    } catch (error) {
      done();
      throw error;
    }
  }

  /** The same; it may be idle meanwhile. */
  async watchIdly(
    request: Parameters<SessionHandle['watch']>[0],
    lines: (bytes: Buffer) => void | Promise<void>,
    closed: () => void = () => undefined,
  ): Promise<() => void> {
    const stream = await this.session.watch(request, { output: (_descriptor, bytes) => lines(bytes), closed });
    return () => void this.session.ask({ op: 'close', process: stream }).catch(() => undefined);
  }

  process(id: number): ProcessLog | undefined {
    return this.processes.get(id);
  }

  kill(process: number): void {
    void this.session.ask({ op: 'signal', process, signal: SIGKILL }).catch(() => undefined);
  }

  extend(expiresAt: string): void {
    this.sandbox = { ...this.sandbox, expiresAt };
    this.session.endAfter(Math.max(1, Date.parse(expiresAt) - Date.now()));
  }

  end(reason: SandboxEnd): void {
    this.endReason ??= reason;
    this.session.end();
  }

  private rest(): void {
    if (this.endReason !== null) return;
    this.idle = setTimeout(() => this.end('idle'), this.sandbox.idleSeconds * 1000);
  }

  private forgetEnded(): void {
    const over = [...this.processes].filter(([, log]) => log.over);
    for (const [id] of over.slice(0, -ENDED_KEPT)) this.processes.delete(id);
  }

  private over(report: EndReport): SandboxEnd {
    if (this.idle !== null) clearTimeout(this.idle);
    for (const log of this.processes.values()) log.lost();
    this.endReason ??=
      report.reason === 'timed_out' ? 'expired' : report.reason === 'cpu_exceeded' ? 'cpu_exceeded' : 'error';
    const { wallMs, cpuMs, memoryPeakBytes, syscalls } = report.usage;
    const usage = { wallMs, cpuMs, memoryPeakBytes, syscalls };
    this.sandbox = { ...this.sandbox, state: 'ended', endReason: this.endReason, usage };
    return this.endReason;
  }
}
