/** What system call handlers, proc and audit see of the kernel. Implementations live beside this file. */

import type { FrameAllocator, MemoryManager } from '../mm/types.js';
import type { Context, Nanoseconds, Platform } from '../platform/platform.js';
import type { Caller, Credentials, FdTable, FsContext, Mount, Path } from '../vfs/types.js';
import type { WaitQueue } from '../vfs/wait-queue.js';

/** The six arguments of a system call: signed 64-bit values as numbers. The array is reused: copy what must outlive the call. */
export type SyscallArguments = Float64Array;

/** Returned by a handler that has parked its task; it is called again with the same arguments after a wake. */
export const BLOCKED = -0x10000;
/** Returned by a handler that has set the registers itself (rt_sigreturn, execve) or whose task is gone (exit). */
export const NO_RETURN = -0x10001;

/**
 * A system call: result >= 0, -errno, BLOCKED or NO_RETURN.
 *
 * Blocking follows Linux's wait loop. A handler checks its condition; if it must wait it calls `task.waitOn(queue, events)`
 * for each thing it waits for and returns `task.park(deadline, interrupted)`. After any wake (event, deadline, signal) it is
 * called again from the start, with `task.state` as it left it (null on the first call). `park` itself returns `interrupted`
 * instead of BLOCKED when a signal is pending, so a handler needs no signal code unless it must undo something
 * (then ask `task.signalPending()` first).
 */
export type SyscallHandler = (task: Task, args: SyscallArguments) => number;

export interface Timer {
  /** Monotonic deadline; Infinity when unarmed. */
  readonly deadline: Nanoseconds;
  /** (Re-)arms; Infinity disarms. */
  set(deadline: Nanoseconds): void;
  cancel(): void;
}

export interface Clock {
  monotonic(): Nanoseconds;
  /** Fills seconds / nanoseconds of a clock that all processes share (CLOCK_REALTIME, _MONOTONIC_RAW, _TAI, the coarse ones ...). */
  read(clock: number, out: { seconds: number; nanoseconds: number }): void;
  /** CLOCK_REALTIME seconds, for time(2). */
  realtimeSeconds(): number;
  /** Monotonic deadline of an absolute CLOCK_REALTIME time. */
  realtimeToMonotonic(seconds: number, nanoseconds: number): Nanoseconds;
}

/** siginfo as the kernel carries it. */
export interface SignalInfo {
  signal: number;
  code: number;
  pid: number;
  uid: number;
  /** si_errno: what a seccomp filter gave with SIGSYS, else 0. */
  error: number;
  /** SIGCHLD: exit status; */
  status: number;
  /** SIGSEGV…: address. */
  address: number;
  /** rt_sigqueueinfo, timers: sigval. */
  value: number;
  /** POSIX timers: timer id and overrun count. */
  timerId: number;
  overrun: number;
  /** SIGCHLD: clock ticks. */
  utime: number;
  stime: number;
}

/** Never changed, but replaced: processes share it. */
export interface RLimit {
  /** Bytes, seconds or counts; Infinity = RLIM_INFINITY. */
  readonly soft: number;
  readonly hard: number;
}

export interface Session {
  readonly sid: number;
}

/** What the kernel and /proc know of a controlling terminal; the rest of it is in fs/tty. */
export interface ControllingTerminal {
  /** As makedev(3). */
  readonly deviceNumber: number;
  /** Id of the foreground process group; 0 = none. */
  readonly foregroundGroup: number;
  /** It controls no session any more. */
  release(): void;
}

export interface ProcessGroup {
  readonly pgid: number;
  readonly session: Session;
}

/** A process. */
export interface ThreadGroup {
  readonly pid: number;
  /** The leader's task (may be a zombie while other threads live). */
  readonly leader: Task;
  readonly tasks: ReadonlySet<Task>;
  readonly parent: ThreadGroup | null;
  readonly children: ReadonlySet<ThreadGroup>;
  readonly processGroup: ProcessGroup;
  readonly session: Session;
  /** Controlling terminal: inherited by fork(2), lost by setsid(2). */
  readonly terminal: ControllingTerminal | null;
  /** RLIMIT_* indexed. */
  readonly rlimits: RLimit[];
  /** Path of the executable (/proc/pid/exe) or null. */
  executable: Path | null;
  dumpable: number;
  /** Start time: monotonic ns. */
  readonly startTime: Nanoseconds;
  /** wait status once dead (as wait4 reports it); null while alive. */
  readonly exitStatus: number | null;
  readonly state: 'running' | 'stopped' | 'zombie' | 'dead';
  /** CPU time of all its threads in guest code, in the kernel, and both; and of waited-for children, in ns. */
  userTime(): Nanoseconds;
  systemTime(): Nanoseconds;
  cpuTime(): Nanoseconds;
  readonly childrenUserTime: Nanoseconds;
  readonly childrenSystemTime: Nanoseconds;
  /** Sends a process-directed signal (no permission check). */
  sendSignal(info: SignalInfo): void;
  /** Woken (POLLIN) when it becomes a zombie: pidfds. */
  readonly exitQueue: WaitQueue;
}

