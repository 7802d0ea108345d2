// ptrace(2): memory and registers of a tracee, as they show and as they can be set.
#include "ptrace.h"
#include <cpuid.h>
#include <sys/mman.h>

static volatile long cell = 0x1122334455667788;
static const char text[] = "constant";
static char *read_only, *nothing, *shared, *shared_read_only;

static long peek(pid_t pid, const volatile void *address) {
  errno = 0;
  return ptrace(PTRACE_PEEKDATA, pid, address, 0);
}

__attribute__((noinline)) static int answer(void) {
  __asm__ volatile("");
  return 41;
}

static void memory_child(void) {
  raise(SIGUSR2);
  printf("child: cell %lx, text %s, read-only %.8s, shared %.8s, answer %d\n", cell, text, read_only, shared, answer());
  fflush(stdout);
  _exit(0);
}

static void show_peek(const char *what, pid_t pid, const volatile void *address) {
  long value = peek(pid, address);
  if (errno) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %lx\n", what, value);
}

static void memory(void) {
  puts("-- memory");
  read_only = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  strcpy(read_only, "before");
  mprotect(read_only, 4096, PROT_READ);
  munmap(read_only + 4096, 4096);
  nothing = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  strcpy(nothing, "hidden");
  mprotect(nothing, 4096, PROT_NONE);
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int fd = memfd_create("shared", 0);
  if (ftruncate(fd, 4096)) return;
  shared_read_only = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  pid_t pid = self_traced(memory_child);
  quiet_next(pid);
  ptrace(PTRACE_CONT, pid, 0, 0);
  next("stopped", pid);
  show_peek("cell", pid, &cell);
  show_peek("unaligned", pid, (char *)&cell + 3);
  show_peek("read-only", pid, read_only);
  show_peek("last of a page", pid, read_only + 4088);
  show_peek("across the end", pid, read_only + 4090);
  show_peek("no access", pid, nothing);
  show_peek("wild", pid, wild);
  show_peek("not canonical", pid, noncanonical);
  show_peek("kernel's", pid, kernel_half);
  R(syscall(SYS_ptrace, PTRACE_PEEKDATA, pid, &cell, wild));
  R(ptrace(PTRACE_POKEDATA, pid, &cell, 0x7fffffffffffff01));
  show_peek("poked", pid, &cell);
  R(ptrace(PTRACE_POKEDATA, pid, text, 0x7265687465676f74));
  R(ptrace(PTRACE_POKETEXT, pid, read_only, 0x0072657466610000 | 0x6261));
  R(ptrace(PTRACE_POKEDATA, pid, shared, 0x64656b6f70));
  R(ptrace(PTRACE_POKEDATA, pid, shared_read_only, 1));
  R(ptrace(PTRACE_POKEDATA, pid, nothing, 0x64656b6f70));
  show_peek("no access, poked", pid, nothing);
  R(ptrace(PTRACE_POKEDATA, pid, wild, 1));
  // mov $42, %eax in place of mov $41, %eax; not all compilers begin with it.
  for (int at = 0; at < 16; at++) {
    long code = peek(pid, (char *)answer + at);
    if ((code & 0xffffffffff) != 0x29b8) continue;
    R(ptrace(PTRACE_POKETEXT, pid, (char *)answer + at, (code & ~0xff00L) | 0x2a00));
    break;
  }
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/mem", pid);
  int file = open(path, O_RDWR);
  char bytes[16] = {0};
  R(pread(file, bytes, 7, (off_t)(uintptr_t)nothing));
  puts(bytes);
  R(pwrite(file, "by file", 8, (off_t)(uintptr_t)read_only));
  R(pwrite(file, "x", 1, (off_t)(uintptr_t)shared_read_only));
  close(file);
  printf("here: cell %lx, text %s, read-only %s, shared %s, answer %d\n", cell, text, read_only, shared, answer());
  ptrace(PTRACE_CONT, pid, 0, 0);
  next("end", pid);
}

