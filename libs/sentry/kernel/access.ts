import { CAP_SYS_PTRACE } from '../abi/capability.js';
import type { Task } from './types.js';

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
  const same = other.uid === uid && other.euid === uid && other.suid === uid && other.gid === gid;
  return same && other.egid === gid && other.sgid === gid && target.group.dumpable === 1;
}
