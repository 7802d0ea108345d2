import { EAGAIN } from '../../abi/errno.js';
import { RLIMIT_SIGPENDING } from '../../abi/resource.js';
import {
  CORE_MASK,
  IGNORE_MASK,
  SI_KERNEL,
  SI_TIMER,
  SIG_DFL,
  SIG_IGN,
  SIGCHLD,
  SIGCONT,
  SIGKILL,
  SIGRTMIN,
  SIGSEGV,
  STOP_MASK,
  SYNCHRONOUS_MASK,
} from '../../abi/signal.js';
import { POLLIN } from '../../vfs/wait-queue.js';
import { continueTracee, requestTraceeStop } from '../ptrace/stop.js';
import { RunState } from '../run-state.js';
import type { Task } from '../task.js';
import type { ThreadGroup } from '../thread-group.js';
import type { SignalInfo } from '../types.js';
import { notifyContinued } from './notify.js';
import { signalInfo } from './pending.js';

const SIGCONT_BIT = 1 << (SIGCONT - 1);

function inMask(mask: number, signal: number): boolean {
  return signal <= 32 && (mask & (1 << (signal - 1))) !== 0;
}

export function isBlocked(task: Task, signal: number): boolean {
  return signal <= 32
    ? (task.signalMask[0] & (1 << (signal - 1))) !== 0
    : (task.signalMask[1] & (1 << (signal - 33))) !== 0;
}

/** Whether the signal does nothing by default. */
export function isIgnoredByDefault(signal: number): boolean {
  return inMask(IGNORE_MASK, signal);
}

export function isStop(signal: number): boolean {
  return inMask(STOP_MASK, signal);
}

export function isCore(signal: number): boolean {
  return inMask(CORE_MASK, signal);
}

/** Signals whose positive si_codes mean something of their own, so that POLL_ codes cannot go with them. */
export function hasCodesOfItsOwn(signal: number): boolean {
  return inMask(SYNCHRONOUS_MASK, signal) || signal === SIGCHLD;
}

function isIgnored(group: ThreadGroup, signal: number): boolean {
  const handler = group.handlers.actions[signal].handler;
  return handler === SIG_IGN || (handler === SIG_DFL && isIgnoredByDefault(signal));
}

/** The default action ends the process. */
function isFatal(group: ThreadGroup, signal: number): boolean {
  return group.handlers.actions[signal].handler === SIG_DFL && !isIgnoredByDefault(signal) && !isStop(signal);
}

/** Every thread of the process is to exit; `status` is its wait status. The first call decides. */
export function killGroup(group: ThreadGroup, status: number): void {
  if (!group.exiting) {
    group.exiting = true;
    group.exitCode = status;
  }
  for (const task of group.tasks) {
    // Again for one that PTRACE_EVENT_EXIT holds.
    if (task.killed && task.runState !== RunState.Traced) continue;
    task.killed = true;
    task.kick();
  }
}

/** What a stop or continue signal does at the moment it is sent, handled or not (POSIX; Linux's prepare_signal). */
function prepare(group: ThreadGroup, signal: number): void {
  if (signal === SIGCONT) {
    const wasStopped = group.state === 'stopped';
    const isStopped = group.stopSignal !== 0;
    group.stopSignal = 0;
    group.sharedPending.flush(STOP_MASK, 0);
    for (const task of group.tasks) {
      task.pending.flush(STOP_MASK, 0);
      task.stopRequested = false;
      if (task.tracing === null) task.resumeFromStop();
      else continueTracee(task, task.tracing);
    }
    if (isStopped) {
      group.stopUnreported = false;
      if (wasStopped) {
        group.state = 'running';
        group.continueUnreported = true;
        notifyContinued(group);
      }
    }
  } else if (isStop(signal)) {
    group.sharedPending.flush(SIGCONT_BIT, 0);
    for (const task of group.tasks) task.pending.flush(SIGCONT_BIT, 0);
  }
}

