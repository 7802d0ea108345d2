/** ptrace(2): linux/ptrace.h, asm/ptrace-abi.h, linux/elf.h, sys/user.h. */

export const PTRACE_TRACEME = 0;
export const PTRACE_PEEKTEXT = 1;
export const PTRACE_PEEKDATA = 2;
export const PTRACE_PEEKUSER = 3;
export const PTRACE_POKETEXT = 4;
export const PTRACE_POKEDATA = 5;
export const PTRACE_POKEUSER = 6;
export const PTRACE_CONT = 7;
export const PTRACE_KILL = 8;
export const PTRACE_SINGLESTEP = 9;
export const PTRACE_GETREGS = 12;
export const PTRACE_SETREGS = 13;
export const PTRACE_GETFPREGS = 14;
export const PTRACE_SETFPREGS = 15;
export const PTRACE_ATTACH = 16;
export const PTRACE_DETACH = 17;
export const PTRACE_SYSCALL = 24;
export const PTRACE_ARCH_PRCTL = 30;
export const PTRACE_SYSEMU = 31;
export const PTRACE_SYSEMU_SINGLESTEP = 32;
export const PTRACE_SETOPTIONS = 0x4200;
export const PTRACE_GETEVENTMSG = 0x4201;
export const PTRACE_GETSIGINFO = 0x4202;
export const PTRACE_SETSIGINFO = 0x4203;
export const PTRACE_GETREGSET = 0x4204;
export const PTRACE_SETREGSET = 0x4205;
export const PTRACE_SEIZE = 0x4206;
export const PTRACE_INTERRUPT = 0x4207;
export const PTRACE_LISTEN = 0x4208;
export const PTRACE_PEEKSIGINFO = 0x4209;
export const PTRACE_GETSIGMASK = 0x420a;
export const PTRACE_SETSIGMASK = 0x420b;
export const PTRACE_SECCOMP_GET_FILTER = 0x420c;
export const PTRACE_GET_SYSCALL_INFO = 0x420e;

export const PTRACE_O_TRACESYSGOOD = 1;
export const PTRACE_O_EXITKILL = 0x100000;
/** The events, and the two above; without PTRACE_O_SUSPEND_SECCOMP, which only checkpointing knows. */
export const PTRACE_O_MASK = 0x1000ff;

/** Each has the option 1 << event. */
export const PTRACE_EVENT_FORK = 1;
export const PTRACE_EVENT_VFORK = 2;
export const PTRACE_EVENT_CLONE = 3;
export const PTRACE_EVENT_EXEC = 4;
export const PTRACE_EVENT_VFORK_DONE = 5;
export const PTRACE_EVENT_EXIT = 6;
export const PTRACE_EVENT_SECCOMP = 7;
/** No option: every PTRACE_SEIZE has it. */
export const PTRACE_EVENT_STOP = 128;

/** PTRACE_GETEVENTMSG at stops before and after a system call. */
export const PTRACE_EVENTMSG_SYSCALL_ENTRY = 1;
export const PTRACE_EVENTMSG_SYSCALL_EXIT = 2;

/** ptrace_syscall_info.op */
export const PTRACE_SYSCALL_INFO_NONE = 0;
export const PTRACE_SYSCALL_INFO_ENTRY = 1;
export const PTRACE_SYSCALL_INFO_EXIT = 2;
export const PTRACE_SYSCALL_INFO_SECCOMP = 3;
/** Its size in bytes, whole and as filled for each op. */
export const SYSCALL_INFO_BYTES = 88;
export const SYSCALL_INFO_FILLED = [24, 80, 33, 84] as const;

/** ptrace_peeksiginfo_args.flags */
export const PTRACE_PEEKSIGINFO_SHARED = 1;

export const NT_PRSTATUS = 1;
export const NT_PRFPREG = 2;
export const NT_X86_XSTATE = 0x202;

/** struct user: its size, of its registers, and where u_debugreg[8] lies, in bytes. */
export const USER_BYTES = 928;
export const USER_REGISTERS_BYTES = 216;
export const USER_DEBUG_REGISTERS = 848;
export const USER_DEBUG_REGISTERS_END = 912;

/** MXCSR bits that processors with DAZ have; others make FXRSTOR fault. */
export const MXCSR_MASK = 0xffff;
export const MXCSR_OFFSET = 24;
