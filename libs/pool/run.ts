import { constants } from 'node:os';

import { AuditDecoder } from '@cordon/sentry/audit/codec';
import {
  type BootMessage,
  type EndReason,
  type EndReport,
  FRAME_PAYLOAD_MAX,
  FrameType,
  type IdleReport,
} from '@cordon/sentry/boot/boot-message';
import { host } from '@cordon/sentry/platform/host';
import { checkedHeap, checkedMarks, checkedProfile, finite } from './checked-profile.js';
import { encodeFrame, encodeJsonFrame } from './frame-reader.js';
import type { SentryProcess } from './sentry-process.js';
import type { RunHandle, RunHandlers, RunMarks, RunSpec } from './types.js';
import type { ChildExit } from './zygote-process.js';

/** The Sentry enforces the wall limit itself; the pool strikes this much later, ... */
const DEADLINE_SLACK_MS = 100;
/** ... and a Sentry that was told to end and sends no End within this time is killed. */
const KILL_GRACE_MS = 500;
/** After the kill, output that the caller's handlers hold back is waited for this long. */
const OUTPUT_GRACE_MS = 5_000;
/**
 * The Sentry has one thread, so its own CPU time stays below the wall time. Beyond that by so much the host itself
 * kills it (RLIMIT_CPU), even if this process is stuck.
 */
const SENTRY_CPU_MARGIN_SECONDS = 5;
/** Room for the JSON of a boot message. */
const BOOT_JSON_MAX = 4 * 1024 * 1024;
/** What a timer can hold. */
const WALL_TIME_MAX_MS = 2 ** 31 - 10_000;
/** The Sentry counts; this only has to catch one that does not. */
const OUTPUT_SLACK_BYTES = 64 * 1024;
/** Sentries a run may lose before its guest has begun. */
const ATTEMPTS = 2;
/** No session lives longer, however often it is prolonged. */
export const SESSION_MAX_MS = 24 * 3600 * 1000;
const LOG_LINES_KEPT = 5;

/** Linux's first name of each signal: SIGABRT, not SIGIOT. */
const signalNames = new Map(
  Object.entries(constants.signals)
    .map(([name, number]): [number, string] => [number, name])
    .reverse(),
);

