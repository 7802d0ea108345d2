import { CAP_KILL } from '../../abi/capability.js';
import { EFAULT, EINVAL, EPERM, ESRCH } from '../../abi/errno.js';
import { SI_TKILL, SI_USER, SIGCONT, SIGRTMAX } from '../../abi/signal.js';
import { mayKill } from '../../kernel/credentials.js';
import { signalInfo } from '../../kernel/signals/pending.js';
import { sendToGroup, sendToTask } from '../../kernel/signals/send.js';
import type { Task } from '../../kernel/task.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { SignalInfo, SyscallArguments } from '../../kernel/types.js';
import { readSignalInfo } from './support.js';

/** kill(2), "To have permission": same user, CAP_KILL, the own process, or SIGCONT within the session. */
function permitted(task: Task, target: Task, signal: number): boolean {
  return (
    target.group === task.group ||
    mayKill(task.credentials, target.credentials) ||
    task.capable(CAP_KILL) ||
    (signal === SIGCONT && target.group.session === task.group.session)
  );
}

function sendPermitted(task: Task, group: ThreadGroup, info: SignalInfo): number {
  if (!permitted(task, group.leader, info.signal)) return -EPERM;
  return info.signal === 0 ? 0 : sendToGroup(group, info);
}

function info(task: Task, signal: number, code: number): SignalInfo {
  return signalInfo(signal, code, task.group.pid, task.credentials.uid);
}

/** Sends to each process that `selects`; 0 when at least one got it, else -EPERM or -ESRCH. */
function broadcast(task: Task, signal: number, selects: (group: ThreadGroup) => boolean): number {
  let result = -ESRCH;
  for (const group of [...task.kernel.groups.values()]) {
    if (group.state === 'dead' || !selects(group)) continue;
    const one = sendPermitted(task, group, info(task, signal, SI_USER));
    if (one === 0) result = 0;
    else if (result === -ESRCH) result = one;
  }
  return result;
}

/** kill implements Linux syscall kill(2). */
export function kill(task: Task, args: SyscallArguments): number {
  const pid = args[0] | 0;
  const signal = args[1] | 0;
  if (signal < 0 || signal > SIGRTMAX) return -EINVAL;
  if (pid > 0) {
    const group = task.kernel.tasks.get(pid)?.group ?? task.kernel.groups.get(pid);
    return group ? sendPermitted(task, group, info(task, signal, SI_USER)) : -ESRCH;
  }
  // Everybody but init and the caller.
  if (pid === -1) return broadcast(task, signal, (group) => group !== task.kernel.init && group !== task.group);
  const pgid = pid === 0 ? task.group.processGroup.pgid : -pid;
  return broadcast(task, signal, (group) => group.processGroup.pgid === pgid);
}

function toThread(task: Task, tgid: number, tid: number, signal: number, what: SignalInfo): number {
  const target = task.kernel.tasks.get(tid);
  if (!target || (tgid > 0 && target.group.pid !== tgid)) return -ESRCH;
  if (!permitted(task, target, signal)) return -EPERM;
  return signal === 0 ? 0 : sendToTask(target, what);
}

/** tgkill implements Linux syscall tgkill(2). */
export function tgkill(task: Task, args: SyscallArguments): number {
  const tgid = args[0] | 0;
  const tid = args[1] | 0;
  const signal = args[2] | 0;
  if (tgid <= 0 || tid <= 0 || signal < 0 || signal > SIGRTMAX) return -EINVAL;
  return toThread(task, tgid, tid, signal, info(task, signal, SI_TKILL));
}

/** tkill implements Linux syscall tkill(2). */
export function tkill(task: Task, args: SyscallArguments): number {
  const tid = args[0] | 0;
  const signal = args[1] | 0;
  if (tid <= 0 || signal < 0 || signal > SIGRTMAX) return -EINVAL;
  return toThread(task, 0, tid, signal, info(task, signal, SI_TKILL));
}

/** What a guest may claim of a signal it sends to others: not that the kernel, kill(2) or tgkill(2) sent it. */
function isForged(task: Task, target: ThreadGroup | undefined, code: number): boolean {
  return target !== task.group && (code >= 0 || code === SI_TKILL);
}

/** rt_sigqueueinfo implements Linux syscall rt_sigqueueinfo(2). */
export function rtSigqueueinfo(task: Task, args: SyscallArguments): number {
  const pid = args[0] | 0;
  const signal = args[1] | 0;
  const given = readSignalInfo(task, args[2], signal);
  if (given === null) return -EFAULT;
  if (signal < 0 || signal > SIGRTMAX) return -EINVAL;
  const group = task.kernel.tasks.get(pid)?.group;
  if (isForged(task, group, given.code)) return -EPERM;
  return group ? sendPermitted(task, group, given) : -ESRCH;
}

/** rt_tgsigqueueinfo implements Linux syscall rt_tgsigqueueinfo(2). */
export function rtTgsigqueueinfo(task: Task, args: SyscallArguments): number {
  const tgid = args[0] | 0;
  const tid = args[1] | 0;
  const signal = args[2] | 0;
  if (tgid <= 0 || tid <= 0 || signal < 0 || signal > SIGRTMAX) return -EINVAL;
  const given = readSignalInfo(task, args[3], signal);
  if (given === null) return -EFAULT;
  if (isForged(task, task.kernel.tasks.get(tid)?.group, given.code)) return -EPERM;
  return toThread(task, tgid, tid, signal, given);
}
