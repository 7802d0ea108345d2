import { SA_NOCLDWAIT, SI_KERNEL, SIG_IGN, SIGCHLD, SIGCONT, SIGHUP } from '../abi/signal.js';
import { POLLIN } from '../vfs/wait-queue.js';
import { leaveAio } from './aio.js';
import { leaveUndoList } from './ipc/semaphores.js';
import { dropOwnRings } from './keys/process-rings.js';
import { clearChildTid, walkRobustList } from './robust-list.js';
import { hasStoppedMember, isOrphaned, leaveTerminal } from './session.js';
import { notifyExit, notifyStopped } from './signals/notify.js';
import { signalInfo } from './signals/pending.js';
import { RunState, type Task } from './task.js';
import type { ThreadGroup } from './thread-group.js';

/** Ends a thread. `status` is a wait status: exit code << 8 or a signal. Precondition: its guest code does not run. */
export function exitTask(task: Task, status: number): void {
  if (task.runState === RunState.Dead) return;
  const { kernel, group } = task;
  task.clearWaits();
  if (task.futexWaiter) kernel.futexes.dequeue(task.futexWaiter);
  for (const waiter of task.futexVector ?? []) kernel.futexes.dequeue(waiter);
  leaveMemory(task);
  leaveUndoList(task);
  leaveAio(kernel, task.memory, task);
  task.deadUserTime = task.context.cpuTime();
  group.deadUserTime += task.deadUserTime;
  group.deadSystemTime += task.systemTime;
  kernel.cpuAccounting.endedUserTime += task.deadUserTime;
  kernel.cpuAccounting.endedSystemTime += task.systemTime;
  const resident = task.memory.residentSize();
  if (resident > group.peakResident) group.peakResident = resident;
  task.runState = RunState.Dead;
  group.tasks.delete(task);
  if (task === group.leader) {
    if (!group.exiting) group.exitCode = status;
  } else {
    kernel.tasks.delete(task.tid);
  }
  kernel.liveTasks--;
  dropOwnRings(task, group.tasks.size === 0);
  task.sessionKeyring?.release();
  task.sessionKeyring = null;
  task.files.release();
  task.fs.references--;
  task.context.release();
  // With the last thread of init all is over: the platform ends, and its memory with it, when the report is on its way.
  if (group !== kernel.init || group.tasks.size > 0) task.memory.release();
  task.oldMemory?.release();
  task.oldMemory = null;
  task.state = null;
  if (group.tasks.size === 0) exitGroup(group);
  else {
    group.threadQueue.wake(POLLIN);
    checkStopComplete(group);
  }
}

/** What a task owes its old address space at exit and at execve: robust mutexes, its tid word, a waiting vfork parent. */
export function leaveMemory(task: Task): void {
  walkRobustList(task);
  clearChildTid(task);
  const queue = task.vforkQueue;
  if (queue) {
    task.vforkQueue = null;
    queue.wake(POLLIN);
  }
}

/** A stop is complete when every live thread has stopped: then the parent hears of it. */
export function checkStopComplete(group: ThreadGroup): void {
  if (group.stopSignal === 0 || group.state !== 'running' || group.exiting) return;
  for (const task of group.tasks) if (task.runState !== RunState.Stopped) return;
  group.state = 'stopped';
  group.stopUnreported = true;
  group.continueUnreported = false;
  notifyStopped(group);
}

/** The last thread is gone. */
function exitGroup(group: ThreadGroup): void {
  const { kernel } = group.leader;
  group.exitStatus = group.exitCode;
  group.state = 'zombie';
  group.stopSignal = 0;
  group.intervalTimers?.cancel();
  group.posixTimers?.deleteAll();
  if (group === kernel.init) {
    kernel.initExited();
    return;
  }
  leaveTerminal(group, true);
  reparentChildren(group);
  hangUpIfOrphaned(group, group.parent, group);
  const parent = group.parent;
  if (!parent) {
    reap(group);
    return;
  }
  group.exitQueue.wake(POLLIN);
  const action = parent.handlers.actions[SIGCHLD];
  const ignored = group.exitSignal === SIGCHLD && action.handler === SIG_IGN;
  if (ignored || (group.exitSignal === SIGCHLD && action.flags & SA_NOCLDWAIT)) {
    if (!ignored) notifyExit(group, parent);
    reap(group);
    parent.wakeWaiters();
  } else {
    notifyExit(group, parent);
  }
}

/** Nothing of the process remains; its id is free. The caller has taken the status. */
export function reap(group: ThreadGroup): void {
  const { kernel } = group.leader;
  group.state = 'dead';
  group.parent?.children.delete(group);
  group.leaveProcessGroup();
  kernel.groups.delete(group.pid);
  if (kernel.tasks.get(group.pid) === group.leader) kernel.tasks.delete(group.pid);
}

/** Nearest ancestor that adopts orphans (prctl PR_SET_CHILD_SUBREAPER), else init. */
function findReaper(group: ThreadGroup): ThreadGroup {
  const init = group.leader.kernel.init;
  for (let ancestor = group.parent; ancestor; ancestor = ancestor.parent) {
    if (ancestor.subreaper && ancestor.state !== 'zombie' && ancestor.state !== 'dead') return ancestor;
  }
  return init;
}

function reparentChildren(group: ThreadGroup): void {
  if (group.children.size === 0) return;
  const reaper = findReaper(group);
  const children = [...group.children];
  for (const child of children) {
    group.children.delete(child);
    child.parent = reaper;
    reaper.children.add(child);
    child.exitSignal = SIGCHLD;
    const deathSignal = child.leader.parentDeathSignal;
    if (deathSignal !== 0 && child.state !== 'zombie') child.sendSignal(signalInfo(deathSignal, SI_KERNEL));
  }
  for (const child of children) {
    hangUpIfOrphaned(child, group, null);
    if (child.state !== 'zombie') continue;
    const action = reaper.handlers.actions[SIGCHLD];
    if (action.handler === SIG_IGN || action.flags & SA_NOCLDWAIT) reap(child);
    else notifyExit(child, reaper);
  }
}

/**
 * POSIX: a process group that loses its last link to its session (`member`'s `parent`) and has stopped members is hung up
 * and continued.
 */
function hangUpIfOrphaned(member: ThreadGroup, parent: ThreadGroup | null, leaving: ThreadGroup | null): void {
  const group = member.processGroup;
  if (!parent || parent.processGroup === group || parent.session !== group.session) return;
  if (!isOrphaned(group, leaving) || !hasStoppedMember(group)) return;
  group.signal(SIGHUP);
  group.signal(SIGCONT);
}
