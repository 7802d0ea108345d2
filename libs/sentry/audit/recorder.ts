import type { SyscallArguments, SyscallObserver, Task } from '../kernel/types.js';
import type { Nanoseconds } from '../platform/platform.js';
import { CaptureBuffer, type CapturePlan, capture, planCapture } from './capture.js';
import {
  align8,
  CALL_HEADER_BYTES,
  DECISIONS,
  type Decision,
  RECORD_BYTES_MAX,
  RESULT_KINDS,
  RecordKind,
  type ResultKind,
  TRUNCATED_BYTES,
  UNKNOWN_SIGNATURE,
} from './format.js';
import { parseSignature } from './signature.js';

/** What the recorder must know of a call: a row of the system call table has it. */
export interface RecordedCall {
  readonly name: string;
  readonly signature: string;
  readonly support?: 'full' | 'partial' | 'refused';
  readonly security?: boolean;
  readonly result?: ResultKind;
}

export interface RecorderOptions {
  readonly level: 'security' | 'full';
  /** Bytes of encoded records before recording stops with a record that says so. */
  readonly auditBytes: number;
  /** Monotonic nanoseconds at the start of the run, and now. */
  readonly startedAt: Nanoseconds;
  readonly now: () => Nanoseconds;
  /** Rows by system call number; what has none is recorded by name with its registers. */
  readonly calls: readonly (RecordedCall | undefined)[];
  /** Linux's names by number, for calls without a row. */
  readonly names: readonly (string | undefined)[];
  /** Takes whole records. The bytes are valid during the call only. */
  readonly flush: (bytes: Uint8Array) => void;
}

/** Everything known about recording one system call number, worked out once. */
interface Plan {
  readonly number: number;
  readonly call: RecordedCall;
  readonly argumentCount: number;
  readonly entry: readonly CapturePlan[];
  readonly exit: readonly CapturePlan[];
  /** Recorded at level security. */
  readonly security: boolean;
  /** Index of an open-flags argument: at level security only opens for writing count. -1 = none. */
  readonly openFlagsIndex: number;
  /** Its definition has been written. */
  defined: boolean;
}

/** A call under way. */
class PendingCall {
  plan!: Plan;
  /** Null when it is free. */
  task: Task | null = null;
  start: Nanoseconds = 0;
  commId = 0;
  decision = 0;
  readonly captured = new CaptureBuffer();
}

const BATCH_BYTES = 64 * 1024;
/** Ids of thread names before they are given out anew. */
const COMM_IDS = 1024;
const WRITING_OPEN_FLAGS = 0o3 | 0o100 | 0o1000 | 0o20000000;
const KNOWN_NUMBERS = 1024;

/**
 * Writes every system call it sees into one batch buffer and hands full batches on. Nothing is allocated per call in steady
 * state. Calls are numbered in the order in which they end.
 */
export class AuditRecorder implements SyscallObserver {
  /** The byte budget is used up: nothing is recorded any more. */
  truncated = false;
  private readonly buffer = new ArrayBuffer(BATCH_BYTES);
  private readonly bytes = new Uint8Array(this.buffer);
  private readonly words = new Uint32Array(this.buffer);
  private readonly doubles = new Float64Array(this.buffer);
  private used = 0;
  private budget: number;
  private sequence = 0;
  private readonly full: boolean;
  private readonly plans: (Plan | undefined)[] = new Array(KNOWN_NUMBERS).fill(undefined);
  /**
   * The call that began last, and those that others overtook while they waited: most calls end before the next one begins, and a Map
   * that is filled and emptied for each of them is made anew all the time.
   */
  private last: PendingCall | null = null;
  private readonly waiting = new Map<Task, PendingCall>();
  private readonly free: PendingCall[] = [];
  private readonly commIds = new Map<string, number>();
  private lastComm: string | null = null;
  private lastCommId = 0;