/** A thread. */
export interface Task extends Caller {
  readonly kernel: Kernel;
  readonly tid: number;
  readonly group: ThreadGroup;
  readonly context: Context;
  readonly memory: MemoryManager;
  readonly files: FdTable;
  readonly fs: FsContext;
  readonly credentials: Credentials;
  /** Thread name, byte string of at most 15 bytes. */
  comm: string;
  readonly state: unknown;
  setState(state: unknown): void;
  /** Blocked and pending signal masks as [low, high] 32-bit halves. */
  readonly signalMask: Uint32Array;

  /** Registers interest for the coming park. */
  waitOn(queue: WaitQueue, events: number): void;
  /**
   * Ends this attempt: BLOCKED, to be called again after a wake or at the deadline (Infinity = none), or `interrupted`
   * (-EINTR, -ERESTARTSYS …, or a partial count) when a signal is pending.
   */
  park(deadline: Nanoseconds, interrupted: number): number;
  /** An unblocked signal waits to be delivered (or the task is being killed). */
  signalPending(): boolean;
  /**
   * For pselect, ppoll, epoll_pwait, sigsuspend: replaces the mask until the call ends; the old mask is restored after
   * a handler ran (as Linux's restore_sigmask). Idempotent across re-invocations.
   */
  setTemporarySignalMask(low: number, high: number): void;
  /** Sends a thread-directed signal (no permission check). */
  sendSignal(info: SignalInfo): void;
  /** Convenience: a signal from the kernel itself (SI_KERNEL or SI_USER) to this thread, e.g. SIGPIPE, SIGXFSZ. */
  raise(signal: number): void;
  /**
   * The path (or other string) that argument number `index` points to: copied in once per system call and shared with audit
   * and policy. Byte string, or -EFAULT, -ENAMETOOLONG. An empty path is "".
   */
  pathArgument(index: number): string | number;
  /** What `pathArgument` copied for this argument in the current call, or null: for audit and policy. */
  argumentCopy(index: number): string | null;
  /** RLIMIT_* soft value of its process. */
  rlimit(resource: number): number;
  /** Effective capability (CAP_*), within the sandbox. */
  capable(capability: number): boolean;
  readonly restartBlock: RestartBlock;
  /** CPU time of this thread in ns, in guest code and in the kernel. */
  cpuTime(): Nanoseconds;
  readonly startTime: Nanoseconds;
  /** 'R' 'S' 'T' 'Z' as /proc/pid/stat shows. */
  stateLetter(): string;
}

/** What restart_syscall(2) continues. */
export interface RestartBlock {
  handler: SyscallHandler | null;
  state: unknown;
}

export interface Kernel {
  readonly platform: Platform;
  readonly frames: FrameAllocator;
  readonly clock: Clock;
  /** Live tasks by tid and processes by pid (zombies included). */
  readonly tasks: ReadonlyMap<number, Task>;
  readonly groups: ReadonlyMap<number, ThreadGroup>;
  readonly init: ThreadGroup;
  readonly hostname: string;
  readonly domainname: string;
  /** CPUs the guest sees. */
  readonly cpus: number;
  /** Monotonic ns at boot of the sandbox. */
  readonly bootTime: Nanoseconds;
  readonly network: 'none' | 'loopback';
  /** Most tasks alive at once. */
  readonly taskLimit: number;
  /** Root of the file tree, set before the first task. */
  readonly rootMount: Mount;
  /** All mounts, for /proc/mounts. */
  readonly mounts: readonly Mount[];
  /** A timer that calls back from the kernel loop (never synchronously). */
  createTimer(fire: (now: Nanoseconds) => void): Timer;
  /** Finds where a signal goes; -ESRCH. Permission checks by the caller. */
  findGroup(pid: number): ThreadGroup | undefined;
  findTask(tid: number): Task | undefined;
  /** Fresh inode / object numbers for anonymous files. */
  nextObjectId(): number;
  /** Random bytes for the guest (getrandom, AT_RANDOM, /dev/urandom). */
  random(destination: Uint8Array): void;
  /** One line for the operator's log. */
  log(line: string): void;
  /** System calls so far. */
  readonly syscallCount: number;
}

/** Sees every system call of the sandbox: audit and policy. Called by the dispatcher; must not throw or keep `args`. */
export interface SyscallObserver {
  /** Before the handler's first run. A number refuses the call with that result (-errno) and the handler never runs. */
  enter(task: Task, number: number, args: SyscallArguments): number | undefined;
  /**
   * After the final result is known (also for refused calls, and with result 0 for calls that do not return). `goesOn`: the guest goes on
   * at once, with nothing but the result between: the call's end is the next `RESUMED_AT` of its context, where the platform keeps that.
   */
  exit(task: Task, number: number, args: SyscallArguments, result: number, goesOn: boolean): void;
  /** Whether it has work left that need not hold a guest up; `settle` does it, called when the guest that was resumed last runs. */
  readonly unsettled?: boolean;
  settle?(): void;
}
