// /proc/N/mem that was opened before its process runs a set-user-ID program leads nowhere afterwards. Starts as root; not position
// independent, so that all copies have their variables at the same place.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile long secret = 42;
static int ready[2], stop[2];

static void copy(const char *name, mode_t mode) {
  char buffer[65536];
  int from = open("/proc/self/exe", O_RDONLY), to = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);
  for (ssize_t got; (got = read(from, buffer, sizeof buffer)) > 0;) write(to, buffer, got);
  close(from);
  close(to);
  chmod(name, mode);
}

// The program with rights of its own: waits, and tells whether somebody was at its memory.
static int hold(char **argv) {
  char byte;
  write(atoi(argv[1]), "", 1);
  read(atoi(argv[2]), &byte, 1);
  return geteuid() != 0 ? 2 : secret == 42 ? 0 : 1;
}

static void attempt(const char *what, int fd) {
  long value = 1;
  errno = 0;
  printf("%s: read %zd", what, pread(fd, &value, sizeof value, (off_t)&secret));
  printf(" %d", errno);
  value = 43;
  printf(" write %zd", pwrite(fd, &value, sizeof value, (off_t)&secret));
  printf(" %d\n", errno);
}

static void user(void) {
  pipe(ready);
  pipe(stop);
  pid_t pid = fork();
  char name[64], one[16], two[16], byte;
  if (pid == 0) {
    read(stop[0], &byte, 1);
    snprintf(one, sizeof one, "%d", ready[1]);
    snprintf(two, sizeof two, "%d", stop[0]);
    execl("./root", "root", one, two, NULL);
    _exit(3);
  }
  snprintf(name, sizeof name, "/proc/%d/mem", pid);
  int fd = open(name, O_RDWR), status;
  long value = 0;
  printf("before: %zd\n", pread(fd, &value, sizeof value, (off_t)&secret));
  write(stop[1], "", 1);
  read(ready[0], &byte, 1);
  attempt("after", fd);
  int anew = open(name, O_RDWR);
  printf("anew: %d %s\n", anew, anew < 0 ? strerrorname_np(errno) : "");
  write(stop[1], "", 1);
  waitpid(pid, &status, 0);
  printf("changed: %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1) return hold(argv);
  if (argv[0][0] == '!') {
    user();
    return 0;
  }
  chmod(".", 0755);
  copy("root", 04755);
  copy("plain", 0755);
  if (setresgid(1234, 1234, 1234) || setresuid(1234, 1234, 1234)) return 1;
  // Nobody may look into what has changed users, but into the program that it runs next.
  execl("./plain", "!", NULL);
  return 1;
}
