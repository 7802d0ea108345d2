import type { SyscallArguments, SyscallObserver, Task } from '../kernel/types.js';
import { type Nanoseconds, RESUMED_AT, TRAPPED_AT } from '../platform/platform.js';
import { CaptureBuffer, capture, capturePathId, captureText } from './capture.js';
import {
  align8,
  CALL_HEADER_BYTES,
  CAPTURE_HEADER_BYTES,
  DECISIONS,
  DEFINITION_HEADER_BYTES,
  type Decision,
  FORMAT_BYTES,
  FORMAT_VERSION,
  PATH_HEADER_BYTES,
  RECORD_BYTES_MAX,
  RESULT_CAPTURE,
  RESULT_KINDS,
  RecordKind,
  TASK_HEADER_BYTES,
  TRUNCATED_BYTES,
} from './format.js';
import { INLINE, PathTable } from './paths.js';
import { type Plan, Plans, type RecordedCall, UNKEPT } from './plan.js';

export type { RecordedCall } from './plan.js';

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
  /** Takes whole records. The bytes are valid during the call only; the `HEAD_BYTES` before them in their buffer are the taker's. */
  readonly flush: (bytes: Uint8Array) => void;
}

/** A call under way that others overtook. */
interface ParkedCall {
  readonly plan: Plan;
  readonly comm: string;
  readonly start: Nanoseconds;
  readonly decision: number;
  readonly captured: Uint8Array;
}

/** Of a batch, before its records: what carries it may put its own header there. */
export const HEAD_BYTES = 8;
/** No record is begun in a batch that holds more. A usual batch is one read of 64 KiB for who takes it, its header included. */
const FULL_BYTES = 62 * 1024;
const BATCH_BYTES = FULL_BYTES + RECORD_BYTES_MAX;
/** Ids of tasks before they are given out anew. */
const TASK_IDS = 1024;
const WRITING_OPEN_FLAGS = 0o3 | 0o100 | 0o1000 | 0o20000000;
const TWO_32 = 0x1_0000_0000;
/** Places in `numbers`. */
const START = 0;
const END = 1;
const RESULT = 2;
const PER_TWO_32 = 1 / TWO_32;
const NOTHING = new Uint8Array(0);
const TWO_47 = 2 ** 47;

/**
 * Writes every system call it sees into one batch buffer and hands full batches on. What a call's arguments point to is copied where
 * it will stay, at entry and at exit; the rest of its record is written when the guest has gone on (`settle`) and the Sentry would wait
 * for it. Nothing is copied twice or allocated for a call that ends before another begins; those that wait are put aside. Calls are
 * numbered in the order in which they end. The clock is read only where the platform does not tell when a guest trapped and went on.
 */
export class AuditRecorder implements SyscallObserver {
  /** The byte budget is used up: nothing is recorded any more. */
  truncated = false;
  /** A call has ended whose record is not complete. */
  unsettled = false;
  private readonly bytes: Uint8Array;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly captured: CaptureBuffer;
  private readonly paths = new PathTable();
  private used = HEAD_BYTES;
  /** One past what the budget allows in this batch. */
  private budgetEnd = 0;
  private budget: number;
  private sequence = 0;
  private readonly full: boolean;
  private readonly startedAt: Nanoseconds;
  private readonly plans: Plans;
  /** Whose call is under way, or unsettled, with its captures behind `used`; or null. And of that call: */
  private open: Task | null = null;
  private plan!: Plan;
  private comm = '';
  private taskId = 0;
  private decision = 0;
  private args: SyscallArguments = new Float64Array(0);
  /** Of the open call. Typed: a field, or a variable with two sources, would be a heap object for each new value. */
  private readonly numbers = new Float64Array(3);
  private readonly parked = new Map<Task, ParkedCall>();
  private readonly taskIds = new Map<number, { pid: number; comm: string; id: number }>();
  private nextTaskId = 0;
  private formatTold = false;
  private lastTask: Task | null = null;
  private lastTid = 0;

  constructor(private readonly options: RecorderOptions) {
    const buffer = new ArrayBuffer(BATCH_BYTES);
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    this.doubles = new Float64Array(buffer);
    this.captured = new CaptureBuffer(this.bytes);
    this.plans = new Plans(options.calls, options.names);
    this.full = options.level === 'full';
    this.startedAt = options.startedAt;
    this.budget = Math.max(options.auditBytes, TRUNCATED_BYTES);
    this.limitBatch();
  }

