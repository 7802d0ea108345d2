// A thread that makes filters everybody's just when another one execs a set-user-ID program: one of them comes first, and no program
// runs with rights that its caller has not and with a filter of that caller. Starts as root.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 60
static volatile int started, going;

static void *filter_all(void *argument) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {1, &allow};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  started = 1;
  while (!going) {}
  for (volatile long wait = (long)argument; wait > 0; wait--) {}
  syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  for (;;) pause();
}

static void copy(const char *name) {
  char buffer[65536];
  int from = open("/proc/self/exe", O_RDONLY), to = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);
  for (ssize_t got; (got = read(from, buffer, sizeof buffer)) > 0;) write(to, buffer, got);
  close(from);
  close(to);
  chmod(name, 04755);
}

int main(int argc, char **argv) {
  if (argc > 1) return geteuid() == 0 ? (prctl(PR_GET_SECCOMP) == SECCOMP_MODE_FILTER ? 3 : 1) : 2;
  chmod(".", 0755);
  copy("root");
  int outcomes[4] = {0};
  for (int round = 0; round < ROUNDS; round++) {
    pid_t pid = fork();
    if (pid == 0) {
      pthread_t thread;
      if (setresuid(1234, 1234, 1234)) _exit(0);
      pthread_create(&thread, NULL, filter_all, (void *)(round * 200L));
      while (!started) sched_yield();
      going = 1;
      execl("./root", "root", "look", NULL);
      _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    outcomes[WIFEXITED(status) ? WEXITSTATUS(status) & 3 : 0]++;
  }
  printf("filtered root %d, neither %d, rounds %d\n", outcomes[3], outcomes[0], outcomes[1] + outcomes[2] + outcomes[3]);
}
