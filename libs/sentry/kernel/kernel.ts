import { ENOSYS } from '../abi/errno.js';
import { SEGV_ACCERR, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGTRAP } from '../abi/signal.js';
import { SYSCALL_NAMES } from '../abi/syscall-numbers.js';
import { CLOCK_THREAD_CPUTIME_ID } from '../abi/time.js';
import type { FrameAllocator } from '../mm/types.js';
import { Access, type Context, type Nanoseconds, type Platform, Reg, Trap } from '../platform/platform.js';
import type { Mount } from '../vfs/types.js';
import { type HostClock, KernelClock } from './clock.js';
import { CpuAccounting } from './cpu-accounting.js';
import { CpuSupervisor } from './cpu-supervisor.js';
import { FutexTable } from './futex.js';
import { IpcNamespace } from './ipc/namespace.js';
import { KeyStore } from './keys/key-store.js';
import { LoadAverage } from './load-average.js';
import { PidTable } from './pid-table.js';
import type { ProgramLoader } from './program.js';
import { beforeCall, goOn, Next, type NextKind } from './ptrace/calls.js';
import { RunState } from './run-state.js';
import { enforceSeccomp } from './seccomp/enforce.js';
import { ProcessGroup } from './session.js';
import { prepareReturn } from './signals/delivery.js';
import { signalInfo } from './signals/pending.js';
import { forceSignal, killGroup } from './signals/send.js';
import { Task } from './task.js';
import { ThreadGroup } from './thread-group.js';
import { TimerHeap } from './timers.js';
import {
  BLOCKED,
  type Clock,
  type Kernel as KernelView,
  NO_RETURN,
  type SyscallHandler,
  type SyscallObserver,
  type Timer,
} from './types.js';

const TWO_32 = 0x1_0000_0000;
/** Timers are looked at after so many traps at the latest (a look costs a clock reading). */
const TRAPS_BETWEEN_TIMERS = 32;
/** Marks the number of a 32-bit entry (int 0x80) for observers: it names another table. */
export const LEGACY_SYSCALL = 0x40000000;

export type KernelEndReason =
  | 'exited'
  | 'signaled'
  | 'timed_out'
  | 'cpu_exceeded'
  | 'memory_exceeded'
  | 'output_exceeded'
  | 'canceled'
  | 'error';

/** Known in the zygote. */
export interface KernelOptions {
  readonly handlers: readonly (SyscallHandler | undefined)[];
  readonly loadProgram: ProgramLoader;
}

/** Known once the sandbox's own process runs. */
export interface KernelHost {
  readonly platform: Platform;
  readonly frames: FrameAllocator;
  readonly observer: SyscallObserver | null;
  /** Fills [seconds, nanoseconds] of CLOCK_REALTIME. */
  readonly hostClock: HostClock;
  readonly random: (destination: Uint8Array) => void;
  readonly log: (line: string) => void;
  readonly rootMount: Mount;
  readonly mounts: readonly Mount[];
  readonly hostname: string;
  readonly domainname: string;
  readonly cpus: number;
  readonly network: 'none' | 'loopback';
  /** Infinity = none. */
  readonly wallTime: Nanoseconds;
  readonly cpuTime: Nanoseconds;
  /** Most tasks alive at once. */
  readonly tasks: number;
}

/**
 * The kernel: tables of tasks and processes, and the loop that answers their traps one at a time.
 * Built once in the zygote; `attach` gives it the platform in the child; `run` returns when the run is over.
 */