  enter(task: Task, number: number, args: SyscallArguments): undefined {
    if (this.truncated) return undefined;
    const plan = this.plans.of(number);
    if (!this.full && !isSecurityRelevant(plan, args)) return undefined;
    this.begin(task, plan, args);
    return undefined;
  }

  /**
   * Policy decided about the call that `task` is entering: `allow` goes unsaid. Everything else is recorded at every level.
   * Precondition: `enter` was called for it.
   */
  decided(task: Task, number: number, args: SyscallArguments, decision: Decision): void {
    if (this.truncated || decision === 'allow') return;
    if (this.open !== task || this.unsettled) {
      if (this.parked.has(task)) this.resumeParked(task);
      else this.begin(task, this.plans.of(number), args);
    }
    this.decision = DECISIONS.indexOf(decision);
  }

  exit(task: Task, _number: number, args: SyscallArguments, result: number, goesOn = false): void {
    if (this.open !== task || this.unsettled) {
      if (this.parked.size === 0 || !this.parked.has(task)) return;
      this.resumeParked(task);
      if (this.open !== task) return;
    }
    if (result >= 0) {
      const { exit } = this.plan;
      for (let index = 0; index < exit.length; index++) capture(task, exit[index], args, result, this.captured);
    }
    this.numbers[RESULT] = result;
    this.args = args;
    this.unsettled = true;
    if (!goesOn) this.settle();
  }

  /**
   * Completes the record of the call that ended last, which ends when its guest goes on. To be called after that, where it does;
   * before its next trap is taken in any case.
   */
  settle(): void {
    if (!this.unsettled) return;
    this.unsettled = false;
    const task = this.open as Task;
    this.open = null;
    const { captured, words, doubles, numbers } = this;
    if (this.plan.paths.length > 0) this.namePaths(task, this.plan);
    const result = numbers[RESULT];
    if (result >= TWO_47 || result < -TWO_47) this.captureResult(result);
    const { used } = this;
    const length = captured.length - used;
    if (!this.affords(length)) return;
    const start = numbers[START];
    numbers[END] = task.context.times[RESUMED_AT];
    if (numbers[END] <= start) numbers[END] = this.options.now();
    const duration = numbers[END] - start;
    const since = start - this.startedAt;
    const { argumentCount, id } = this.plan;
    const word = used >> 2;
    words[word] = length | (RecordKind.Call << 16);
    words[word + 1] = id | (this.taskId << 16);
    words[word + 2] = this.sequence++;
    words[word + 3] = this.decision | (argumentCount << 8) | (Math.floor(since * PER_TWO_32) << 16);
    words[word + 4] = since;
    words[word + 5] = duration;
    words[word + 6] = result;
    words[word + 7] = (Math.floor(result * PER_TWO_32) & 0xffff) | (Math.floor(duration * PER_TWO_32) << 16);
    const { args } = this;
    const at = (used + CALL_HEADER_BYTES) >> 3;
    for (let index = 0; index < argumentCount; index++) doubles[at + index] = args[index];
    this.used = used + align8(length);
  }

  /** Hands on what is there. To be called before the Sentry waits and at the end of the run. */
  flush(): void {
    this.settle();
    if (this.open !== null) this.park();
    this.handOn();
  }

  private handOn(): void {
    const { used } = this;
    if (used === HEAD_BYTES) return;
    this.used = HEAD_BYTES;
    this.budget -= used - HEAD_BYTES;
    this.limitBatch();
    this.options.flush(this.bytes.subarray(HEAD_BYTES, used));
  }

  private limitBatch(): void {
    this.budgetEnd = Math.min(HEAD_BYTES + this.budget - TRUNCATED_BYTES, 2 * BATCH_BYTES);
  }

  // Calls under way

  /** Nothing is open after it when recording is over. */
  private begin(task: Task, plan: Plan, args: SyscallArguments): void {
    if (this.open !== null) this.putAside();
    // One of the same task never came to its end.
    if (this.parked.size > 0) this.parked.delete(task);
    const { numbers } = this;
    numbers[START] = task.context.times[TRAPPED_AT];
    if (numbers[START] === 0) numbers[START] = this.options.now();
    if (!this.makeOpen(task, plan, task.comm)) return;
    const { entry } = plan;
    for (let index = 0; index < entry.length; index++) capture(task, entry[index], args, 0, this.captured);
  }

