import { EFAULT } from '../abi/errno.js';
import { RLIMIT_FSIZE } from '../abi/resource.js';
import { SI_KERNEL } from '../abi/signal.js';
import type { MemoryManager } from '../mm/types.js';
import type { Bytes, Context, GuestAddress, Nanoseconds } from '../platform/platform.js';
import type { Credentials, FdTable, FsContext } from '../vfs/types.js';
import { WaitEntry, type Waiter, type WaitQueue } from '../vfs/wait-queue.js';
import type { FutexWaiter } from './futex.js';
import type { UndoList } from './ipc/semaphores.js';
import type { Kernel } from './kernel.js';
import type { Key } from './keys/key.js';
import type { TraceStop, Tracing } from './ptrace/tracing.js';
import { RunState, type RunStateKind } from './run-state.js';
import type { Seccomp } from './seccomp/enforce.js';
import { PendingSignals, signalInfo } from './signals/pending.js';
import { sendToTask } from './signals/send.js';
import type { ThreadGroup } from './thread-group.js';
import { BLOCKED, type RestartBlock, type SignalInfo, type Task as TaskView, type Timer } from './types.js';
import type { UserDispatch } from './user-dispatch.js';

/** Bits of `callWork` and `returnWork`. */
const DISPATCH = 1;
const SAVED_MASK = 1;
const TRACED = 2;

/** PATH_MAX without its NUL. */
const PATH_BYTES = 4095;

/** A thread. Plain data, and the small operations of the contract in types.ts; the life of it is in clone, exec and task-exit. */
export class Task implements TaskView, Waiter {
  tid: number;
  comm: string;
  state: unknown = null;
  runState: RunStateKind = RunState.Ready;
  /** Run queue link; `queued` while in it. */
  nextReady: Task | null = null;
  queued = false;

  /** The system call under way. */
  readonly args = new Float64Array(6);
  number = -1;
  inSyscall = false;
  /** ERESTART* of the last call (positive), until the return to the guest has dealt with it. */
  restartCode = 0;
  readonly restartBlock: RestartBlock = { handler: null, state: null };

  readonly signalMask = new Uint32Array(2);
  readonly savedMask = new Uint32Array(2);
  readonly pending = new PendingSignals();
  /** sigaltstack(2): size 0 = none. */
  readonly alternateStack = { address: 0, size: 0, flags: 0 };
  /** Must exit as soon as it reaches the return to its guest code. */
  killed = false;
  /** Must stop there (job control). */
  stopRequested = false;
  /** Trap details of the last fault, for the signal frame. */
  trapNumber = 0;
  trapError = 0;
  faultAddress: GuestAddress = 0;

  /** Nanoseconds in guest code, once the context is gone. */
  deadUserTime: Nanoseconds = 0;
  /** Nanoseconds that the kernel has worked for it (a sample of its calls, see `CpuAccounting`). */
  systemTime: Nanoseconds = 0;
  clearChildTid: GuestAddress = 0;
  robustList: GuestAddress = 0;
  futexWaiter: FutexWaiter | null = null;
  /** Its places while it waits in futex_waitv. */
  futexVector: readonly FutexWaiter[] | null = null;
  /** vfork: who waits until this task execs or exits. */
  vforkQueue: WaitQueue | null = null;
  /** Address space left behind by execve(2), released once the context runs in the new one. */
  oldMemory: MemoryManager | null = null;
  /** prctl(PR_SET_PDEATHSIG): signal when the parent process ends; 0 = none. */
  parentDeathSignal = 0;
  keepCapabilities = false;
  /** What has to be done before each call, and on each way back to guest code, of a task that is anything but ordinary; 0 = nothing. */
  callWork = 0;
  returnWork = 0;
  private dispatch: UserDispatch | null = null;
  private tracedBy: Tracing | null = null;
  /** Those it traces (ptrace(2)); null while none. */
  tracees: Set<Task> | null = null;
  /** The stop that its tracer has let it go on from, until it has. */
  resumedFrom: TraceStop | null = null;
  /** seccomp(2): null while every call is let through. Nothing may answer calls of a task with one but the kernel's dispatch. */
  seccomp: Seccomp | null = null;
  timerSlack = 50_000;
  nice = 0;
  schedulingPolicy = 0;
  schedulingPriority = 0;
  /** sched_setaffinity(2): bit mask of the first 32 CPUs; 0 = all. */
  affinity = 0;
  personality = 0;
  ioPriority = 0;
  /** keyrings(7): of the thread, of the session, and where request_key(2) puts what it finds (KEY_REQKEY_DEFL_*). */
  threadKeyring: Key | null = null;
  sessionKeyring: Key | null = null;
  requestKeyring = 0;
  /** set_mempolicy(2): mode and flags. */
  memoryPolicy = 0;
  /** What semop(2) with SEM_UNDO owes when this task (and whoever shares the list) ends. */
  semaphoreUndo: UndoList | null = null;