static void registers_child(void) {
  long result;
  register long r8 __asm__("r8") = 8, r10 __asm__("r10") = 10, r9 __asm__("r9") = 9;
  __asm__ volatile("syscall"
                   : "=a"(result), "+r"(r8), "+r"(r10), "+r"(r9)
                   : "a"(SYS_getppid), "D"(1L), "S"(2L), "d"(3L)
                   : "rcx", "r11", "memory");
  printf("child: result %ld, r8 %ld\n", result, r8);
  fflush(stdout);
  result = syscall(SYS_getpgid, 0x12345);
  printf("child: skipped %ld, %s\n", result, strerrorname_np(errno));
  fflush(stdout);
  result = syscall(SYS_getpgid, 0x12345);
  printf("child: replaced %d\n", result == getppid());
  fflush(stdout);
  uint64_t flags;
  __asm__ volatile("pushfq; popq %0" : "=r"(flags));
  raise(SIGUSR1);
  __asm__ volatile("pushfq; popq %0" : "=r"(flags));
  _exit(0);
}

static struct user_regs_struct registers_of(pid_t pid) {
  struct user_regs_struct regs;
  memset(&regs, 0xee, sizeof regs);
  ptrace(PTRACE_GETREGS, pid, 0, &regs);
  return regs;
}

static void to_call(pid_t pid, long number) {
  for (;;) {
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    int status = quiet_next(pid);
    if (!WIFSTOPPED(status)) { tell("ended early", status); return; }
    if (WSTOPSIG(status) == (SIGTRAP | 0x80) && registers_of(pid).orig_rax == (unsigned long long)number) return;
  }
}

#define USER(field) ((void *)offsetof(struct user, field))

static void registers(void) {
  puts("-- registers");
  pid_t pid = self_traced(registers_child);
  quiet_next(pid);
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
  to_call(pid, SYS_getppid);
  struct user_regs_struct regs = registers_of(pid);
  printf("rax %lld, rdi %llu, rsi %llu, rdx %llu, r10 %llu, r8 %llu, r9 %llu, rcx is rip %d\n", (long long)regs.rax, regs.rdi, regs.rsi,
         regs.rdx, regs.r10, regs.r8, regs.r9, regs.rcx == regs.rip);
  printf("cs %llx, ss %llx, ds %llx, es %llx, fs %llx, gs %llx, gs base %llx, fs base %d, trap flag %llx\n", regs.cs, regs.ss, regs.ds,
         regs.es, regs.fs, regs.gs, regs.gs_base, regs.fs_base != 0, regs.eflags & 0x100);
  errno = 0;
  printf("one by one: %d %d\n", ptrace(PTRACE_PEEKUSER, pid, USER(regs.rip), 0) == (long)regs.rip,
         ptrace(PTRACE_PEEKUSER, pid, USER(regs.orig_rax), 0) == SYS_getppid);
  R(ptrace(PTRACE_PEEKUSER, pid, 4, 0));
  R(ptrace(PTRACE_PEEKUSER, pid, -8, 0));
  R(ptrace(PTRACE_PEEKUSER, pid, 928, 0));
  R(ptrace(PTRACE_PEEKUSER, pid, 912, 0));
  R(ptrace(PTRACE_PEEKUSER, pid, USER(u_debugreg[0]), 0));
  R(ptrace(PTRACE_PEEKUSER, pid, USER(u_debugreg[7]), 0));
  R(ptrace(PTRACE_POKEUSER, pid, USER(u_debugreg[7]), 0));
  R(ptrace(PTRACE_POKEUSER, pid, USER(u_tsize), 1));
  R(ptrace(PTRACE_POKEUSER, pid, USER(regs.cs), 0));
  R(ptrace(PTRACE_POKEUSER, pid, USER(regs.ss), 0x28));
  R(ptrace(PTRACE_POKEUSER, pid, USER(regs.cs), 0x33));
  R(ptrace(PTRACE_POKEUSER, pid, USER(regs.fs_base), 0x7ffffffff000));
  R(ptrace(PTRACE_POKEUSER, pid, USER(regs.gs_base), -1));
  R(ptrace(PTRACE_POKEUSER, pid, USER(regs.r8), 88));
  R(ptrace(PTRACE_GETREGS, pid, 0, wild));
  R(ptrace(PTRACE_SETREGS, pid, 0, wild));
  struct user_regs_struct wanted = registers_of(pid);
  wanted.ds = 0x28;
  R(ptrace(PTRACE_SETREGS, pid, 0, &wanted));
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  next("after it", pid);
  regs = registers_of(pid);
  printf("is the parent %d, orig_rax %llu\n", (pid_t)regs.rax == getpid(), regs.orig_rax);
  R(ptrace(PTRACE_POKEUSER, pid, USER(regs.rax), 4711));
  to_call(pid, SYS_getpgid);
  R(ptrace(PTRACE_POKEUSER, pid, USER(regs.orig_rax), -1));
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  next("skipped", pid);
  regs = registers_of(pid);
  printf("rax %lld, orig_rax %lld\n", (long long)regs.rax, (long long)regs.orig_rax);
  to_call(pid, SYS_getpgid);
  R(ptrace(PTRACE_POKEUSER, pid, USER(regs.orig_rax), SYS_getppid));
  ptrace(PTRACE_CONT, pid, 0, 0);
  next("at a signal", pid);
  regs = registers_of(pid);
  regs.eflags |= 0xffffffffull << 32 | 0x3000 | 0x1000000;
  R(ptrace(PTRACE_SETREGS, pid, 0, &regs));
  regs = registers_of(pid);
  printf("I/O privilege %llx, interrupts %llx, high %llx\n", regs.eflags & 0x3000, regs.eflags & 0x200, regs.eflags >> 32);
  unsigned long base = 0;
  R(ptrace(30 /* PTRACE_ARCH_PRCTL */, pid, &base, 0x1003));
  printf("%d\n", base == regs.fs_base);
  ptrace(PTRACE_CONT, pid, 0, 0);
  next("end", pid);
}

