import { CAP_LAST_CAP, CAP_SETPCAP } from '../../abi/capability.js';
import { EFAULT, EINVAL, ENODEV, EPERM } from '../../abi/errno.js';
import * as PR from '../../abi/prctl.js';
import { SIGRTMAX } from '../../abi/signal.js';
import { seccompMode } from '../../kernel/seccomp/enforce.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { setSeccomp } from './seccomp.js';

const DEFAULT_TIMER_SLACK = 50_000;
const PR_TSC_ENABLE = 1;
const PR_MCE_KILL_DEFAULT = 2;
/** PR_SPEC_L1D_FLUSH. What speculation may do is the host's business: as a processor that is not affected. */
const PR_SPEC_LAST = 2;
const PR_SPEC_NOT_AFFECTED = 0;

type Option = (task: Task, args: SyscallArguments) => number;

/** The options that want their unused arguments zero answer -EINVAL otherwise. */
function restIsZero(args: SyscallArguments, from: number): boolean {
  for (let index = from; index < 5; index++) if (args[index] !== 0) return false;
  return true;
}

function writeInt(task: Task, address: number, value: number): number {
  return task.memory.writeU32(address, value) ? 0 : -EFAULT;
}

function has(set: readonly number[], capability: number): boolean {
  return (set[capability >>> 5] & (1 << (capability & 31))) !== 0;
}

function change(set: number[], capability: number, on: boolean): void {
  const bit = 1 << (capability & 31);
  if (on) set[capability >>> 5] |= bit;
  else set[capability >>> 5] &= ~bit;
}

function setName(task: Task, args: SyscallArguments): number {
  const name = task.memory.readString(args[1], PR.TASK_COMM_LEN);
  if (typeof name === 'string') {
    task.comm = name.slice(0, PR.TASK_COMM_LEN - 1);
    return 0;
  }
  // Longer than 16 bytes: cut off, not refused.
  const view = task.memory.readStruct(args[1], PR.TASK_COMM_LEN - 1);
  if (view === null) return -EFAULT;
  let cut = '';
  for (let index = 0; index < PR.TASK_COMM_LEN - 1; index++) cut += String.fromCharCode(view.getUint8(index));
  task.comm = cut;
  return 0;
}

function getName(task: Task, args: SyscallArguments): number {
  const out = task.memory.scratch(PR.TASK_COMM_LEN);
  for (let index = 0; index < task.comm.length && index < PR.TASK_COMM_LEN - 1; index++) {
    out.setUint8(index, task.comm.charCodeAt(index));
  }
  return task.memory.writeStruct(args[1], PR.TASK_COMM_LEN) ? 0 : -EFAULT;
}

/** Off wants its arguments zero; on, a range that does not wrap, and a readable selector (or none). */
function setUserDispatch(task: Task, args: SyscallArguments): number {
  const [, mode, start, length, selector] = args;
  if (mode === 0) {
    if (!restIsZero(args, 2)) return -EINVAL;
    task.userDispatch = null;
    return 0;
  }
  if (mode !== 1 || (start !== 0 && length <= 0)) return -EINVAL;
  if (selector < 0 || selector >= task.memory.space.maxAddress) return -EFAULT;
  task.userDispatch = { start, length, selector };
  return 0;
}

function dropBounding(task: Task, args: SyscallArguments): number {
  if (!task.capable(CAP_SETPCAP)) return -EPERM;
  if (args[1] < 0 || args[1] > CAP_LAST_CAP) return -EINVAL;
  change(task.credentials.capabilities.bounding, args[1], false);
  return 0;
}

function ambient(task: Task, args: SyscallArguments): number {
  const sets = task.credentials.capabilities;
  const capability = args[2];
  if (args[1] === PR.PR_CAP_AMBIENT_CLEAR_ALL) {
    if (!restIsZero(args, 2)) return -EINVAL;
    sets.ambient[0] = 0;
    sets.ambient[1] = 0;
    return 0;
  }
  if (!restIsZero(args, 3) || capability < 0 || capability > CAP_LAST_CAP) return -EINVAL;
  switch (args[1]) {
    case PR.PR_CAP_AMBIENT_IS_SET:
      return has(sets.ambient, capability) ? 1 : 0;
    case PR.PR_CAP_AMBIENT_RAISE:
      if (!has(sets.permitted, capability) || !has(sets.inheritable, capability)) return -EPERM;
      change(sets.ambient, capability, true);
      return 0;
    case PR.PR_CAP_AMBIENT_LOWER:
      change(sets.ambient, capability, false);
      return 0;
    default:
      return -EINVAL;
  }
}