  private readonly entries: WaitEntry[] = [];
  private entryCount = 0;
  private timer: Timer | null = null;
  private readonly copies: (string | null)[] = [null, null, null, null, null, null];
  private copied = false;

  constructor(
    readonly kernel: Kernel,
    tid: number,
    public group: ThreadGroup,
    readonly context: Context,
    public memory: MemoryManager,
    public files: FdTable,
    public fs: FsContext,
    public credentials: Credentials,
    comm: string,
    readonly startTime: Nanoseconds,
  ) {
    this.tid = tid;
    this.comm = comm;
    context.owner = this;
  }

  get savedMaskActive(): boolean {
    return (this.returnWork & SAVED_MASK) !== 0;
  }

  set savedMaskActive(active: boolean) {
    this.returnWork = active ? this.returnWork | SAVED_MASK : this.returnWork & ~SAVED_MASK;
  }

  get userDispatch(): UserDispatch | null {
    return this.dispatch;
  }

  set userDispatch(dispatch: UserDispatch | null) {
    this.dispatch = dispatch;
    this.callWork = dispatch === null ? this.callWork & ~DISPATCH : this.callWork | DISPATCH;
  }

  /** How it is traced; set by ptrace/link.ts alone. */
  get tracing(): Tracing | null {
    return this.tracedBy;
  }

  set tracing(tracing: Tracing | null) {
    this.tracedBy = tracing;
    this.callWork = tracing === null ? this.callWork & ~TRACED : this.callWork | TRACED;
    this.returnWork = tracing === null ? this.returnWork & ~TRACED : this.returnWork | TRACED;
  }

  setState(state: unknown): void {
    this.state = state;
  }

  waitOn(queue: WaitQueue, events: number): void {
    let entry = this.entries[this.entryCount];
    if (!entry) {
      entry = new WaitEntry(this);
      this.entries.push(entry);
    }
    this.entryCount++;
    queue.add(entry, events);
  }

  park(deadline: Nanoseconds, interrupted: number): number {
    if (this.signalPending()) {
      this.clearWaits();
      return interrupted;
    }
    return this.block(deadline);
  }

  /** As `park`, but only being killed interrupts (Linux's TASK_KILLABLE): vfork, execve. */
  parkKillable(deadline: Nanoseconds, interrupted: number): number {
    if (this.killed) {
      this.clearWaits();
      return interrupted;
    }
    return this.block(deadline);
  }

  private block(deadline: Nanoseconds): number {
    this.runState = RunState.Blocked;
    if (deadline < Number.POSITIVE_INFINITY) {
      this.timer ??= this.kernel.createTimer(() => this.wake());
      this.timer.set(deadline);
    }
    return BLOCKED;
  }

  onWake(): void {
    this.wake();
  }

  /** Has a parked task try its call again. No-op for others. */
  wake(): void {
    if (this.runState !== RunState.Blocked) return;
    this.runState = RunState.Ready;
    this.kernel.enqueue(this);
  }

