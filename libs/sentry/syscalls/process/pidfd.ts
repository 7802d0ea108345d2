import { CAP_KILL } from '../../abi/capability.js';
import { EBADF, EFAULT, EINVAL, EPERM, ESRCH } from '../../abi/errno.js';
import { O_NONBLOCK } from '../../abi/fcntl.js';
import { RLIMIT_NOFILE } from '../../abi/resource.js';
import { SI_TKILL, SI_USER, SIGRTMAX } from '../../abi/signal.js';
import { PidFile } from '../../fs/anon/pidfd.js';
import { TaskDirectory } from '../../fs/proc/task-directory.js';
import { mayInspect } from '../../kernel/access.js';
import { mayKill } from '../../kernel/credentials.js';
import { signalInfo } from '../../kernel/signals/pending.js';
import { sendToGroup } from '../../kernel/signals/send.js';
import type { Task } from '../../kernel/task.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { SyscallArguments } from '../../kernel/types.js';
import type { FileDescription } from '../../vfs/types.js';
import { readSignalInfo } from '../signal/support.js';

/** pidfd_open implements Linux syscall pidfd_open(2): processes only, not threads. */
export function pidfdOpen(task: Task, args: SyscallArguments): number {
  const pid = args[0] | 0;
  const flags = args[1] | 0;
  if (flags & ~O_NONBLOCK || pid <= 0) return -EINVAL;
  const group = task.kernel.groups.get(pid);
  if (!group) return task.kernel.tasks.has(pid) ? -EINVAL : -ESRCH;
  const file = new PidFile(group.exitQueue, flags);
  file.group = group;
  const fd = task.files.install(file, true, 0, task.rlimit(RLIMIT_NOFILE));
  if (fd < 0) file.release();
  return fd;
}

/** The process that a pidfd or a directory /proc/PID names: null when it is gone, undefined for other files. */
function processOf(file: FileDescription): ThreadGroup | null | undefined {
  if (file instanceof PidFile) return (file.group as ThreadGroup | null) ?? undefined;
  const { inode } = file;
  return inode instanceof TaskDirectory && inode.subject.tid === 0 ? inode.subject.group : undefined;
}

/** pidfd_send_signal implements Linux syscall pidfd_send_signal(2). */
export function pidfdSendSignal(task: Task, args: SyscallArguments): number {
  const file = task.files.get(args[0] | 0);
  const signal = args[1] | 0;
  if (args[3] !== 0) return -EINVAL;
  if (!file) return -EBADF;
  const group = processOf(file);
  if (group === undefined) return -EBADF;
  if (group === null || group.state === 'dead') return -ESRCH;
  if (signal < 0 || signal > SIGRTMAX) return -EINVAL;
  let info = signalInfo(signal, SI_USER, task.group.pid, task.credentials.uid);
  if (args[2] !== 0) {
    const given = readSignalInfo(task, args[2], signal);
    if (given === null) return -EFAULT;
    if (task.memory.readI32(args[2]) !== signal) return -EINVAL;
    if (group !== task.group && (given.code >= 0 || given.code === SI_TKILL)) return -EPERM;
    info = given;
  }
  if (!mayKill(task.credentials, group.leader.credentials) && !task.capable(CAP_KILL)) return -EPERM;
  return signal === 0 ? 0 : sendToGroup(group, info);
}

/** pidfd_getfd implements Linux syscall pidfd_getfd(2): a copy of another process's descriptor, close-on-exec. */
export function pidfdGetfd(task: Task, args: SyscallArguments): number {
  if (args[2] !== 0) return -EINVAL;
  const file = task.files.get(args[0] | 0);
  if (!(file instanceof PidFile)) return -EBADF;
  const group = file.group as ThreadGroup | null;
  if (group === null || group.state === 'zombie' || group.state === 'dead') return -ESRCH;
  if (!mayInspect(task, group.leader)) return -EPERM;
  const wanted = group.leader.files.get(args[1] | 0);
  if (!wanted) return -EBADF;
  wanted.retain();
  const fd = task.files.install(wanted, true, 0, task.rlimit(RLIMIT_NOFILE));
  if (fd < 0) wanted.release();
  return fd;
}
