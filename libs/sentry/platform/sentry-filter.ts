/**
 * The host system calls of a Sentry, all of them, as they are after it has set up its platform. A short list is the
 * point: whoever adds a row says who needs it. The tests read the live filter and compare it with this list. The filter
 * of the stubs is in native/ptrace.c.
 */
import type { SyscallRule } from './seccomp-program.js';

export interface FilterContext {
  /** Descriptors of Node that are /dev/null in a child: V8 still writes to libuv's eventfd. */
  readonly nullDescriptors: readonly number[];
  /** Where guest code runs: in stub processes, or in a virtual machine (`kvm`). */
  readonly platform: string;
  /** On KVM: a thread of the Sentry's own runs the machine at times. */
  readonly kvmExitless?: boolean;
}

const PTRACE_CONT = 7;
const PTRACE_GETREGS = 12;
const PTRACE_SETREGS = 13;
const PTRACE_SYSEMU = 31;
const PTRACE_GETSIGINFO = 0x4202;
const PTRACE_GETREGSET = 0x4204;
const PTRACE_SETREGSET = 0x4205;

const SIGKILL = 9;
const SIGURG = 23;

const PROT_ANY = 7;
/** PRIVATE, FIXED, ANONYMOUS, NORESERVE, POPULATE, STACK, FIXED_NOREPLACE: no file is ever mapped. */
const MAP_OWN_MEMORY = 0x2 | 0x10 | 0x20 | 0x4000 | 0x8000 | 0x20000 | 0x100000;

const F_GETFL = 3;
const F_SETFL = 4;
const F_SETOWN = 8;

const STANDARD_ERROR = 2;
const CHANNEL = 3;

// ioctl(2) requests of KVM, and the descriptors that native/kvm.c gives the machine and its processor.
const KVM_RUN = 0xae80;
const KVM_INTERRUPT = 0x4004ae86;
const KVM_SET_MSRS = 0x4008ae89;
const KVM_GET_XSAVE = 0x9000aea4;
const KVM_SET_XSAVE = 0x5000aea5;
const KVM_GET_DEBUGREGS = 0x8080aea1;
const KVM_SET_DEBUGREGS = 0x4080aea2;
const KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
const VM_DESCRIPTOR = 4000;
const VCPU_DESCRIPTOR = 4001;

/** Guest code in a virtual machine. Nothing else can be asked of KVM: the machine is complete, the device is closed. */
const MACHINE_RULES: readonly SyscallRule[] = [
  {
    name: 'ioctl',
    arguments: [
      { index: 0, oneOf: [VCPU_DESCRIPTOR] },
      {
        index: 1,
        oneOf: [
          KVM_RUN,
          KVM_SET_MSRS,
          KVM_GET_XSAVE,
          KVM_SET_XSAVE,
          KVM_INTERRUPT,
          KVM_GET_DEBUGREGS,
          KVM_SET_DEBUGREGS,
        ],
      },
    ],
    why: 'running guest code, its FS and GS base, its vector registers, stopping it, single steps',
  },
  {
    name: 'ioctl',
    arguments: [
      { index: 0, oneOf: [VM_DESCRIPTOR] },
      { index: 1, oneOf: [KVM_SET_USER_MEMORY_REGION] },
    ],
    why: 'making KVM forget page tables',
  },
];

/** CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, PARENT_SETTID, CHILD_CLEARTID: a thread, closed in as its maker is. */
const THREAD_FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000 | 0x100000 | 0x200000;

const RUNNER_RULES: readonly SyscallRule[] = [
  { name: 'clone', arguments: [{ index: 0, oneOf: [THREAD_FLAGS] }], why: 'the thread that runs the machine' },
  { name: 'tgkill', arguments: [{ index: 2, oneOf: [SIGURG] }], why: 'stopping it' },
  { name: 'sched_setaffinity', why: 'its core' },
  { name: 'exit', why: 'its end' },
];

const STUB_RULES: readonly SyscallRule[] = [
  {
    name: 'ptrace',
    // No ATTACH and no SEIZE: only stubs, which asked to be traced when they were made.
    arguments: [
      {
        index: 0,
        oneOf: [
          PTRACE_SYSEMU,
          PTRACE_GETREGS,
          PTRACE_SETREGS,
          PTRACE_CONT,
          PTRACE_GETSIGINFO,
          PTRACE_GETREGSET,
          PTRACE_SETREGSET,
        ],
      },
    ],
    why: 'running guest code in stubs',
  },
  { name: 'wait4', why: 'traps of stubs' },
  { name: 'tgkill', arguments: [{ index: 2, oneOf: [SIGURG] }], why: 'stopping a running stub thread' },
  { name: 'sched_setaffinity', why: 'moving stub threads between the cores' },
  { name: 'kill', arguments: [{ index: 1, oneOf: [SIGKILL] }], why: 'ending a stub' },
];

/** In the order in which the filter tries them: the calls of every trap first. */
export function sentryRules({ nullDescriptors, platform, kvmExitless = false }: FilterContext): SyscallRule[] {
  return [
    ...(platform === 'kvm' ? MACHINE_RULES : STUB_RULES),
    ...(platform === 'kvm' && kvmExitless ? RUNNER_RULES : []),
    { name: 'clock_gettime', why: "CPU time of stubs; all clocks where the host's vdso cannot read them" },
    { name: 'gettimeofday', why: "the same, of V8's Date" },
    { name: 'ppoll', why: 'waiting for the channel' },
    { name: 'timer_settime', why: 'deadlines while guest code runs' },
    { name: 'rt_sigreturn', why: 'the handler of that timer' },
    {
      name: 'write',
      arguments: [{ index: 0, oneOf: [CHANNEL, STANDARD_ERROR, ...nullDescriptors] }],
      why: 'channel, last words, V8 waking a loop that is not there',
    },
    { name: 'read', arguments: [{ index: 0, oneOf: [CHANNEL] }], why: 'channel' },
    { name: 'pread64', why: 'image files' },
    { name: 'pwrite64', why: 'the memory file: of what is open it is all that can be written at an offset' },
    { name: 'openat2', why: 'image files; what can be reached is bounded by detached mounts and Landlock' },
    { name: 'statx', why: 'image files' },
    { name: 'getdents64', why: 'image directories' },
    { name: 'readlinkat', why: 'image links' },
    { name: 'close', why: 'image files' },
    { name: 'fallocate', why: 'giving guest memory back' },
    {
      name: 'fcntl',
      arguments: [
        { index: 0, oneOf: [CHANNEL] },
        { index: 1, oneOf: [F_GETFL, F_SETFL, F_SETOWN] },
      ],
      why: 'the channel wakes the wait for guests',
    },
    { name: 'getrandom', why: 'randomness of the guest' },
    { name: 'timer_delete', why: 'the end' },
    {
      name: 'mmap',
      arguments: [
        { index: 2, within: PROT_ANY },
        { index: 3, within: MAP_OWN_MEMORY },
        { index: 4, oneOf: [-1] },
      ],
      why: 'V8 heap and code, malloc',
    },
    { name: 'munmap', why: 'V8 heap' },
    { name: 'mprotect', arguments: [{ index: 2, within: PROT_ANY }], why: 'V8 code pages' },
    { name: 'madvise', why: 'V8 heap' },
    { name: 'brk', why: 'malloc' },
    { name: 'futex', why: 'locks of V8 and malloc' },
    { name: 'getpid', why: 'the first thing that abort and OpenSSL do' },
    { name: 'exit_group', why: 'the end' },
  ];
}
