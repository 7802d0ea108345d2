import { CAP_SETGID, CAP_SETUID } from '../../abi/capability.js';
import { EFAULT, EINVAL, EPERM } from '../../abi/errno.js';
import { fixCapabilitiesAfterSetfsuid, fixCapabilitiesAfterSetuid } from '../../kernel/credentials.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';

/** (uid_t) -1: leave as it is. */
const UNCHANGED = 0xffffffff;
const NGROUPS_MAX = 65_536;

export function getuid(task: Task): number {
  return task.credentials.uid;
}
export function geteuid(task: Task): number {
  return task.credentials.euid;
}
export function getgid(task: Task): number {
  return task.credentials.gid;
}
export function getegid(task: Task): number {
  return task.credentials.egid;
}

function applyUids(task: Task, uid: number, euid: number, suid: number): number {
  const { credentials } = task;
  const { uid: oldUid, euid: oldEuid, suid: oldSuid } = credentials;
  credentials.uid = uid;
  credentials.euid = euid;
  credentials.suid = suid;
  credentials.fsuid = euid;
  fixCapabilitiesAfterSetuid(credentials, oldUid, oldEuid, oldSuid, task.keepCapabilities);
  if (oldEuid !== euid) leftIdentity(task);
  return 0;
}

function applyGids(task: Task, gid: number, egid: number, sgid: number): number {
  const { credentials } = task;
  if (credentials.egid !== egid) leftIdentity(task);
  credentials.gid = gid;
  credentials.egid = egid;
  credentials.sgid = sgid;
  credentials.fsgid = egid;
  return 0;
}

/** A process that changed its identity may hold secrets of the old one, and its parent's death signal ends. */
function leftIdentity(task: Task): void {
  task.group.dumpable = 0;
  task.parentDeathSignal = 0;
}

/** setuid implements Linux syscall setuid(2). */
export function setuid(task: Task, args: SyscallArguments): number {
  const id = args[0] >>> 0;
  if (id === UNCHANGED) return -EINVAL;
  const { uid, suid } = task.credentials;
  if (task.capable(CAP_SETUID)) return applyUids(task, id, id, id);
  if (id !== uid && id !== suid) return -EPERM;
  return applyUids(task, uid, id, suid);
}

/** setgid implements Linux syscall setgid(2). */
export function setgid(task: Task, args: SyscallArguments): number {
  const id = args[0] >>> 0;
  if (id === UNCHANGED) return -EINVAL;
  const { gid, sgid } = task.credentials;
  if (task.capable(CAP_SETGID)) return applyGids(task, id, id, id);
  if (id !== gid && id !== sgid) return -EPERM;
  return applyGids(task, gid, id, sgid);
}

/** setreuid implements Linux syscall setreuid(2). */
export function setreuid(task: Task, args: SyscallArguments): number {
  const real = args[0] >>> 0;
  const effective = args[1] >>> 0;
  const { uid, euid, suid } = task.credentials;
  if (!task.capable(CAP_SETUID)) {
    if (real !== UNCHANGED && real !== uid && real !== euid) return -EPERM;
    if (effective !== UNCHANGED && effective !== uid && effective !== euid && effective !== suid) return -EPERM;
  }
  const newEuid = effective === UNCHANGED ? euid : effective;
  // The saved id follows when the real one is set, or the effective one becomes other than the old real one.
  const saves = real !== UNCHANGED || (effective !== UNCHANGED && effective !== uid);
  return applyUids(task, real === UNCHANGED ? uid : real, newEuid, saves ? newEuid : suid);
}

/** setregid implements Linux syscall setregid(2). */
export function setregid(task: Task, args: SyscallArguments): number {
  const real = args[0] >>> 0;
  const effective = args[1] >>> 0;
  const { gid, egid, sgid } = task.credentials;
  if (!task.capable(CAP_SETGID)) {
    if (real !== UNCHANGED && real !== gid && real !== egid) return -EPERM;
    if (effective !== UNCHANGED && effective !== gid && effective !== egid && effective !== sgid) return -EPERM;
  }
  const newEgid = effective === UNCHANGED ? egid : effective;
  const saves = real !== UNCHANGED || (effective !== UNCHANGED && effective !== gid);
  return applyGids(task, real === UNCHANGED ? gid : real, newEgid, saves ? newEgid : sgid);
}