/** By option number. Those absent answer -EINVAL, as for a kernel built without them. */
const OPTIONS: Readonly<Record<number, Option>> = {
  [PR.PR_SET_PDEATHSIG]: (task, args) => {
    if (args[1] < 0 || args[1] > SIGRTMAX) return -EINVAL;
    task.parentDeathSignal = args[1];
    return 0;
  },
  [PR.PR_GET_PDEATHSIG]: (task, args) => writeInt(task, args[1], task.parentDeathSignal),
  [PR.PR_GET_DUMPABLE]: (task) => task.group.dumpable,
  [PR.PR_SET_DUMPABLE]: (task, args) => {
    if (args[1] !== 0 && args[1] !== 1) return -EINVAL;
    task.group.dumpable = args[1];
    return 0;
  },
  [PR.PR_GET_KEEPCAPS]: (task) => (task.keepCapabilities ? 1 : 0),
  [PR.PR_SET_KEEPCAPS]: (task, args) => {
    if (args[1] !== 0 && args[1] !== 1) return -EINVAL;
    task.keepCapabilities = args[1] === 1;
    return 0;
  },
  [PR.PR_GET_TIMING]: () => 0,
  [PR.PR_SET_NAME]: setName,
  [PR.PR_GET_NAME]: getName,
  [PR.PR_GET_SECCOMP]: (task) => seccompMode(task.seccomp),
  [PR.PR_SET_SECCOMP]: setSeccomp,
  [PR.PR_CAPBSET_READ]: (task, args) => {
    if (args[1] < 0 || args[1] > CAP_LAST_CAP) return -EINVAL;
    return has(task.credentials.capabilities.bounding, args[1]) ? 1 : 0;
  },
  [PR.PR_CAPBSET_DROP]: dropBounding,
  [PR.PR_GET_SECUREBITS]: () => 0,
  [PR.PR_GET_TSC]: (task, args) => writeInt(task, args[1], PR_TSC_ENABLE),
  // Counters of its own nobody has.
  [PR.PR_TASK_PERF_EVENTS_DISABLE]: () => 0,
  [PR.PR_TASK_PERF_EVENTS_ENABLE]: () => 0,
  [PR.PR_MCE_KILL_GET]: (_task, args) => (restIsZero(args, 1) ? PR_MCE_KILL_DEFAULT : -EINVAL),
  [PR.PR_GET_SPECULATION_CTRL]: (_task, args) => {
    if (!restIsZero(args, 2)) return -EINVAL;
    return args[1] >= 0 && args[1] <= PR_SPEC_LAST ? PR_SPEC_NOT_AFFECTED : -ENODEV;
  },
  [PR.PR_SET_SECUREBITS]: () => -EPERM,
  [PR.PR_SET_TIMERSLACK]: (task, args) => {
    task.timerSlack = args[1] <= 0 ? DEFAULT_TIMER_SLACK : args[1];
    return 0;
  },
  [PR.PR_GET_TIMERSLACK]: (task) => task.timerSlack,
  [PR.PR_SET_CHILD_SUBREAPER]: (task, args) => {
    task.group.subreaper = args[1] !== 0;
    return 0;
  },
  [PR.PR_GET_CHILD_SUBREAPER]: (task, args) => writeInt(task, args[1], task.group.subreaper ? 1 : 0),
  [PR.PR_SET_NO_NEW_PRIVS]: (task, args) => {
    if (args[1] !== 1 || !restIsZero(args, 2)) return -EINVAL;
    task.credentials.noNewPrivs = true;
    return 0;
  },
  [PR.PR_GET_NO_NEW_PRIVS]: (task, args) => {
    if (!restIsZero(args, 1)) return -EINVAL;
    return task.credentials.noNewPrivs ? 1 : 0;
  },
  [PR.PR_GET_TID_ADDRESS]: (task, args) => (task.memory.writeU64(args[1], task.clearChildTid) ? 0 : -EFAULT),
  [PR.PR_SET_THP_DISABLE]: (_task, args) => (restIsZero(args, 2) ? 0 : -EINVAL),
  [PR.PR_GET_THP_DISABLE]: (_task, args) => (restIsZero(args, 1) ? 0 : -EINVAL),
  [PR.PR_CAP_AMBIENT]: ambient,
  [PR.PR_SET_SYSCALL_USER_DISPATCH]: setUserDispatch,
  // Yama: its scope is 0 (kernel.yama.ptrace_scope), where this has no effect.
  [PR.PR_SET_PTRACER]: () => 0,
};

/** prctl implements Linux syscall prctl(2). */
export function prctl(task: Task, args: SyscallArguments): number {
  const option = OPTIONS[args[0] | 0];
  return option === undefined ? -EINVAL : option(task, args);
}
