import { SI_TIMER, SIGEV_NONE, SIGEV_THREAD_ID } from '../abi/signal.js';
import type { Nanoseconds } from '../platform/platform.js';
import { type IntervalValue, SHORTEST_INTERVAL } from './interval-timers.js';
import { signalInfo } from './signals/pending.js';
import type { Task } from './task.js';
import type { ThreadGroup } from './thread-group.js';
import type { SignalInfo, Timer } from './types.js';

/** Timers one process may have; Linux counts them against RLIMIT_SIGPENDING. */
const TIMER_LIMIT = 1024;
/** DELAYTIMER_MAX */
const OVERRUN_MAX = 0x7fffffff;

/** timer_create(2)'s struct sigevent. */
export interface TimerNotification {
  notify: number;
  signal: number;
  value: number;
  threadId: number;
}

export class PosixTimer {
  interval: Nanoseconds = 0;
  /** In the time of its clock: monotonic, or CPU time of process or thread; Infinity when not set. */
  deadline: Nanoseconds = Number.POSITIVE_INFINITY;
  /** getoverrun: of the signal delivered last. */
  lastOverrun = 0;
  readonly timer: Timer | null;
  private info: SignalInfo | null = null;

  constructor(
    readonly id: number,
    readonly clock: number,
    private readonly group: ThreadGroup,
    private readonly notification: TimerNotification,
    /** Clock reading for CPU clocks; null for those of real time. */
    readonly cpuNow: (() => Nanoseconds) | null,
  ) {
    this.timer = cpuNow ? null : group.leader.kernel.createTimer((now) => this.expire(now));
  }

  now(): Nanoseconds {
    return this.cpuNow ? this.cpuNow() : this.group.leader.kernel.clock.monotonic();
  }

  get(out: IntervalValue): void {
    out.interval = this.interval;
    out.remaining = this.deadline === Number.POSITIVE_INFINITY ? 0 : Math.max(1, this.deadline - this.now());
  }

  /** `deadline` in the timer's own time; Infinity disarms. Forgets expirations not yet delivered. */
  set(deadline: Nanoseconds, interval: Nanoseconds): void {
    this.dropPending();
    this.lastOverrun = 0;
    this.interval = interval;
    this.deadline = deadline;
    if (this.timer) this.timer.set(deadline);
    else if (deadline !== Number.POSITIVE_INFINITY) this.group.leader.kernel.cpuSupervisor.watch(this.group);
  }

  checkCpuTime(): void {
    if (!this.cpuNow || this.deadline === Number.POSITIVE_INFINITY) return;
    const now = this.cpuNow();
    if (now >= this.deadline) this.expire(now);
  }

  private expire(now: Nanoseconds): void {
    let missed = 0;
    if (this.interval > 0) {
      missed = Math.floor((now - this.deadline) / this.interval);
      this.deadline += (missed + 1) * this.interval;
      // Too short an interval is served late; what is missed counts as overrun.
      this.timer?.set(Math.max(this.deadline, now + SHORTEST_INTERVAL));
    } else {
      this.deadline = Number.POSITIVE_INFINITY;
    }
    this.signal(missed);
  }

  private signal(missed: number): void {
    const { notify, signal, value, threadId } = this.notification;
    if (notify === SIGEV_NONE) return;
    const target = notify === SIGEV_THREAD_ID ? this.group.leader.kernel.tasks.get(threadId) : undefined;
    if (this.info && this.isPending(this.info)) {
      this.info.overrun = Math.min(OVERRUN_MAX, this.info.overrun + missed + 1);
      return;
    }
    const info = signalInfo(signal, SI_TIMER);
    info.timerId = this.id;
    info.value = value;
    info.overrun = Math.min(OVERRUN_MAX, missed);
    this.info = info;
    if (notify !== SIGEV_THREAD_ID) this.group.sendSignal(info);
    else target?.sendSignal(info);
  }

  private isPending(info: SignalInfo): boolean {
    if (this.group.sharedPending.includes(info)) return true;
    const target = this.group.leader.kernel.tasks.get(this.notification.threadId);
    return target?.pending.includes(info) ?? false;
  }

  private dropPending(): void {
    this.info = null;
    this.group.sharedPending.removeTimer(SI_TIMER, this.id);
    for (const task of this.group.tasks) task.pending.removeTimer(SI_TIMER, this.id);
  }

  delete(): void {
    this.timer?.cancel();
    this.deadline = Number.POSITIVE_INFINITY;
    this.dropPending();
  }
}

/** The timers that a process has made with timer_create(2). Not inherited by fork, gone after execve. */
export class PosixTimers {
  private readonly timers = new Map<number, PosixTimer>();
  private nextId = 0;

  constructor(private readonly group: ThreadGroup) {}

  /** null when there are too many. */
  create(clock: number, notification: TimerNotification, cpuNow: (() => Nanoseconds) | null): PosixTimer | null {
    if (this.timers.size >= TIMER_LIMIT) return null;
    while (this.timers.has(this.nextId)) this.nextId = (this.nextId + 1) & 0x7fffffff;
    const timer = new PosixTimer(this.nextId, clock, this.group, notification, cpuNow);
    this.timers.set(timer.id, timer);
    this.nextId = (this.nextId + 1) & 0x7fffffff;
    return timer;
  }

  get(id: number): PosixTimer | undefined {
    return this.timers.get(id);
  }

  delete(id: number): boolean {
    this.timers.get(id)?.delete();
    return this.timers.delete(id);
  }

  /** A signal of one of the timers has been taken: its overrun is what timer_getoverrun(2) answers now. */
  delivered(info: SignalInfo): void {
    const timer = this.timers.get(info.timerId);
    if (timer) timer.lastOverrun = info.overrun;
  }

  get needsCpuTime(): boolean {
    for (const timer of this.timers.values()) {
      if (timer.cpuNow && timer.deadline !== Number.POSITIVE_INFINITY) return true;
    }
    return false;
  }

  checkCpuTime(): void {
    for (const timer of this.timers.values()) timer.checkCpuTime();
  }

  deleteAll(): void {
    for (const timer of this.timers.values()) timer.delete();
    this.timers.clear();
  }
}

/** The process's timers, made on first use. */
export function posixTimersOf(task: Task): PosixTimers {
  task.group.posixTimers ??= new PosixTimers(task.group);
  return task.group.posixTimers;
}
