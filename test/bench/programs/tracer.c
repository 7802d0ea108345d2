// The plain C tracer that the ptrace platform is measured against: PTRACE_SYSEMU, pinned to the tracee's core, answers getppid.
// Prints nanoseconds per intercepted call.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#endif

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(void) {
  const int count = 20000;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  sched_setaffinity(0, sizeof set, &set);
  pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    for (;;) syscall(SYS_getppid);
  }
  int status;
  waitpid(pid, &status, 0);
  double start = 0;
  for (int i = -1000; i < count; i++) {
    struct user_regs_struct regs;
    if (i == 0) start = now();
    ptrace(PTRACE_SYSEMU, pid, 0, 0);
    if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) return 1;
    ptrace(PTRACE_GETREGS, pid, 0, &regs);
    regs.rax = 42;
    ptrace(PTRACE_SETREGS, pid, 0, &regs);
  }
  printf("{\"unit\":\"ns\",\"value\":%.3f}\n", (now() - start) / count);
  kill(pid, SIGKILL);
  waitpid(pid, &status, 0);
  return 0;
}