function send(group: ThreadGroup, target: Task | null, info: SignalInfo, forced: boolean): number {
  const signal = info.signal;
  if (group.state === 'zombie' || group.state === 'dead' || group.exiting) return 0;
  const actions = group.handlers.actions;
  const judge = target ?? group.leader;
  // A tracer may want to know of any signal but the one that cannot be reported.
  const traced = judge.tracing !== null && signal !== SIGKILL;
  if (group.unkillable && !forced && !traced && actions[signal].handler === SIG_DFL) return 0;
  prepare(group, signal);
  if (!traced && !isBlocked(judge, signal) && isIgnored(group, signal)) return 0;
  const pending = target ? target.pending : group.sharedPending;
  if (signal >= SIGRTMIN && pending.length >= group.rlimits[RLIMIT_SIGPENDING].soft) {
    // Only sigqueue(3) can tell its caller; the others at least make the signal pending.
    if (info.code < 0 && info.code !== SI_TIMER) return -EAGAIN;
    pending.mark(signal);
  } else if (!pending.add(info)) {
    return 0;
  }
  group.signalQueue.wake(POLLIN);
  complete(group, target, signal);
  return 0;
}

/** Finds a thread that takes the signal and has it look. */
function complete(group: ThreadGroup, target: Task | null, signal: number): void {
  let chosen: Task | null = null;
  if (target) {
    if (wants(target, signal)) chosen = target;
  } else if (group.tasks.has(group.leader) && wants(group.leader, signal)) {
    chosen = group.leader;
  } else {
    for (const task of group.tasks) {
      if (!wants(task, signal)) continue;
      chosen = task;
      break;
    }
  }
  if (!chosen) return;
  // A deadly signal without a core ends all threads at once, so that none makes another step.
  const judge = target ?? group.leader;
  if (signal === SIGKILL || (judge.tracing === null && isFatal(group, signal) && !isCore(signal)))
    killGroup(group, signal);
  else chosen.kick();
}

function wants(task: Task, signal: number): boolean {
  return signal === SIGKILL || !isBlocked(task, signal);
}

/** Process-directed. 0, or -EAGAIN when RLIMIT_SIGPENDING is reached (sigqueue only). */
export function sendToGroup(group: ThreadGroup, info: SignalInfo): number {
  return send(group, null, info, false);
}

/** Thread-directed. */
export function sendToTask(task: Task, info: SignalInfo): number {
  return send(task.group, task, info, false);
}

/** From outside the sandbox: reaches a protected init too. */
export function sendFromOutside(group: ThreadGroup, signal: number): void {
  send(group, null, signalInfo(signal, SI_KERNEL), true);
}

/** A fault: cannot be blocked or ignored by its own thread (Linux's force_sig_info). */
export function forceSignal(task: Task, info: SignalInfo): void {
  const signal = info.signal;
  const { handlers } = task.group;
  if (isBlocked(task, signal) || handlers.actions[signal].handler === SIG_IGN) {
    handlers.setDefault(signal);
    if (signal <= 32) task.signalMask[0] &= ~(1 << (signal - 1));
    else task.signalMask[1] &= ~(1 << (signal - 33));
  }
  // Debugging must not leave init killable.
  if (handlers.actions[signal].handler === SIG_DFL && task.tracing === null) task.group.unkillable = false;
  send(task.group, task, info, true);
}

/** The frame of `signal` could not be written or read back: SIGSEGV, deadly if that was itself the signal. */
export function forceSegv(task: Task, signal: number): void {
  if (signal === SIGSEGV) task.group.handlers.setDefault(SIGSEGV);
  forceSignal(task, signalInfo(SIGSEGV, SI_KERNEL));
}

/** Asks every thread to stop (job control): each does at its next return to guest code. */
export function requestStop(group: ThreadGroup, signal: number): void {
  if (group.stopSignal === 0) group.stopSignal = signal;
  for (const task of group.tasks) {
    if (task.tracing !== null) requestTraceeStop(task, task.tracing);
    else if (!task.stopRequested) {
      task.stopRequested = true;
      task.kick();
    }
  }
}