static void wild_jump(unsigned long long rip, unsigned long long rsp) {
  pid_t pid = self_traced(registers_child);
  quiet_next(pid);
  struct user_regs_struct regs = registers_of(pid);
  if (rip) regs.rip = rip;
  if (rsp) regs.rsp = rsp;
  R(ptrace(PTRACE_SETREGS, pid, 0, &regs));
  ptrace(PTRACE_CONT, pid, 0, 0);
  next("went on", pid);
  kill(pid, SIGKILL);
  quiet_next(pid);
}

static void vector_child(void) {
  __attribute__((aligned(16))) uint64_t xmm[2] = {0x1111, 0x2222}, out[2];
  double st = 0;
  __asm__ volatile("fld1\n movdqa %3, %%xmm5\n mov %4, %%eax\n mov %5, %%edi\n mov %6, %%esi\n syscall\n movdqa %%xmm5, %1\n fstpl %0"
                   : "=m"(st), "=m"(out)
                   : "m"(st), "m"(xmm), "i"(SYS_tkill), "r"((int)gettid()), "i"(SIGUSR1)
                   : "rax", "rdi", "rsi", "rcx", "r11", "xmm5", "memory", "st");
  printf("child: xmm5 %lx %lx, st %g\n", out[0], out[1], st);
  fflush(stdout);
  _exit(0);
}

