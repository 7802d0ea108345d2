import { PTRACE_EVENT_EXIT } from '../abi/ptrace.js';
import { SA_NOCLDWAIT, SI_KERNEL, SIG_IGN, SIGCHLD, SIGCONT, SIGHUP, SIGKILL } from '../abi/signal.js';
import { POLLIN } from '../vfs/wait-queue.js';
import { leaveAio } from './aio.js';
import { leaveUndoList } from './ipc/semaphores.js';
import { dropOwnRings } from './keys/process-rings.js';
import { detach } from './ptrace/link.js';
import { stopForEvent } from './ptrace/stop.js';
import { Stop } from './ptrace/tracing.js';
import { clearChildTid, walkRobustList } from './robust-list.js';
import { RunState } from './run-state.js';
import { hasStoppedMember, isOrphaned, leaveTerminal } from './session.js';
import { checkStopComplete } from './signals/group-stop.js';
import { notifyExit, notifyTracerOfExit } from './signals/notify.js';
import { signalInfo } from './signals/pending.js';
import type { Task } from './task.js';
import type { ThreadGroup } from './thread-group.js';

/** Ends a thread, once its tracer has seen it leave (PTRACE_O_TRACEEXIT). The caller must not touch it any more. */
export function leave(task: Task, status: number): void {
  if (!stopForEvent(task, PTRACE_EVENT_EXIT, status, Stop.Exit)) exitTask(task, status);
}

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
  } else if (task.tracing !== null) {
    // Its tracer waits for it as for a process.
    task.tracing.exitStatus = group.exiting ? group.exitCode : status;
    group.tracedZombies++;
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
  if (task.tracees !== null) releaseTracees(task);
  if (task.tracing !== null && task !== group.leader) notifyTracerOfExit(task, task.tracing.exitStatus);
  if (group.tasks.size === 0) {
    if (group.tracedZombies === 0) exitGroup(group);
  } else {
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
  const { tracing } = group.leader;
  if (tracing === null) tellParent(group, parent);
  else if (tracing.tracer.group === parent) notifyExit(group, parent);
  else notifyTracerOfExit(group.leader, group.exitCode);
}

/** The parent does not want to wait for it: it is reaped at once (wait(2), "NOTES"). */
function ignoresEnd(group: ThreadGroup, parent: ThreadGroup): boolean {
  const { handler, flags } = parent.handlers.actions[SIGCHLD];
  return group.exitSignal === SIGCHLD && (handler === SIG_IGN || (flags & SA_NOCLDWAIT) !== 0);
}

function tellParent(group: ThreadGroup, parent: ThreadGroup): void {
  if (!ignoresEnd(group, parent)) {
    notifyExit(group, parent);
    return;
  }
  if (parent.handlers.actions[SIGCHLD].handler !== SIG_IGN) notifyExit(group, parent);
  reap(group);
  parent.wakeWaiters();
}

/** Nothing of the process remains; its id is free. The caller has taken the status. */
export function reap(group: ThreadGroup): void {
  const { kernel } = group.leader;
  detach(group.leader);
  group.state = 'dead';
  group.parent?.children.delete(group);
  group.leaveProcessGroup();
  kernel.groups.delete(group.pid);
  if (kernel.tasks.get(group.pid) === group.leader) kernel.tasks.delete(group.pid);
}

/**
 * The tracer has waited for a dead tracee, or goes away itself: a thread is no more, a process is its parent's to mourn (Linux's
 * wait_task_zombie, __ptrace_detach).
 */
export function settleDeadTracee(task: Task): void {
  const { group, kernel } = task;
  const tracers = task.tracing?.tracer.group;
  detach(task);
  if (task !== group.leader) {
    kernel.tasks.delete(task.tid);
    group.tracedZombies--;
    if (group.tasks.size === 0 && group.tracedZombies === 0) exitGroup(group);
  } else if (group.state === 'zombie') {
    if (!group.parent) reap(group);
    else if (group.parent !== tracers) tellParent(group, group.parent);
    else if (ignoresEnd(group, group.parent)) reap(group);
  }
}

/** A tracer ends: its tracees are free, or die with it (PTRACE_O_EXITKILL). */
function releaseTracees(tracer: Task): void {
  for (const task of [...(tracer.tracees ?? [])]) {
    if (task.tracing?.killsAtExit) task.group.sendSignal(signalInfo(SIGKILL, SI_KERNEL));
    if (task.runState === RunState.Dead) settleDeadTracee(task);
    else detach(task);
  }
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
    if (child.state !== 'zombie' || child.leader.tracing !== null) continue;
    if (ignoresEnd(child, reaper)) reap(child);
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