  /** False when the budget does not hold what must be told before. Precondition: nothing is open. */
  private makeOpen(task: Task, plan: Plan, comm: string): boolean {
    if (!plan.defined || plan.id === UNKEPT) this.define(plan);
    if (task !== this.lastTask || comm !== this.comm || task.tid !== this.lastTid) this.identify(task, comm);
    if (this.truncated) return false;
    if (this.used > FULL_BYTES) this.handOn();
    task.memory.forgetWords();
    this.open = task;
    this.plan = plan;
    this.decision = 0;
    this.captured.begin(this.used + CALL_HEADER_BYTES + plan.argumentCount * 8);
    return true;
  }

  private putAside(): void {
    if (this.unsettled) this.settle();
    else this.park();
  }

  private park(): void {
    const { plan, comm, decision, captured } = this;
    const task = this.open as Task;
    // Others come between: what its handler has found does not count any more.
    task.memory.forgetWords();
    const start = this.used + CALL_HEADER_BYTES + plan.argumentCount * 8;
    // Most of what blocks reads: nothing is copied yet.
    const copied = captured.length === start ? NOTHING : this.bytes.slice(start, captured.length);
    this.parked.set(task, { plan, comm, start: this.numbers[START], decision, captured: copied });
    this.open = null;
  }

  /** Makes a parked call the open one, where recording is not over. */
  private resumeParked(task: Task): void {
    const call = this.parked.get(task) as ParkedCall;
    this.parked.delete(task);
    if (this.open !== null) this.putAside();
    if (!this.makeOpen(task, call.plan, call.comm)) return;
    this.numbers[START] = call.start;
    this.decision = call.decision;
    const { captured } = this;
    if (call.captured.length === 0) return;
    this.bytes.set(call.captured, captured.length);
    captured.length += call.captured.length;
  }

  // Other records

  /** Whether the budget holds a record; when not, the last one is written, which says so, and recording is over. */
  private affords(length: number): boolean {
    if (this.truncated) return false;
    if (this.used + align8(length) <= this.budgetEnd) return true;
    this.stop();
    return false;
  }

  /** Room for a record, at a multiple of 8; -1 when the budget does not hold it. Precondition: no call is open. */
  private reserve(length: number): number {
    if (this.used > FULL_BYTES) this.handOn();
    if (!this.affords(length)) return -1;
    const offset = this.used;
    this.used += align8(length);
    return offset;
  }

  private stop(): void {
    this.truncated = true;
    this.open = null;
    this.parked.clear();
    const offset = this.used;
    this.used += TRUNCATED_BYTES;
    this.words[offset >> 2] = TRUNCATED_BYTES | (RecordKind.Truncated << 16);
    this.words[(offset >> 2) + 1] = 0;
    this.doubles[(offset >> 3) + 1] = this.sequence++;
    this.doubles[(offset >> 3) + 2] = this.options.now() - this.startedAt;
    this.handOn();
  }

  /** What the stream is, before anything else. */
  private tellFormat(): void {
    this.formatTold = true;
    const offset = this.reserve(FORMAT_BYTES);
    if (offset < 0) return;
    this.words[offset >> 2] = FORMAT_BYTES | (RecordKind.Format << 16);
    this.words[(offset >> 2) + 1] = FORMAT_VERSION;
  }

  /** Adds the ids of a call's paths to what it has captured. Precondition: nothing is open. */
  private namePaths(task: Task, plan: Plan): void {
    const { paths, captured } = this;
    const { length } = captured;
    for (let at = 0; at < plan.paths.length; at++) {
      const index = plan.paths[at];
      const path = task.argumentCopy(index);
      if (path === null) continue;
      const place = paths.placeOf(path);
      if (place === INLINE) captureText(captured, index, path);
      else if (paths.has(place, path)) capturePathId(captured, index, place);
      else {
        captured.length = length;
        this.tellPaths(task, plan);
        return;
      }
    }
  }

