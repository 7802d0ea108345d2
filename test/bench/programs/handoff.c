/*
 * The bare hand-off of a system call between two processes, with nothing behind it: what systrap is measured against.
 * handoff {sigsys|patched} {spin|futex}: nanoseconds per call as {"value": ns}. futex: both on one core; spin: on two.
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static struct shared {
  _Alignas(64) uint32_t call; /* 1: the server's turn */
  _Alignas(64) uint32_t number;
  int64_t result;
  uint32_t done;
} *shared;
static int spin;

static void wait_for(uint32_t value) {
  while (__atomic_load_n(&shared->call, __ATOMIC_ACQUIRE) != value)
    if (spin) __builtin_ia32_pause();
    else syscall(SYS_futex, &shared->call, FUTEX_WAIT, !value, NULL, NULL, 0);
}

static void give(uint32_t value) {
  __atomic_store_n(&shared->call, value, __ATOMIC_SEQ_CST);
  if (!spin) syscall(SYS_futex, &shared->call, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static long call(long number) {
  shared->number = (uint32_t)number;
  give(1);
  wait_for(0);
  return shared->result;
}

static void on_sigsys(int signal, siginfo_t *info, void *context) {
  (void)signal;
  ucontext_t *uc = context;
  uc->uc_mcontext.gregs[REG_RAX] = call(info->si_syscall);
}

static void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  sched_setaffinity(0, sizeof set, &set);
}

static void trap_getppid(void) {
  struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
  sigaction(SIGSYS, &action, NULL);
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void guest(int sigsys) {
  if (sigsys) trap_getppid();
  const int count = spin ? 200000 : 50000;
  double start = now();
  for (int i = 0; i < count; i++)
    if ((sigsys ? syscall(SYS_getppid) : call(SYS_getppid)) != 42) exit(1);
  printf("{\"value\": %.1f}\n", (now() - start) / count);
  fflush(stdout);
  shared->done = 1;
  give(1);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  spin = strcmp(argv[2], "spin") == 0;
  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pin(0);
  pid_t child = fork();
  if (child == 0) {
    if (spin) pin(1);
    guest(strcmp(argv[1], "sigsys") == 0);
    return 0;
  }
  for (;;) {
    wait_for(1);
    if (shared->done) break;
    shared->result = 42;
    give(0);
  }
  wait(NULL);
  return 0;
}
