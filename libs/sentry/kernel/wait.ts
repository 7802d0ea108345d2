import { ECHILD, ERESTARTSYS } from '../abi/errno.js';
import { CLD_CONTINUED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, SIGCHLD, SIGCONT } from '../abi/signal.js';
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
import type { Nanoseconds } from '../platform/platform.js';
import { POLLIN } from '../vfs/wait-queue.js';
import type { Task } from './task.js';
import { reap } from './task-exit.js';
import type { ThreadGroup } from './thread-group.js';

/** Which children, and what is known of the one found. One per wait call, reused through the module's scratch. */
export interface WaitResult {
  pid: number;
  uid: number;
  /** As wait4(2) reports it. */
  status: number;
  /** CLD_* and the matching si_status. */
  code: number;
  detail: number;
  userTime: Nanoseconds;
  systemTime: Nanoseconds;
  peakResident: number;
}

export const waitResult: WaitResult = {
  pid: 0,
  uid: 0,
  status: 0,
  code: 0,
  detail: 0,
  userTime: 0,
  systemTime: 0,
  peakResident: 0,
};

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
    if (!(options & WEXITED)) return false;
    const status = child.exitStatus ?? 0;
    waitResult.status = status;
    waitResult.code = (status & 0x7f) === 0 ? CLD_EXITED : CLD_KILLED;
    waitResult.detail = status & 0x7f || (status >> 8) & 0xff;
    waitResult.userTime = child.userTime() + child.childrenUserTime;
    waitResult.systemTime = child.systemTime() + child.childrenSystemTime;
    waitResult.peakResident = Math.max(child.peakResident, child.childrenPeakResident);
    if (!keep) {
      waiter.group.childrenUserTime += waitResult.userTime;
      waiter.group.childrenSystemTime += waitResult.systemTime;
      if (waitResult.peakResident > waiter.group.childrenPeakResident)
        waiter.group.childrenPeakResident = waitResult.peakResident;
      reap(child);
    }
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
  for (const child of group.children) {
    if (!matches(child, type, id, options)) continue;
    any = true;
    if (consume(task, child, options)) return child.pid;
  }
  if (!any) return -ECHILD;
  if (options & WNOHANG) return 0;
  task.waitOn(group.childQueue, POLLIN);
  return task.park(Number.POSITIVE_INFINITY, -ERESTARTSYS);
}
