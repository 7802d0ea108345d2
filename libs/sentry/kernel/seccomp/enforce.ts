import { ENOSYS } from '../../abi/errno.js';
import { PTRACE_EVENT_SECCOMP } from '../../abi/ptrace.js';
import * as S from '../../abi/seccomp.js';
import { AUDIT_ARCH_I386, AUDIT_ARCH_X86_64, SIGKILL, SIGSYS, SYS_SECCOMP } from '../../abi/signal.js';
import { SYS } from '../../abi/syscall-numbers.js';
import { Reg } from '../../platform/platform.js';
import { ARGUMENT_REGISTERS, getRegister, setRegister } from '../registers.js';
import { signalInfo } from '../signals/pending.js';
import { forceSignal, killGroup } from '../signals/send.js';
import type { Task } from '../task.js';
import { leave } from '../task-exit.js';
import { NO_RETURN } from '../types.js';
import type { SeccompFilter } from './filter.js';

/** What a task lets itself call: strict mode, or the programs of filter mode. */
export type Seccomp = 'strict' | SeccompFilter;

const MAX_ERRNO = 4095;
const STRICT_CALLS: readonly number[] = [SYS.read, SYS.write, SYS.exit, SYS.rt_sigreturn];
const LEGACY_ARGUMENTS = [Reg.RBX, Reg.RCX, Reg.RDX, Reg.RSI, Reg.RDI, Reg.RBP] as const;

// struct seccomp_data in words; one thread is the whole kernel.
const data = new Uint32Array(S.SECCOMP_DATA_BYTES / 4);

export function seccompMode(seccomp: Seccomp | null): number {
  if (seccomp === null) return S.SECCOMP_MODE_DISABLED;
  return seccomp === 'strict' ? S.SECCOMP_MODE_STRICT : S.SECCOMP_MODE_FILTER;
}

/**
 * Asks the filters of a task about its call `number`. Undefined lets it through; otherwise the result of the call, which must not be
 * made: -errno, or NO_RETURN when a signal or the end of the task takes its place (seccomp(2), "Return values").
 * `legacy`: it came through the 32-bit entry, whose numbers and arguments are others.
 */
export function enforceSeccomp(task: Task, seccomp: Seccomp, number: number, legacy = false): number | undefined {
  if (seccomp === 'strict') {
    if (!legacy && STRICT_CALLS.includes(number)) return undefined;
    leave(task, SIGKILL);
    return NO_RETURN;
  }
  if (!legacy && seccomp.allowsAlways(number)) return undefined;
  describe(task, number, legacy);
  const verdict = seccomp.verdict(data);
  const reason = verdict & S.SECCOMP_RET_DATA;
  switch ((verdict & S.SECCOMP_RET_ACTION_FULL) >>> 0) {
    case S.SECCOMP_RET_ALLOW:
    case S.SECCOMP_RET_LOG:
      return undefined;
    case S.SECCOMP_RET_ERRNO:
      return 0 - Math.min(reason, MAX_ERRNO);
    case S.SECCOMP_RET_TRAP:
      trap(task, number, legacy, reason);
      return NO_RETURN;
    case S.SECCOMP_RET_TRACE:
      // A tracer that wants to see such calls has seen it (ptrace/calls.ts).
      return task.tracing?.wants(PTRACE_EVENT_SECCOMP) ? undefined : -ENOSYS;
    // Nobody listens.
    case S.SECCOMP_RET_USER_NOTIF:
      return -ENOSYS;
    case S.SECCOMP_RET_KILL_THREAD:
      if (task.group.tasks.size > 1) {
        leave(task, SIGSYS);
        return NO_RETURN;
      }
      break;
  }
  killGroup(task.group, SIGSYS);
  return NO_RETURN;
}

/** The data of SECCOMP_RET_TRACE if that is what the filters say of a call; else -1. */
export function tracedVerdict(task: Task, seccomp: Seccomp, number: number): number {
  if (seccomp === 'strict' || seccomp.allowsAlways(number)) return -1;
  describe(task, number, false);
  const verdict = seccomp.verdict(data);
  const isTrace = (verdict & S.SECCOMP_RET_ACTION_FULL) >>> 0 === S.SECCOMP_RET_TRACE;
  return isTrace ? verdict & S.SECCOMP_RET_DATA : -1;
}

function describe(task: Task, number: number, legacy: boolean): void {
  const { registersLow, registersHigh } = task.context;
  data[0] = number;
  data[1] = legacy ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64;
  data[2] = registersLow[2 * Reg.RIP];
  data[3] = registersHigh[2 * Reg.RIP + 1];
  const registers = legacy ? LEGACY_ARGUMENTS : ARGUMENT_REGISTERS;
  for (let index = 0; index < registers.length; index++) {
    data[4 + 2 * index] = registersLow[2 * registers[index]];
    data[5 + 2 * index] = legacy ? 0 : registersHigh[2 * registers[index] + 1];
  }
}

/** SIGSYS that tells its handler all about the call; the registers are as before it. */
function trap(task: Task, number: number, legacy: boolean, reason: number): void {
  setRegister(task.context, Reg.RAX, number);
  const info = signalInfo(SIGSYS, SYS_SECCOMP);
  info.address = getRegister(task.context, Reg.RIP);
  info.status = number;
  info.error = reason;
  if (legacy) info.value = AUDIT_ARCH_I386;
  forceSignal(task, info);
}
