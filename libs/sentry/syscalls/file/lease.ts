/** File leases: fcntl(2) F_SETLEASE and F_GETLEASE, and how open(2) and truncate(2) wait for their holders. */
import { CAP_LEASE } from '../../abi/capability.js';
import { EACCES, EAGAIN, EINVAL, ERESTARTSYS } from '../../abi/errno.js';
import { F_RDLCK, F_UNLCK, F_WRLCK } from '../../abi/fcntl.js';
import { POLL_MSG } from '../../abi/signal.js';
import { MemoryRegularFile } from '../../fs/tmpfs/memory-file.js';
import { IoOwner } from '../../kernel/signals/io-owner.js';
import type { Task } from '../../kernel/task.js';
import type { FileLeases } from '../../vfs/leases.js';
import type { FileDescription } from '../../vfs/types.js';
import { POLLIN } from '../../vfs/wait-queue.js';

/** What a call has in its task's state while it waits for the holders of leases. */
export class LeaseWait {
  constructor(readonly leases: FileLeases) {}
}

/** fcntl(F_SETLEASE): -EINVAL, -EACCES (someone else's file), -EAGAIN. */
export function setLease(task: Task, file: FileDescription, fd: number, type: number): number {
  if (type !== F_RDLCK && type !== F_WRLCK && type !== F_UNLCK) return -EINVAL;
  const { inode } = file;
  if (type === F_UNLCK) {
    return inode instanceof MemoryRegularFile && inode.leases ? inode.leases.remove(file) : -EAGAIN;
  }
  if (task.credentials.fsuid !== inode.uid && !task.capable(CAP_LEASE)) return -EACCES;
  if (!(inode instanceof MemoryRegularFile)) return -EINVAL;
  const owner = IoOwner.of(task.kernel, file);
  const result = inode.ensureLeases().set(file, type, inode.writers, inode.readers, () => owner.tell(POLL_MSG));
  if (result < 0) return result;
  owner.fd = fd;
  if (owner.id === 0) owner.set('process', task.group.pid, task.credentials);
  return 0;
}

/** fcntl(F_GETLEASE). */
export function getLease(file: FileDescription): number {
  const { inode } = file;
  return inode instanceof MemoryRegularFile ? (inode.leases?.of(file)?.target ?? F_UNLCK) : F_UNLCK;
}

/** Asks the holders of leases for a file and waits until nothing is in the way any more; -EAGAIN when the caller does not wait. */
export function awaitLeases(task: Task, leases: FileLeases, write: boolean, nonBlocking: boolean): number {
  const { kernel } = task;
  const deadline = leases.ask(write, kernel.clock.monotonic(), kernel.leaseBreakTime);
  if (nonBlocking) return -EAGAIN;
  task.setState(new LeaseWait(leases));
  task.waitOn(leases.changed, POLLIN);
  return task.park(deadline, -ERESTARTSYS);
}

/** To be called first when a call is tried again: what the holders have had time for is taken from them. */
export function continueLeaseWait(task: Task): void {
  if (!(task.state instanceof LeaseWait)) return;
  task.state.leases.expire(task.kernel.clock.monotonic());
  task.setState(null);
}
