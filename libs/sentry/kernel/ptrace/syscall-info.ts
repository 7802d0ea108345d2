import {
  PTRACE_EVENTMSG_SYSCALL_EXIT,
  PTRACE_SYSCALL_INFO_ENTRY,
  PTRACE_SYSCALL_INFO_EXIT,
  PTRACE_SYSCALL_INFO_NONE,
  PTRACE_SYSCALL_INFO_SECCOMP,
  SYSCALL_INFO_BYTES,
} from '../../abi/ptrace.js';
import { AUDIT_ARCH_X86_64, SIGTRAP } from '../../abi/signal.js';
import { Reg } from '../../platform/platform.js';
import { ARGUMENT_REGISTERS } from '../registers.js';
import { CALL_MARK } from '../signals/delivery.js';
import type { Task } from '../task.js';
import { Stop, type TraceStop } from './tracing.js';

const MAX_ERRNO = 4095n;

/** Only stops that are marked as those of calls are told apart. */
export function syscallInfoOp(stop: TraceStop): number {
  if (stop.kind === Stop.Seccomp) return PTRACE_SYSCALL_INFO_SECCOMP;
  if (stop.code !== (SIGTRAP | CALL_MARK)) return PTRACE_SYSCALL_INFO_NONE;
  return stop.message === PTRACE_EVENTMSG_SYSCALL_EXIT ? PTRACE_SYSCALL_INFO_EXIT : PTRACE_SYSCALL_INFO_ENTRY;
}

/** struct ptrace_syscall_info of a stopped tracee. */
export function syscallInfo(task: Task, stop: TraceStop): Uint8Array {
  const bytes = new Uint8Array(SYSCALL_INFO_BYTES);
  const view = new DataView(bytes.buffer);
  const registers = task.context.registers64;
  const op = syscallInfoOp(stop);
  bytes[0] = op;
  view.setUint32(4, AUDIT_ARCH_X86_64, true);
  view.setBigUint64(8, registers[Reg.RIP], true);
  view.setBigUint64(16, registers[Reg.RSP], true);
  if (op === PTRACE_SYSCALL_INFO_EXIT) {
    const result = BigInt.asIntN(64, registers[Reg.RAX]);
    view.setBigInt64(24, result, true);
    bytes[32] = result < 0n && result >= -MAX_ERRNO ? 1 : 0;
  } else if (op !== PTRACE_SYSCALL_INFO_NONE) {
    view.setBigUint64(24, registers[Reg.ORIG_RAX], true);
    ARGUMENT_REGISTERS.forEach((register, index) => {
      view.setBigUint64(32 + 8 * index, registers[register], true);
    });
    if (op === PTRACE_SYSCALL_INFO_SECCOMP) view.setUint32(80, stop.message, true);
  }
  return bytes;
}
