/*
 * The stub: a process that holds one guest address space and nothing else but a page of ours. How the first one (the
 * template) is made; the others are cloned from it by ptrace.c.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filter-macros.h"
#include "host-vdso.h"
#include "ptrace-stub.h"
#include "systrap-stub.h"

__asm__(
    ".pushsection .text\n"
    ".globl cordon_stub_start\n"
    "cordon_stub_start:\n"
    "  syscall\n"
    "  int3\n"
    "  .balign 16\n"
    ".globl cordon_stub_boot\n"
    "cordon_stub_boot:\n" /* r12: this page, r13: where the code shall live, r14..r15: what else stays, top of user space if nothing */
    "  xor %edi, %edi\n"
    "  mov %r12, %rsi\n"
    "  mov $11, %eax\n"
    "  syscall\n" /* munmap(0, page) */
    "  lea 4096(%r12), %rdi\n"
    "  mov %r14, %rsi\n"
    "  sub %rdi, %rsi\n"
    "  mov $11, %eax\n"
    "  syscall\n" /* munmap(page + 4096, up to what stays) */
    "  mov %r15, %rdi\n"
    "  mov %rbx, %rsi\n"
    "  sub %rdi, %rsi\n"
    "  mov $11, %eax\n"
    "  syscall\n" /* munmap(behind it, rest): EINVAL for nothing */
    "  mov %r13, %rdi\n"
    "  mov $4096, %esi\n"
    "  mov $3, %edx\n"
    "  mov $0x32, %r10d\n"
    "  mov $-1, %r8\n"
    "  xor %r9d, %r9d\n"
    "  mov $9, %eax\n"
    "  syscall\n" /* mmap(final, fixed private anonymous) */
    "  mov %r12, %rsi\n"
    "  mov %r13, %rdi\n"
    "  mov $4096, %ecx\n"
    "  rep movsb\n"
    "  mov %r13, %rdi\n"
    "  mov $4096, %esi\n"
    "  mov $5, %edx\n"
    "  mov $10, %eax\n"
    "  syscall\n" /* mprotect(final, read + execute) */
    "  lea (cordon_stub_final - cordon_stub_start)(%r13), %rax\n"
    "  jmp *%rax\n"
    "cordon_stub_final:\n"
    "  mov %r12, %rdi\n"
    "  mov $4096, %esi\n"
    "  mov $11, %eax\n"
    "  syscall\n" /* munmap(page) */
    "1: int3\n"
    "  jmp 1b\n"
    ".globl cordon_stub_end\n"
    "cordon_stub_end:\n"
    ".popsection\n");
extern const char cordon_stub_start[], cordon_stub_boot[], cordon_stub_end[];

/*
 * What the stub may ask of the host: only what the Sentry injects. Guest code never gets here (PTRACE_SYSEMU stops it
 * before seccomp) but for vsyscalls, which SYSEMU does not see: those become SIGSYS.
 */
