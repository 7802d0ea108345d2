import { ECHILD, ERESTARTSYS } from '../abi/errno.js';
import { CLD_CONTINUED, CLD_STOPPED, SIGCHLD, SIGCONT } from '../abi/signal.js';
import {
  __WALL,
  __WCLONE,
  P_ALL,
  P_PGID,
  P_PID,
  P_PIDFD,
  STATUS_CONTINUED,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WSTOPPED,
} from '../abi/wait.js';
import { POLLIN } from '../vfs/wait-queue.js';
import { waitForTracee } from './ptrace/wait.js';
import type { Task } from './task.js';
import { reap } from './task-exit.js';
import type { ThreadGroup } from './thread-group.js';
import { takeEnd, waitResult } from './wait-result.js';

function matches(child: ThreadGroup, type: number, id: number, options: number): boolean {
  switch (type) {
    case P_PID:
    case P_PIDFD:
      if (child.pid !== id) return false;
      break;
    case P_PGID:
      if (child.processGroup.pgid !== id) return false;
      break;
    case P_ALL:
      break;
  }
  // "Clone" children are those that do not tell their end by SIGCHLD.
  return (options & __WALL) !== 0 || (child.exitSignal !== SIGCHLD) === ((options & __WCLONE) !== 0);
}

/** Fills `waitResult` if the child has something to report; consumes it unless WNOWAIT. */
function consume(waiter: Task, child: ThreadGroup, options: number): boolean {
  const keep = (options & WNOWAIT) !== 0;
  waitResult.pid = child.pid;
  waitResult.uid = child.leader.credentials.uid;
  if (child.state === 'zombie') {
    // Its tracer comes first.
    if (!(options & WEXITED) || child.leader.tracing !== null) return false;
    takeEnd(waiter, child, keep);
    if (!keep) reap(child);
    return true;
  }
  if (options & WSTOPPED && child.state === 'stopped' && child.stopUnreported) {
    if (!keep) child.stopUnreported = false;
    waitResult.status = (child.stopSignal << 8) | 0x7f;
    waitResult.code = CLD_STOPPED;
    waitResult.detail = child.stopSignal;
    waitResult.userTime = child.userTime();
    waitResult.systemTime = child.systemTime();
    return true;
  }
  if (options & WCONTINUED && child.continueUnreported) {
    if (!keep) child.continueUnreported = false;
    waitResult.status = STATUS_CONTINUED;
    waitResult.code = CLD_CONTINUED;
    waitResult.detail = SIGCONT;
    waitResult.userTime = child.userTime();
    waitResult.systemTime = child.systemTime();
    return true;
  }
  return false;
}

/**
 * Body of wait4(2) and waitid(2): the child's pid with `waitResult` filled, 0 with WNOHANG when none has changed,
 * -ECHILD, or the result of parking.
 */
export function waitForChild(task: Task, type: number, id: number, options: number): number {
  const { group } = task;
  let any = false;
  if (group.tracees > 0) {
    const found = waitForTracee(task, type, id, options);
    if (found > 0) return found;
    any = found === 0;
  }
  for (const child of group.children) {
    // Seen above, as a tracee.
    if (child.leader.tracing?.tracer.group === group) {
      any ||= matches(child, type, id, options | __WALL);
      continue;
    }
    if (!matches(child, type, id, options)) continue;
    any = true;
    if (consume(task, child, options)) return child.pid;
  }
  if (!any) return -ECHILD;
  if (options & WNOHANG) return 0;
  task.waitOn(group.childQueue, POLLIN);
  return task.park(Number.POSITIVE_INFINITY, -ERESTARTSYS);
}
