import {
  CLONE_FILES,
  CLONE_FS,
  CLONE_NAMESPACES,
  CLONE_NEWTIME,
  CLONE_SIGHAND,
  CLONE_SYSVSEM,
  CLONE_THREAD,
  CLONE_VM,
} from '../../abi/clone.js';
import { EINVAL, EPERM } from '../../abi/errno.js';
import { unshareFs } from '../../kernel/clone.js';
import { leaveUndoList } from '../../kernel/ipc/semaphores.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';

/** unshare implements Linux syscall unshare(2): files and directories; namespaces are refused. */
export function unshare(task: Task, args: SyscallArguments): number {
  const flags = args[0] | 0;
  const known = CLONE_FILES | CLONE_FS | CLONE_SYSVSEM | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
  if (flags & (CLONE_NAMESPACES | CLONE_NEWTIME)) return -EPERM;
  if (flags & ~known) return -EINVAL;
  if (flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) && task.group.tasks.size > 1) return -EINVAL;
  if (flags & CLONE_SYSVSEM) leaveUndoList(task);
  if (flags & CLONE_FS) unshareFs(task);
  if (flags & CLONE_FILES && task.files.references > 1) {
    const copy = task.files.copy();
    task.files.release();
    task.files = copy;
  }
  return 0;
}

/** ADDR_NO_RANDOMIZE, ADDR_COMPAT_LAYOUT and the like: kept, without effect. PER_LINUX is the only execution domain. */
const PERSONALITY_QUERY = 0xffffffff;

/** personality implements Linux syscall personality(2). */
export function personality(task: Task, args: SyscallArguments): number {
  const old = task.personality;
  const wanted = args[0] >>> 0;
  if (wanted === PERSONALITY_QUERY) return old;
  if (wanted & 0xff) return -EINVAL;
  task.personality = wanted;
  return old;
}