  constructor(private readonly options: RecorderOptions) {
    this.full = options.level === 'full';
    this.budget = Math.max(options.auditBytes, TRUNCATED_BYTES);
  }

  enter(task: Task, number: number, args: SyscallArguments): undefined {
    if (this.truncated) return undefined;
    const plan = this.plans[number] ?? this.planFor(number);
    if (!this.full && !this.isSecurityRelevant(plan, args)) return undefined;
    this.begin(task, plan, args);
    return undefined;
  }

  /**
   * Policy decided about the call that `task` is entering: `allow` goes unsaid. Everything else is recorded at every level.
   * Precondition: `enter` was called for it.
   */
  decided(task: Task, number: number, args: SyscallArguments, decision: Decision): void {
    if (this.truncated || decision === 'allow') return;
    let call = this.find(task);
    call ??= this.begin(task, this.plans[number] ?? this.planFor(number), args);
    call.decision = DECISIONS.indexOf(decision);
  }

  exit(task: Task, _number: number, args: SyscallArguments, result: number): void {
    const call = this.find(task);
    if (call === null) return;
    if (call === this.last) this.last = null;
    else this.waiting.delete(task);
    if (!this.truncated) this.write(task, call, args, result);
    call.task = null;
    this.free.push(call);
  }

  private find(task: Task): PendingCall | null {
    const { last } = this;
    if (last !== null && last.task === task) return last;
    return this.waiting.size === 0 ? null : (this.waiting.get(task) ?? null);
  }

  /** Hands on what is there. To be called before the Sentry waits and at the end of the run. */
  flush(): void {
    if (this.used === 0) return;
    const used = this.used;
    this.used = 0;
    this.options.flush(this.bytes.subarray(0, used));
  }

  private isSecurityRelevant(plan: Plan, args: SyscallArguments): boolean {
    if (!plan.security) return false;
    return plan.openFlagsIndex < 0 || (args[plan.openFlagsIndex] & WRITING_OPEN_FLAGS) !== 0;
  }

  private begin(task: Task, plan: Plan, args: SyscallArguments): PendingCall {
    const call = this.free.pop() ?? new PendingCall();
    call.plan = plan;
    call.task = task;
    call.decision = 0;
    call.captured.clear();
    call.commId = task.comm === this.lastComm ? this.lastCommId : this.commId(task.comm);
    const entry = plan.entry;
    for (let index = 0; index < entry.length; index++) capture(task, entry[index], args, 0, call.captured);
    const { last } = this;
    // One of the same task never came to its end.
    if (last !== null && last.task !== null && last.task !== task) this.waiting.set(last.task, last);
    if (this.waiting.size > 0) this.waiting.delete(task);
    this.last = call;
    call.start = this.options.now();
    return call;
  }

  private write(task: Task, call: PendingCall, args: SyscallArguments, result: number): void {
    const end = this.options.now();
    const plan = call.plan;
    const captured = call.captured;
    if (result >= 0) {
      const exit = plan.exit;
      for (let index = 0; index < exit.length; index++) capture(task, exit[index], args, result, captured);
    }
    if (!plan.defined) {
      plan.defined = true;
      this.writeDefinition(plan);
    }
    const count = plan.argumentCount;
    const head = CALL_HEADER_BYTES + count * 8;
    const length = head + captured.length;
    const offset = this.reserve(length);
    if (offset < 0) return;
    const { words, doubles, bytes } = this;
    const word = offset >> 2;
    const double = offset >> 3;
    words[word] = length;
    words[word + 1] = RecordKind.Call;
    words[word + 2] = plan.number;
    words[word + 3] = call.commId | (call.decision << 16) | (count << 24);
    words[word + 4] = task.group.pid;
    words[word + 5] = task.tid;
    doubles[double + 3] = this.sequence++;
    doubles[double + 4] = call.start - this.options.startedAt;
    doubles[double + 5] = end - call.start;
    doubles[double + 6] = result;
    for (let index = 0; index < count; index++) doubles[double + 7 + index] = args[index];
    const source = captured.bytes;
    const copied = captured.length;
    const start = offset + head;
    for (let index = 0; index < copied; index++) bytes[start + index] = source[index];
  }

