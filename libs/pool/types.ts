import type { AuditRecord } from '@cordon/sentry/audit/record';
import type { AuditLevel, BootMessage, EndReport, IdleReport, ImageSpec } from '@cordon/sentry/boot/boot-message';
import type { ConfinementLayer, ZygoteMark } from '@cordon/sentry/boot/zygote-message';
import type { PlatformName, PlatformProbe } from '@cordon/sentry/platform/choose';
import type { Session } from './session.js';

/** `auto`: the fastest that works on this host. */
export type PlatformChoice = 'auto' | PlatformName;

/** What to run: a boot message without what the pool decides itself, and the files' contents. */
export interface RunSpec extends Omit<BootMessage, 'files' | 'pinCpu'> {
  readonly image: ImageSpec;
  readonly files: readonly { readonly path: string; readonly mode: number; readonly content: Uint8Array }[];
}

/** Called as frames arrive, in order. Returning a promise holds the Sentry's socket back (backpressure reaches the guest). */
export interface RunHandlers {
  started?(): void;
  stdout?(bytes: Uint8Array): void | Promise<void>;
  stderr?(bytes: Uint8Array): void | Promise<void>;
  /** With `tellIdle`: the guest waits for input. Its output came before. */
  idle?(report: IdleReport): void;
  /** Decoded records in order; sequence numbers have no gaps unless `EndReport.auditTruncated`. */
  audit?(records: readonly AuditRecord[]): void | Promise<void>;
  /** Lines for the operator. */
  log?(line: string): void;
}

/** When the supervisor did what: CLOCK_MONOTONIC of this host, ns. 0: not yet. */
export interface RunMarks {
  /** `run` was called. */
  asked: number;
  /** Its Sentry was asked for: of a spare, before `asked`. */
  forked: number;
  /** It has its Sentry, and the boot message leaves. */
  given: number;
  /** Its report arrived, or the pool made one. */
  ended: number;
}

export interface RunHandle {
  readonly marks: Readonly<RunMarks>;
  writeStdin(bytes: Uint8Array): Promise<void>;
  endStdin(): void;
  resize(rows: number, columns: number): void;
  signal(signal: number): void;
  /** Ends the run from outside; the result still arrives. Safe at any time, also before it started or after it ended. */
  cancel(): void;
  /** Never rejects: a Sentry that crashed or hung reports reason 'error' (or 'timed_out' when the outer deadline struck). */
  readonly ended: Promise<EndReport>;
}

/** A sandbox without a program of its own: those are started in it. `env` and `cwd` are not used. */
export type SessionSpec = Omit<RunSpec, 'argv' | 'stdin' | 'terminal' | 'session'>;

export interface SessionHandle extends Session {
  /** From now on; replaces the wall time it was opened with. */
  endAfter(milliseconds: number): void;
}

export interface PoolOptions {
  readonly image: ImageSpec;
  readonly platform: PlatformChoice;
  /** Ready spares kept. */
  readonly spares: number;
  /** Forks after which the zygote is renewed. */
  readonly renewAfter: number;
  /** Cores used round-robin for pinning; default: all allowed. */
  readonly cores?: readonly number[];
  /**
   * Guests a zygote runs to warm the kernel before it forks (default 3). Each costs start-up time and saves every child
   * the compilation of what it runs; 0 suits a pool made for one run.
   */
  readonly rehearsals?: number;
  /**
   * The exit-less mode of the KVM platform (default false): while a guest does little but call and another core is idle, that core runs the
   * machine, and calls are answered without leaving it.
   */
  readonly kvmExitless?: boolean;
  readonly log?: (line: string) => void;
}

export interface PoolStats {
  readonly spares: number;
  readonly running: number;
  readonly forked: number;
  readonly zygoteAge: number;
  readonly platform: string;
}

export interface SandboxPool {
  /** Takes a ready spare (or forks), sends the boot message, relays frames. */
  run(spec: RunSpec, handlers: RunHandlers): RunHandle;
  /** A sandbox that lives until its wall time is over, or `end`. */
  open(spec: SessionSpec, handlers: Pick<RunHandlers, 'audit' | 'log'>): SessionHandle;
  stats(): PoolStats;
  /** What probing for a platform found, in the order tried. */
  probes(): readonly PlatformProbe[];
  /** How the newest zygote started, step by step; when this process asked for it comes first. */
  zygoteStart(): readonly ZygoteMark[];
  /** The layers of confinement around each Sentry, as found on this host. */
  layers(): readonly ConfinementLayer[];
  /** Kills what runs, ends the zygote, leaves no process. */
  close(): Promise<void>;
}

export type { AuditLevel, ConfinementLayer, EndReport, IdleReport, ImageSpec, PlatformName, PlatformProbe, ZygoteMark };
