import { CAP_SYS_ADMIN } from '../../abi/capability.js';
import { EACCES, EFAULT, EINVAL, ENOMEM, EOPNOTSUPP, ESRCH } from '../../abi/errno.js';
import * as S from '../../abi/seccomp.js';
import { INSTRUCTION_WORDS, isValidProgram } from '../../kernel/seccomp/check.js';
import { SeccompFilter } from '../../kernel/seccomp/filter.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';

/** sizeof(struct sock_fprog), sizeof(struct sock_filter). */
const PROGRAM_BYTES = 16;
const INSTRUCTION_BYTES = 8;

/** SECCOMP_FILTER_FLAG_NEW_LISTENER and its companion are unknown here, as in kernels before 5.0. */
const KNOWN_FLAGS =
  S.SECCOMP_FILTER_FLAG_TSYNC |
  S.SECCOMP_FILTER_FLAG_LOG |
  S.SECCOMP_FILTER_FLAG_SPEC_ALLOW |
  S.SECCOMP_FILTER_FLAG_TSYNC_ESRCH;

const ACTIONS: readonly number[] = [
  S.SECCOMP_RET_KILL_PROCESS,
  S.SECCOMP_RET_KILL_THREAD,
  S.SECCOMP_RET_TRAP,
  S.SECCOMP_RET_ERRNO,
  S.SECCOMP_RET_TRACE,
  S.SECCOMP_RET_LOG,
  S.SECCOMP_RET_ALLOW,
];

/** Copies struct sock_fprog and its program in and checks them. */
function readProgram(task: Task, address: number): Uint32Array | number {
  const head = task.memory.readStruct(address, PROGRAM_BYTES);
  if (head === null) return -EFAULT;
  const length = head.getUint16(0, true);
  const at = head.getUint32(12, true) * 0x1_0000_0000 + head.getUint32(8, true);
  if (length === 0 || length > S.BPF_MAXINSNS) return -EINVAL;
  if (!task.credentials.noNewPrivs && !task.capable(CAP_SYS_ADMIN)) return -EACCES;
  const bytes = new Uint8Array(length * INSTRUCTION_BYTES);
  if (task.memory.copyIn(at, bytes, 0, bytes.length) !== bytes.length) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const program = new Uint32Array(length * INSTRUCTION_WORDS);
  for (let index = 0; index < length; index++) {
    const from = index * INSTRUCTION_BYTES;
    const to = index * INSTRUCTION_WORDS;
    program[to] = view.getUint16(from, true);
    program[to + 1] = bytes[from + 2];
    program[to + 2] = bytes[from + 3];
    program[to + 3] = view.getUint32(from + 4, true);
  }
  return isValidProgram(program) ? program : -EINVAL;
}

/** The first other thread that may not take over this one's filters: it has some of its own, or is in strict mode. */
function obstacle(task: Task): Task | null {
  for (const other of task.group.tasks) {
    const theirs = other.seccomp;
    if (other === task || theirs === null) continue;
    if (theirs === 'strict' || task.seccomp === null || task.seccomp === 'strict') return other;
    if (!theirs.isAncestorOf(task.seccomp)) return other;
  }
  return null;
}

function synchronize(task: Task): void {
  for (const other of task.group.tasks) {
    other.seccomp = task.seccomp;
    if (task.credentials.noNewPrivs) other.credentials.noNewPrivs = true;
  }
}

function setFilter(task: Task, flags: number, address: number): number {
  if (flags & ~KNOWN_FLAGS) return -EINVAL;
  const program = readProgram(task, address);
  if (typeof program === 'number') return program;
  const before = task.seccomp;
  if (before === 'strict') return -EINVAL;
  if (SeccompFilter.isTooLong(program, before)) return -ENOMEM;
  if (SeccompFilter.isTooMuch(program, task.kernel.tasks.values())) return -ENOMEM;
  if (flags & S.SECCOMP_FILTER_FLAG_TSYNC) {
    const other = obstacle(task);
    if (other) return flags & S.SECCOMP_FILTER_FLAG_TSYNC_ESRCH ? -ESRCH : other.tid;
  }
  task.seccomp = new SeccompFilter(program, before);
  if (flags & S.SECCOMP_FILTER_FLAG_TSYNC) synchronize(task);
  return 0;
}

function setStrict(task: Task): number {
  if (task.seccomp !== null) return -EINVAL;
  task.seccomp = 'strict';
  return 0;
}

function actionAvailable(task: Task, flags: number, address: number): number {
  if (flags !== 0) return -EINVAL;
  const action = task.memory.readU32(address);
  if (Number.isNaN(action)) return -EFAULT;
  return ACTIONS.includes(action >>> 0) ? 0 : -EOPNOTSUPP;
}

/** seccomp implements Linux syscall seccomp(2). */
export function seccomp(task: Task, args: SyscallArguments): number {
  const [operation, flags, address] = args;
  switch (operation | 0) {
    case S.SECCOMP_SET_MODE_STRICT:
      return (flags | 0) !== 0 || address !== 0 ? -EINVAL : setStrict(task);
    case S.SECCOMP_SET_MODE_FILTER:
      return setFilter(task, flags | 0, address);
    case S.SECCOMP_GET_ACTION_AVAIL:
      return actionAvailable(task, flags | 0, address);
    default:
      return -EINVAL;
  }
}

/** prctl(PR_SET_SECCOMP): the older door to the same two modes. */
export function setSeccomp(task: Task, args: SyscallArguments): number {
  if (args[1] === S.SECCOMP_MODE_STRICT) return setStrict(task);
  return args[1] === S.SECCOMP_MODE_FILTER ? setFilter(task, 0, args[2]) : -EINVAL;
}