  /** As `namePaths`, where the reader does not know all of them: what it must be told comes before the call. */
  private tellPaths(task: Task, plan: Plan): void {
    const { paths, captured } = this;
    const head = CALL_HEADER_BYTES + plan.argumentCount * 8;
    const copied = this.bytes.slice(this.used + head, captured.length);
    const ids = plan.paths.map((index) => this.tellPath(task.argumentCopy(index)));
    captured.begin(this.used + head);
    this.bytes.set(copied, captured.length);
    captured.length += copied.length;
    for (const [at, index] of plan.paths.entries()) {
      const path = task.argumentCopy(index);
      if (path === null) continue;
      // Of two paths that choose the same place the second one has it.
      if (ids[at] !== INLINE && paths.has(ids[at], path)) capturePathId(captured, index, ids[at]);
      else captureText(captured, index, path);
    }
  }

  private tellPath(path: string | null): number {
    const place = path === null ? INLINE : this.paths.placeOf(path);
    if (path !== null && place !== INLINE && !this.paths.has(place, path)) this.writePath(place, path);
    return place;
  }

  private writePath(place: number, path: string): void {
    if (!this.formatTold) this.tellFormat();
    const length = PATH_HEADER_BYTES + path.length;
    const offset = this.reserve(length);
    if (offset < 0) return;
    this.words[offset >> 2] = length | (RecordKind.Path << 16);
    this.words[(offset >> 2) + 1] = place;
    this.writeText(offset + PATH_HEADER_BYTES, path);
    this.paths.put(place, path);
  }

  private define(plan: Plan): void {
    if (!this.formatTold) this.tellFormat();
    plan.defined = true;
    const text = `${plan.call.name}\0${plan.call.signature}`;
    const length = DEFINITION_HEADER_BYTES + text.length;
    const offset = this.reserve(length);
    if (offset < 0) return;
    const word = offset >> 2;
    this.words[word] = length | (RecordKind.Definition << 16);
    this.words[word + 1] = plan.id;
    this.words[word + 2] = plan.number;
    this.words[word + 3] = RESULT_KINDS.indexOf(plan.call.result ?? 'int');
    this.writeText(offset + DEFINITION_HEADER_BYTES, text);
  }

  /** Sets the id by which records name a task with this comm. */
  private identify(task: Task, comm: string): void {
    const { tid } = task;
    const { pid } = task.group;
    let known = this.taskIds.get(tid);
    if (known === undefined || known.comm !== comm || known.pid !== pid) {
      // A guest may rename itself for ever: ids come round again.
      if (this.nextTaskId === TASK_IDS) {
        this.taskIds.clear();
        this.nextTaskId = 0;
      }
      known = { pid, comm, id: this.nextTaskId++ };
      this.taskIds.set(tid, known);
      this.writeTask(known.id, pid, tid, comm.slice(0, 15));
    }
    this.lastTask = task;
    this.lastTid = tid;
    this.comm = comm;
    this.taskId = known.id;
  }

  private writeTask(id: number, pid: number, tid: number, name: string): void {
    const length = TASK_HEADER_BYTES + name.length;
    const offset = this.reserve(length);
    if (offset < 0) return;
    const word = offset >> 2;
    this.words[word] = length | (RecordKind.Task << 16);
    this.words[word + 1] = id;
    this.words[word + 2] = pid;
    this.words[word + 3] = tid;
    this.writeText(offset + TASK_HEADER_BYTES, name);
  }

  /** A result that does not fit its place in the record. */
  private captureResult(result: number): void {
    const { captured } = this;
    const at = captured.length;
    const view = new DataView(this.bytes.buffer);
    view.setUint32(at, RESULT_CAPTURE | (8 << 16), true);
    view.setFloat64(at + CAPTURE_HEADER_BYTES, result, true);
    captured.length = at + CAPTURE_HEADER_BYTES + 8;
  }

  private writeText(offset: number, text: string): void {
    for (let index = 0; index < text.length; index++) this.bytes[offset + index] = text.charCodeAt(index);
  }
}

function isSecurityRelevant(plan: Plan, args: SyscallArguments): boolean {
  if (!plan.security) return false;
  return plan.openFlagsIndex < 0 || (args[plan.openFlagsIndex] & WRITING_OPEN_FLAGS) !== 0;
}
