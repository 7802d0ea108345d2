import { EINTR, ERESTART_RESTARTBLOCK, ERESTARTNOHAND, ERESTARTSYS } from '../../abi/errno.js';
import { PTRACE_EVENTMSG_SYSCALL_EXIT } from '../../abi/ptrace.js';
import {
  SA_RESETHAND,
  SA_RESTART,
  SI_TIMER,
  SI_USER,
  SIG_DFL,
  SIG_IGN,
  SIGKILL,
  SIGSTOP,
  SIGTRAP,
  TRAP_BRKPT,
} from '../../abi/signal.js';
import { SYS } from '../../abi/syscall-numbers.js';
import { Reg } from '../../platform/platform.js';
import { stopForTracer, stopInfo, stopWithGroup } from '../ptrace/stop.js';
import { Stop, type TraceStop, type Tracing, Until } from '../ptrace/tracing.js';
import { getRegister, setRegister } from '../registers.js';
import { RunState } from '../run-state.js';
import { isOrphaned } from '../session.js';
import type { Task } from '../task.js';
import { leave } from '../task-exit.js';
import type { SignalInfo } from '../types.js';
import type { SignalAction } from './action.js';
import { setupFrame } from './frame.js';
import { checkStopComplete } from './group-stop.js';
import { nextSignal, signalInfo } from './pending.js';
import {
  forceSegv,
  forceSignal,
  isBlocked,
  isIgnoredByDefault,
  isStop,
  killGroup,
  requestStop,
  sendToTask,
} from './send.js';

/** Marks a stop for a system call (PTRACE_O_TRACESYSGOOD). */
export const CALL_MARK = 0x80;
/** Length of the `syscall` instruction. */
const SYSCALL_BYTES = 2;

/** Takes the next signal of the given set that waits for the thread or its process; null when none does. */
export function dequeueSignal(task: Task, low: number, high: number): SignalInfo | null {
  const shared = task.group.sharedPending;
  let source = task.pending;
  let signal = nextSignal(source.low & low, source.high & high);
  if (signal === 0) {
    source = shared;
    signal = nextSignal(source.low & low, source.high & high);
  }
  if (signal === 0) return null;
  const info = source.take(signal);
  if (info.code === SI_TIMER) task.group.posixTimers?.delivered(info);
  return info;
}

/** Whether a signal of the set waits for the thread or its process. */
export function peekSignals(task: Task, low: number, high: number): boolean {
  const shared = task.group.sharedPending;
  return ((task.pending.low | shared.low) & low) !== 0 || ((task.pending.high | shared.high) & high) !== 0;
}

/**
 * Everything between the end of a call (or trap) and the guest's next instruction: exit, stop, signals with their frames, and the
 * restart of an interrupted call. False when the task does not return now (it has exited or stopped).
 */
export function prepareReturn(task: Task): boolean {
  const { group, tracing } = task;
  if (tracing !== null && reportCallEnd(task, tracing)) return false;
  for (;;) {
    if (task.killed) {
      leave(task, group.exitCode);
      return false;
    }
    if (task.stopRequested) {
      task.stopRequested = false;
      if (tracing !== null) {
        if (trap(task, tracing)) return false;
        continue;
      }
      task.runState = RunState.Stopped;
      checkStopComplete(group);
      return false;
    }
    const info = dequeueSignal(task, ~task.signalMask[0], ~task.signalMask[1]);
    if (info === null) break;
    if (tracing !== null && info.signal !== SIGKILL) {
      if (stopForTracer(task, tracing, Stop.Signal, info.signal, info)) return false;
      continue;
    }
    deliver(task, info);
  }
  if (task.restartCode !== 0) restart(task);
  if (task.savedMaskActive) task.restoreSignalMask();
  tracing?.beginStep(task.context);
  return true;
}

