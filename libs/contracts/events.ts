import type { ExecutionState } from './execution.js';
import type { CompilationDto } from './submission.js';

/** One system call as clients see it (the shape of the Sentry's decoded records). */
export interface AuditEntry {
  readonly sequence: number;
  readonly start: number;
  readonly duration: number;
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  readonly number: number;
  readonly name: string;
  readonly arguments: readonly { readonly name: string; readonly kind: string; readonly text: string }[];
  readonly result: number | null;
  readonly error: string | null;
  readonly decision: 'allow' | 'deny' | 'kill' | 'log';
}

export interface StatusEvent {
  readonly state: ExecutionState;
  readonly at: string;
  readonly attempt?: number;
  /** The worker of an earlier attempt was lost; output so far is void. */
  readonly restarted?: boolean;
  /** Of a job with `compileLimits`: it is compiled, its program begins now. */
  readonly compilation?: CompilationDto;
}

export interface OutputEvent {
  readonly data: string;
  readonly encoding: 'utf8' | 'base64';
}

/** A batch of records. `chain` = SHA-256 over the previous batch's chain and this batch's JSON: a gap or later edit shows. */
export interface AuditEvent {
  readonly records: readonly AuditEntry[];
  readonly text: readonly string[];
  readonly chain: string;
  /** Of a submission: the test, and whose calls they are. */
  readonly test?: number;
  readonly program?: 'submission' | 'interactor';
  /** Nothing more of this program was recorded: its part of the budget is used up. */
  readonly truncated?: boolean;
}

export const EVENT_TYPES = ['status', 'stdout', 'stderr', 'audit', 'test', 'result'] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** An event of an execution's stream. `id` grows and resumes a stream (Last-Event-ID). */
export interface StreamEvent {
  readonly id: string;
  readonly type: EventType;
  /** JSON text of the payload. */
  readonly data: string;
}
