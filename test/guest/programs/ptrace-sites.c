// ptrace(2): code that calls the kernel often, under a tracer. Natively nothing is special about it.
#include "ptrace.h"

__asm__(".globl hot\nhot:\n  mov $110, %eax\n  syscall\n  ret\n.globl hot_end\nhot_end:\n.balign 16\n");
extern char hot[], hot_end[];
static long call_hot(void) {
  long result;
  __asm__ volatile("call *%1" : "=a"(result) : "r"(hot) : "rcx", "r11", "memory");
  return result;
}

static pid_t heated(int *ready) {
  if (pipe(ready)) exit(1);
  pid_t pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 3000; i++) call_hot();
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) call_hot();
  }
  char byte;
  if (read(ready[0], &byte, 1) != 1) exit(1);
  close(ready[0]), close(ready[1]);
  return pid;
}

static void compare(const char *what, pid_t pid) {
  unsigned char bytes[8];
  long word = ptrace(PTRACE_PEEKTEXT, pid, hot, 0);
  memcpy(bytes, &word, sizeof bytes);
  printf("%s: as compiled %d\n", what, memcmp(bytes, hot, hot_end - hot) == 0);
}

static void breakpoint(void) {
  puts("-- a breakpoint in hot code");
  int ready[2];
  pid_t pid = heated(ready);
  R(ptrace(PTRACE_ATTACH, pid, 0, 0));
  next("attached", pid);
  compare("read", pid);
  long word = ptrace(PTRACE_PEEKTEXT, pid, hot, 0);
  R(ptrace(PTRACE_POKETEXT, pid, hot, (word & ~0xffl) | 0xcc));
  ptrace(PTRACE_CONT, pid, 0, 0);
  next("hit", pid);
  struct user_regs_struct regs;
  ptrace(PTRACE_GETREGS, pid, 0, &regs);
  printf("behind its first byte %d\n", regs.rip == (uintptr_t)hot + 1);
  R(ptrace(PTRACE_POKETEXT, pid, hot, word));
  regs.rip = (uintptr_t)hot;
  R(ptrace(PTRACE_SETREGS, pid, 0, &regs));
  // Step by step through the call.
  for (int step = 0; step < 3; step++) {
    ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
    next("step", pid);
    ptrace(PTRACE_GETREGS, pid, 0, &regs);
    printf("at %ld, the parent's id %d\n", step < 2 ? (long)(regs.rip - (uintptr_t)hot) : -1, (pid_t)regs.rax == getpid());
  }
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
  for (int stop = 0; stop < 400; stop++) {
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    if (WSTOPSIG(quiet_next(pid)) != (SIGTRAP | 0x80)) puts("something else");
  }
  ptrace(PTRACE_GETREGS, pid, 0, &regs);
  printf("call %lld, behind it %d\n", (long long)regs.orig_rax, regs.rip == (uintptr_t)hot + 7);
  compare("hot again under the tracer", pid);
  R(ptrace(PTRACE_DETACH, pid, 0, 0));
  R(ptrace(PTRACE_SEIZE, pid, 0, 0));
  ptrace(PTRACE_INTERRUPT, pid, 0, 0);
  quiet_next(pid);
  compare("left, and seized again", pid);
  kill(pid, SIGKILL);
  next("killed", pid);
}

// A tracer that comes and goes while several threads are in the call.
static volatile int running;
static void *spin(void *argument) {
  __atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
  for (;;) if (call_hot() != getppid()) _exit(9);
  return argument;
}
static void threads(void) {
  puts("-- threads in hot code");
  int ready[2];
  if (pipe(ready)) return;
  pid_t pid = fork();
  if (pid == 0) {
    pthread_t id;
    for (int i = 0; i < 3; i++) pthread_create(&id, NULL, spin, NULL);
    while (running < 3) sched_yield();
    for (int i = 0; i < 3000; i++) call_hot();
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) call_hot();
  }
  char byte;
  if (read(ready[0], &byte, 1) != 1) return;
  for (int i = 0; i < 50; i++) {
    if (ptrace(PTRACE_ATTACH, pid, 0, 0) || !WIFSTOPPED(quiet_next(pid))) puts("not attached");
    errno = 0;
    ptrace(PTRACE_PEEKTEXT, pid, hot, 0);
    if (errno || ptrace(PTRACE_DETACH, pid, 0, 0)) puts("not left");
  }
  kill(pid, SIGKILL);
  next("killed", pid);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(60);
  breakpoint();
  threads();
  return 0;
}
