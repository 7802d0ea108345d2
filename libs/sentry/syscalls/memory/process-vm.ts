import { EFAULT, EINVAL, EPERM, ESRCH } from '../../abi/errno.js';
import { mayInspect } from '../../kernel/access.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { Direction, releaseIo, vectorIo } from '../../mm/io.js';
import type { IoBuffer } from '../../mm/types.js';

const bounce = new Uint8Array(64 * 1024);

/** process_vm_readv implements Linux syscall process_vm_readv(2). */
export function processVmReadv(task: Task, args: SyscallArguments): number {
  return transfer(task, args, false);
}

/** process_vm_writev implements Linux syscall process_vm_writev(2). */
export function processVmWritev(task: Task, args: SyscallArguments): number {
  return transfer(task, args, true);
}

function transfer(task: Task, args: SyscallArguments, toRemote: boolean): number {
  const [pid, localAddress, localCount, remoteAddress, remoteCount, flags] = args;
  if (flags !== 0) return -EINVAL;
  const local = vectorIo(task.memory, localAddress, localCount, toRemote ? Direction.FromGuest : Direction.ToGuest);
  if (typeof local === 'number') return local;
  const target = task.kernel.findTask(pid | 0);
  if (target === undefined || target.stateLetter() === 'Z') return -ESRCH;
  if (!mayInspect(task, target)) return -EPERM;
  const remote = vectorIo(
    task.memory,
    remoteAddress,
    remoteCount,
    toRemote ? Direction.ToGuest : Direction.FromGuest,
    target.memory,
  );
  if (typeof remote === 'number') return remote;
  const result = toRemote ? copy(local, remote) : copy(remote, local);
  releaseIo(local);
  releaseIo(remote);
  return result;
}

/** Moves bytes until either side is used up or faults. Bytes moved, or -EFAULT if none could be. */
function copy(from: IoBuffer, to: IoBuffer): number {
  let moved = 0;
  while (from.remaining > 0 && to.remaining > 0) {
    const wanted = Math.min(bounce.length, from.remaining, to.remaining);
    const taken = from.take(bounce, 0, wanted);
    if (taken === 0) break;
    const put = to.put(bounce, 0, taken);
    moved += put;
    if (put < taken) break;
  }
  return moved === 0 && (from.faulted || to.faulted) ? -EFAULT : moved;
}
