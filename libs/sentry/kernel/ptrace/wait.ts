import { CLD_CONTINUED, CLD_TRAPPED, SIGCONT } from '../../abi/signal.js';
import { __WNOTHREAD, P_ALL, P_PGID, STATUS_CONTINUED, WCONTINUED, WEXITED, WNOWAIT } from '../../abi/wait.js';
import { RunState } from '../run-state.js';
import type { Task } from '../task.js';
import { reap, settleDeadTracee } from '../task-exit.js';
import { setEndStatus, takeEnd, waitResult } from '../wait-result.js';
import type { Tracing } from './tracing.js';

function matches(tracee: Task, type: number, id: number): boolean {
  if (type === P_ALL) return true;
  return type === P_PGID ? tracee.group.processGroup.pgid === id : tracee.tid === id;
}

/** A process is dead when all its threads are; the others are dead one by one. */
function takeDead(waiter: Task, tracee: Task, tracing: Tracing, options: number): boolean {
  const { group } = tracee;
  const isProcess = tracee === group.leader;
  if (!(options & WEXITED) || (isProcess && group.state !== 'zombie')) return false;
  const keep = (options & WNOWAIT) !== 0;
  if (isProcess) {
    takeEnd(waiter, group, keep);
    if (keep) return true;
    if (group.parent === waiter.group) reap(group);
    else settleDeadTracee(tracee);
    return true;
  }
  setEndStatus(tracing.exitStatus);
  waitResult.userTime = tracee.userTime();
  waitResult.systemTime = tracee.systemTime;
  if (!keep) settleDeadTracee(tracee);
  return true;
}

function take(waiter: Task, tracee: Task, tracing: Tracing, options: number): boolean {
  const keep = (options & WNOWAIT) !== 0;
  const { group } = tracee;
  waitResult.pid = tracee.tid;
  waitResult.uid = tracee.credentials.uid;
  if (tracee.runState === RunState.Dead) return takeDead(waiter, tracee, tracing, options);
  waitResult.userTime = tracee.userTime();
  waitResult.systemTime = tracee.systemTime;
  const { stop } = tracing;
  if (stop?.unreported && !tracing.listening) {
    if (!keep) stop.unreported = false;
    waitResult.status = (stop.code << 8) | 0x7f;
    waitResult.code = CLD_TRAPPED;
    waitResult.detail = stop.code;
    return true;
  }
  if (!(options & WCONTINUED) || !group.continueUnreported) return false;
  if (!keep) group.continueUnreported = false;
  waitResult.status = STATUS_CONTINUED;
  waitResult.code = CLD_CONTINUED;
  waitResult.detail = SIGCONT;
  return true;
}

/**
 * The tracees' part of wait4(2) and waitid(2) (Linux's ptrace_do_wait): threads count one by one, of whatever kind of child, and stops are
 * reported without WUNTRACED. The id of the one that had something to tell, with `waitResult` filled; 0 if none had; -1 if there are none.
 */
export function waitForTracee(waiter: Task, type: number, id: number, options: number): number {
  let any = false;
  const own = (options & __WNOTHREAD) !== 0;
  for (const tracer of waiter.group.tasks) {
    if (tracer.tracees === null || (own && tracer !== waiter)) continue;
    for (const tracee of tracer.tracees) {
      const { tracing } = tracee;
      if (tracing === null || !matches(tracee, type, id)) continue;
      any = true;
      const { tid } = tracee;
      if (take(waiter, tracee, tracing, options)) return tid;
    }
  }
  return any ? 0 : -1;
}