  /** Ends all waiting of the last attempt. */
  clearWaits(): void {
    for (let index = 0; index < this.entryCount; index++) {
      const entry = this.entries[index];
      entry.queue?.remove(entry);
    }
    this.entryCount = 0;
    if (this.timer !== null && this.timer.deadline !== Number.POSITIVE_INFINITY) this.timer.cancel();
  }

  signalPending(): boolean {
    const shared = this.group.sharedPending;
    return (
      this.killed ||
      this.stopRequested ||
      ((this.pending.low | shared.low) & ~this.signalMask[0]) !== 0 ||
      ((this.pending.high | shared.high) & ~this.signalMask[1]) !== 0
    );
  }

  /** Makes the task look at its signals soon: out of a wait, or out of its guest code. */
  kick(): void {
    switch (this.runState) {
      case RunState.Running:
        this.kernel.platform.interrupt(this.context);
        break;
      case RunState.Blocked:
        this.wake();
        break;
      case RunState.Stopped:
        if (this.killed) this.resumeFromStop();
        break;
      case RunState.Traced:
        if (this.killed && !this.tracing?.stop?.final) this.resumeFromTrap(0);
        break;
    }
  }

  resumeFromStop(): void {
    if (this.runState !== RunState.Stopped) return;
    this.runState = RunState.Ready;
    this.kernel.enqueue(this);
  }

  /** Goes on from the stop for its tracer, with a signal or 0. */
  resumeFromTrap(signal: number): void {
    const { tracing } = this;
    if (this.runState !== RunState.Traced || tracing === null) return;
    if (tracing.stop) tracing.stop.signal = signal;
    this.resumedFrom = this.inSyscall ? null : tracing.stop;
    tracing.stop = null;
    tracing.listening = false;
    // In the middle of a call: that is tried again, as after a wait.
    this.runState = this.inSyscall ? RunState.Ready : RunState.Resumed;
    this.kernel.enqueue(this);
  }

  setTemporarySignalMask(low: number, high: number): void {
    if (this.savedMaskActive) return;
    this.savedMask.set(this.signalMask);
    this.savedMaskActive = true;
    this.signalMask[0] = low;
    this.signalMask[1] = high;
  }

  restoreSignalMask(): void {
    this.signalMask.set(this.savedMask);
    this.savedMaskActive = false;
  }

  sendSignal(info: SignalInfo): void {
    sendToTask(this, info);
  }

  raise(signal: number): void {
    sendToTask(this, signalInfo(signal, SI_KERNEL));
  }

  pathArgument(index: number): string | number {
    const known = this.copies[index];
    if (known !== null) return known;
    const address = this.args[index];
    const text = address === 0 ? -EFAULT : this.memory.readString(address, PATH_BYTES);
    if (typeof text === 'string') {
      this.copies[index] = text;
      this.copied = true;
    }
    return text;
  }

  argumentCopy(index: number): string | null {
    return this.copies[index];
  }

  /** A new call begins: nothing of the last one is known any more. */
  forgetCopies(): void {
    if (!this.copied) return;
    this.copied = false;
    for (let index = 0; index < this.copies.length; index++) this.copies[index] = null;
  }

  rlimit(resource: number): number {
    return this.group.rlimits[resource].soft;
  }

  capable(capability: number): boolean {
    const effective = this.credentials.capabilities.effective;
    return (effective[capability >>> 5] & (1 << (capability & 31))) !== 0;
  }

  get umask(): number {
    return this.fs.umask;
  }

  get fileSizeLimit(): Bytes {
    return this.group.rlimits[RLIMIT_FSIZE].soft;
  }

  userTime(): Nanoseconds {
    return this.runState === RunState.Dead ? this.deadUserTime : this.context.cpuTime();
  }

  cpuTime(): Nanoseconds {
    return this.userTime() + this.systemTime;
  }

  stateLetter(): string {
    switch (this.runState) {
      case RunState.Blocked:
        return 'S';
      case RunState.Stopped:
        return 'T';
      case RunState.Traced:
        return 't';
      case RunState.Dead:
        return 'Z';
      default:
        return 'R';
    }
  }
}
