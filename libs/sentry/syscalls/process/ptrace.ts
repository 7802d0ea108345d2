import { EFAULT, EINVAL, EIO, EPERM, ERESTARTNOINTR, ESRCH } from '../../abi/errno.js';
import { ARCH_SET_FS, ARCH_SET_GS } from '../../abi/prctl.js';
import * as P from '../../abi/ptrace.js';
import { FXSAVE_BYTES, SI_KERNEL, SIGKILL, SIGRTMAX, SIGSTOP } from '../../abi/signal.js';
import { mayBeGivenTo, mayInspect } from '../../kernel/access.js';
import * as extended from '../../kernel/ptrace/extended-state.js';
import { attach, detach } from '../../kernel/ptrace/link.js';
import {
  generalRegisters,
  peekUser,
  pokeUser,
  putRegister,
  setGeneralRegisters,
} from '../../kernel/ptrace/registers.js';
import { stopWithGroup, trapSoon } from '../../kernel/ptrace/stop.js';
import { Stop, type TraceStop, type Tracing, Until, type UntilKind } from '../../kernel/ptrace/tracing.js';
import { RunState } from '../../kernel/run-state.js';
import { signalInfo } from '../../kernel/signals/pending.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import { Reg } from '../../platform/platform.js';
import { POLLIN } from '../../vfs/wait-queue.js';
import { archPrctlOf } from './arch-prctl.js';
import * as information from './ptrace-information.js';
import { getRegisterSet, setRegisterSet } from './ptrace-register-set.js';

/** Of a stopped tracee. */
export interface Request {
  readonly tracer: Task;
  readonly tracee: Task;
  readonly tracing: Tracing;
  readonly stop: TraceStop;
  readonly address: number;
  readonly data: number;
}

const word = new Uint8Array(8);
const wordView = new DataView(word.buffer);

/** The `data` argument as it is: all 64 bits. */
function wholeData(tracer: Task): bigint {
  return tracer.context.registers64[Reg.R10];
}

function putWord(request: Request, value: bigint): number {
  wordView.setBigUint64(0, value, true);
  return request.tracer.memory.copyOut(request.data, word, 0, 8) === 8 ? 0 : -EFAULT;
}

function peekData(request: Request): number {
  const { tracee, address } = request;
  if (tracee.memory.readForced(address, word, 0, 8) < 8) return -EIO;
  return putWord(request, wordView.getBigUint64(0, true));
}

function pokeData({ tracer, tracee, address }: Request): number {
  wordView.setBigUint64(0, wholeData(tracer), true);
  return tracee.memory.writeForced(address, word, 0, 8) < 8 ? -EIO : 0;
}

function peekUserArea(request: Request): number {
  const value = peekUser(request.tracee.context, request.address);
  return value === null ? -EIO : putWord(request, value);
}

function give(request: Request, bytes: Uint8Array): number {
  return request.tracer.memory.copyOut(request.data, bytes, 0, bytes.length) < bytes.length ? -EFAULT : 0;
}

function take({ tracer, data }: Request, length: number): Uint8Array | null {
  const bytes = new Uint8Array(length);
  return tracer.memory.copyIn(data, bytes, 0, length) < length ? null : bytes;
}

function setRegisters(request: Request): number {
  const bytes = take(request, P.USER_REGISTERS_BYTES);
  return bytes === null ? -EFAULT : setGeneralRegisters(request.tracee.context, bytes);
}

function setFloatingPoint(request: Request): number {
  const bytes = take(request, FXSAVE_BYTES);
  return bytes === null ? -EFAULT : extended.setFloatingPointState(request.tracee.context, bytes);
}

function isSignal(data: number): boolean {
  return data >= 0 && data <= SIGRTMAX;
}

/** PTRACE_CONT and the like: the tracee goes on, with the signal that is `data`. */
const goOn =
  (until: UntilKind, stepping: boolean) =>
  ({ tracee, tracing, data }: Request): number => {
    if (!isSignal(data)) return -EIO;
    tracing.until = until;
    tracing.stepping = stepping;
    tracee.resumeFromTrap(data);
    return 0;
  };

function setOptions({ tracing, data }: Request): number {
  if (data < 0 || (data & ~P.PTRACE_O_MASK) !== 0 || data > P.PTRACE_O_MASK) return -EINVAL;
  tracing.options = data;
  return 0;
}

function letGo({ tracee, data }: Request): number {
  if (!isSignal(data)) return -EIO;
  detach(tracee, data);
  return 0;
}

function listen({ tracee, tracing, stop }: Request): number {
  if (!tracing.seized || stop.kind !== Stop.Group) return -EIO;
  tracing.listening = true;
  if (tracing.trapNotify) trapSoon(tracee, tracing);
  return 0;
}

function setBase({ tracer, tracee, address, data }: Request): number {
  // The arguments of arch_prctl(2) the other way round.
  const setting = data === ARCH_SET_FS || data === ARCH_SET_GS;
  if (!setting) return archPrctlOf(tracee, data, address, tracer.memory);
  const register = data === ARCH_SET_FS ? Reg.FS_BASE : Reg.GS_BASE;
  return putRegister(tracee.context, register, BigInt.asUintN(64, BigInt(Math.trunc(address)))) ? -EPERM : 0;
}

