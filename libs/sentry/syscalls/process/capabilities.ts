import {
  _LINUX_CAPABILITY_VERSION_1,
  _LINUX_CAPABILITY_VERSION_2,
  _LINUX_CAPABILITY_VERSION_3,
  CAP_SETPCAP,
} from '../../abi/capability.js';
import { EFAULT, EINVAL, EPERM, ESRCH } from '../../abi/errno.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';

/** 32-bit words per set that a header version carries; 0 = unknown version. */
function wordsOf(version: number): number {
  if (version === _LINUX_CAPABILITY_VERSION_1) return 1;
  return version === _LINUX_CAPABILITY_VERSION_2 || version === _LINUX_CAPABILITY_VERSION_3 ? 2 : 0;
}

/** Checks the header; words per set, or -EINVAL after storing the preferred version, or -EFAULT. */
function readHeader(task: Task, address: number): number {
  const version = task.memory.readU32(address);
  if (Number.isNaN(version)) return -EFAULT;
  const words = wordsOf(version);
  if (words > 0) return words;
  return task.memory.writeU32(address, _LINUX_CAPABILITY_VERSION_3) ? -EINVAL : -EFAULT;
}

/** capget implements Linux syscall capget(2). */
export function capget(task: Task, args: SyscallArguments): number {
  const words = readHeader(task, args[0]);
  // A null data pointer is how programs ask for the version.
  if (words < 0) return words === -EINVAL && args[1] === 0 ? 0 : words;
  const pid = task.memory.readI32(args[0] + 4);
  if (Number.isNaN(pid)) return -EFAULT;
  if (pid < 0) return -EINVAL;
  const target = pid === 0 ? task : task.kernel.tasks.get(pid);
  if (!target) return -ESRCH;
  if (args[1] === 0) return 0;
  const { effective, permitted, inheritable } = target.credentials.capabilities;
  const out = task.memory.scratch(12 * words);
  for (let word = 0; word < words; word++) {
    out.setUint32(12 * word, effective[word], true);
    out.setUint32(12 * word + 4, permitted[word], true);
    out.setUint32(12 * word + 8, inheritable[word], true);
  }
  return task.memory.writeStruct(args[1], 12 * words) ? 0 : -EFAULT;
}

/** capset implements Linux syscall capset(2): only for the caller itself. */
export function capset(task: Task, args: SyscallArguments): number {
  const words = readHeader(task, args[0]);
  if (words < 0) return words;
  const pid = task.memory.readI32(args[0] + 4);
  if (Number.isNaN(pid)) return -EFAULT;
  if (pid !== 0 && pid !== task.tid) return -EPERM;
  const data = task.memory.readStruct(args[1], 12 * words);
  if (data === null) return -EFAULT;
  const { capabilities } = task.credentials;
  const effective = [0, 0];
  const permitted = [0, 0];
  const inheritable = [0, 0];
  for (let word = 0; word < words; word++) {
    effective[word] = data.getUint32(12 * word, true);
    permitted[word] = data.getUint32(12 * word + 4, true);
    inheritable[word] = data.getUint32(12 * word + 8, true);
  }
  const mayRaise = task.capable(CAP_SETPCAP);
  for (let word = 0; word < 2; word++) {
    const old = capabilities.inheritable[word];
    if (inheritable[word] & ~(old | capabilities.permitted[word]) && !mayRaise) return -EPERM;
    if (inheritable[word] & ~(old | capabilities.bounding[word])) return -EPERM;
    if (permitted[word] & ~capabilities.permitted[word]) return -EPERM;
    if (effective[word] & ~permitted[word]) return -EPERM;
  }
  for (let word = 0; word < 2; word++) {
    capabilities.effective[word] = effective[word];
    capabilities.permitted[word] = permitted[word];
    capabilities.inheritable[word] = inheritable[word];
    capabilities.ambient[word] &= permitted[word] & inheritable[word];
  }
  return 0;
}