export class Kernel implements KernelView {
  platform!: Platform;
  frames!: FrameAllocator;
  clock!: Clock;
  rootMount!: Mount;
  mounts: readonly Mount[] = [];
  /** How long the holder of a lease may take to give it up: /proc/sys/fs/lease-break-time. */
  leaseBreakTime: Nanoseconds = 45e9;
  hostname = 'localhost';
  domainname = '(none)';
  cpus = 1;
  network: 'none' | 'loopback' = 'none';
  taskLimit = 1;
  bootTime: Nanoseconds = 0;
  init!: ThreadGroup;
  readonly tasks = new Map<number, Task>();
  readonly groups = new Map<number, ThreadGroup>();
  readonly pids = new PidTable((id) => this.isIdTaken(id));
  readonly futexes = new FutexTable();
  loadProgram: ProgramLoader;
  ipc!: IpcNamespace;
  keys!: KeyStore;
  cpuSupervisor!: CpuSupervisor;
  /** Tasks that have not exited, and those whose guest code runs now. */
  liveTasks = 0;
  /** Most tasks there were at once, zombies included; how many could not be made because of the limit; processes that memory ran out for. */
  peakTasks = 0;
  refusedTasks = 0;
  outOfMemoryKills = 0;
  runningTasks = 0;
  syscallCount = 0;
  cpuAccounting!: CpuAccounting;
  loadAverage!: LoadAverage;
  /** How the run ended; null while it goes on. */
  endReason: KernelEndReason | null = null;
  endDetail: string | null = null;
  /** Called when all tasks wait, before the kernel does; null: nobody wants to know. */
  onIdle: (() => void) | null = null;

  private handlers: readonly (SyscallHandler | undefined)[];
  private observer: SyscallObserver | null = null;
  private readonly timers = new TimerHeap();
  private readyHead: Task | null = null;
  private readyTail: Task | null = null;
  /** Not the smallest numbers: netstat(8) takes those of one digit for no sockets. */
  private objectId = 1000;
  private logLine: (line: string) => void = () => {};
  private fillRandom: (destination: Uint8Array) => void = () => {};

  constructor(options: KernelOptions) {
    this.handlers = options.handlers;
    this.loadProgram = options.loadProgram;
  }

  attach(host: KernelHost): void {
    this.platform = host.platform;
    this.frames = host.frames;
    host.frames.onStarved = (memory) => {
      const { current } = this;
      if (current !== null && current.memory === memory && !current.killed) this.killStarved(current);
    };
    this.observer = host.observer;
    this.clock = new KernelClock(host.platform, host.hostClock);
    this.fillRandom = host.random;
    this.logLine = host.log;
    this.rootMount = host.rootMount;
    this.mounts = host.mounts;
    this.hostname = host.hostname;
    this.domainname = host.domainname;
    this.cpus = host.cpus;
    this.network = host.network;
    this.taskLimit = host.tasks;
    this.bootTime = this.clock.monotonic();
    const used = new Float64Array(2);
    this.cpuAccounting = new CpuAccounting(this, () => {
      host.hostClock(CLOCK_THREAD_CPUTIME_ID, used);
      return used[0] * 1e9 + used[1];
    });
    this.loadAverage = new LoadAverage(() => {
      const { user, system } = this.cpuAccounting.total();
      return user + system;
    }, this.bootTime);
    this.ipc = new IpcNamespace({
      frames: host.frames,
      seconds: () => this.clock.realtimeSeconds(),
      currentPid: () => this.current?.group.pid ?? 0,
    });
    this.keys = new KeyStore(host.random);
    this.cpuSupervisor = new CpuSupervisor(this);
    this.cpuSupervisor.setLimit(host.cpuTime);
    this.timers.create(() => this.end('timed_out'), true).set(this.bootTime + host.wallTime);
  }

  /** A task exists from now on. */
  addTask(task: Task): void {
    this.tasks.set(task.tid, task);
    if (this.tasks.size > this.peakTasks) this.peakTasks = this.tasks.size;
  }

  /** For runs that are measured: handlers and loader are called through what is given. Before the first call. */
  wrap(
    handler: (number: number, inner: SyscallHandler) => SyscallHandler,
    loader: (inner: ProgramLoader) => ProgramLoader,
  ): void {
    this.handlers = this.handlers.map((inner, number) => inner && handler(number, inner));
    this.loadProgram = loader(this.loadProgram);
  }

  /** Puts a task into the run queue. Precondition: it is Ready. */
  enqueue(task: Task): void {
    if (task.queued) return;
    task.queued = true;
    task.nextReady = null;
    if (this.readyTail) this.readyTail.nextReady = task;
    else this.readyHead = task;
    this.readyTail = task;
  }

