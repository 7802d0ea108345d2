import { CLONE_PTRACE, CLONE_UNTRACED, CLONE_VFORK } from '../../abi/clone.js';
import { PTRACE_EVENT_CLONE, PTRACE_EVENT_FORK, PTRACE_EVENT_VFORK } from '../../abi/ptrace.js';
import { SI_USER, SIGCHLD, SIGSTOP } from '../../abi/signal.js';
import { signalInfo } from '../signals/pending.js';
import type { Task } from '../task.js';
import { inherit } from './link.js';
import type { Tracing } from './tracing.js';

/** What a clone(2) is made of, as far as tracers care. */
interface Birth {
  readonly flags: number;
  readonly exitSignal: number;
}

/** PTRACE_EVENT_* that the parent's tracer is to hear of a new task with; 0 for none (Linux's kernel_clone). */
export function birthEvent(parent: Task, { flags, exitSignal }: Birth): number {
  if (parent.tracing === null || flags & CLONE_UNTRACED) return 0;
  const other = exitSignal === SIGCHLD ? PTRACE_EVENT_FORK : PTRACE_EVENT_CLONE;
  const event = flags & CLONE_VFORK ? PTRACE_EVENT_VFORK : other;
  return parent.tracing.wants(event) ? event : 0;
}

/** A tracee has made a task: that is traced, too, and stops first of all, if the tracer or CLONE_PTRACE says so. */
export function bearTracee(parent: Task, tracing: Tracing, child: Task, birth: Birth): void {
  tracing.hideStepIn(child.context);
  if (!(birth.flags & CLONE_PTRACE) && birthEvent(parent, birth) === 0) return;
  const inherited = inherit(child, tracing);
  if (inherited.seized) {
    inherited.trapStop = true;
    child.stopRequested = true;
  } else {
    child.pending.add(signalInfo(SIGSTOP, SI_USER));
  }
}
