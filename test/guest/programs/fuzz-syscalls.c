// Random system calls with hostile arguments, many children of a few hundred calls each. Usage: fuzz-syscalls SEED ROUNDS.
// The parent must live and say so; what happens to the children does not matter.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t state;
static uint64_t rnd(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static char *page, *readonly_page;

static long argument(void) {
  switch (rnd() % 16) {
    case 0: return 0;
    case 1: return -1;
    case 2: return (long)(rnd() % 16);
    case 3: return (long)(rnd() % 5000);
    case 4: return (long)page + (long)(rnd() % 4096);
    case 5: return (long)readonly_page + (long)(rnd() % 64);
    case 6: return (long)page + 4096 - (long)(rnd() % 16);
    case 7: return (long)(0x7fffffff0000 + rnd() % 0x20000);
    case 8: return (long)(1ul << (rnd() % 64));
    case 9: return -(long)(1ul << (rnd() % 63));
    case 10: return (long)rnd();
    case 11: return (long)(rnd() & 0xffffffff);
    case 12: return (long)"/proc/self/maps";
    case 13: return (long)"/tmp/fuzz-file";
    case 14: return 0x7fffffff;
    default: return (long)(rnd() % 8);
  }
}

static void child(void) {
  signal(SIGALRM, SIG_DFL);
  alarm(1);
  for (int i = 0; i < 400; i++) {
    long number = (long)(rnd() % 470);
    // Ends of the child, and of whoever is near it: those have tests of their own.
    if (number == SYS_exit || number == SYS_exit_group || number == SYS_kill || number == SYS_tkill || number == SYS_tgkill ||
        number == SYS_rt_sigqueueinfo || number == SYS_rt_tgsigqueueinfo || number == SYS_pidfd_send_signal ||
        number == SYS_fork || number == SYS_vfork || number == SYS_clone || number == SYS_clone3 || number == SYS_pause ||
        number == SYS_alarm || number == SYS_rt_sigprocmask || number == SYS_rt_sigaction)
      continue;
    for (int at = 0; at < 512; at++) page[at * 8] = (char)rnd();
    syscall(number, argument(), argument(), argument(), argument(), argument(), argument());
  }
  _exit(0);
}

int main(int argc, char **argv) {
  state = argc > 1 ? strtoull(argv[1], NULL, 10) * 2654435761u + 88172645463325252ull : 88172645463325252ull;
  int rounds = argc > 2 ? atoi(argv[2]) : 20;
  page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 4096, 4096);
  readonly_page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int round = 0; round < rounds; round++) {
    uint64_t seed = rnd();
    pid_t pid = fork();
    if (pid < 0) return 3;
    if (pid == 0) {
      setpgid(0, 0);
      state = seed | 1;
      child();
    }
    for (int waited = 0; waitpid(pid, NULL, WNOHANG) == 0; waited++) {
      if (waited == 150) kill(pid, SIGKILL);
      struct timespec pause = {0, 10000000};
      nanosleep(&pause, NULL);
    }
  }
  write(1, "survived\n", 9);
  return 0;
}
