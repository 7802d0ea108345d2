import { ERESTART_RESTARTBLOCK, ERESTARTNOHAND, ERESTARTNOINTR, ERESTARTSYS } from '../../abi/errno.js';
import { PTRACE_EVENT_STOP } from '../../abi/ptrace.js';
import { CLD_STOPPED, CLD_TRAPPED, SA_NOCLDSTOP, SIG_IGN, SIGCHLD, SIGTRAP } from '../../abi/signal.js';
import { CLOCK_TICKS_PER_SECOND } from '../../abi/time.js';
import { Reg, Trap } from '../../platform/platform.js';
import { getRegister, setRegister } from '../registers.js';
import { RunState } from '../run-state.js';
import { checkStopComplete } from '../signals/group-stop.js';
import { signalInfo } from '../signals/pending.js';
import type { Task } from '../task.js';
import type { SignalInfo } from '../types.js';
import { Stop, type StopKind, type Tracing, Until } from './tracing.js';

const RESTARTS: readonly number[] = [ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK];

/** SIGCHLD and a wake for the tracer (Linux's do_notify_parent_cldstop). */
function tellTracer(task: Task, tracing: Tracing, why: number, status: number): void {
  const { group } = tracing.tracer;
  const action = group.handlers.actions[SIGCHLD];
  if (action.handler !== SIG_IGN && !(action.flags & SA_NOCLDSTOP)) {
    const info = signalInfo(SIGCHLD, why, task.tid, task.credentials.uid);
    info.status = status & 0x7f;
    info.utime = Math.floor((task.userTime() * CLOCK_TICKS_PER_SECOND) / 1e9);
    info.stime = Math.floor((task.systemTime * CLOCK_TICKS_PER_SECOND) / 1e9);
    group.sendSignal(info);
  }
  group.wakeWaiters();
}

/**
 * An interrupted call that may be restarted shows as Linux shows it: ERESTART* in RAX, its number in ORIG_RAX, and -1 there where
 * no call was made. Debuggers save and restore both.
 */
function showRestart(task: Task): void {
  const { context } = task;
  if (task.restartCode !== 0) setRegister(context, Reg.RAX, -task.restartCode);
  task.restartCode = 0;
  if (context.trap !== Trap.Syscall) setRegister(context, Reg.ORIG_RAX, -1);
}

/** What `showRestart` showed, as the tracer has left it. */
export function takeRestart(task: Task): void {
  const { context } = task;
  if (context.registersHigh[2 * Reg.ORIG_RAX + 1] < 0) return;
  const code = -getRegister(context, Reg.RAX);
  if (!RESTARTS.includes(code)) return;
  task.restartCode = code;
  task.number = context.registersLow[2 * Reg.ORIG_RAX] | 0;
}

/**
 * The task stands still until its tracer lets it go on (ptrace(2), "Stopped states"; Linux's ptrace_stop). False when it may not,
 * because it is being killed. Precondition: its guest code does not run. The caller must not touch it any more; a handler returns BLOCKED.
 */
export function stopForTracer(
  task: Task,
  tracing: Tracing,
  kind: StopKind,
  code: number,
  info: SignalInfo | null,
  message = 0,
): boolean {
  if (task.killed && kind !== Stop.Exit) return false;
  tracing.hideStep(task.context);
  showRestart(task);
  const final = kind === Stop.Exit && task.group.exiting;
  const emulated = tracing.until === Until.EmulatedCall;
  tracing.stop = { kind, code, info, message, emulated, final, unreported: true, signal: 0 };
  tracing.listening = false;
  tracing.trapStop = false;
  task.runState = RunState.Traced;
  if (kind !== Stop.Group) {
    tellTracer(task, tracing, CLD_TRAPPED, code);
    return true;
  }
  tellTracer(task, tracing, CLD_STOPPED, task.group.stopSignal);
  if (tracing.groupStop) {
    tracing.groupStop = false;
    tracing.tookPart = true;
    checkStopComplete(task.group);
  }
  return true;
}

/** The siginfo of a stop that no signal caused (Linux's ptrace_do_notify). */
export function stopInfo(task: Task, signal: number, code: number): SignalInfo {
  return signalInfo(signal, code, task.tid, task.credentials.uid);
}

/** Stops with PTRACE_EVENT_* `event` if the tracer asked for it. True when it stopped. */
export function stopForEvent(task: Task, event: number, message: number, kind: StopKind = Stop.Event): boolean {
  const { tracing } = task;
  if (tracing === null || !tracing.wants(event)) return false;
  const code = SIGTRAP | (event << 8);
  return stopForTracer(task, tracing, kind, code, stopInfo(task, SIGTRAP, code), message);
}

/** Group-stop, PTRACE_INTERRUPT, news for a listener (Linux's do_jobctl_trap). */
export function stopWithGroup(task: Task, tracing: Tracing): boolean {
  tracing.trapNotify = false;
  const { stopSignal } = task.group;
  if (!tracing.seized) return stopForTracer(task, tracing, Stop.Group, stopSignal, null);
  const signal = stopSignal === 0 ? SIGTRAP : stopSignal;
  const code = signal | (PTRACE_EVENT_STOP << 8);
  return stopForTracer(task, tracing, Stop.Group, code, stopInfo(task, signal, code));
}

/**
 * A seized tracee has to be told of something (Linux's ptrace_trap_notify, PTRACE_INTERRUPT): it traps as soon as it can. One that
 * listens does at once.
 */
export function trapSoon(task: Task, tracing: Tracing): void {
  if (task.killed) return;
  if (tracing.listening) {
    stopWithGroup(task, tracing);
    return;
  }
  task.stopRequested = true;
  task.kick();
}

/** SIGCONT: its stops are off, and who has seized it hears of that. */
export function continueTracee(task: Task, tracing: Tracing): void {
  tracing.groupStop = false;
  tracing.tookPart = false;
  task.stopRequested = tracing.hasTraps;
  if (!tracing.seized) return;
  tracing.trapNotify = true;
  trapSoon(task, tracing);
}

/** A stop signal for the whole group. */
export function requestTraceeStop(task: Task, tracing: Tracing): void {
  tracing.groupStop = true;
  tracing.tookPart = false;
  if (tracing.seized) {
    tracing.trapNotify = true;
    trapSoon(task, tracing);
  } else {
    task.stopRequested = true;
    task.kick();
  }
}
