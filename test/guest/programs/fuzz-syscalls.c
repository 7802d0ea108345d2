// Random system calls with hostile arguments, many children of a few hundred calls each. Usage: fuzz-syscalls SEED ROUNDS [wide].
// With `wide` children also own descriptors of every kind, IPC objects and a second thread, and pointers lead to plausible structures.
// The parent must live and say so; what happens to the children does not matter.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
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

static int wide, descriptors[40], descriptor_count;

static void own(int fd) {
  if (fd >= 0 && descriptor_count < 40) descriptors[descriptor_count++] = fd;
}

static void open_everything(void) {
  int pair[2];
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  own(open("/tmp/fuzz-file", O_RDWR | O_CREAT, 0644));
  own(open("/tmp", O_RDONLY | O_DIRECTORY));
  own(open("/proc/self/maps", O_RDONLY));
  own(open("/proc/self", O_PATH));
  own(open("/dev/zero", O_RDWR));
  own(open("/dev/ptmx", O_RDWR | O_NOCTTY));
  own(open("/usr", O_RDONLY));
  own(open("/etc/passwd", O_RDONLY));
  for (int type = 1; type <= 5; type += type == 2 ? 3 : 1) {
    if (socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, pair) == 0) { own(pair[0]); own(pair[1]); }
  }
  own(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  own(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
  own(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0));
  own(socket(AF_NETLINK, SOCK_RAW, 0));
  if (pipe2(pair, O_NONBLOCK) == 0) { own(pair[0]); own(pair[1]); }
  own(eventfd(1, EFD_NONBLOCK));
  own(epoll_create1(0));
  own(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
  own(signalfd(-1, &set, SFD_NONBLOCK));
  own(inotify_init1(IN_NONBLOCK));
  own(memfd_create("fuzz", MFD_ALLOW_SEALING));
  own((int)syscall(434, getpid(), 0));
  own((int)syscall(SYS_mq_open, "fuzz", O_RDWR | O_CREAT | O_NONBLOCK, 0600, NULL));
  shmget(IPC_PRIVATE, 8192, 0600);
  semget(IPC_PRIVATE, 3, 0600);
  msgget(IPC_PRIVATE, 0600);
}

/** Structures as calls take them: pointers into this page, lengths, small numbers, descriptors. */
static void plausible(void) {
  long *words = (long *)page;
  for (int at = 0; at < 512; at++) {
    switch (rnd() % 8) {
      case 0: words[at] = (long)page + (long)(rnd() % 4096 & ~7ul); break;
      case 1: words[at] = (long)(rnd() % 64); break;
      case 2: words[at] = descriptor_count ? descriptors[rnd() % descriptor_count] : 1; break;
      case 3: words[at] = (long)rnd(); break;
      case 4: words[at] = (long)(1ul << (rnd() % 64)); break;
      case 5: words[at] = (long)(rnd() % 100000); break;
      default: words[at] = 0;
    }
  }
}

static void *disturb(void *argument) {
  // Memory that a call reads changes while it reads.
  for (;;) {
    page[rnd() % 4096] = (char)rnd();
    usleep(50);
  }
  return argument;
}

static long argument(void) {
  if (wide) {
    switch (rnd() % 6) {
      case 0: return descriptor_count ? descriptors[rnd() % descriptor_count] : 1;
      case 1: return (long)page + (long)(rnd() % 512) * 8;
      case 2: return rnd() % 2 ? -100 : (long)(rnd() % 300);
      default: break;
    }
  }
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
  if (wide) {
    pthread_t thread;
    open_everything();
    pthread_create(&thread, NULL, disturb, NULL);
  }
  for (int i = 0; i < 400; i++) {
    long number = (long)(rnd() % 470);
    // Ends of the child, and of whoever is near it: those have tests of their own.
    if (number == SYS_exit || number == SYS_exit_group || number == SYS_kill || number == SYS_tkill || number == SYS_tgkill ||
        number == SYS_rt_sigqueueinfo || number == SYS_rt_tgsigqueueinfo || number == SYS_pidfd_send_signal ||
        number == SYS_fork || number == SYS_vfork || number == SYS_clone || number == SYS_clone3 || number == SYS_pause ||
        number == SYS_alarm || number == SYS_rt_sigprocmask || number == SYS_rt_sigaction)
      continue;
    if (wide) plausible();
    else
      for (int at = 0; at < 512; at++) page[at * 8] = (char)rnd();
    syscall(number, argument(), argument(), argument(), argument(), argument(), argument());
  }
  _exit(0);
}

int main(int argc, char **argv) {
  state = argc > 1 ? strtoull(argv[1], NULL, 10) * 2654435761u + 88172645463325252ull : 88172645463325252ull;
  int rounds = argc > 2 ? atoi(argv[2]) : 20;
  wide = argc > 3 && strcmp(argv[3], "wide") == 0;
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
