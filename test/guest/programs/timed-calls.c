// Makes calls that return at once, sleep, fault, wait for another thread and for a child, and prints when each began and ended by the guest's own clock.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096 };
static struct {
  const char *name;
  long before, after;
} calls[MOST];
static int count;
static int to_thread[2], from_thread[2];

static long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000L + time.tv_nsec;
}

// The call must succeed.
#define TIMED(call_name, expression)             \
  do {                                           \
    long before = now();                         \
    int failed = (expression) < 0;               \
    long after = now();                          \
    if (failed || count == MOST) return 3;       \
    calls[count].name = call_name;               \
    calls[count].before = before;                \
    calls[count].after = after;                  \
    count++;                                     \
  } while (0)

static void *echo(void *unused) {
  char byte;
  (void)unused;
  while (syscall(SYS_readv, to_thread[0], &(struct { void *base; size_t length; }){&byte, 1}, 1) == 1) {
    struct timespec pause = {0, 300000};
    syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, 0);
    if (syscall(SYS_writev, from_thread[1], &(struct { void *base; size_t length; }){&byte, 1}, 1) != 1) break;
  }
  return NULL;
}

static int measure(void) {
  struct timespec pause = {0, 2000000};
  char byte = 'x';
  for (int round = 0; round < 300; round++) {
    TIMED("getppid", syscall(SYS_getppid));
    TIMED("getuid", syscall(SYS_getuid));
    char *fresh = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED) return 3;
    for (int at = 0; at < 1 << 16; at += 4096) fresh[at] = 1;
    TIMED("munmap", syscall(SYS_munmap, fresh, 1 << 16));
    if (round % 30 == 0) {
      TIMED("nanosleep", syscall(SYS_nanosleep, &pause, 0));
      TIMED("write", syscall(SYS_write, to_thread[1], &byte, 1));
      TIMED("read", syscall(SYS_read, from_thread[0], &byte, 1));
      pid_t child = fork();
      if (child < 0) return 3;
      if (child == 0) _exit(0);
      TIMED("wait4", syscall(SYS_wait4, child, 0, 0, 0));
    }
  }
  return 0;
}

int main(void) {
  pthread_t thread;
  if (pipe(to_thread) || pipe(from_thread) || pthread_create(&thread, NULL, echo, NULL)) return 2;
  printf("%ld\n", (long)syscall(SYS_gettid));
  int failed = measure();
  close(to_thread[1]);
  pthread_join(thread, NULL);
  for (int index = 0; index < count; index++) printf("%s %ld %ld\n", calls[index].name, calls[index].before, calls[index].after);
  return failed;
}
