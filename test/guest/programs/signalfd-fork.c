// A signalfd that several processes have: each sees its own signals, by read, poll and epoll. Same as natively.
#include "results.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

static int fd;

static int ready(void) {
  struct pollfd p = {fd, POLLIN};
  return poll(&p, 1, 0);
}
static int epoll_ready(int epoll, int timeout) {
  struct epoll_event event;
  return epoll_wait(epoll, &event, 1, timeout);
}
static void take(void) {
  struct signalfd_siginfo info;
  ssize_t got = read(fd, &info, sizeof info);
  if (got == sizeof info) printf("signal %d%s\n", info.ssi_signo, info.ssi_pid == (unsigned)getpid() ? " of our own" : "");
  else printf("nothing: %s\n", strerrorname_np(errno));
}
static int watching(void) {
  int epoll = epoll_create1(0);
  struct epoll_event event = {EPOLLIN, {.fd = fd}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  return epoll;
}
static void *thread_signals(void *unused) {
  (void)unused;
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR2);
  printf("thread's own: %d\n", ready());
  take();
  return NULL;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, NULL);
  fd = signalfd(-1, &set, SFD_NONBLOCK);
  int before = watching(), go[2], done[2];
  char byte;
  if (pipe(go) || pipe(done)) return 1;
  raise(SIGUSR1);
  printf("parent: %d %d\n", ready(), epoll_ready(before, 0));
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    printf("child has none: %d\n", ready());
    take();
    raise(SIGUSR2);
    printf("child has one: %d\n", ready());
    int own = watching();
    printf("an epoll of its own: %d\n", epoll_ready(own, 0));
    take();
    printf("taken: %d %d\n", ready(), epoll_ready(own, 0));
    write(done[1], "x", 1);
    // Woken by a signal from the parent.
    printf("woken: %d\n", epoll_ready(own, -1));
    take();
    write(done[1], "x", 1);
    struct pollfd p = {fd, POLLIN};
    printf("woken: %d\n", poll(&p, 1, -1));
    take();
    epoll_ctl(own, EPOLL_CTL_DEL, fd, NULL);
    _exit(0);
  }
  for (int i = 0; i < 2; i++) {
    read(done[0], &byte, 1);
    kill(child, SIGUSR1);
  }
  wait_for(child);
  printf("the parent's still waits: %d %d\n", ready(), epoll_ready(before, 0));
  take();
  printf("taken: %d %d\n", ready(), epoll_ready(before, 0));
  pthread_t thread;
  pthread_create(&thread, NULL, thread_signals, NULL);
  pthread_join(thread, NULL);
  pthread_kill(pthread_self(), SIGUSR2);
  printf("ours: %d\n", ready());
  take();
  // Removed by a process that did not add it: nobody is woken any more, and nothing breaks.
  child = fork();
  if (child == 0) {
    R(epoll_ctl(before, EPOLL_CTL_DEL, fd, NULL));
    _exit(0);
  }
  wait_for(child);
  raise(SIGUSR1);
  printf("removed: %d, ready %d\n", epoll_ready(before, 0), ready());
}