  /** Ends the run: the first reason counts. The loop returns before it resumes any guest again. */
  end(reason: KernelEndReason, detail: string | null = null): void {
    if (this.endReason !== null) return;
    this.endReason = reason;
    this.endDetail = detail;
  }

  /** The first process is dead, and the sandbox with it. */
  initExited(): void {
    this.end(((this.init.exitStatus ?? 0) & 0x7f) === 0 ? 'exited' : 'signaled');
  }

  /** The kernel's life: until the first process has died or `end` was called. Guests may still run natively when it returns. */
  run(): void {
    try {
      this.loop();
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const where = this.current ? `${describeCall(this.current)}: ` : '';
      this.logLine(`kernel: ${where}${text}`);
      this.end('error', `${where}${error instanceof Error ? error.message : text}`);
    }
  }

  /** Whose trap is being handled (Linux's `current`); the last one's between traps. */
  current: Task | null = null;

  private loop(): void {
    const { cpuAccounting } = this;
    let trapsLeft = 0;
    while (this.endReason === null) {
      const task = this.readyHead;
      if (task) {
        this.readyHead = task.nextReady;
        if (!this.readyHead) this.readyTail = null;
        task.queued = false;
        const timed = cpuAccounting.enter();
        this.step(task);
        if (timed) cpuAccounting.charge(task);
        continue;
      }
      const deadline = this.timers.next();
      if (trapsLeft-- <= 0 && deadline !== Number.POSITIVE_INFINITY) {
        trapsLeft = TRAPS_BETWEEN_TIMERS;
        const now = this.platform.tick();
        if (deadline <= now[0]) {
          this.timers.run(now[0]);
          continue;
        }
      }
      if (this.onIdle !== null && this.runningTasks === 0) {
        this.onIdle();
        if (this.readyHead) continue;
      }
      if (this.observer?.unsettled) {
        this.platform.letGo();
        this.observer.settle?.();
      }
      const context = this.platform.next(deadline);
      if (context === null) {
        trapsLeft = 0;
        continue;
      }
      const timed = cpuAccounting.enter();
      this.trapped(context);
      if (timed) cpuAccounting.charge(context.owner as Task);
    }
  }

  /** A task from the run queue: tries its call again, or goes back to its guest code. */
  private step(task: Task): void {
    if (task.runState !== RunState.Ready) {
      if (task.runState === RunState.Resumed) {
        this.current = task;
        task.runState = RunState.Ready;
        this.proceed(task, goOn(task));
      }
      return;
    }
    this.current = task;
    if (task.inSyscall) {
      task.clearWaits();
      this.finish(task, this.invoke(task));
    } else {
      this.returnToGuest(task);
    }
  }

  private trapped(context: Context): void {
    const task = context.owner as Task;
    this.current = task;
    task.runState = RunState.Ready;
    this.runningTasks--;
    switch (context.trap) {
      case Trap.Syscall:
        this.systemCall(task, context.registersLow[2 * Reg.ORIG_RAX] | 0);
        return;
      case Trap.Fault:
        this.fault(task);
        break;
      case Trap.Exception:
        this.exception(task);
        break;
      case Trap.LegacySyscall:
        if (!this.legacyCall(task)) return;
        break;
      case Trap.Interrupted:
        break;
      case Trap.Died:
        this.hostProcessDied(task);
        return;
    }
    this.returnToGuest(task);
  }

  private systemCall(task: Task, number: number): void {
    this.syscallCount++;
    const { args, context } = task;
    const low = context.registersLow;
    const high = context.registersHigh;
    args[0] = high[2 * Reg.RDI + 1] * TWO_32 + low[2 * Reg.RDI];
    args[1] = high[2 * Reg.RSI + 1] * TWO_32 + low[2 * Reg.RSI];
    args[2] = high[2 * Reg.RDX + 1] * TWO_32 + low[2 * Reg.RDX];
    args[3] = high[2 * Reg.R10 + 1] * TWO_32 + low[2 * Reg.R10];
    args[4] = high[2 * Reg.R8 + 1] * TWO_32 + low[2 * Reg.R8];
    args[5] = high[2 * Reg.R9 + 1] * TWO_32 + low[2 * Reg.R9];
    if (task.killed) {
      // It was killed a moment before. A thread whose group execs must not give new rights company: a filter, a shared directory.
      this.returnToGuest(task);
      return;
    }
    if (task.context.patchable) this.shortenCall(task, number);
    if (task.callWork !== 0) this.proceed(task, beforeCall(task, number));
    else this.makeCall(task, number);
  }

