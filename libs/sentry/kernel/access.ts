import { CAP_SYS_PTRACE } from '../abi/capability.js';
import type { Credentials } from '../vfs/types.js';
import type { Task } from './types.js';

/** Whether someone with `capabilities` may look at what has no more than these (Linux's cap_ptrace_access_check). */
function covers(own: Credentials, other: Credentials): boolean {
  const mine = own.capabilities.permitted;
  const others = other.capabilities.permitted;
  return (others[0] & ~mine[0]) === 0 && (others[1] & ~mine[1]) === 0;
}

/**
 * PTRACE_MODE_*_REALCREDS (ptrace(2), "Ptrace access mode checking"): same ids all over, and the target dumpable. Nobody looks out of what
 * he has restricted himself to (landlock(7)).
 */
export function mayInspect(task: Task, target: Task): boolean {
  if (target.group === task.group) return true;
  const { landlock } = task.credentials;
  if (landlock !== null && !landlock.contains(target.credentials.landlock)) return false;
  if (task.capable(CAP_SYS_PTRACE)) return true;
  const { uid, gid } = task.credentials;
  const other = target.credentials;
  if (!covers(task.credentials, other)) return false;
  const same = other.uid === uid && other.euid === uid && other.suid === uid && other.gid === gid;
  return same && other.egid === gid && other.sgid === gid && target.group.dumpable === 1;
}

/** PTRACE_TRACEME hands the caller to its parent, who must not gain rights by it (Linux's cap_ptrace_traceme). */
export function mayBeGivenTo(task: Task, parent: Task): boolean {
  const { landlock } = parent.credentials;
  if (landlock !== null && !landlock.contains(task.credentials.landlock)) return false;
  return covers(parent.credentials, task.credentials) || parent.capable(CAP_SYS_PTRACE);
}
