import {
  CLD_CONTINUED,
  CLD_EXITED,
  CLD_KILLED,
  CLD_STOPPED,
  SA_NOCLDSTOP,
  SIGCHLD,
  SIGCONT,
} from '../../abi/signal.js';
import { CLOCK_TICKS_PER_SECOND } from '../../abi/time.js';
import type { Task } from '../task.js';
import type { ThreadGroup } from '../thread-group.js';
import { signalInfo } from './pending.js';

/** Clock ticks of a span in nanoseconds. */
function ticks(nanoseconds: number): number {
  return Math.floor((nanoseconds * CLOCK_TICKS_PER_SECOND) / 1e9);
}

/** Sends `parent` the siginfo of a child's change and wakes its wait calls. */
function tell(child: ThreadGroup, parent: ThreadGroup, signal: number, code: number, status: number): void {
  const info = signalInfo(signal, code, child.pid, child.leader.credentials.uid);
  info.status = status;
  info.utime = ticks(child.userTime());
  info.stime = ticks(child.systemTime());
  parent.sendSignal(info);
}

/** The process has ended: its exit signal goes to the parent. */
export function notifyExit(child: ThreadGroup, parent: ThreadGroup): void {
  const status = child.exitStatus ?? 0;
  const killed = status & 0x7f;
  if (child.exitSignal !== 0) {
    tell(child, parent, child.exitSignal, killed ? CLD_KILLED : CLD_EXITED, killed || (status >> 8) & 0xff);
  }
  parent.wakeWaiters();
}

/** A tracee has ended, or a thread of one: the tracer hears of it as of a child (Linux's do_notify_parent). */
export function notifyTracerOfExit(task: Task, status: number): void {
  const tracer = task.tracing?.tracer.group;
  if (!tracer) return;
  const killed = status & 0x7f;
  const info = signalInfo(SIGCHLD, killed ? CLD_KILLED : CLD_EXITED, task.tid, task.credentials.uid);
  info.status = killed || (status >> 8) & 0xff;
  info.utime = ticks(task.userTime());
  info.stime = ticks(task.systemTime);
  tracer.sendSignal(info);
  tracer.wakeWaiters();
}

function notifyJobControl(child: ThreadGroup, code: number, status: number): void {
  const parent = child.parent;
  if (!parent) return;
  if (!(parent.handlers.actions[SIGCHLD].flags & SA_NOCLDSTOP)) tell(child, parent, SIGCHLD, code, status);
  parent.wakeWaiters();
}

export function notifyStopped(child: ThreadGroup): void {
  notifyJobControl(child, CLD_STOPPED, child.stopSignal);
}

export function notifyContinued(child: ThreadGroup): void {
  notifyJobControl(child, CLD_CONTINUED, SIGCONT);
}