  private proceed(task: Task, next: NextKind): void {
    if (next === Next.Call) this.makeCall(task, task.context.registersLow[2 * Reg.ORIG_RAX] | 0);
    else if (next === Next.Return) this.returnToGuest(task);
  }

  /** Precondition: its arguments are in `task.args`. */
  private makeCall(task: Task, number: number): void {
    const { args } = task;
    task.number = number;
    task.inSyscall = true;
    task.state = null;
    task.forgetCopies();
    if (this.observer !== null) {
      const verdict = this.observer.enter(task, number, args);
      if (verdict !== undefined) {
        this.finish(task, verdict);
        return;
      }
    }
    const refusal = task.seccomp === null ? undefined : enforceSeccomp(task, task.seccomp, number);
    this.finish(task, refusal ?? this.invoke(task));
  }

  /** A call that came by a signal: once its site is hot, it is made to jump. */
  private shortenCall(task: Task, number: number): void {
    const { memory, context } = task;
    const after = context.registersHigh[2 * Reg.RIP + 1] * TWO_32 + context.registersLow[2 * Reg.RIP];
    if (!memory.callSites.count(after, number)) return;
    for (const other of this.tasks.values()) {
      // Not under the feet of another thread.
      if (other !== task && other.memory === memory && other.runState === RunState.Running) {
        memory.callSites.postpone(after);
        return;
      }
    }
    memory.callSites.patch(after, number, this.platform.shortCall());
  }

  private invoke(task: Task): number {
    const { number } = task;
    if (number < 0 || number >= this.handlers.length) return -ENOSYS;
    const handler = this.handlers[number];
    return handler === undefined ? -ENOSYS : handler(task, task.args);
  }

  private finish(task: Task, result: number): void {
    if (result === BLOCKED) return;
    task.inSyscall = false;
    task.clearWaits();
    if (this.observer !== null) {
      const goesOn = task.runState === RunState.Ready && task.tracing === null && !task.signalPending();
      this.observer.exit(task, task.number, task.args, result === NO_RETURN ? 0 : result, goesOn);
    }
    if (task.runState !== RunState.Ready) return;
    if (result !== NO_RETURN) {
      if (result <= -512 && result >= -516) {
        task.restartCode = -result;
      } else {
        const { context } = task;
        context.registersLow[2 * Reg.RAX] = result;
        context.registersHigh[2 * Reg.RAX + 1] = result >= 0 && result < TWO_32 ? 0 : Math.floor(result / TWO_32);
        // A call that was not interrupted ends its temporary mask before signals are looked at.
        if (task.savedMaskActive && result !== -4) task.restoreSignalMask();
      }
    }
    this.returnToGuest(task);
  }

  private returnToGuest(task: Task): void {
    if (task.restartCode !== 0 || task.returnWork !== 0 || task.signalPending()) {
      if (!prepareReturn(task)) return;
    }
    if (this.endReason !== null) return;
    task.runState = RunState.Running;
    this.runningTasks++;
    this.platform.resume(task.context, task.memory.space);
    if (this.cpuSupervisor.idle) this.cpuSupervisor.guestRuns();
    if (task.oldMemory !== null) {
      task.oldMemory.release();
      task.oldMemory = null;
    }
  }

  /** Killed from outside, or by the host for what its guest did to the stub: what lived in it dies; the sandbox goes on. */
  private hostProcessDied(task: Task): void {
    const { memory } = task;
    this.logLine(`the host process of task ${task.tid} (${task.comm}) is gone`);
    for (const other of [...this.tasks.values()]) if (other.memory === memory) killGroup(other.group, SIGKILL);
    this.returnToGuest(task);
  }

