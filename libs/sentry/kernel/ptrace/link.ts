import { CAP_SYS_PTRACE } from '../../abi/capability.js';
import { RunState } from '../run-state.js';
import type { Task } from '../task.js';
import { Tracing } from './tracing.js';

function link(task: Task, tracing: Tracing): void {
  const { tracer } = tracing;
  task.tracing = tracing;
  tracer.tracees ??= new Set();
  tracer.tracees.add(task);
  tracer.group.tracees++;
  // What a tracer reads and steps through is what the program has.
  task.memory.callSites.disable();
}

/** `tracer` traces `task` from now on. */
export function attach(task: Task, tracer: Task, seized: boolean, options: number): Tracing {
  const tracing = new Tracing(tracer, seized, options, tracer.capable(CAP_SYS_PTRACE));
  link(task, tracing);
  return tracing;
}

/** A new task is traced as the one that made it (Linux's ptrace_init_task). */
export function inherit(task: Task, from: Tracing): Tracing {
  const tracing = new Tracing(from.tracer, from.seized, from.options, from.privileged);
  link(task, tracing);
  return tracing;
}

function unlink(task: Task, tracing: Tracing): void {
  const { tracer } = tracing;
  task.tracing = null;
  tracer.tracees?.delete(task);
  if (tracer.tracees?.size === 0) tracer.tracees = null;
  tracer.group.tracees--;
}

/** Nobody traces the task any more: it goes on with `signal`, or stops with its group (Linux's __ptrace_unlink). */
export function detach(task: Task, signal = 0): void {
  const { tracing, group } = task;
  if (tracing === null) return;
  tracing.stepping = false;
  tracing.hideStep(task.context);
  task.stopRequested = task.runState !== RunState.Dead && group.stopSignal !== 0;
  task.resumeFromTrap(signal);
  unlink(task, tracing);
  if (task.stopRequested) task.kick();
}
