import { PTRACE_EVENT_STOP, PTRACE_O_EXITKILL, PTRACE_O_TRACESYSGOOD } from '../../abi/ptrace.js';
import { EFLAGS_TF } from '../../abi/signal.js';
import { type Context, Reg } from '../../platform/platform.js';
import type { Task } from '../task.js';
import type { SignalInfo } from '../types.js';

/** Why a tracee stands still: decides how it goes on. */
export const Stop = {
  /** Before a system call, and after it. */
  CallEntry: 0,
  CallExit: 1,
  /** Before a call that a filter answers with SECCOMP_RET_TRACE. */
  Seccomp: 2,
  /** Before a signal is delivered. */
  Signal: 3,
  /** Group-stop, and whatever else PTRACE_EVENT_STOP stands for. */
  Group: 4,
  /** Events on the way back to guest code, and in the middle of clone(2). */
  Event: 5,
  /** PTRACE_EVENT_EXIT. */
  Exit: 6,
} as const;
export type StopKind = (typeof Stop)[keyof typeof Stop];

/** One stop of a tracee. */
export interface TraceStop {
  readonly kind: StopKind;
  /** The tracee's exit_code: signal, or SIGTRAP with 0x80 or an event in bits 8 and up. */
  readonly code: number;
  /** What PTRACE_GETSIGINFO shows; null at a group-stop of a tracee that was not seized. */
  info: SignalInfo | null;
  /** For PTRACE_GETEVENTMSG. */
  readonly message: number;
  /** At a call's beginning: the call is not to be made (PTRACE_SYSEMU). */
  readonly emulated: boolean;
  /** Its group was on its way out already: SIGKILL does not end this stop. */
  readonly final: boolean;
  /** Not yet waited for. */
  unreported: boolean;
  /** The signal that the tracer let it go on with. */
  signal: number;
}

/** What a tracee does until its next stop. */
export const Until = {
  /** Stops for signals and events only. */
  Anything: 0,
  /** Stops before and after system calls. */
  Call: 1,
  /** Stops before them, and they are not made (PTRACE_SYSEMU). */
  EmulatedCall: 2,
} as const;
export type UntilKind = (typeof Until)[keyof typeof Until];

/** A tracee's side of being traced: exists from attaching to detaching. */
export class Tracing {
  /** Null while it runs. */
  stop: TraceStop | null = null;
  until: UntilKind = Until.Anything;
  /** PTRACE_SINGLESTEP. */
  stepping = false;
  /** The trap flag in its registers is ours, not its own. */
  private trapFlagIsOurs = false;
  /** In a system call whose end it may have to report. */
  inCall = false;
  /** PTRACE_LISTEN: stopped, but nothing to be told of it until something happens. */
  listening = false;
  /** It must stop: with the group (JOBCTL_STOP_PENDING), for PTRACE_INTERRUPT (TRAP_STOP), for news of the group (TRAP_NOTIFY). */
  groupStop = false;
  trapStop = false;
  trapNotify = false;
  /** Entered a signal handler while stepping. */
  handlerEntered = false;
  /** It has stopped with its group, though it may have been sent on since. */
  tookPart = false;
  /** Of a thread that is dead and not waited for: its wait status. */
  exitStatus = 0;

  constructor(
    /** A thread, not a process: when it ends, the tracee is free. */
    readonly tracer: Task,
    readonly seized: boolean,
    public options: number,
    /** The tracer had CAP_SYS_PTRACE when it attached: its tracee may gain rights by execve(2). */
    readonly privileged: boolean,
  ) {}

  /** Whether PTRACE_EVENT_* `event` was asked for. */
  wants(event: number): boolean {
    return event === PTRACE_EVENT_STOP ? this.seized : (this.options & (1 << event)) !== 0;
  }

  get marksCalls(): boolean {
    return (this.options & PTRACE_O_TRACESYSGOOD) !== 0;
  }

  get killsAtExit(): boolean {
    return (this.options & PTRACE_O_EXITKILL) !== 0;
  }

  /** Whether it has to stop before the next instruction of its guest code, apart from signals. */
  get hasTraps(): boolean {
    return this.groupStop || this.trapStop || this.trapNotify || this.handlerEntered;
  }

  /** Sets the trap flag for the coming instruction, if that is to be the only one. */
  beginStep(context: Context): void {
    const flags = context.registersLow[2 * Reg.EFLAGS];
    if (!this.stepping || (flags & EFLAGS_TF) !== 0) return;
    context.registersLow[2 * Reg.EFLAGS] = flags | EFLAGS_TF;
    this.trapFlagIsOurs = true;
  }

  /** Takes our trap flag away again, before anybody sees the registers. */
  hideStep(context: Context): void {
    if (!this.trapFlagIsOurs) return;
    this.trapFlagIsOurs = false;
    context.registersLow[2 * Reg.EFLAGS] &= ~EFLAGS_TF;
  }

  /** Of the copy of its registers that a new task begins with. */
  hideStepIn(copy: Context): void {
    if (this.trapFlagIsOurs) copy.registersLow[2 * Reg.EFLAGS] &= ~EFLAGS_TF;
  }
}
