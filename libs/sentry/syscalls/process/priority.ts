import { CAP_SYS_NICE } from '../../abi/capability.js';
import { EACCES, EINVAL, EPERM, ESRCH } from '../../abi/errno.js';
import { PRIO_PGRP, PRIO_PROCESS, PRIO_USER, RLIMIT_NICE } from '../../abi/resource.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';

/** Calls `visit` for each task that (which, who) names; false for an unknown `which`. */
function forEach(task: Task, which: number, who: number, visit: (target: Task) => void): boolean {
  const { kernel } = task;
  switch (which) {
    case PRIO_PROCESS: {
      const target = who === 0 ? task : kernel.tasks.get(who);
      if (target) visit(target);
      return true;
    }
    case PRIO_PGRP: {
      const pgid = who === 0 ? task.group.processGroup.pgid : who;
      for (const target of kernel.tasks.values()) if (target.group.processGroup.pgid === pgid) visit(target);
      return true;
    }
    case PRIO_USER: {
      const uid = who === 0 ? task.credentials.uid : who;
      for (const target of kernel.tasks.values()) if (target.credentials.uid === uid) visit(target);
      return true;
    }
    default:
      return false;
  }
}

/** getpriority implements Linux syscall getpriority(2): 20 - nice, the highest of those named. */
export function getpriority(task: Task, args: SyscallArguments): number {
  let best = -ESRCH;
  const known = forEach(task, args[0] | 0, args[1] | 0, (target) => {
    best = Math.max(best, 20 - target.nice);
  });
  return known ? best : -EINVAL;
}

/** setpriority implements Linux syscall setpriority(2): stored and reported; scheduling is the host's. */
export function setpriority(task: Task, args: SyscallArguments): number {
  const nice = Math.max(-20, Math.min(19, args[2] | 0));
  let result = -ESRCH;
  const known = forEach(task, args[0] | 0, args[1] | 0, (target) => {
    const { euid } = task.credentials;
    if (target.credentials.uid !== euid && target.credentials.euid !== euid && !task.capable(CAP_SYS_NICE)) {
      result = -EPERM;
      return;
    }
    // RLIMIT_NICE n allows down to 20 - n.
    if (nice < target.nice && nice < 20 - target.rlimit(RLIMIT_NICE) && !task.capable(CAP_SYS_NICE)) {
      result = -EACCES;
      return;
    }
    target.nice = nice;
    if (result === -ESRCH) result = 0;
  });
  return known ? result : -EINVAL;
}

/** ioprio_get implements Linux syscall ioprio_get(2). */
export function ioprioGet(task: Task, args: SyscallArguments): number {
  if ((args[0] | 0) !== 1) return (args[0] | 0) === 2 || (args[0] | 0) === 3 ? 0 : -EINVAL;
  const target = args[1] === 0 ? task : task.kernel.tasks.get(args[1] | 0);
  return target ? target.ioPriority : -ESRCH;
}

/** ioprio_set implements Linux syscall ioprio_set(2): stored and reported. */
export function ioprioSet(task: Task, args: SyscallArguments): number {
  const value = args[2] | 0;
  const priorityClass = value >> 13;
  if (priorityClass < 0 || priorityClass > 3) return -EINVAL;
  if (priorityClass === 1 && !task.capable(CAP_SYS_NICE)) return -EPERM;
  if ((args[0] | 0) !== 1) return (args[0] | 0) === 2 || (args[0] | 0) === 3 ? 0 : -EINVAL;
  const target = args[1] === 0 ? task : task.kernel.tasks.get(args[1] | 0);
  if (!target) return -ESRCH;
  target.ioPriority = value;
  return 0;
}
