// Micro-benchmarks of what a guest feels. Usage: micro NAME; prints nanoseconds per operation (or bytes per second).
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static int rounds_left = 1;
static double best; /* of all rounds: times only */

static void report(const char *unit, double value) {
  if (best == 0 || value < best) best = value;
  if (rounds_left == 1) printf("{\"unit\":\"%s\",\"value\":%.3f}\n", unit, best);
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void per_operation(double start, int count) { report("ns", (now() - start) / count); }

static void bench_getppid(void) {
  const int count = 20000;
  for (int i = 0; i < 1000; i++) syscall(SYS_getppid);
  double start = now();
  for (int i = 0; i < count; i++) syscall(SYS_getppid);
  per_operation(start, count);
}

static void bench_open(void) {
  const int count = 3000;
  char buffer[64];
  double start = 0;
  for (int i = -200; i < count; i++) {
    if (i == 0) start = now();
    int fd = open("/usr/share/common-licenses/BSD", O_RDONLY);
    if (fd < 0) die("open");
    if (read(fd, buffer, sizeof buffer) < 0) die("read");
    close(fd);
  }
  per_operation(start, count);
}

static void bench_stat(void) {
  const int count = 5000;
  struct stat st;
  double start = now();
  for (int i = 0; i < count; i++)
    if (stat("/usr/share/common-licenses/BSD", &st)) die("stat");
  per_operation(start, count);
}

static void bench_touch(void) {
  const size_t size = 64 << 20;
  char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) die("mmap");
  double start = now();
  for (size_t i = 0; i < size; i += 4096) memory[i] = 1;
  per_operation(start, size / 4096);
}

static void fork_wait(int count) {
  double start = 0;
  for (int i = -5; i < count; i++) {
    if (i == 0) start = now();
    pid_t pid = fork();
    if (pid < 0) die("fork");
    if (pid == 0) _exit(0);
    if (waitpid(pid, NULL, 0) != pid) die("waitpid");
  }
  per_operation(start, count);
}

static void bench_fork(void) { fork_wait(200); }

static void bench_fork64(void) {
  const size_t size = 64 << 20;
  char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) die("mmap");
  memset(memory, 1, size);
  fork_wait(50);
}

static void bench_exec(void) {
  const int count = 100;
  double start = 0;
  for (int i = -5; i < count; i++) {
    if (i == 0) start = now();
    pid_t pid = vfork();
    if (pid == 0) {
      execl("/bin/true", "true", (char *)NULL);
      _exit(127);
    }
    if (waitpid(pid, NULL, 0) != pid) die("waitpid");
  }
  per_operation(start, count);
}

static void bench_pingpong(void) {
  const int count = 3000;
  int there[2], back[2];
  char byte = 1;
  if (pipe(there) || pipe(back)) die("pipe");
  pid_t pid = fork();
  if (pid == 0) {
    while (read(there[0], &byte, 1) == 1)
      if (byte == 0 || write(back[1], &byte, 1) != 1) break;
    _exit(0);
  }
  double start = 0;
  for (int i = -100; i < count; i++) {
    if (i == 0) start = now();
    if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) die("ping");
  }
  per_operation(start, count);
  byte = 0;
  if (write(there[1], &byte, 1) != 1) die("write");
  waitpid(pid, NULL, 0);
}

static char block[65536];

static void bench_write(void) {
  const int count = 1024;
  int fd = open("bench.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) die("open");
  memset(block, 7, sizeof block);
  double start = now();
  for (int i = 0; i < count; i++)
    if (write(fd, block, sizeof block) != sizeof block) die("write");
  report("bytes/s", count * (double)sizeof block / ((now() - start) / 1e9));
  unlink("bench.tmp");
}

static void bench_read(void) {
  const int count = 1024;
  int fd = open("bench.tmp", O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) die("open");
  for (int i = 0; i < count; i++)
    if (write(fd, block, sizeof block) != sizeof block) die("write");
  lseek(fd, 0, SEEK_SET);
  double start = now();
  for (int i = 0; i < count; i++)
    if (read(fd, block, sizeof block) != sizeof block) die("read");
  report("bytes/s", count * (double)sizeof block / ((now() - start) / 1e9));
  unlink("bench.tmp");
}

static void bench_cpu(void) {
  volatile double sum = 0;
  double start = now();
  for (int i = 1; i < 60000000; i++) sum += 1.0 / i;
  per_operation(start, 1);
}

static const struct {
  const char *name;
  void (*run)(void);
} benches[] = {
    {"getppid", bench_getppid}, {"open", bench_open},   {"stat", bench_stat},   {"touch", bench_touch},
    {"fork", bench_fork},       {"fork64", bench_fork64}, {"exec", bench_exec},   {"pingpong", bench_pingpong},
    {"write", bench_write},     {"read", bench_read},   {"cpu", bench_cpu},
};

int main(int argc, char **argv) {
  for (size_t i = 0; argc > 1 && i < sizeof benches / sizeof *benches; i++)
    if (!strcmp(argv[1], benches[i].name)) {
      if (argc > 2) rounds_left = atoi(argv[2]);
      for (; rounds_left > 0; rounds_left--) benches[i].run();
      return 0;
    }
  fprintf(stderr, "usage: micro NAME [ROUNDS]\n");
  return 2;
}