static struct sock_filter stub_filter[] = {
    LOAD(arch),
    IS(AUDIT_ARCH_X86_64, 1, 0),
    ANSWER(SECCOMP_RET_KILL_PROCESS),
    LOAD_AT(offsetof(struct seccomp_data, instruction_pointer) + 4),
    IS(0xffffffffu, 0, 1),
    ANSWER(SECCOMP_RET_TRAP), /* vsyscall page */
    LOAD(nr),
    IS(NR_MUNMAP, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(NR_MPROTECT, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(NR_MMAP, 0, 6),
    LOAD_AT(ARG(3)),
    IS(MAP_SHARED | MAP_FIXED, 3, 0),
    IS(MAP_SHARED | MAP_FIXED | MAP_POPULATE, 2, 0),
    IS(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, 1, 0),
    ANSWER(SECCOMP_RET_KILL_PROCESS),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(NR_CLONE, 0, 4),
    LOAD_AT(ARG(0)),
    IS(THREAD_FLAGS, 1, 0),
    IS(PROCESS_FLAGS, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    ANSWER(SECCOMP_RET_KILL_PROCESS),
};

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

/* The C library's rseq area goes with its memory; the host would kill the stub for writing to it. */
static void forget_rseq(void) {
  if (!&__rseq_offset) return;
  uint8_t *area = (uint8_t *)__builtin_thread_pointer() + __rseq_offset;
  const unsigned sizes[] = {32, &__rseq_size ? __rseq_size : 0, 64};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    if (syscall(SYS_rseq, area, sizes[i], 1 /* unregister */, 0x53053053) == 0) return;
}

/* In the forked child: becomes a clean stub. Only raw calls: this is a copy of a V8 process. */
static _Noreturn void become_stub(enum stub_kind kind) {
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  sigset_t empty;
  sigemptyset(&empty);
  sigprocmask(SIG_SETMASK, &empty, NULL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  forget_rseq();
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  int kept = cordon_move_host_vdso() == 0;
  uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) _exit(101);
  memcpy(page, cordon_stub_start, (size_t)(cordon_stub_end - cordon_stub_start));
  if (kind == STUB_SYSTRAP && cordon_systrap_prepare_page(page) < 0) _exit(105);
  if (mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0) _exit(102);
  if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0) _exit(103);
  struct sock_fprog program = {sizeof stub_filter / sizeof *stub_filter, stub_filter};
  /* That of systrap follows when the template stands: it would trap what comes below. */
  if (kind == STUB_PTRACE && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0) _exit(104);
  register uint64_t r12 __asm__("r12") = (uint64_t)page;
  register uint64_t r13 __asm__("r13") = STUB_PAGE;
  register uint64_t r14 __asm__("r14") = kept ? HOST_VDSO : USER_TOP;
  register uint64_t r15 __asm__("r15") = kept ? HOST_VDSO + HOST_VDSO_ROOM : USER_TOP;
  register uint64_t rbx __asm__("rbx") = USER_TOP;
  uint8_t *entry = page + (cordon_stub_boot - cordon_stub_start);
  __asm__ volatile("jmp *%0" : : "r"(entry), "r"(r12), "r"(r13), "r"(r14), "r"(r15), "r"(rbx) : "memory");
  __builtin_unreachable();
}

#define BOOT_STACK (64ul << 10)

/*
 * What a stub has above guest memory is where the host puts the stack of one process in 256, and of each without address
 * randomisation: the stub leaves it first.
 */
static _Noreturn void become_stub_elsewhere(enum stub_kind kind) {
  uint8_t *stack = mmap(NULL, BOOT_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) _exit(106);
  __asm__ volatile("mov %0, %%rsp\n xor %%ebp, %%ebp\n call *%1\n hlt\n"
                   : : "r"(stack + BOOT_STACK), "r"(become_stub), "D"(kind) : "memory");
  __builtin_unreachable();
}

/* Waits until a thread has stopped or is gone. Returns its wait status, or -errno. */
int cordon_wait_stop(pid_t tid) {
  int status;
  for (;;) {
    pid_t got = wait4(tid, &status, __WALL, NULL);
    if (got == tid) return status;
    if (got < 0 && errno != EINTR) return -errno;
  }
}

int64_t cordon_inject_at(pid_t tid, uint64_t entry, uint64_t trap, struct user_regs_struct *regs, void (*late_kick)(pid_t)) {
  regs->rip = entry;
  regs->orig_rax = (uint64_t)-1;
  regs->eflags = 0x202;
  if (ptrace(PTRACE_SETREGS, tid, 0, regs) < 0) return -errno;
  for (;;) {
    if (ptrace(PTRACE_CONT, tid, 0, 0) < 0) return -errno;
    int status = cordon_wait_stop(tid);
    if (status < 0) return status;
    if (!WIFSTOPPED(status)) return -ESRCH;
    if (WSTOPSIG(status) == SIGTRAP) {
      if (ptrace(PTRACE_GETREGS, tid, 0, regs) < 0) return -errno;
      if (regs->rip == trap) return (int64_t)regs->rax;
    }
    /* A fault of the stub itself would repeat for ever. A signal from outside, or a late kick: swallowed, the call goes on. */
    siginfo_t info;
    int signal = WSTOPSIG(status);
    if ((signal == SIGSEGV || signal == SIGSYS) && ptrace(PTRACE_GETSIGINFO, tid, 0, &info) == 0 && info.si_code > 0)
      return -EFAULT;
    if (signal == SIGURG && late_kick) late_kick(tid);
  }
}

int64_t cordon_inject(pid_t tid, uint64_t number, const uint64_t arguments[6], void (*late_kick)(pid_t)) {
  struct user_regs_struct regs;
  if (ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0) return -errno;
  regs.rax = number;
  regs.rdi = arguments[0];
  regs.rsi = arguments[1];
  regs.rdx = arguments[2];
  regs.r10 = arguments[3];
  regs.r8 = arguments[4];
  regs.r9 = arguments[5];
  return cordon_inject_at(tid, STUB_PAGE, STUB_TRAP, &regs, late_kick);
}

/*
 * A forked Sentry forks once more, for its template stub, which needs nothing of the JavaScript heap: left out, its page
 * tables are neither copied nor made copy-on-write again. Only below the libraries, where stack, thread pointer and code
 * are not; and only in a Sentry, since a process that spawns programs would break.
 */
static void keep_heap_from_stub(void) {
  const volatile int *forked = dlsym(RTLD_DEFAULT, "cordon_forked");
  if (!forked || !*forked) return;
  const uintptr_t first = 0x10000, margin = 64ul << 20;
  uintptr_t needed[] = {(uintptr_t)cordon_stub_start, (uintptr_t)dlsym(RTLD_DEFAULT, "prctl"),
                        (uintptr_t)__builtin_thread_pointer(), (uintptr_t)&first};
  uintptr_t low = needed[0];
  for (size_t i = 1; i < sizeof needed / sizeof *needed; i++)
    if (needed[i] < low) low = needed[i];
  if (low < first + margin) return;
  /* Raw: the zygote's shim drops this advice. ENOMEM for holes comes after the rest was done. */
  syscall(SYS_madvise, first, (low - margin - first) & ~0xffful, MADV_DONTFORK);
}

pid_t cordon_start_template(enum stub_kind kind, uint8_t *pristine_xsave, size_t *regset_size) {
  keep_heap_from_stub();
  pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES_ | SIGCHLD, 0, 0, 0, 0);
  if (pid < 0) return -errno;
  if (pid == 0) become_stub_elsewhere(kind);
  int status = cordon_wait_stop(pid);
  if (status < 0) return status;
  if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
    kill(pid, SIGKILL);
    return WIFEXITED(status) ? -(1000 + WEXITSTATUS(status)) : -ECHILD;
  }
  if (ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) < 0) return -errno;
  struct user_regs_struct booted;
  if (ptrace(PTRACE_GETREGS, pid, 0, &booted) < 0) return -errno;
  if (booted.r14 != HOST_VDSO) cordon_forget_host_vdso();
  struct iovec area = {pristine_xsave, XSAVE_MAX};
  if (ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &area) < 0) return -errno;
  *regset_size = area.iov_len;
  /* The initial state: nothing in use, control words at their defaults. */
  memset(pristine_xsave, 0, *regset_size);
  *(uint16_t *)pristine_xsave = 0x37f;
  *(uint32_t *)(pristine_xsave + 24) = 0x1f80;
  /* xfeatures of the software-reserved bytes stay as the kernel wrote them on reading; XSTATE_BV zero = initial. */
  return pid;
}
