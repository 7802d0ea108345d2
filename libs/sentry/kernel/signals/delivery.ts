import { EINTR, ERESTART_RESTARTBLOCK, ERESTARTNOHAND, ERESTARTSYS } from '../../abi/errno.js';
import { SA_RESETHAND, SA_RESTART, SI_TIMER, SIG_DFL, SIG_IGN, SIGSTOP } from '../../abi/signal.js';
import { SYS } from '../../abi/syscall-numbers.js';
import { Reg } from '../../platform/platform.js';
import { getRegister, setRegister } from '../registers.js';
import { isOrphaned } from '../session.js';
import { RunState, type Task } from '../task.js';
import { checkStopComplete, exitTask } from '../task-exit.js';
import type { SignalInfo } from '../types.js';
import type { SignalAction } from './action.js';
import { setupFrame } from './frame.js';
import { nextSignal } from './pending.js';
import { forceSegv, isIgnoredByDefault, isStop, killGroup, requestStop } from './send.js';

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
  const { group } = task;
  for (;;) {
    if (task.killed) {
      exitTask(task, group.exitCode);
      return false;
    }
    if (task.stopRequested) {
      task.stopRequested = false;
      task.runState = RunState.Stopped;
      checkStopComplete(group);
      return false;
    }
    const info = dequeueSignal(task, ~task.signalMask[0], ~task.signalMask[1]);
    if (info === null) break;
    deliver(task, info);
  }
  if (task.restartCode !== 0) restart(task);
  if (task.savedMaskActive) task.restoreSignalMask();
  return true;
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
  if (!setupFrame(task, info, action)) {
    forceSegv(task, info.signal);
    return;
  }
  if (action.flags & SA_RESETHAND) task.group.handlers.setDefault(info.signal);
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
