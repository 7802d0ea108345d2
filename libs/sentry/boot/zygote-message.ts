/**
 * What the supervisor (libs/pool) and a zygote (apps/sentry) say to each other on the control socket. Plain data, no I/O.
 *
 * supervisor -> zygote, first: u32 length (LE) and that many bytes of JSON, a `ZygoteConfig`.
 * supervisor -> zygote, then: requests of three i32: operation, id, argument. `Fork` carries the child's end of its
 * channel as SCM_RIGHTS. Hanging up ends the zygote and everything it forked.
 * zygote -> supervisor: reports, see `encodeReport`.
 */
import type { PlatformProbe } from '../platform/choose.js';
import type { ImageSpec } from './boot-message.js';

export interface ZygoteConfig {
  readonly image: ImageSpec;
  /** `auto`, or a platform by name. */
  readonly platform: string;
  /** Module that exports `Sentry`; a file URL. Tests put a stand-in here. */
  readonly sentryModule: string;
  /** First host uid (and gid) given to children when the zygote runs as root; child n gets base + n mod range. */
  readonly uidBase: number;
  readonly uidRange: number;
  /** Guests run to warm the kernel before the first fork; 0 starts sooner and leaves children cold. */
  readonly rehearsals: number;
  /** On KVM: whether another core may run the machine, so that calls need not leave it. */
  readonly kvmExitless: boolean;
  /** Layers of confinement to leave out, by name (tests and `doctor` only). */
  readonly without: readonly string[];
}

export const ZygoteRequest = {
  /** Fork a child; id names it from now on; argument: host core to pin it to, or -1. */
  Fork: 1,
  /** SIGKILL the child. */
  Kill: 2,
  /** RLIMIT_CPU of the child, in seconds. */
  LimitCpu: 3,
} as const;
export const ZYGOTE_REQUEST_BYTES = 12;

export const ZygoteReport = {
  /** The zygote forks from now on. text: JSON `ZygoteReady`. */
  Ready: 1,
  /** pid: the child's, as the zygote sees it. */
  Forked: 2,
  /** Request `Fork` failed. text says how. */
  ForkFailed: 3,
  /** The child ended. status: as of wait(2); text: what it wrote to its standard error. */
  Exited: 4,
} as const;

export interface ZygoteReady {
  /** The platform chosen, and what probing found. */
  readonly platform: string;
  readonly probes: readonly PlatformProbe[];
  readonly layers: readonly ConfinementLayer[];
  /** Its own start, step by step, each with the end of its step: CLOCK_MONOTONIC, ns. */
  readonly marks: readonly ZygoteMark[];
}

export interface ZygoteMark {
  readonly step: string;
  readonly at: number;
}

/** One layer around a Sentry, as found on this host. */
export interface ConfinementLayer {
  readonly name: string;
  readonly on: boolean;
  /** What it keeps away when on; what is lost when off. */
  readonly consequence: string;
  /** Why it is off, when it is. */
  readonly detail: string;
}

export interface Report {
  readonly type: number;
  readonly id: number;
  readonly pid: number;
  readonly status: number;
  /** CPU time of the ended process itself, in ms (`Exited`). */
  readonly cpuMs: number;
  readonly text: string;
}

/** u32 bytes that follow, i32 type, id, pid, status, cpuMs, UTF-8 text. All little-endian. */
export const REPORT_HEADER_BYTES = 24;

export function encodeReport(report: Report): Uint8Array {
  const text = Buffer.from(report.text, 'utf8');
  const bytes = Buffer.alloc(REPORT_HEADER_BYTES + text.length);
  bytes.writeUInt32LE(bytes.length - 4, 0);
  bytes.writeInt32LE(report.type, 4);
  bytes.writeInt32LE(report.id, 8);
  bytes.writeInt32LE(report.pid, 12);
  bytes.writeInt32LE(report.status, 16);
  bytes.writeInt32LE(report.cpuMs, 20);
  text.copy(bytes, REPORT_HEADER_BYTES);
  return bytes;
}

/** Precondition: `bytes` is one whole report, its length word included. */
export function decodeReport(bytes: Buffer): Report {
  return {
    type: bytes.readInt32LE(4),
    id: bytes.readInt32LE(8),
    pid: bytes.readInt32LE(12),
    status: bytes.readInt32LE(16),
    cpuMs: bytes.readInt32LE(20),
    text: bytes.toString('utf8', REPORT_HEADER_BYTES),
  };
}
