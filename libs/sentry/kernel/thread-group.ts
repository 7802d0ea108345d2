import type { Nanoseconds } from '../platform/platform.js';
import type { Path } from '../vfs/types.js';
import { POLLIN, WaitQueue } from '../vfs/wait-queue.js';
import type { IntervalTimers } from './interval-timers.js';
import type { Key } from './keys/key.js';
import type { PosixTimers } from './posix-timers.js';
import type { ProcessGroup, Session } from './session.js';
import type { SignalHandlers } from './signals/action.js';
import { PendingSignals } from './signals/pending.js';
import { sendToGroup } from './signals/send.js';
import type { Task } from './task.js';
import type { ControllingTerminal, RLimit, SignalInfo, ThreadGroup as ThreadGroupView } from './types.js';

/** A process: what its threads share, and what remains of it until its parent has waited for it. */
export class ThreadGroup implements ThreadGroupView {
  /** The first task; another one after execve(2) from a thread. Null-free: set right after construction. */
  leader!: Task;
  /** Threads that have not exited. The leader leaves when it exits, though its id stays until the process is reaped. */
  readonly tasks = new Set<Task>();
  readonly children = new Set<ThreadGroup>();
  executable: Path | null = null;
  dumpable = 1;
  /** wait status once dead; null while alive. */
  exitStatus: number | null = null;
  state: 'running' | 'stopped' | 'zombie' | 'dead' = 'running';

  /** exit_group(2) or a fatal signal: all threads are on their way out with `exitCode` (a wait status). */
  exiting = false;
  exitCode = 0;
  /** The task that runs execve(2) and waits for the other threads to be gone. */
  execTask: Task | null = null;
  /** True after the first execve since fork: setpgid(2) by the parent is refused then. */
  hasExecuted = false;

  readonly sharedPending = new PendingSignals();
  /** Woken with every new signal: sigtimedwait(2), signalfd(2). */
  readonly signalQueue = new WaitQueue();
  /** Woken when a child changes state: wait4(2), waitid(2). */
  readonly childQueue = new WaitQueue();
  /** Woken when a thread exits: execve(2) waits until it is alone. */
  readonly threadQueue = new WaitQueue();

  /** Job control: signal that stopped the process (or is stopping it), 0 when it runs. */
  stopSignal = 0;
  /** Not yet waited for with WUNTRACED or WCONTINUED. */
  stopUnreported = false;
  continueUnreported = false;

  /** Threads that have ended and that a tracer has to wait for: the process is not over before (ptrace(2)). */
  tracedZombies = 0;
  /** How many its threads trace. */
  tracees = 0;
  /** The thread that made it, if it lives: PTRACE_TRACEME makes it the tracer. */
  creator: Task | null = null;

  /** Signal that tells the parent of the end; 0 = none. */
  exitSignal: number;
  /** prctl(PR_SET_CHILD_SUBREAPER). */
  subreaper = false;
  /** Process 1 where that is the kernel's own: it runs no program. */
  isKernels = false;
  /** Signals without a handler do not reach it, unless from outside the sandbox. */
  unkillable = false;

  /** CPU time of threads that have ended, and of waited-for children. */
  deadUserTime: Nanoseconds = 0;
  deadSystemTime: Nanoseconds = 0;
  childrenUserTime: Nanoseconds = 0;
  childrenSystemTime: Nanoseconds = 0;
  /** Bytes: highest resident size seen, and of waited-for children, for getrusage(2). */
  peakResident = 0;
  childrenPeakResident = 0;

  terminal: ControllingTerminal | null = null;

  /** keyrings(7): of the process. */
  processKeyring: Key | null = null;

  intervalTimers: IntervalTimers | null = null;
  posixTimers: PosixTimers | null = null;

  constructor(
    readonly pid: number,
    public parent: ThreadGroup | null,
    public processGroup: ProcessGroup,
    readonly rlimits: RLimit[],
    public handlers: SignalHandlers,
    readonly startTime: Nanoseconds,
    exitSignal: number,
    /** Woken (POLLIN) when the process ends: pidfds. */
    readonly exitQueue = new WaitQueue(),
  ) {
    this.exitSignal = exitSignal;
    processGroup.members.add(this);
    parent?.children.add(this);
  }

  get session(): Session {
    return this.processGroup.session;
  }

  userTime(): Nanoseconds {
    let total = this.deadUserTime;
    for (const task of this.tasks) total += task.context.cpuTime();
    return total;
  }

  systemTime(): Nanoseconds {
    let total = this.deadSystemTime;
    for (const task of this.tasks) total += task.systemTime;
    return total;
  }

  cpuTime(): Nanoseconds {
    return this.userTime() + this.systemTime();
  }

  sendSignal(info: SignalInfo): void {
    sendToGroup(this, info);
  }

  /** Moves to another process group; forgets the old one when it was the last member. */
  joinProcessGroup(group: ProcessGroup): void {
    this.leaveProcessGroup();
    this.processGroup = group;
    group.members.add(this);
  }

  leaveProcessGroup(): void {
    const old = this.processGroup;
    old.members.delete(this);
    if (old.members.size === 0) old.session.groups.delete(old);
  }

  /** Tells whoever waits for this process's children. */
  wakeWaiters(): void {
    this.childQueue.wake(POLLIN);
  }
}
