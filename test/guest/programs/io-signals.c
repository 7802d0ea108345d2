// O_ASYNC, F_SETOWN, F_SETSIG, SIGURG and F_NOTIFY: who is told what. Prints what it sees: same as native.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int p[2];
static void say(const char *what, long result) {
  printf("%s: %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "");
}
static const char *number(int fd) { return fd == p[0] ? "reader" : fd == p[1] ? "writer" : fd < 0 ? "none" : "another"; }

// Takes what is pending of `set`, for up to 100 ms.
static void pending(const char *what, const sigset_t *set) {
  siginfo_t info;
  struct timespec timeout = {0, 100000000};
  int signal = sigtimedwait(set, &info, &timeout);
  if (signal < 0) printf("%s: nothing\n", what);
  else if (info.si_code > 0 && info.si_code < 7) printf("%s: signal %d code %d band %lx fd %s\n", what, signal, info.si_code, info.si_band, number(info.si_fd));
  else printf("%s: signal %d code %x\n", what, signal, info.si_code);
}

static void asynchronous(const sigset_t *set) {
  pipe(p);
  int file = open("file", O_RDWR | O_CREAT, 0600);
  say("owner of a fresh pipe", fcntl(p[0], F_GETOWN));
  say("signal of a fresh pipe", fcntl(p[0], F_GETSIG));
  say("no such process", fcntl(p[0], F_SETOWN, 99999));
  say("no such group", fcntl(p[0], F_SETOWN, -99999));
  say("no such signal", fcntl(p[0], F_SETSIG, 65));
  say("O_ASYNC of a file", fcntl(file, F_SETFL, O_ASYNC));
  say("reported", (fcntl(file, F_GETFL) & O_ASYNC) != 0);
  say("own", fcntl(p[0], F_SETOWN, getpid()));
  say("owned", fcntl(p[0], F_GETOWN) == getpid());
  write(p[1], "x", 1);
  pending("without O_ASYNC", set);
  say("O_ASYNC", fcntl(p[0], F_SETFL, O_ASYNC));
  say("reported", (fcntl(p[0], F_GETFL) & O_ASYNC) != 0);
  write(p[1], "x", 1);
  pending("SIGIO", set);
  fcntl(p[0], F_SETSIG, SIGRTMIN + 3);
  say("signal", fcntl(p[0], F_GETSIG) == SIGRTMIN + 3);
  write(p[1], "x", 1);
  pending("a signal that says more", set);
  char buffer[10];
  read(p[0], buffer, 10);
  pending("reading is no news for the reader", set);
  fcntl(p[0], F_SETSIG, SIGCHLD);
  write(p[1], "x", 1);
  siginfo_t info;
  say("SIGCHLD", sigwaitinfo(set, &info));
  say("its code", info.si_code);
  struct f_owner_ex ex = {F_OWNER_TID, gettid()}, got;
  say("a thread", fcntl(p[0], F_SETOWN_EX, &ex));
  say("read back", fcntl(p[0], F_GETOWN_EX, &got));
  printf("%d %d\n", got.type == F_OWNER_TID, got.pid == gettid());
  ex.type = 9;
  say("no such kind", fcntl(p[0], F_SETOWN_EX, &ex));
  say("a group", fcntl(p[0], F_SETOWN, -getpgrp()));
  say("read back", fcntl(p[0], F_GETOWN) == -getpgrp());
  fcntl(p[0], F_SETSIG, SIGUSR1);
  write(p[1], "x", 1);
  pending("as a member of the group", set);
  fcntl(p[0], F_SETOWN, 0);
  write(p[1], "x", 1);
  pending("nobody", set);
  int child = fork();
  if (child == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    write(p[1], "x", 1);
    pause();
  }
  read(p[0], buffer, 1);
  fcntl(p[0], F_SETOWN, child);
  write(p[1], "x", 1);
  int status;
  waitpid(child, &status, 0);
  sigwaitinfo(set, &info);
  printf("another process dies of %d\n", WTERMSIG(status));
  say("an owner that is gone", fcntl(p[0], F_GETOWN));
  close(p[0]);
  close(p[1]);
}

static void urgent(const sigset_t *set) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), me = getpid(), owner;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  bind(listener, (struct sockaddr *)&address, length);
  getsockname(listener, (struct sockaddr *)&address, &length);
  listen(listener, 1);
  connect(client, (struct sockaddr *)&address, length);
  int server = accept(listener, NULL, NULL);
  send(client, "x", 1, MSG_OOB);
  pending("urgent data without an owner", set);
  say("SIOCSPGRP", ioctl(server, SIOCSPGRP, &me));
  ioctl(server, SIOCGPGRP, &owner);
  printf("SIOCGPGRP: %d\n", owner == me);
  send(client, "x", 1, MSG_OOB);
  pending("urgent data", set);
}

static int happened(const sigset_t *set) {
  siginfo_t info;
  struct timespec none = {0, 20000000};
  int count = 0;
  while (sigtimedwait(set, &info, &none) > 0) count++;
  return count > 0;
}

static void directory(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 4);
  sigaddset(&set, SIGIO);
  mkdir("dir", 0700);
  mkdir("other", 0700);
  int dir = open("dir", O_RDONLY), file = open("file", O_RDWR);
  say("a file", fcntl(file, F_NOTIFY, DN_CREATE));
  say("nothing", fcntl(dir, F_NOTIFY, 0));
  fcntl(dir, F_SETSIG, SIGRTMIN + 4);
  say("once", fcntl(dir, F_NOTIFY, DN_CREATE));
  close(open("dir/a", O_CREAT | O_RDWR, 0600));
  printf("create: %d\n", happened(&set));
  close(open("dir/b", O_CREAT | O_RDWR, 0600));
  printf("again: %d\n", happened(&set));
  static const struct { const char *name; int mask; } kinds[] = {
      {"access", DN_ACCESS}, {"modify", DN_MODIFY}, {"create", DN_CREATE},
      {"delete", DN_DELETE}, {"rename", DN_RENAME}, {"attrib", DN_ATTRIB}};
  for (int k = 0; k < 6; k++) {
    fcntl(dir, F_NOTIFY, 0);
    fcntl(dir, F_NOTIFY, kinds[k].mask | DN_MULTISHOT);
    printf("%s:", kinds[k].name);
    int fd = open("dir/c", O_CREAT | O_RDWR, 0600);
    printf(" create %d", happened(&set));
    write(fd, "x", 1);
    printf(" write %d", happened(&set));
    char byte;
    pread(fd, &byte, 1, 0);
    printf(" read %d", happened(&set));
    fchmod(fd, 0644);
    printf(" chmod %d", happened(&set));
    rename("dir/c", "dir/d");
    printf(" rename %d", happened(&set));
    rename("dir/d", "other/d");
    printf(" away %d", happened(&set));
    rename("other/d", "dir/d");
    printf(" back %d", happened(&set));
    unlink("dir/d");
    printf(" unlink %d", happened(&set));
    chmod("dir", 0755);
    printf(" itself %d\n", happened(&set));
    close(fd);
  }
  close(dir);
  close(open("dir/e", O_CREAT | O_RDWR, 0600));
  printf("closed: %d\n", happened(&set));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  setpgid(0, 0);
  sigset_t set;
  sigfillset(&set);
  sigdelset(&set, SIGALRM);
  sigprocmask(SIG_BLOCK, &set, NULL);
  alarm(10);
  asynchronous(&set);
  urgent(&set);
  directory();
}
