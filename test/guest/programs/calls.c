// Makes one system call over and over: calls NAME COUNT.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  const char *name = argv[1];
  long count = atol(argv[2]), failed = 0;
  char byte = 'x';
  struct stat st;
  int word = 0;
  int file = open("file", O_RDWR | O_CREAT, 0600);
  if (file < 0 || write(file, &byte, 1) != 1) return 3;
  int ends[2];
  struct timespec now;
  if (pipe(ends)) return 3;
  struct pollfd ready[2] = {{ends[1], POLLOUT, 0}, {file, POLLIN, 0}};
  for (long i = 0; i < count; i++) {
    if (!strcmp(name, "getppid"))
      failed += syscall(SYS_getppid) < 0;
    else if (!strcmp(name, "read"))
      failed += syscall(SYS_pread64, file, &byte, 1, 0) != 1;
    else if (!strcmp(name, "write"))
      failed += syscall(SYS_pwrite64, file, &byte, 1, 0) != 1;
    else if (!strcmp(name, "stat"))
      failed += syscall(SYS_newfstatat, AT_FDCWD, "/etc/passwd", &st, 0) != 0;
    else if (!strcmp(name, "fstat"))
      failed += syscall(SYS_fstat, file, &st) != 0;
    else if (!strcmp(name, "futex"))
      failed += syscall(SYS_futex, &word, FUTEX_WAKE, 1, 0, 0, 0) != 0;
    else if (!strcmp(name, "lseek"))
      failed += lseek(file, 0, SEEK_SET) != 0;
    else if (!strcmp(name, "offset"))
      failed += lseek(file, 0, SEEK_SET) != 0 || write(file, &byte, 1) != 1 || lseek(file, 0, SEEK_SET) != 0 || read(file, &byte, 1) != 1;
    else if (!strcmp(name, "open")) {
      int fd = syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
      failed += fd < 0 || close(fd) != 0;
    } else if (!strcmp(name, "clock"))
      failed += syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now) != 0;
    else if (!strcmp(name, "poll"))
      failed += syscall(SYS_poll, ready, 2, 0) != 2;
    else if (!strcmp(name, "pipe"))
      failed += write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1;
    else
      return 2;
  }
  return failed != 0;
}
