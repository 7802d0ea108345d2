import { ENOSYS } from '../../abi/errno.js';
import { PTRACE_EVENT_SECCOMP, PTRACE_EVENTMSG_SYSCALL_ENTRY } from '../../abi/ptrace.js';
import { SI_KERNEL, SIGTRAP } from '../../abi/signal.js';
import { Reg } from '../../platform/platform.js';
import { ARGUMENT_REGISTERS, getRegister, setRegister } from '../registers.js';
import { tracedVerdict } from '../seccomp/enforce.js';
import { CALL_MARK, deliverAfterStop } from '../signals/delivery.js';
import { signalInfo } from '../signals/pending.js';
import { sendToTask } from '../signals/send.js';
import type { Task } from '../task.js';
import { exitTask } from '../task-exit.js';
import { dispatchToUser } from '../user-dispatch.js';
import { stopForEvent, stopForTracer, stopInfo, takeRestart } from './stop.js';
import { Stop, Until } from './tracing.js';

/** What the kernel's loop does with a task next. */
export const Next = {
  /** Makes the system call in its registers. */
  Call: 0,
  /** Goes back to guest code. */
  Return: 1,
  /** Nothing: it has stopped, or is gone. */
  Nothing: 2,
} as const;
export type NextKind = (typeof Next)[keyof typeof Next];

/**
 * Before a system call of a task with `callWork` (Linux's syscall_trace_enter): it may be the program's own to handle, and a tracer may stop
 * it, change it or have it left out.
 */
export function beforeCall(task: Task, number: number): NextKind {
  const { tracing, userDispatch } = task;
  if (userDispatch !== null && dispatchToUser(task, userDispatch, number)) return Next.Return;
  if (tracing === null) return Next.Call;
  tracing.inCall = true;
  setRegister(task.context, Reg.RAX, -ENOSYS);
  if (tracing.until !== Until.Anything) {
    const code = tracing.marksCalls ? SIGTRAP | CALL_MARK : SIGTRAP;
    const info = stopInfo(task, SIGTRAP, code);
    if (stopForTracer(task, tracing, Stop.CallEntry, code, info, PTRACE_EVENTMSG_SYSCALL_ENTRY)) return Next.Nothing;
  }
  return beforeFilters(task);
}

/** Reads the call again that a tracer may have changed. False when there is none: its result is in RAX. */
function readCall(task: Task): boolean {
  const { context, args } = task;
  for (let index = 0; index < ARGUMENT_REGISTERS.length; index++)
    args[index] = getRegister(context, ARGUMENT_REGISTERS[index]);
  return (context.registersLow[2 * Reg.ORIG_RAX] | 0) !== -1;
}

function beforeFilters(task: Task): NextKind {
  if (task.killed || !readCall(task)) return Next.Return;
  const { tracing, seccomp } = task;
  if (tracing === null || seccomp === null || !tracing.wants(PTRACE_EVENT_SECCOMP)) return Next.Call;
  const data = tracedVerdict(task, seccomp, task.context.registersLow[2 * Reg.ORIG_RAX] | 0);
  if (data < 0) return Next.Call;
  return stopForEvent(task, PTRACE_EVENT_SECCOMP, data, Stop.Seccomp) ? Next.Nothing : Next.Return;
}

/** A tracee goes on from where it stopped. Precondition: its `runState` is Ready again. */
export function goOn(task: Task): NextKind {
  const stop = task.resumedFrom;
  task.resumedFrom = null;
  if (stop === null) return Next.Return;
  switch (stop.kind) {
    case Stop.CallEntry:
      sendChosen(task, stop.signal);
      // PTRACE_SYSEMU as it was set when the call began: the next one may be another.
      if (stop.emulated) return Next.Return;
      return beforeFilters(task);
    case Stop.Seccomp:
      return !task.killed && readCall(task) ? Next.Call : Next.Return;
    case Stop.Exit:
      exitTask(task, stop.message);
      return Next.Nothing;
    case Stop.CallExit:
      sendChosen(task, stop.signal);
      break;
  }
  takeRestart(task);
  if (stop.kind === Stop.Signal && !task.killed) deliverAfterStop(task, stop);
  return Next.Return;
}

/** At stops for system calls, the signal that the tracer chose is sent (Linux's ptrace_report_syscall). */
function sendChosen(task: Task, signal: number): void {
  if (signal !== 0) sendToTask(task, signalInfo(signal, SI_KERNEL));
}