  /** The memory limit is reached: as under a memory cgroup, in its fault or in a call that was to fill its memory. */
  private killStarved(task: Task): void {
    killGroup(task.group, SIGKILL);
    this.outOfMemoryKills++;
    // A sandbox that lives on loses the process only.
    if (!this.init.isKernels) this.end('memory_exceeded');
  }

  private fault(task: Task): void {
    const { context, memory } = task;
    const signal = memory.fault(context.faultAddress, context.faultAccess, context.signalCode, task.tid);
    if (signal === 0) return;
    if (signal === SIGKILL) {
      this.killStarved(task);
      return;
    }
    const info = signalInfo(signal, memory.faultCode);
    info.address = context.faultAddress;
    task.trapNumber = 14;
    task.faultAddress = context.faultAddress;
    // Page fault error code: user, and what is known of the access.
    task.trapError =
      4 |
      (context.faultAccess === Access.Write ? 2 : 0) |
      (context.faultAccess === Access.Execute ? 16 : 0) |
      (signal === SIGSEGV && memory.faultCode === SEGV_ACCERR ? 1 : 0);
    forceSignal(task, info);
  }

  private exception(task: Task): void {
    const { context } = task;
    const info = signalInfo(context.signal, context.signalCode);
    info.address = context.faultAddress;
    task.trapNumber = TRAP_NUMBER[context.signal] ?? 13;
    task.trapError = 0;
    task.faultAddress = 0;
    forceSignal(task, info);
  }

  /** int 0x80 and sysenter: never run as a 64-bit call; the observer sees the number marked. False when the task is gone. */
  private legacyCall(task: Task): boolean {
    this.syscallCount++;
    const { context, args } = task;
    const number = (context.registersLow[2 * Reg.ORIG_RAX] & 0xffff) | LEGACY_SYSCALL;
    task.number = number;
    args.fill(0);
    task.forgetCopies();
    this.observer?.enter(task, number, args);
    const call = context.registersLow[2 * Reg.ORIG_RAX] | 0;
    const result = (task.seccomp === null ? undefined : enforceSeccomp(task, task.seccomp, call, true)) ?? -ENOSYS;
    this.observer?.exit(task, number, args, result === NO_RETURN ? 0 : result, false);
    if (result === NO_RETURN) return task.runState === RunState.Ready;
    context.registersLow[2 * Reg.RAX] = result;
    context.registersHigh[2 * Reg.RAX + 1] = result < 0 ? -1 : 0;
    return true;
  }

  createTimer(fire: (now: Nanoseconds) => void, housekeeping = false): Timer {
    return this.timers.create(fire, housekeeping);
  }

  /** No task can go on, and no timer will let one: only the outside can. */
  get stuck(): boolean {
    return this.readyHead === null && this.runningTasks === 0 && !this.timers.awaited;
  }

  findGroup(pid: number): ThreadGroup | undefined {
    return this.groups.get(pid);
  }

  findTask(tid: number): Task | undefined {
    return this.tasks.get(tid);
  }

  findProcessGroup(pgid: number): ProcessGroup | undefined {
    for (const group of this.groups.values()) if (group.processGroup.pgid === pgid) return group.processGroup;
    return undefined;
  }

  private isIdTaken(id: number): boolean {
    if (this.tasks.has(id) || this.groups.has(id)) return true;
    for (const group of this.groups.values()) {
      if (group.processGroup.pgid === id || group.session.sid === id) return true;
    }
    return false;
  }

  nextObjectId(): number {
    return this.objectId++;
  }

  random(destination: Uint8Array): void {
    this.fillRandom(destination);
  }

  log(line: string): void {
    this.logLine(line);
  }
}

/** x86 exception numbers by signal, for the trapno field of a signal frame. */
const TRAP_NUMBER: Readonly<Record<number, number>> = {
  [SIGFPE]: 0,
  [SIGTRAP]: 3,
  [SIGILL]: 6,
  [SIGBUS]: 17,
};

function describeCall(task: Task): string {
  if (!task.inSyscall) return `task ${task.tid}`;
  return `task ${task.tid} in ${SYSCALL_NAMES[task.number] ?? `system call ${task.number}`}`;
}
