import { CLD_EXITED, CLD_KILLED } from '../abi/signal.js';
import type { Nanoseconds } from '../platform/platform.js';
import type { Task } from './task.js';
import type { ThreadGroup } from './thread-group.js';

/** What a wait call has found. */
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

/** Filled by each call; the kernel is one thread. */
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

export function setEndStatus(status: number): void {
  waitResult.status = status;
  waitResult.code = (status & 0x7f) === 0 ? CLD_EXITED : CLD_KILLED;
  waitResult.detail = status & 0x7f || (status >> 8) & 0xff;
}

/** How a dead process ended and what it used; unless `keep`, the waiter's account takes that over (its own child's: getrusage(2)). */
export function takeEnd(waiter: Task, child: ThreadGroup, keep: boolean): void {
  setEndStatus(child.exitStatus ?? 0);
  waitResult.userTime = child.userTime() + child.childrenUserTime;
  waitResult.systemTime = child.systemTime() + child.childrenSystemTime;
  waitResult.peakResident = Math.max(child.peakResident, child.childrenPeakResident);
  const { group } = waiter;
  if (keep || child.parent !== group) return;
  group.childrenUserTime += waitResult.userTime;
  group.childrenSystemTime += waitResult.systemTime;
  if (waitResult.peakResident > group.childrenPeakResident) group.childrenPeakResident = waitResult.peakResident;
}
