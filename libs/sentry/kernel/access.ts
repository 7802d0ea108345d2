import { CAP_SYS_PTRACE } from '../abi/capability.js';
import { hasCapability } from '../vfs/permissions.js';
import type { Credentials } from '../vfs/types.js';
import type { Task, ThreadGroup } from './types.js';

/** Whose ids and capabilities count: the real ones, for calls that name a process; those for files, for /proc (ptrace(2)). */
export type AccessMode = 'real' | 'file';

/** Who wants to look; `group` is his process, if he is one. */
interface Inspector {
  readonly credentials: Credentials;
  readonly group?: ThreadGroup;
}

/** Whether `mine` hold all that someone is permitted (Linux's cap_ptrace_access_check). */
function covers(mine: Uint32Array | readonly number[], other: Credentials): boolean {
  const { permitted } = other.capabilities;
  return (permitted[0] & ~mine[0]) === 0 && (permitted[1] & ~mine[1]) === 0;
}

/**
 * PTRACE_MODE_* (ptrace(2), "Ptrace access mode checking"): the target has the same ids all over and no capability that the caller lacks, and is
 * dumpable. Nobody looks out of what he has restricted himself to (landlock(7)).
 */
export function mayInspect({ credentials, group }: Inspector, target: Task, mode: AccessMode = 'real'): boolean {
  if (target.group === group) return true;
  const { landlock, capabilities } = credentials;
  const other = target.credentials;
  if (landlock !== null && !landlock.contains(other.landlock)) return false;
  if (hasCapability(credentials, CAP_SYS_PTRACE)) return true;
  if (!covers(mode === 'file' ? capabilities.effective : capabilities.permitted, other)) return false;
  const [uid, gid] = mode === 'file' ? [credentials.fsuid, credentials.fsgid] : [credentials.uid, credentials.gid];
  const same = other.uid === uid && other.euid === uid && other.suid === uid && other.gid === gid;
  return same && other.egid === gid && other.sgid === gid && target.group.dumpable === 1;
}

/** PTRACE_TRACEME hands the caller to its parent, who must not gain rights by it (Linux's cap_ptrace_traceme). */
export function mayBeGivenTo(task: Task, parent: Task): boolean {
  const { landlock, capabilities } = parent.credentials;
  if (landlock !== null && !landlock.contains(task.credentials.landlock)) return false;
  return covers(capabilities.permitted, task.credentials) || parent.capable(CAP_SYS_PTRACE);
}
