// Process trees: fork, wait4 and waitid with their options, orphans, zombies, SIGCHLD, vfork. Prints no ids.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int chld;
static void on_chld(int s, siginfo_t *i, void *u) {
  chld++;
  printf("SIGCHLD code %d status %d\n", i->si_code, i->si_status);
}
static pid_t spawn(int code) {
  pid_t p = fork();
  if (p == 0) _exit(code);
  return p;
}

int main(void) {
  setbuf(stdout, NULL);
  int st;
  pid_t p = spawn(7);
  printf("wait %d exited %d code %d\n", waitpid(p, &st, 0) == p, WIFEXITED(st), WEXITSTATUS(st));
  printf("again %d errno %d\n", waitpid(p, &st, 0), errno);

  // copy-on-write both ways
  static int shared = 1;
  int pipefd[2];
  pipe(pipefd);
  p = fork();
  if (p == 0) {
    shared = 2;
    char c = '0' + shared;
    write(pipefd[1], &c, 1);
    _exit(0);
  }
  char c;
  read(pipefd[0], &c, 1);
  waitpid(p, &st, 0);
  printf("child saw %c parent %d\n", c, shared);

  // killed by a signal
  p = fork();
  if (p == 0) {
    pause();
    _exit(1);
  }
  kill(p, SIGTERM);
  waitpid(p, &st, 0);
  printf("signaled %d %d\n", WIFSIGNALED(st), WTERMSIG(st));

  // WNOHANG, WNOWAIT, siginfo
  p = fork();
  if (p == 0) {
    usleep(30000);
    _exit(3);
  }
  printf("nohang %d\n", waitpid(p, &st, WNOHANG));
  siginfo_t info;
  memset(&info, 0, sizeof info);
  printf("waitid %d", waitid(P_PID, p, &info, WEXITED | WNOWAIT));
  printf(" pid %d code %d status %d signo %d\n", info.si_pid == p, info.si_code, info.si_status, info.si_signo);
  printf("still there %d\n", waitpid(-1, &st, 0) == p);

  // stop and continue
  p = fork();
  if (p == 0) {
    for (;;) pause();
  }
  kill(p, SIGSTOP);
  printf("stopped %d", waitpid(p, &st, WUNTRACED) == p);
  printf(" %d sig %d\n", WIFSTOPPED(st), WSTOPSIG(st));
  kill(p, SIGCONT);
  printf("continued %d", waitpid(p, &st, WCONTINUED) == p);
  printf(" %d\n", WIFCONTINUED(st));
  kill(p, SIGKILL);
  waitpid(p, &st, 0);
  printf("killed %d\n", WTERMSIG(st));

  // orphans go to the subreaper
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  p = fork();
  if (p == 0) {
    pid_t g = fork();
    if (g == 0) {
      usleep(20000);
      _exit(9);
    }
    _exit(1);
  }
  waitpid(p, &st, 0);
  p = waitpid(-1, &st, 0);
  printf("grandchild %d code %d\n", p > 0, WEXITSTATUS(st));

  // SIGCHLD handler; ignored SIGCHLD reaps by itself
  struct sigaction sa = {.sa_sigaction = on_chld, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGCHLD, &sa, NULL);
  p = spawn(5);
  waitpid(p, &st, 0);
  printf("chld %d\n", chld);
  signal(SIGCHLD, SIG_IGN);
  spawn(6);
  printf("ignored %d errno %d\n", wait(&st), errno);
  signal(SIGCHLD, SIG_DFL);

  // vfork shares memory and waits
  static volatile int value = 1;
  p = vfork();
  if (p == 0) {
    value = 42;
    _exit(4);
  }
  printf("vfork value %d\n", value);
  waitpid(p, &st, 0);

  // process groups
  p = fork();
  if (p == 0) {
    setpgid(0, 0);
    printf("own group %d\n", getpgrp() == getpid());
    printf("setsid of leader %d errno %d\n", setsid(), errno);
    pid_t q = fork();
    if (q == 0) {
      printf("inherited %d\n", getpgrp() == getppid());
      printf("setsid %d\n", setsid() == getpid());
      printf("sid %d\n", getsid(0) == getpid());
      _exit(0);
    }
    waitpid(q, &st, 0);
    _exit(0);
  }
  waitpid(p, &st, 0);
  // kill a whole group
  int n = 0;
  pid_t leader = 0;
  for (int i = 0; i < 3; i++) {
    p = fork();
    if (p == 0) {
      for (;;) pause();
    }
    if (!leader) leader = p;
    setpgid(p, leader);
  }
  kill(-leader, SIGUSR1);
  while ((p = waitpid(-leader, &st, 0)) > 0)
    if (WTERMSIG(st) == SIGUSR1) n++;
  printf("group of %d gone, errno %d\n", n, errno);

  // many children
  for (int i = 0; i < 50; i++) spawn(i);
  int sum = 0;
  while (wait(&st) > 0) sum += WEXITSTATUS(st);
  printf("sum %d\n", sum);
  printf("bad flags %ld errno %d\n", syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), errno);
  printf("kill nobody %d errno %d\n", kill(99999, 0), errno);
  return 0;
}
