import { CAP_SYS_NICE } from '../../abi/capability.js';
import { E2BIG, EFAULT, EINVAL, EPERM, ESRCH } from '../../abi/errno.js';
import {
  RLIMIT_NICE,
  SCHED_BATCH,
  SCHED_DEADLINE,
  SCHED_FIFO,
  SCHED_IDLE,
  SCHED_OTHER,
  SCHED_RESET_ON_FORK,
  SCHED_RR,
} from '../../abi/resource.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { writePair } from '../time/support.js';

const SCHED_ATTR_BYTES = 48;

function find(task: Task, pid: number): Task | undefined {
  return pid === 0 ? task : task.kernel.tasks.get(pid);
}

/** sched_yield implements Linux syscall sched_yield(2): guest threads run on the host's scheduler. */
export function schedYield(): number {
  return 0;
}

/** Bits of the CPUs that exist, of the first 32. */
function allCpus(task: Task): number {
  const { cpus } = task.kernel;
  return cpus >= 32 ? 0xffffffff : (1 << cpus) - 1;
}

/** sched_getaffinity implements Linux syscall sched_getaffinity(2): bytes written, 8 for up to 64 CPUs. */
export function schedGetaffinity(task: Task, args: SyscallArguments): number {
  const length = args[1] >>> 0;
  if (length < 8 || length % 8 !== 0) return -EINVAL;
  const target = find(task, args[0] | 0);
  if (!target) return -ESRCH;
  const mask = target.affinity === 0 ? allCpus(task) : target.affinity;
  return task.memory.writeU64(args[2], mask >>> 0) ? 8 : -EFAULT;
}

/** sched_setaffinity implements Linux syscall sched_setaffinity(2): recorded and reported; the host places threads. */
export function schedSetaffinity(task: Task, args: SyscallArguments): number {
  const length = args[1] >>> 0;
  const target = find(task, args[0] | 0);
  if (!target) return -ESRCH;
  let mask = 0;
  for (let index = 0; index < Math.min(4, length); index++) {
    const byte = task.memory.readU8(args[2] + index);
    if (Number.isNaN(byte)) return -EFAULT;
    mask |= byte << (8 * index);
  }
  mask &= allCpus(task);
  if (mask === 0) return -EINVAL;
  target.affinity = mask;
  return 0;
}

/** getcpu implements Linux syscall getcpu(2): which CPU a guest thread is on is the host's secret, so the first allowed one. */
export function getcpu(task: Task, args: SyscallArguments): number {
  const mask = task.affinity === 0 ? 1 : task.affinity;
  const cpu = 31 - Math.clz32(mask & -mask);
  if (args[0] !== 0 && !task.memory.writeU32(args[0], cpu)) return -EFAULT;
  return args[1] === 0 || task.memory.writeU32(args[1], 0) ? 0 : -EFAULT;
}

function isRealtimePolicy(policy: number): boolean {
  return policy === SCHED_FIFO || policy === SCHED_RR;
}

/** RLIMIT_NICE n allows down to 20 - n. */
function mayHaveNice(task: Task, target: Task, nice: number): boolean {
  return nice >= 20 - target.rlimit(RLIMIT_NICE) || task.capable(CAP_SYS_NICE);
}

/** Checks and stores a policy: only the ordinary ones, whatever the caller's rights, since nothing would honour others. */
function setPolicy(task: Task, target: Task, policy: number, priority: number): number {
  const plain = policy & ~SCHED_RESET_ON_FORK;
  if (isRealtimePolicy(plain)) return priority < 1 || priority > 99 ? -EINVAL : -EPERM;
  if (plain === SCHED_DEADLINE) return -EPERM;
  if (plain !== SCHED_OTHER && plain !== SCHED_BATCH && plain !== SCHED_IDLE) return -EINVAL;
  if (priority !== 0) return -EINVAL;
  // SCHED_IDLE counts as the lowest priority: to leave it is to raise it (user_check_sched_setscheduler).
  const leavesIdle = target.schedulingPolicy === SCHED_IDLE && plain !== SCHED_IDLE;
  if (leavesIdle && !mayHaveNice(task, target, target.nice)) return -EPERM;
  target.schedulingPolicy = plain;
  return 0;
}

/** sched_setscheduler implements Linux syscall sched_setscheduler(2). */
export function schedSetscheduler(task: Task, args: SyscallArguments): number {
  const policy = args[1] | 0;
  if (policy < 0 || args[2] === 0) return -EINVAL;
  const priority = task.memory.readI32(args[2]);
  if (Number.isNaN(priority)) return -EFAULT;
  const target = find(task, args[0] | 0);
  return target ? setPolicy(task, target, policy, priority) : -ESRCH;
}