static void vectors(void) {
  puts("-- floating point and vectors");
  unsigned size = 0, a, c, d;
  __cpuid_count(0xd, 0, a, size, c, d);
  static struct user_fpregs_struct fp;
  static char area[64 * 1024];
  pid_t pid = self_traced(vector_child);
  quiet_next(pid);
  ptrace(PTRACE_CONT, pid, 0, 0);
  next("stopped", pid);
  R(ptrace(PTRACE_GETFPREGS, pid, 0, &fp));
  printf("cwd %x, mxcsr %x, xmm5 %x %x, st(0) %x\n", fp.cwd, fp.mxcsr, fp.xmm_space[20], fp.xmm_space[22], fp.st_space[2]);
  fp.xmm_space[22] = 0x3333;
  R(ptrace(PTRACE_SETFPREGS, pid, 0, &fp));
  struct user_fpregs_struct bad = fp;
  bad.mxcsr = 0xffff0000;
  R(ptrace(PTRACE_SETFPREGS, pid, 0, &bad));
  R(ptrace(PTRACE_SETFPREGS, pid, 0, wild));
  struct iovec vector = {&fp, sizeof fp};
  R(ptrace(PTRACE_GETREGSET, pid, NT_PRFPREG, &vector));
  printf("%zu: %x\n", vector.iov_len, fp.xmm_space[22]);
  struct user_regs_struct regs;
  vector = (struct iovec){&regs, 64};
  R(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &vector));
  printf("%zu\n", vector.iov_len);
  vector = (struct iovec){area, sizeof area};
  R(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &vector));
  printf("%zu\n", vector.iov_len);
  vector.iov_len = 12;
  R(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &vector));
  vector.iov_len = 4096;
  R(ptrace(PTRACE_GETREGSET, pid, 77, &vector));
  R(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, wild));
  vector = (struct iovec){wild, 16};
  R(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &vector));
  vector = (struct iovec){area, sizeof area};
  R(ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &vector));
  uint32_t *words = (uint32_t *)area;
  printf("at least the header %d, xmm5 %x %x, x87 and SSE %x\n", vector.iov_len >= 576, words[60], words[62], words[464 / 4] & 3);
  words[60] = 0x4444;
  R(ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &vector));
  words[520 / 4] = 1;
  R(ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &vector));
  words[520 / 4] = 0;
  words[528 / 4 + 3] = 1;
  R(ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &vector));
  words[528 / 4 + 3] = 0;
  words[512 / 4 + 1] = 0x40000000;
  R(ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &vector));
  words[512 / 4 + 1] = 0;
  vector.iov_len = 512;
  R(ptrace(PTRACE_SETREGSET, pid, NT_X86_XSTATE, &vector));
  ptrace(PTRACE_CONT, pid, 0, 0);
  next("end", pid);
}

// A call that a signal interrupted: what shows of it, and how it is restarted, or not.
static int pipe_fd[2];
static void on_usr1(int signal) { (void)signal; }
static void restarts_child(void) {
  char byte = '?';
  signal(SIGUSR1, on_usr1);
  R(read(pipe_fd[0], &byte, 1));
  printf("child: %c\n", byte);
  struct sigaction action = {.sa_handler = on_usr1};
  sigaction(SIGUSR1, &action, NULL);
  R(read(pipe_fd[0], &byte, 1));
  struct timespec t = {3600, 0};
  R(nanosleep(&t, NULL));
  R(nanosleep(&t, NULL));
  fflush(stdout);
  _exit(0);
}

static void at_signal(pid_t pid) {
  await_state(pid, 'S');
  kill(pid, SIGUSR1);
  next("interrupted", pid);
  struct user_regs_struct regs = registers_of(pid);
  printf("rax %lld, orig_rax %lld\n", (long long)regs.rax, (long long)regs.orig_rax);
}

static void restarts(void) {
  puts("-- restarts");
  if (pipe(pipe_fd)) return;
  pid_t pid = self_traced(restarts_child);
  quiet_next(pid);
  ptrace(PTRACE_CONT, pid, 0, 0);
  at_signal(pid);
  ptrace(PTRACE_CONT, pid, 0, SIGUSR1);
  at_signal(pid);
  ptrace(PTRACE_CONT, pid, 0, 0);
  await_state(pid, 'S');
  if (write(pipe_fd[1], "x", 1) != 1) return;
  // The other read, which a handler without SA_RESTART ends.
  for (;;) {
    at_signal(pid);
    struct user_regs_struct regs = registers_of(pid);
    if (regs.orig_rax == SYS_read && (long)regs.rax == -512) break;
    ptrace(PTRACE_CONT, pid, 0, 0);
  }
  ptrace(PTRACE_CONT, pid, 0, SIGUSR1);
  at_signal(pid);
  // By restart_syscall, for one that goes on.
  ptrace(PTRACE_CONT, pid, 0, 0);
  at_signal(pid);
  // Debuggers that call functions take the restart away.
  R(ptrace(PTRACE_POKEUSER, pid, USER(regs.orig_rax), -1));
  R(ptrace(PTRACE_POKEUSER, pid, USER(regs.rax), 77));
  ptrace(PTRACE_CONT, pid, 0, 0);
  at_signal(pid);
  ptrace(PTRACE_CONT, pid, 0, SIGUSR1);
  next("end", pid);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(60);
  memory();
  registers();
  wild_jump(0x8000000000001000, 0);
  wild_jump(0xffffffff80000000, 0);
  wild_jump(0x10, 0);
  wild_jump(0, 0x8000000000001000);
  vectors();
  restarts();
  return 0;
}
