/** Signals, as in Linux `asm/signal.h`, `asm-generic/siginfo.h` and `asm/sigcontext.h` for x86-64. */

export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGQUIT = 3;
export const SIGILL = 4;
export const SIGTRAP = 5;
export const SIGABRT = 6;
export const SIGBUS = 7;
export const SIGFPE = 8;
export const SIGKILL = 9;
export const SIGUSR1 = 10;
export const SIGSEGV = 11;
export const SIGUSR2 = 12;
export const SIGPIPE = 13;
export const SIGALRM = 14;
export const SIGTERM = 15;
export const SIGSTKFLT = 16;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGTSTP = 20;
export const SIGTTIN = 21;
export const SIGTTOU = 22;
export const SIGURG = 23;
export const SIGXCPU = 24;
export const SIGXFSZ = 25;
export const SIGVTALRM = 26;
export const SIGPROF = 27;
export const SIGWINCH = 28;
export const SIGIO = 29;
export const SIGPWR = 30;
export const SIGSYS = 31;
/** First real-time signal: these queue. */
export const SIGRTMIN = 32;
export const SIGRTMAX = 64;

/** Name by number, for reports and traces; real-time signals are SIGRT_n. */
export const SIGNAL_NAMES: readonly string[] = [
  '0',
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGKILL',
  'SIGUSR1',
  'SIGSEGV',
  'SIGUSR2',
  'SIGPIPE',
  'SIGALRM',
  'SIGTERM',
  'SIGSTKFLT',
  'SIGCHLD',
  'SIGCONT',
  'SIGSTOP',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGURG',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGVTALRM',
  'SIGPROF',
  'SIGWINCH',
  'SIGIO',
  'SIGPWR',
  'SIGSYS',
  ...Array.from({ length: 33 }, (_, index) => `SIGRT_${index}`),
];

export const SIG_DFL = 0;
export const SIG_IGN = 1;

export const SA_NOCLDSTOP = 0x1;
export const SA_NOCLDWAIT = 0x2;
export const SA_SIGINFO = 0x4;
export const SA_UNSUPPORTED = 0x400;
export const SA_EXPOSE_TAGBITS = 0x800;
export const SA_RESTORER = 0x04000000;
export const SA_ONSTACK = 0x08000000;
export const SA_RESTART = 0x10000000;
export const SA_NODEFER = 0x40000000;
export const SA_RESETHAND = 0x80000000;
/** What rt_sigaction(2) keeps; other bits are dropped, so that programs can probe them. */
export const SA_KNOWN =
  (SA_NOCLDSTOP |
    SA_NOCLDWAIT |
    SA_SIGINFO |
    SA_EXPOSE_TAGBITS |
    SA_RESTORER |
    SA_ONSTACK |
    SA_RESTART |
    SA_NODEFER |
    SA_RESETHAND) >>>
  0;

export const SIG_BLOCK = 0;
export const SIG_UNBLOCK = 1;
export const SIG_SETMASK = 2;

export const SS_ONSTACK = 1;
export const SS_DISABLE = 2;
export const SS_AUTODISARM = 0x80000000;
export const MINSIGSTKSZ = 2048;

/** si_code */
export const SI_USER = 0;
export const SI_KERNEL = 0x80;
export const SI_QUEUE = -1;
export const SI_TIMER = -2;
export const SI_MESGQ = -3;
export const SI_ASYNCIO = -4;
export const SI_SIGIO = -5;
export const SI_TKILL = -6;

export const ILL_ILLOPN = 2;
export const FPE_INTDIV = 1;
export const SEGV_MAPERR = 1;
export const SEGV_ACCERR = 2;
export const BUS_ADRALN = 1;
export const BUS_ADRERR = 2;
export const TRAP_BRKPT = 1;
export const SYS_SECCOMP = 1;
export const SYS_USER_DISPATCH = 2;
/** si_arch of SIGSYS. */
export const AUDIT_ARCH_X86_64 = 0xc000003e;
export const AUDIT_ARCH_I386 = 0x40000003;