/** The frame that starts a guest: JSON length, JSON, contents of the files. */
export function encodeBoot(spec: RunSpec, pinCpu: number): Buffer {
  const { image: _image, files, ...rest } = spec;
  const message: BootMessage = {
    ...rest,
    pinCpu,
    files: files.map(({ path, mode, content }) => ({ path, mode, size: content.length })),
  };
  const json = Buffer.from(JSON.stringify(message), 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(json.length);
  return encodeFrame(FrameType.Boot, Buffer.concat([length, json, ...files.map((file) => file.content)]));
}

/** Why a Sentry cannot be asked to run this, or null. */
export function refusal(spec: RunSpec): string | null {
  const bytes = spec.files.reduce((sum, { content }) => sum + content.length, 0);
  if (bytes > FRAME_PAYLOAD_MAX - BOOT_JSON_MAX) return `the files hold ${bytes} bytes, more than one boot message`;
  if (!(spec.limits.wallTimeMs > 0 && spec.limits.wallTimeMs <= WALL_TIME_MAX_MS)) return 'wallTimeMs is out of range';
  return null;
}

/** What a run tells its pool. */
export interface RunOwner {
  /** The report is out: off the queue and the books. */
  finished(run: Run): void;
  /** Its Sentry was lost before the guest began: it wants another. */
  again(run: Run): void;
}

/**
 * One run, from the request to its EndReport. Until a Sentry is given to it, it waits in the pool's queue.
 * Exactly one report comes out, whatever the Sentry does.
 */
export class Run implements RunHandle {
  readonly ended: Promise<EndReport>;
  readonly marks: RunMarks = { asked: host.now(), forked: 0, given: 0, ended: 0 };
  /** Set once the report is out. */
  done = false;
  private resolve!: (report: EndReport) => void;
  private sentry: SentryProcess | null = null;
  private report: EndReport | null = null;
  /** Why the pool ended the run from outside, if it did. */
  private killedFor: EndReason | null = null;
  private failed = false;
  private outputBytes = 0;
  private deadline: NodeJS.Timeout | null = null;
  /** When that is, ms since 1970. */
  private endsAt: number | null = null;
  private grace: NodeJS.Timeout | null = null;
  private startedAt = 0;
  /** Frames of the caller that came before there was a Sentry. */
  private early: { frame: Buffer; sent: () => void }[] = [];
  /** What the Sentry was sent, as long as the run could begin again on another one; null from its first frame on. */
  private replay: Buffer[] | null = [];
  private attempts = 0;
  /** Takes the frames that only a session has. */
  session: ((type: number, payload: Buffer) => void) | null = null;
  private readonly lastLines: string[] = [];
  private readonly audit = new AuditDecoder();

  constructor(
    private readonly spec: RunSpec,
    private readonly handlers: RunHandlers,
    private readonly platform: string,
    private readonly owner: RunOwner,
  ) {
    this.ended = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  /** Starts the run on a ready Sentry. Precondition: not started, not done. */
  start(sentry: SentryProcess): void {
    this.sentry = sentry;
    this.marks.forked = sentry.askedAt;
    this.marks.given = host.now();
    this.startedAt = performance.now();
    sentry.attach(
      (type, payload) => this.receive(type, payload),
      (exit) => this.sentryEnded(exit),
    );
    this.attempts++;
    sentry.send(encodeBoot(this.spec, sentry.cpu));
    for (const frame of this.replay ?? []) sentry.send(frame);
    for (const { frame, sent } of this.early) {
      this.replay?.push(frame);
      sentry.sendAndWait(frame).then(sent);
    }
    this.early = [];
    const { wallTimeMs } = this.spec.limits;
    const longest = this.spec.session ? SESSION_MAX_MS : wallTimeMs;
    sentry.limitCpu(Math.ceil(longest / 1000) + SENTRY_CPU_MARGIN_SECONDS);
    if (!this.spec.session) this.endAfter(wallTimeMs + DEADLINE_SLACK_MS);
    // Its life may have been prolonged while it waited for a Sentry.
    else this.endAfter(this.endsAt === null ? wallTimeMs : Math.max(1, this.endsAt - Date.now()));
  }

  /** Ends it as `timed_out` in so many milliseconds, and no sooner: the life of a session may be prolonged. */
  endAfter(milliseconds: number): void {
    if (this.done) return;
    if (this.deadline !== null) clearTimeout(this.deadline);
    this.endsAt = Date.now() + milliseconds;
    this.deadline = setTimeout(() => this.endFromOutside('timed_out'), Math.min(milliseconds, WALL_TIME_MAX_MS));
  }

  /** A frame for the Sentry; resolves when it has left. Nothing once the run is over. */
  post(frame: Buffer): Promise<void> {
    return this.deliver(frame);
  }

  /** Ends a run that never got a Sentry. */
  abandon(reason: EndReason, detail: string): void {
    this.finish(this.synthesize(reason, detail, 0));
  }

  writeStdin(bytes: Uint8Array): Promise<void> {
    return bytes.length === 0 ? Promise.resolve() : this.deliver(encodeFrame(FrameType.Stdin, bytes));
  }

  endStdin(): void {
    this.deliver(encodeFrame(FrameType.Stdin));
  }

  resize(rows: number, columns: number): void {
    this.deliver(encodeJsonFrame(FrameType.Resize, { rows, columns }));
  }

  signal(signal: number): void {
    this.deliver(encodeJsonFrame(FrameType.Signal, { signal }));
  }

  cancel(): void {
    if (this.done) return;
    if (this.sentry === null) this.abandon('canceled', 'canceled before it started');
    else this.endFromOutside('canceled');
  }

  /** The pool is closing: the Sentry is about to be killed; that is no error of the run. */
  closed(): void {
    this.killedFor ??= 'canceled';
  }

  private deliver(frame: Buffer): Promise<void> {
    if (this.done) return Promise.resolve();
    if (this.sentry !== null) {
      this.replay?.push(frame);
      return this.sentry.sendAndWait(frame);
    }
    return new Promise((sent) => {
      this.early.push({ frame, sent });
    });
  }

  private endFromOutside(reason: EndReason): void {
    if (this.done || this.report !== null || this.killedFor !== null) return;
    this.killedFor = reason;
    this.sentry?.send(encodeJsonFrame(FrameType.Kill, { reason }));
    this.grace = setTimeout(() => {
      this.sentry?.kill();
      // A consumer that never takes what it was given must not keep the result back.
      this.grace = setTimeout(
        () => this.finish(this.synthesize(reason, 'killed from outside; its output was not taken', 0)),
        OUTPUT_GRACE_MS,
      );
    }, KILL_GRACE_MS);
  }

  private receive(type: number, payload: Buffer): void | Promise<void> {
    if (this.done || this.failed) return;
    this.replay = null;
    try {
      const result: unknown = this.dispatch(type, payload);
      // A handler may return anything where void is asked for.
      if (result instanceof Promise) return result.catch((error) => this.fail(type, error));
    } catch (error) {
      this.fail(type, error);
    }
  }

  private dispatch(type: number, payload: Buffer): void | Promise<void> {
    switch (type) {
      case FrameType.Stdout:
        this.count(payload.length);
        return this.handlers.stdout?.(payload);
      case FrameType.Stderr:
        this.count(payload.length);
        return this.handlers.stderr?.(payload);
      case FrameType.Audit:
        return this.handlers.audit?.(this.audit.decode(payload));
      case FrameType.Started:
        return this.handlers.started?.();
      case FrameType.Idle:
        return this.handlers.idle?.(checkedIdle(JSON.parse(payload.toString('utf8'))));
      case FrameType.Log:
        return this.logged(payload.toString('utf8'));
      case FrameType.End:
        this.report = checkedReport(JSON.parse(payload.toString('utf8')));
        return this.finish(this.report);
      default:
        if (this.session) return this.session(type, payload);
        return this.logged(`unknown frame type ${type}`);
    }
  }

  /** The Sentry keeps the output limit; one that does not is no Sentry of ours any more. */
  private count(bytes: number): void {
    this.outputBytes += bytes;
    if (this.outputBytes > this.spec.limits.outputBytes + OUTPUT_SLACK_BYTES)
      throw new Error('more output than the limit allows');
  }

  /** What the Sentry sent cannot be understood, or a handler failed: this run is over, nothing else. */
  private fail(type: number, error: unknown): void {
    this.failed = true;
    this.logged(`frame ${type}: ${error instanceof Error ? error.message : String(error)}`);
    this.killedFor = 'error';
    this.sentry?.kill();
  }

  private logged(line: string): void {
    this.lastLines.push(line);
    if (this.lastLines.length > LOG_LINES_KEPT) this.lastLines.shift();
    this.handlers.log?.(line);
  }

  private sentryEnded(exit: ChildExit): void {
    const words = exit.words.split('\n').filter((line) => line.trim() !== '');
    for (const line of words) this.handlers.log?.(line);
    if (this.done) return;
    if (this.replay !== null && this.killedFor === null && this.attempts < ATTEMPTS) {
      // It died as a spare, or with its zygote: nothing has run, so nothing can run twice.
      this.sentry = null;
      if (this.deadline !== null) clearTimeout(this.deadline);
      this.owner.again(this);
      return;
    }
    const reason = this.killedFor ?? 'error';
    const how =
      exit.lost ??
      (exit.signal === null
        ? `the Sentry exited with ${exit.exitCode} and no report`
        : `the Sentry was killed by ${signalNames.get(exit.signal) ?? exit.signal}`);
    const detail =
      reason === 'error' ? [how, ...this.lastLines, ...telling(words)].join('; ') : `ended from outside: ${how}`;
    this.finish(this.synthesize(reason, detail, exit.cpuMs));
  }

  private synthesize(reason: EndReason, detail: string, cpuMs: number): EndReport {
    const wallMs = this.startedAt === 0 ? 0 : performance.now() - this.startedAt;
    return {
      reason,
      exitCode: null,
      signal: null,
      detail,
      usage: { wallMs, cpuMs, memoryPeakBytes: 0, syscalls: 0 },
      auditTruncated: false,
      platform: this.platform,
    };
  }

  private finish(report: EndReport): void {
    if (this.done) return;
    this.done = true;
    this.marks.ended = host.now();
    if (this.deadline !== null) clearTimeout(this.deadline);
    if (this.grace !== null) clearTimeout(this.grace);
    for (const { sent } of this.early) sent();
    this.early = [];
    // A Sentry that reported and does not go is killed; one that is gone does not mind.
    const { sentry } = this;
    if (sentry !== null && !sentry.ended) {
      const lingering = setTimeout(() => sentry.kill(), KILL_GRACE_MS);
      lingering.unref();
    }
    this.owner.finished(this);
    this.resolve(report);
  }
}

/** Of what a dying process said, the line that says most: V8's verdict, or the first. */
function telling(words: readonly string[]): readonly string[] {
  const verdict = words.find((line) => line.includes('FATAL ERROR'));
  return verdict === undefined ? words.slice(0, 1) : [verdict];
}

const REASONS: ReadonlySet<string> = new Set<EndReason>([
  'exited',
  'signaled',
  'timed_out',
  'cpu_exceeded',
  'memory_exceeded',
  'output_exceeded',
  'canceled',
  'error',
]);

function checkedIdle(value: unknown): IdleReport {
  if (typeof value !== 'object' || value === null) throw new TypeError('the report is no object');
  const { received, stuck, cpuMs } = value as Record<string, unknown>;
  return { received: finite(received), stuck: stuck === true, cpuMs: finite(cpuMs) };
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** A Sentry may be compromised: what it reports is taken field by field. Throws TypeError when it is no report. */
export function checkedReport(value: unknown): EndReport {
  if (typeof value !== 'object' || value === null) throw new TypeError('the report is no object');
  const { reason, exitCode, signal, detail, usage, auditTruncated, platform, marks, profile, heap } = value as Record<
    string,
    unknown
  >;
  if (typeof reason !== 'string' || !REASONS.has(reason)) throw new TypeError('the report has no known reason');
  const numbers = (typeof usage === 'object' && usage !== null ? usage : {}) as Record<string, unknown>;
  return {
    reason: reason as EndReason,
    exitCode: typeof exitCode === 'number' && Number.isInteger(exitCode) ? exitCode & 0xff : null,
    signal: textOrNull(signal),
    detail: textOrNull(detail),
    usage: {
      wallMs: finite(numbers.wallMs),
      cpuMs: finite(numbers.cpuMs),
      memoryPeakBytes: finite(numbers.memoryPeakBytes),
      syscalls: finite(numbers.syscalls),
    },
    auditTruncated: auditTruncated === true,
    platform: textOrNull(platform) ?? 'unknown',
    ...(marks === undefined ? {} : { marks: checkedMarks(marks) }),
    ...(heap === undefined ? {} : { heap: checkedHeap(heap) }),
    ...(profile === undefined ? {} : { profile: checkedProfile(profile) }),
  };
}