  /**
   * Room for a record, at a multiple of 8; -1 when the budget does not hold it: then the last record is written, which
   * says so, and recording is over.
   */
  private reserve(length: number): number {
    const padded = align8(length);
    if (this.truncated) return -1;
    if (padded > this.budget - TRUNCATED_BYTES) {
      this.stop();
      return -1;
    }
    this.budget -= padded;
    if (this.used + padded > BATCH_BYTES) this.flush();
    const offset = this.used;
    this.used += padded;
    return offset;
  }

  private stop(): void {
    this.truncated = true;
    if (this.used + TRUNCATED_BYTES > BATCH_BYTES) this.flush();
    const offset = this.used;
    this.used += TRUNCATED_BYTES;
    this.words.fill(0, offset >> 2, (offset + TRUNCATED_BYTES) >> 2);
    this.words[offset >> 2] = TRUNCATED_BYTES;
    this.words[(offset >> 2) + 1] = RecordKind.Truncated;
    this.doubles[(offset >> 3) + 2] = this.sequence++;
    this.doubles[(offset >> 3) + 3] = this.options.now() - this.options.startedAt;
    this.flush();
  }

  private planFor(number: number): Plan {
    const call = this.options.calls[number] ?? {
      name: this.options.names[number] ?? `syscall_0x${(number >>> 0).toString(16)}`,
      signature: UNKNOWN_SIGNATURE,
      support: 'refused' as const,
    };
    const parameters = parseSignature(call.signature).slice(0, 6);
    const plans = parameters.map((parameter, index) => planCapture(parameter, index));
    const plan: Plan = {
      number: number >>> 0,
      call,
      argumentCount: parameters.length,
      entry: plans.filter((candidate) => candidate?.direction === 'in').filter((found) => found !== null),
      exit: plans.filter((candidate) => candidate?.direction === 'out').filter((found) => found !== null),
      security: call.security === true || call.support === 'refused',
      openFlagsIndex: parameters.findIndex((parameter) => parameter.base === 'open-flags'),
      defined: false,
    };
    // Wild numbers are as many as a guest likes: those are not kept.
    if (number >= 0 && number < KNOWN_NUMBERS) this.plans[number] = plan;
    return plan;
  }

  private writeDefinition(plan: Plan): void {
    const text = `${plan.call.name}\0${plan.call.signature}`;
    const offset = this.reserve(16 + text.length);
    if (offset < 0) return;
    const word = offset >> 2;
    this.words[word] = 16 + text.length;
    this.words[word + 1] = RecordKind.Definition;
    this.words[word + 2] = plan.number;
    this.words[word + 3] = RESULT_KINDS.indexOf(plan.call.result ?? 'int');
    this.writeText(offset + 16, text);
  }

  private commId(comm: string): number {
    let id = this.commIds.get(comm);
    if (id === undefined) {
      // A guest may rename itself for ever: ids come round again, and calls under way may then show a newer name.
      if (this.commIds.size === COMM_IDS) this.commIds.clear();
      id = this.commIds.size;
      this.commIds.set(comm, id);
      const name = comm.slice(0, 15);
      const offset = this.reserve(12 + name.length);
      if (offset >= 0) {
        const word = offset >> 2;
        this.words[word] = 12 + name.length;
        this.words[word + 1] = RecordKind.Comm;
        this.words[word + 2] = id;
        this.writeText(offset + 12, name);
      }
    }
    this.lastComm = comm;
    this.lastCommId = id;
    return id;
  }

  private writeText(offset: number, text: string): void {
    for (let index = 0; index < text.length; index++) this.bytes[offset + index] = text.charCodeAt(index);
  }
}

if (RECORD_BYTES_MAX > BATCH_BYTES) throw new Error('a record must fit a batch');