/** The end of a system call of a tracee: a stop, or a signal when it steps (Linux's syscall_exit_work). True when it stopped. */
function reportCallEnd(task: Task, tracing: Tracing): boolean {
  if (!tracing.inCall) return false;
  tracing.inCall = false;
  if (task.killed) return false;
  if (tracing.stepping && tracing.until !== Until.EmulatedCall) {
    const info = signalInfo(SIGTRAP, TRAP_BRKPT);
    info.address = getRegister(task.context, Reg.RIP);
    forceSignal(task, info);
    return false;
  }
  if (tracing.until !== Until.Call) return false;
  const code = tracing.marksCalls ? SIGTRAP | CALL_MARK : SIGTRAP;
  return stopForTracer(task, tracing, Stop.CallExit, code, stopInfo(task, SIGTRAP, code), PTRACE_EVENTMSG_SYSCALL_EXIT);
}

/** What a tracee stops for besides calls and signals. True when it stopped. */
function trap(task: Task, tracing: Tracing): boolean {
  if (tracing.handlerEntered) {
    tracing.handlerEntered = false;
    task.stopRequested = tracing.hasTraps;
    return stopForTracer(task, tracing, Stop.Event, SIGTRAP, stopInfo(task, SIGTRAP, SIGTRAP));
  }
  return tracing.hasTraps && stopWithGroup(task, tracing);
}

/**
 * A tracee goes on from a signal-delivery-stop, with the signal that its tracer chose (Linux's ptrace_signal). What it finds on the way
 * back to guest code is `prepareReturn`'s.
 */
export function deliverAfterStop(task: Task, stop: TraceStop): void {
  const { signal } = stop;
  let info = stop.info;
  if (signal === 0 || info === null) return;
  if (signal !== info.signal) {
    const tracer = task.tracing?.tracer;
    info = signalInfo(signal, SI_USER, tracer?.group.pid ?? 0, tracer?.credentials.uid ?? 0);
  }
  if (isBlocked(task, signal)) sendToTask(task, info);
  else deliver(task, info);
}

function deliver(task: Task, info: SignalInfo): void {
  const { group } = task;
  const signal = info.signal;
  const action = group.handlers.actions[signal];
  if (action.handler === SIG_IGN) return;
  if (action.handler !== SIG_DFL) {
    handle(task, info, action);
    return;
  }
  if (isIgnoredByDefault(signal) || group.unkillable) return;
  if (isStop(signal)) {
    // Nobody could continue an orphaned process group, so terminal stops do not stop it.
    if (signal !== SIGSTOP && isOrphaned(group.processGroup, null)) return;
    requestStop(group, signal);
    return;
  }
  killGroup(group, signal);
}

function handle(task: Task, info: SignalInfo, action: SignalAction): void {
  if (task.restartCode !== 0) {
    const code = task.restartCode;
    task.restartCode = 0;
    const interrupt =
      code === ERESTARTNOHAND ||
      code === ERESTART_RESTARTBLOCK ||
      (code === ERESTARTSYS && !(action.flags & SA_RESTART));
    if (interrupt) setRegister(task.context, Reg.RAX, -EINTR);
    else repeatCall(task, task.number);
  }
  const { tracing } = task;
  tracing?.hideStep(task.context);
  if (!setupFrame(task, info, action)) {
    forceSegv(task, info.signal);
    return;
  }
  if (action.flags & SA_RESETHAND) task.group.handlers.setDefault(info.signal);
  if (tracing?.stepping) {
    // Its first instruction is a step of its own.
    tracing.handlerEntered = true;
    task.stopRequested = true;
  }
}

/** No handler ran: an interrupted call goes on as if nothing had happened. */
function restart(task: Task): void {
  const code = task.restartCode;
  task.restartCode = 0;
  repeatCall(task, code === ERESTART_RESTARTBLOCK ? SYS.restart_syscall : task.number);
}

/** Sets the guest back onto its `syscall` instruction. */
function repeatCall(task: Task, number: number): void {
  const { context } = task;
  setRegister(context, Reg.RAX, number);
  setRegister(context, Reg.RIP, getRegister(context, Reg.RIP) - SYSCALL_BYTES);
}