export const CLD_EXITED = 1;
export const CLD_KILLED = 2;
export const CLD_DUMPED = 3;
export const CLD_TRAPPED = 4;
export const CLD_STOPPED = 5;
export const CLD_CONTINUED = 6;

export const POLL_IN = 1;
export const POLL_OUT = 2;
export const POLL_MSG = 3;
export const POLL_ERR = 4;
export const POLL_PRI = 5;
export const POLL_HUP = 6;

export const SIGINFO_BYTES = 128;

/** sigevent.sigev_notify */
export const SIGEV_SIGNAL = 0;
export const SIGEV_NONE = 1;
export const SIGEV_THREAD = 2;
export const SIGEV_THREAD_ID = 4;

/** ucontext.uc_flags */
export const UC_FP_XSTATE = 1;
export const UC_SIGCONTEXT_SS = 2;
export const UC_STRICT_RESTORE_SS = 4;

/** fpx_sw_bytes */
export const FP_XSTATE_MAGIC1 = 0x46505853;
export const FP_XSTATE_MAGIC2 = 0x46505845;
export const FP_XSTATE_MAGIC2_BYTES = 4;
export const FXSAVE_BYTES = 512;
/** Offset of fpx_sw_bytes in the fxsave area. */
export const FPX_SW_OFFSET = 464;
/** Offset of xstate_bv: first word of the xsave header. */
export const XSTATE_BV_OFFSET = 512;
export const XSAVE_HEADER_BYTES = 64;

/** Offsets in struct rt_sigframe: pretcode, ucontext, siginfo. */
export const SIGFRAME_UCONTEXT = 8;
export const SIGFRAME_SIGINFO = 312;
export const SIGFRAME_BYTES = 440;
/** Offsets in struct ucontext. */
export const UC_FLAGS = 0;
export const UC_LINK = 8;
export const UC_STACK = 16;
export const UC_MCONTEXT = 40;
export const UC_SIGMASK = 296;
/** Offsets in struct sigcontext after its 18 general registers. */
export const SC_CS = 144;
export const SC_ERR = 152;
export const SC_TRAPNO = 160;
export const SC_OLDMASK = 168;
export const SC_CR2 = 176;
export const SC_FPSTATE = 184;

/** Bits of EFLAGS that rt_sigreturn(2) takes from the frame: AC OF DF TF SF ZF AF PF CF RF. */
export const FIX_EFLAGS = 0x50dd5;
export const EFLAGS_TF = 0x100;
export const EFLAGS_DF = 0x400;
export const EFLAGS_RF = 0x10000;
/** Bytes below the stack pointer that the x86-64 ABI lets leaf functions use. */
export const RED_ZONE_BYTES = 128;

const SYNCHRONOUS = bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGTRAP) | bit(SIGFPE) | bit(SIGSYS);
/** Signals 1..32 are bits of the low half of a mask. */
function bit(signal: number): number {
  return 1 << (signal - 1);
}
/** Masks over signals 1..32 (the low half). */
export const SYNCHRONOUS_MASK = SYNCHRONOUS;
export const STOP_MASK = bit(SIGSTOP) | bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);
export const CORE_MASK =
  bit(SIGQUIT) |
  bit(SIGILL) |
  bit(SIGTRAP) |
  bit(SIGABRT) |
  bit(SIGFPE) |
  bit(SIGSEGV) |
  bit(SIGBUS) |
  bit(SIGSYS) |
  bit(SIGXCPU) |
  bit(SIGXFSZ);
export const IGNORE_MASK = bit(SIGCONT) | bit(SIGCHLD) | bit(SIGWINCH) | bit(SIGURG);
/** SIGKILL and SIGSTOP can be neither blocked, caught nor ignored. */
export const UNBLOCKABLE_MASK = bit(SIGKILL) | bit(SIGSTOP);

export function signalName(signal: number): string {
  return SIGNAL_NAMES[signal] ?? `signal ${signal}`;
}
