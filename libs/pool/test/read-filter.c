/* read-filter PID: the seccomp filters of a live process, innermost last, each as a line of hex. Needs root. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define GET_FILTER 0x420c

int main(int argc, char **argv) {
  pid_t pid = argc > 1 ? atoi(argv[1]) : 0;
  if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) != 0) {
    perror("seize");
    return 1;
  }
  int status;
  if (waitpid(pid, &status, __WALL) != pid) {
    perror("wait");
    return 1;
  }
  static struct sock_filter program[65536];
  for (long index = 0;; index++) {
    long length = ptrace(GET_FILTER, pid, index, program);
    if (length < 0) {
      if (errno != ENOENT) {
        perror("get filter");
        return 1;
      }
      break;
    }
    for (long at = 0; at < length * (long)sizeof *program; at++) printf("%02x", ((unsigned char *)program)[at]);
    printf("\n");
  }
  ptrace(PTRACE_DETACH, pid, 0, 0);
  return 0;
}
