import { CAP_SYS_RESOURCE } from '../../abi/capability.js';
import { EFAULT, EINVAL, EPERM, ESRCH } from '../../abi/errno.js';
import {
  RLIM_NLIMITS,
  RLIMIT_AS,
  RLIMIT_CPU,
  RLIMIT_DATA,
  RLIMIT_FSIZE,
  RLIMIT_NOFILE,
  RLIMIT_NPROC,
  RLIMIT_STACK,
} from '../../abi/resource.js';
import type { Task } from '../../kernel/task.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { RLimit, SyscallArguments } from '../../kernel/types.js';

/** RLIM_INFINITY is all ones: -1 as a signed number. */
function toLimit(value: number): number {
  return value < 0 ? Number.POSITIVE_INFINITY : value;
}

function toWord(limit: number): number {
  return limit === Number.POSITIVE_INFINITY ? -1 : limit;
}

/** Hard limits that are the sandbox's own bounds: not even its root raises them. */
function isSandboxBound(resource: number): boolean {
  return resource === RLIMIT_NOFILE || resource === RLIMIT_NPROC || resource === RLIMIT_FSIZE;
}

/** Reads a struct rlimit; null on EFAULT. */
function read(task: Task, address: number): RLimit | null {
  const soft = task.memory.readU64(address);
  const hard = task.memory.readU64(address + 8);
  if (Number.isNaN(soft) || Number.isNaN(hard)) return null;
  return { soft: toLimit(soft), hard: toLimit(hard) };
}

function write(task: Task, address: number, limit: RLimit): boolean {
  return task.memory.writeU64(address, toWord(limit.soft)) && task.memory.writeU64(address + 8, toWord(limit.hard));
}

function change(task: Task, group: ThreadGroup, resource: number, limit: RLimit): number {
  if (limit.soft > limit.hard) return -EINVAL;
  const current = group.rlimits[resource];
  if (limit.hard > current.hard && (isSandboxBound(resource) || !task.capable(CAP_SYS_RESOURCE))) return -EPERM;
  group.rlimits[resource] = limit;
  const { limits } = group.leader.memory;
  if (resource === RLIMIT_AS) limits.addressSpace = limit.soft;
  else if (resource === RLIMIT_DATA) limits.data = limit.soft;
  else if (resource === RLIMIT_STACK) limits.stack = limit.soft;
  else if (resource === RLIMIT_CPU && limit.soft !== Number.POSITIVE_INFINITY) task.kernel.cpuSupervisor.watch(group);
  return 0;
}

/** getrlimit implements Linux syscall getrlimit(2). */
export function getrlimit(task: Task, args: SyscallArguments): number {
  const resource = args[0] >>> 0;
  if (resource >= RLIM_NLIMITS) return -EINVAL;
  return write(task, args[1], task.group.rlimits[resource]) ? 0 : -EFAULT;
}

/** setrlimit implements Linux syscall setrlimit(2). */
export function setrlimit(task: Task, args: SyscallArguments): number {
  const resource = args[0] >>> 0;
  if (resource >= RLIM_NLIMITS) return -EINVAL;
  const limit = read(task, args[1]);
  return limit === null ? -EFAULT : change(task, task.group, resource, limit);
}

/** prlimit64 implements Linux syscall prlimit(2). */
export function prlimit64(task: Task, args: SyscallArguments): number {
  const pid = args[0] | 0;
  const resource = args[1] >>> 0;
  if (resource >= RLIM_NLIMITS) return -EINVAL;
  const target = pid === 0 ? task : task.kernel.tasks.get(pid);
  if (!target) return -ESRCH;
  if (target.group !== task.group && !sameIds(task, target) && !task.capable(CAP_SYS_RESOURCE)) return -EPERM;
  const old = target.group.rlimits[resource];
  if (args[2] !== 0) {
    const limit = read(task, args[2]);
    if (limit === null) return -EFAULT;
    const result = change(task, target.group, resource, limit);
    if (result < 0) return result;
  }
  return args[3] === 0 || write(task, args[3], old) ? 0 : -EFAULT;
}

function sameIds(task: Task, target: Task): boolean {
  const { uid, gid } = task.credentials;
  const other = target.credentials;
  return (
    uid === other.uid &&
    uid === other.euid &&
    uid === other.suid &&
    gid === other.gid &&
    gid === other.egid &&
    gid === other.sgid
  );
}