/** sched_getscheduler implements Linux syscall sched_getscheduler(2). */
export function schedGetscheduler(task: Task, args: SyscallArguments): number {
  if ((args[0] | 0) < 0) return -EINVAL;
  return find(task, args[0] | 0)?.schedulingPolicy ?? -ESRCH;
}

/** sched_setparam implements Linux syscall sched_setparam(2). */
export function schedSetparam(task: Task, args: SyscallArguments): number {
  if (args[1] === 0 || (args[0] | 0) < 0) return -EINVAL;
  const priority = task.memory.readI32(args[1]);
  if (Number.isNaN(priority)) return -EFAULT;
  const target = find(task, args[0] | 0);
  return target ? setPolicy(task, target, target.schedulingPolicy, priority) : -ESRCH;
}

/** sched_getparam implements Linux syscall sched_getparam(2). */
export function schedGetparam(task: Task, args: SyscallArguments): number {
  if (args[1] === 0 || (args[0] | 0) < 0) return -EINVAL;
  const target = find(task, args[0] | 0);
  if (!target) return -ESRCH;
  return task.memory.writeU32(args[1], target.schedulingPriority) ? 0 : -EFAULT;
}

function priorityRange(policy: number, realtime: number): number {
  if (isRealtimePolicy(policy)) return realtime;
  return policy === SCHED_OTHER || policy === SCHED_BATCH || policy === SCHED_IDLE || policy === SCHED_DEADLINE
    ? 0
    : -EINVAL;
}

/** sched_get_priority_max implements Linux syscall sched_get_priority_max(2). */
export function schedGetPriorityMax(_task: Task, args: SyscallArguments): number {
  return priorityRange(args[0] | 0, 99);
}

/** sched_get_priority_min implements Linux syscall sched_get_priority_min(2). */
export function schedGetPriorityMin(_task: Task, args: SyscallArguments): number {
  return priorityRange(args[0] | 0, 1);
}

/** sched_rr_get_interval implements Linux syscall sched_rr_get_interval(2): the usual slice of ordinary threads. */
export function schedRrGetInterval(task: Task, args: SyscallArguments): number {
  if ((args[0] | 0) < 0) return -EINVAL;
  if (!find(task, args[0] | 0)) return -ESRCH;
  return writePair(task, args[1], 0, 4_000_000) ? 0 : -EFAULT;
}

/** sched_getattr implements Linux syscall sched_getattr(2). */
export function schedGetattr(task: Task, args: SyscallArguments): number {
  const size = args[2] >>> 0;
  if (args[3] !== 0 || args[1] === 0 || size < SCHED_ATTR_BYTES || size > 4096) return -EINVAL;
  const target = find(task, args[0] | 0);
  if (!target) return -ESRCH;
  const out = task.memory.scratch(SCHED_ATTR_BYTES);
  out.setUint32(0, SCHED_ATTR_BYTES, true);
  out.setUint32(4, target.schedulingPolicy, true);
  out.setInt32(16, target.nice, true);
  return task.memory.writeStruct(args[1], SCHED_ATTR_BYTES) ? 0 : -EFAULT;
}

/** The size of the structure as it is given: 0 is that of the first version; -E2BIG for less, more than a page, or what we do not know. */
function attributeSize(task: Task, address: number): number {
  const size = task.memory.readU32(address);
  if (Number.isNaN(size)) return -EFAULT;
  if (size === 0) return SCHED_ATTR_BYTES;
  let known = size >= SCHED_ATTR_BYTES && size <= 4096;
  for (let at = SCHED_ATTR_BYTES; known && at < size; at++) {
    const byte = task.memory.readU8(address + at);
    if (Number.isNaN(byte)) return -EFAULT;
    // The two clamps of version 1 are no wish that could fail.
    if (byte !== 0 && at >= SCHED_ATTR_BYTES + 8) known = false;
  }
  if (known) return size;
  return task.memory.writeU32(address, SCHED_ATTR_BYTES) ? -E2BIG : -EFAULT;
}

/** sched_setattr implements Linux syscall sched_setattr(2): policy and nice value. */
export function schedSetattr(task: Task, args: SyscallArguments): number {
  if (args[1] === 0 || args[2] !== 0) return -EINVAL;
  const size = attributeSize(task, args[1]);
  if (size < 0) return size;
  const view = task.memory.readStruct(args[1], SCHED_ATTR_BYTES);
  if (view === null) return -EFAULT;
  const target = find(task, args[0] | 0);
  if (!target) return -ESRCH;
  const policy = view.getInt32(4, true);
  const nice = Math.max(-20, Math.min(19, view.getInt32(16, true)));
  const fair = policy === SCHED_OTHER || policy === SCHED_BATCH;
  if (fair && nice < target.nice && !mayHaveNice(task, target, nice)) return -EPERM;
  const result = setPolicy(task, target, policy, view.getInt32(20, true));
  if (result === 0 && fair) target.nice = nice;
  return result;
}