/** What needs a tracee that stands still. */
const REQUESTS: Readonly<Record<number, (request: Request) => number>> = {
  [P.PTRACE_PEEKTEXT]: peekData,
  [P.PTRACE_PEEKDATA]: peekData,
  [P.PTRACE_PEEKUSER]: peekUserArea,
  [P.PTRACE_POKETEXT]: pokeData,
  [P.PTRACE_POKEDATA]: pokeData,
  [P.PTRACE_POKEUSER]: ({ tracer, tracee, address }) => pokeUser(tracee.context, address, wholeData(tracer)),
  [P.PTRACE_GETREGS]: (request) => give(request, generalRegisters(request.tracee.context)),
  [P.PTRACE_SETREGS]: setRegisters,
  [P.PTRACE_GETFPREGS]: (request) => give(request, extended.floatingPointState(request.tracee.context)),
  [P.PTRACE_SETFPREGS]: setFloatingPoint,
  [P.PTRACE_GETREGSET]: getRegisterSet,
  [P.PTRACE_SETREGSET]: setRegisterSet,
  [P.PTRACE_ARCH_PRCTL]: setBase,
  [P.PTRACE_CONT]: goOn(Until.Anything, false),
  [P.PTRACE_SINGLESTEP]: goOn(Until.Anything, true),
  [P.PTRACE_SYSCALL]: goOn(Until.Call, false),
  [P.PTRACE_SYSEMU]: goOn(Until.EmulatedCall, false),
  [P.PTRACE_SYSEMU_SINGLESTEP]: goOn(Until.EmulatedCall, true),
  [P.PTRACE_DETACH]: letGo,
  [P.PTRACE_LISTEN]: listen,
  [P.PTRACE_SETOPTIONS]: setOptions,
  [P.PTRACE_GETEVENTMSG]: (request) => putWord(request, BigInt(request.stop.message)),
  [P.PTRACE_GETSIGINFO]: information.getSignalInfo,
  [P.PTRACE_SETSIGINFO]: information.setSignalInfo,
  [P.PTRACE_PEEKSIGINFO]: information.peekSignalInfo,
  [P.PTRACE_GETSIGMASK]: information.getSignalMask,
  [P.PTRACE_SETSIGMASK]: information.setSignalMask,
  [P.PTRACE_GET_SYSCALL_INFO]: information.getSyscallInfo,
  [P.PTRACE_SECCOMP_GET_FILTER]: information.getFilter,
};

/** PTRACE_TRACEME: the thread that made the caller traces it, or another of that process when it is gone. */
function traceMe(task: Task): number {
  const { parent, creator } = task.group;
  if (task.tracing !== null || parent === null || parent.isKernels) return -EPERM;
  const tracer = creator !== null && parent.tasks.has(creator) ? creator : [...parent.tasks][0];
  if (!mayBeGivenTo(task, tracer)) return -EPERM;
  attach(task, tracer, false, 0);
  return 0;
}

/** PTRACE_ATTACH, PTRACE_SEIZE (Linux's ptrace_attach). */
function seize(task: Task, target: Task, seized: boolean, options: number): number {
  if (target.group === task.group || target.group.isKernels || !mayInspect(task, target)) return -EPERM;
  if (target.group.execTask !== null) {
    // It may be about to get rights that its tracer must not have: that is known when execve(2) is through.
    task.waitOn(target.group.threadQueue, POLLIN);
    return task.park(Number.POSITIVE_INFINITY, -ERESTARTNOINTR);
  }
  if (target.runState === RunState.Dead || target.tracing !== null) return -EPERM;
  const tracing = attach(target, task, seized, options);
  if (target.runState === RunState.Stopped) {
    tracing.tookPart = true;
    stopWithGroup(target, tracing);
  }
  if (!seized) target.sendSignal(signalInfo(SIGSTOP, SI_KERNEL));
  return 0;
}

function isOptions(data: number): boolean {
  return data >= 0 && data <= P.PTRACE_O_MASK && (data & ~P.PTRACE_O_MASK) === 0;
}

function interrupt(target: Task, tracing: Tracing): number {
  if (!tracing.seized) return -EIO;
  tracing.trapStop = true;
  trapSoon(target, tracing);
  return 0;
}

/** ptrace implements Linux syscall ptrace(2). */
export function ptrace(task: Task, args: SyscallArguments): number {
  const [number, pid, address, data] = args;
  if (number === P.PTRACE_TRACEME) return traceMe(task);
  const tracee = task.kernel.tasks.get(pid | 0);
  if (tracee === undefined) return -ESRCH;
  if (number === P.PTRACE_ATTACH) return seize(task, tracee, false, 0);
  if (number === P.PTRACE_SEIZE) {
    return address !== 0 || !isOptions(data) ? -EIO : seize(task, tracee, true, data);
  }
  const { tracing } = tracee;
  if (tracing === null || tracing.tracer !== task) return -ESRCH;
  if (number === P.PTRACE_KILL) {
    tracee.group.sendSignal(signalInfo(SIGKILL, SI_KERNEL));
    return 0;
  }
  if (number === P.PTRACE_INTERRUPT) return interrupt(tracee, tracing);
  const { stop } = tracing;
  if (stop === null || tracing.listening) return -ESRCH;
  const request = REQUESTS[number];
  return request === undefined ? -EIO : request({ tracer: task, tracee, tracing, stop, address, data });
}