function isOneOf(id: number, a: number, b: number, c: number): boolean {
  return id === UNCHANGED || id === a || id === b || id === c;
}

/** setresuid implements Linux syscall setresuid(2). */
export function setresuid(task: Task, args: SyscallArguments): number {
  const { uid, euid, suid } = task.credentials;
  for (let index = 0; index < 3; index++) {
    if (!isOneOf(args[index] >>> 0, uid, euid, suid) && !task.capable(CAP_SETUID)) return -EPERM;
  }
  const pick = (value: number, old: number): number => (value >>> 0 === UNCHANGED ? old : value >>> 0);
  return applyUids(task, pick(args[0], uid), pick(args[1], euid), pick(args[2], suid));
}

/** setresgid implements Linux syscall setresgid(2). */
export function setresgid(task: Task, args: SyscallArguments): number {
  const { gid, egid, sgid } = task.credentials;
  for (let index = 0; index < 3; index++) {
    if (!isOneOf(args[index] >>> 0, gid, egid, sgid) && !task.capable(CAP_SETGID)) return -EPERM;
  }
  const pick = (value: number, old: number): number => (value >>> 0 === UNCHANGED ? old : value >>> 0);
  return applyGids(task, pick(args[0], gid), pick(args[1], egid), pick(args[2], sgid));
}

function writeThree(task: Task, args: SyscallArguments, a: number, b: number, c: number): number {
  const { memory } = task;
  return memory.writeU32(args[0], a) && memory.writeU32(args[1], b) && memory.writeU32(args[2], c) ? 0 : -EFAULT;
}

/** getresuid implements Linux syscall getresuid(2). */
export function getresuid(task: Task, args: SyscallArguments): number {
  const { uid, euid, suid } = task.credentials;
  return writeThree(task, args, uid, euid, suid);
}

/** getresgid implements Linux syscall getresgid(2). */
export function getresgid(task: Task, args: SyscallArguments): number {
  const { gid, egid, sgid } = task.credentials;
  return writeThree(task, args, gid, egid, sgid);
}

/** setfsuid implements Linux syscall setfsuid(2): answers the old id in any case. */
export function setfsuid(task: Task, args: SyscallArguments): number {
  const { credentials } = task;
  const id = args[0] >>> 0;
  const old = credentials.fsuid;
  const { uid, euid, suid } = credentials;
  if (id !== UNCHANGED && (isOneOf(id, uid, euid, suid) || id === old || task.capable(CAP_SETUID))) {
    credentials.fsuid = id;
    fixCapabilitiesAfterSetfsuid(credentials, old);
  }
  return old;
}

/** setfsgid implements Linux syscall setfsgid(2). */
export function setfsgid(task: Task, args: SyscallArguments): number {
  const { credentials } = task;
  const id = args[0] >>> 0;
  const old = credentials.fsgid;
  const { gid, egid, sgid } = credentials;
  if (id !== UNCHANGED && (isOneOf(id, gid, egid, sgid) || id === old || task.capable(CAP_SETGID)))
    credentials.fsgid = id;
  return old;
}

/** getgroups implements Linux syscall getgroups(2). */
export function getgroups(task: Task, args: SyscallArguments): number {
  const size = args[0] | 0;
  const { groups } = task.credentials;
  if (size < 0) return -EINVAL;
  if (size === 0) return groups.length;
  if (size < groups.length) return -EINVAL;
  for (let index = 0; index < groups.length; index++) {
    if (!task.memory.writeU32(args[1] + 4 * index, groups[index])) return -EFAULT;
  }
  return groups.length;
}

/** setgroups implements Linux syscall setgroups(2). */
export function setgroups(task: Task, args: SyscallArguments): number {
  const size = args[0] >>> 0;
  if (!task.capable(CAP_SETGID)) return -EPERM;
  if (size > NGROUPS_MAX) return -EINVAL;
  const groups: number[] = [];
  for (let index = 0; index < size; index++) {
    const group = task.memory.readU32(args[1] + 4 * index);
    if (Number.isNaN(group)) return -EFAULT;
    groups.push(group);
  }
  task.credentials.groups = groups;
  return 0;
}
