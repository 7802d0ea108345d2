import { EACCES, EINVAL, EPERM, ESRCH } from '../../abi/errno.js';
import { ProcessGroup, Session } from '../../kernel/session.js';
import type { Task } from '../../kernel/task.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { SyscallArguments } from '../../kernel/types.js';

/** getpid implements Linux syscall getpid(2). */
export function getpid(task: Task): number {
  return task.group.pid;
}

/** gettid implements Linux syscall gettid(2). */
export function gettid(task: Task): number {
  return task.tid;
}

/** getppid implements Linux syscall getppid(2). */
export function getppid(task: Task): number {
  return task.group.parent?.pid ?? 0;
}

/** The process `pid` names (0 = the caller's), or undefined. */
function find(task: Task, pid: number): ThreadGroup | undefined {
  return pid === 0 ? task.group : task.kernel.tasks.get(pid)?.group;
}

/** getpgid implements Linux syscall getpgid(2). */
export function getpgid(task: Task, args: SyscallArguments): number {
  return find(task, args[0] | 0)?.processGroup.pgid ?? -ESRCH;
}

/** getpgrp implements Linux syscall getpgrp(2). */
export function getpgrp(task: Task): number {
  return task.group.processGroup.pgid;
}

/** getsid implements Linux syscall getsid(2). */
export function getsid(task: Task, args: SyscallArguments): number {
  return find(task, args[0] | 0)?.session.sid ?? -ESRCH;
}

/** setpgid implements Linux syscall setpgid(2). */
export function setpgid(task: Task, args: SyscallArguments): number {
  const { group: caller, kernel } = task;
  const pid = args[0] | 0;
  let pgid = args[1] | 0;
  if (pgid < 0) return -EINVAL;
  const target = pid === 0 ? caller : kernel.groups.get(pid);
  if (!target || target.state === 'dead') return -ESRCH;
  if (pgid === 0) pgid = target.pid;
  if (target !== caller) {
    if (target.parent !== caller) return -ESRCH;
    if (target.session !== caller.session) return -EPERM;
    if (target.hasExecuted) return -EACCES;
  }
  if (target.session.sid === target.pid) return -EPERM;
  if (target.processGroup.pgid === pgid) return 0;
  let group: ProcessGroup | undefined;
  if (pgid === target.pid) group = kernel.findProcessGroup(pgid) ?? new ProcessGroup(pgid, target.session);
  else group = kernel.findProcessGroup(pgid);
  if (!group || group.session !== caller.session) return -EPERM;
  target.joinProcessGroup(group);
  return 0;
}

/** setsid implements Linux syscall setsid(2). */
export function setsid(task: Task): number {
  const { group, kernel } = task;
  if (group.session.sid === group.pid || kernel.findProcessGroup(group.pid)) return -EPERM;
  group.joinProcessGroup(new ProcessGroup(group.pid, new Session(group.pid)));
  group.terminal = null;
  return group.pid;
}
