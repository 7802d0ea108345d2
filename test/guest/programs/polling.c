// poll, select, epoll, eventfd, timerfd, signalfd: what they answer in a matrix of states. Same as native.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, long result) { printf("%s: %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : ""); }
static int add(int ep, int fd, uint32_t events) {
  struct epoll_event e = {events, {.u64 = 0x100000000ull * 7 + fd}};
  return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}
static int mod(int ep, int fd, uint32_t events) {
  struct epoll_event e = {events, {.u64 = fd}};
  return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
}
static void waits(const char *what, int ep, int ms) {
  struct epoll_event e[8];
  int n = epoll_wait(ep, e, 8, ms);
  printf("%s: %d", what, n);
  if (n < 0) printf(" %s", strerrorname_np(errno));
  for (int i = 0; i < n; i++) printf(" %x", e[i].events);
  printf("\n");
}
static void nothing(int s) { (void)s; }
static void *later(void *arg) {
  usleep(30000);
  uint64_t one = 1;
  write(*(int *)arg, &one, 8);
  return 0;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  // Natively we inherit what our callers forgot to close (flock's customary 200 for one): the answers below depend on it.
  close_range(3, ~0u, 0);
  uint64_t value;
  // eventfd
  int ev = eventfd(3, EFD_NONBLOCK);
  say("eventfd read", read(ev, &value, 8));
  printf("value %lu\n", value);
  say("eventfd empty", read(ev, &value, 8));
  say("eventfd short", read(ev, &value, 4));
  value = UINT64_MAX;
  say("eventfd max", write(ev, &value, 8));
  value = UINT64_MAX - 1;
  say("eventfd max-1", write(ev, &value, 8));
  struct pollfd pe = {ev, POLLIN | POLLOUT, 0};
  poll(&pe, 1, 0);
  printf("eventfd full poll %x\n", pe.revents);
  value = 1;
  say("eventfd overflow", write(ev, &value, 8));
  read(ev, &value, 8);
  printf("value %lx\n", value);
  int sem = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
  say("sem", read(sem, &value, 8));
  printf("value %lu\n", value);
  say("sem", read(sem, &value, 8));
  say("sem", read(sem, &value, 8));
  say("eventfd2 bad flags", eventfd(0, 0x1234));

  // poll
  int p[2];
  pipe2(p, O_NONBLOCK);
  struct pollfd fds[4] = {{p[0], POLLIN, 0x7777}, {-5, POLLIN, 0x7777}, {999, POLLIN, 0x7777}, {p[1], POLLOUT, 0x7777}};
  say("poll", poll(fds, 4, -1));
  for (int i = 0; i < 4; i++) printf(" %x/%x", fds[i].events, fds[i].revents);
  printf("\n");
  say("poll timeout", poll(fds, 1, 10));
  say("poll too many", syscall(SYS_poll, fds, 1u << 30, 0));
  say("poll efault", syscall(SYS_poll, 8, 1, 0));
  struct timespec ts = {0, 20000000};
  say("ppoll", syscall(SYS_ppoll, fds, 1, &ts, NULL, 8));
  printf("left %ld %ld\n", (long)ts.tv_sec, ts.tv_nsec);
  ts.tv_nsec = 2000000000;
  say("ppoll bad time", syscall(SYS_ppoll, fds, 1, &ts, NULL, 8));
  pthread_t t;
  int block = eventfd(0, 0);
  pthread_create(&t, 0, later, &block);
  struct pollfd pb = {block, POLLIN, 0};
  say("poll woken", poll(&pb, 1, 5000));
  pthread_join(t, 0);
  // select
  fd_set r, w;
  FD_ZERO(&r);
  FD_ZERO(&w);
  FD_SET(p[0], &r);
  FD_SET(p[1], &w);
  struct timeval tv = {1, 0};
  say("select", select(p[1] + 1, &r, &w, NULL, &tv));
  printf("r %d w %d left %d\n", FD_ISSET(p[0], &r), FD_ISSET(p[1], &w), tv.tv_sec == 0 || tv.tv_usec == 0);
  FD_ZERO(&r);
  FD_SET(60, &r);
  say("select bad fd", select(61, &r, NULL, NULL, NULL));
  // The table of a new process is as long as what is open in it, 64 at least: what lies beyond is not looked at.
  fflush(stdout);
  if (fork() == 0) {
    FD_SET(200, &r);
    FD_CLR(60, &r);
    tv.tv_sec = tv.tv_usec = 0;
    say("select beyond the table", select(201, &r, NULL, NULL, &tv));
    dup2(0, 100);
    say("select bad fd in a longer table", select(101, &r, NULL, NULL, &tv));
    FD_SET(110, &r);
    say("select bad fd behind the last", select(111, &r, NULL, NULL, &tv));
    fflush(stdout);
    _exit(0);
  }
  wait(NULL);
  say("select negative", select(-1, NULL, NULL, NULL, NULL));
  tv.tv_sec = 0;
  tv.tv_usec = 10000;
  say("select sleep", select(0, NULL, NULL, NULL, &tv));
  struct rlimit rl = {1024, 1024};
  setrlimit(RLIMIT_NOFILE, &rl);
  int many[700][2], made = 0;
  while (made < 450 && pipe(many[made]) == 0) made++;
  FD_ZERO(&r);
  for (int i = 0; i < made; i++) FD_SET(many[i][0], &r);
  write(many[17][1], "x", 1);
  write(many[made - 1][1], "x", 1);
  say("select on many", select(1024, &r, NULL, NULL, NULL));
  printf("set %d %d %d\n", FD_ISSET(many[17][0], &r), FD_ISSET(many[made - 1][0], &r), FD_ISSET(many[3][0], &r));
  for (int i = 0; i < made; i++) close(many[i][0]), close(many[i][1]);

  // epoll
  say("epoll_create 0", epoll_create(0));
  int ep = epoll_create1(EPOLL_CLOEXEC);
  say("add self", add(ep, ep, EPOLLIN));
  int file = open("/tmp", O_RDONLY | O_DIRECTORY);
  say("add directory", add(ep, file, EPOLLIN));
  say("add bad", add(ep, 999, EPOLLIN));
  say("add", add(ep, p[0], EPOLLIN));
  say("add again", add(ep, p[0], EPOLLIN));
  say("mod absent", mod(ep, p[1], EPOLLIN));
  say("del absent", epoll_ctl(ep, EPOLL_CTL_DEL, p[1], NULL));
  struct epoll_event e;
  say("wait 0 events", epoll_wait(ep, &e, 0, 0));
  say("wait not epoll", epoll_wait(p[0], &e, 1, 0));
  say("ctl not epoll", add(p[1], p[0], EPOLLIN));
  say("ctl bad op", epoll_ctl(ep, 9, p[0], &e));
  waits("empty", ep, 0);
  write(p[1], "ab", 2);
  waits("level", ep, -1);
  waits("level again", ep, 0);
  say("mod edge", mod(ep, p[0], EPOLLIN | EPOLLET));
  waits("edge", ep, 0);
  waits("edge again", ep, 0);
  write(p[1], "c", 1);
  waits("edge after write", ep, 0);
  say("mod oneshot", mod(ep, p[0], EPOLLIN | EPOLLONESHOT));
  waits("oneshot", ep, 0);
  write(p[1], "c", 1);
  waits("oneshot spent", ep, 0);
  say("rearm", mod(ep, p[0], EPOLLIN | EPOLLONESHOT));
  waits("oneshot rearmed", ep, 0);
  say("rearm", mod(ep, p[0], EPOLLIN));
  int copy = dup(p[0]);
  close(p[0]);
  waits("survives close when dup'd", ep, 0);
  close(copy);
  waits("gone with last close", ep, 0);
  close(p[1]);
  // nested
  int in = epoll_create1(0), inev = eventfd(0, EFD_NONBLOCK);
  add(in, inev, EPOLLIN);
  say("nest", add(ep, in, EPOLLIN));
  say("loop", add(in, ep, EPOLLIN));
  value = 1;
  write(inev, &value, 8);
  waits("nested", ep, 0);
  read(inev, &value, 8);
  waits("nested empty", ep, 0);
  int chain[8];
  int failed = 0;
  for (int i = 0; i < 8; i++) {
    chain[i] = epoll_create1(0);
    if (i > 0 && add(chain[i], chain[i - 1], EPOLLIN) < 0 && !failed) {
      failed = i;
      say("chain", -1);
    }
  }
  printf("chain fails at %d\n", failed);
  say("exclusive mod", mod(ep, in, EPOLLIN | EPOLLEXCLUSIVE));
  say("exclusive nested", add(chain[0], in, EPOLLIN | EPOLLEXCLUSIVE));
  int sv[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
  add(ep, sv[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
  waits("socket", ep, 0);
  write(sv[1], "x", 1);
  waits("socket readable", ep, 0);
  shutdown(sv[1], SHUT_WR);
  waits("socket rdhup", ep, 0);
  close(sv[1]);
  waits("socket hup", ep, 0);
  waits("socket hup again", ep, 0);
  // maxevents rotation
  int rot = epoll_create1(0), evs[3];
  for (int i = 0; i < 3; i++) add(rot, evs[i] = eventfd(1, 0), EPOLLIN);
  for (int i = 0; i < 6; i++) {
    epoll_wait(rot, &e, 1, 0);
    printf(" %d", (int)(e.data.u64 & 0xffff) - evs[0]);
  }
  printf("\n");
  // signals
  struct sigaction sa = {.sa_handler = nothing};
  sigaction(SIGALRM, &sa, 0);
  ualarm(20000, 0);
  struct epoll_event more[4];
  int empty = epoll_create1(0);
  say("epoll_wait interrupted", epoll_wait(empty, more, 4, 5000));
  ualarm(20000, 0);
  say("poll interrupted", poll(NULL, 0, 5000));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGALRM);
  sigprocmask(SIG_BLOCK, &set, 0);
  raise(SIGALRM);
  sigset_t open_mask;
  sigemptyset(&open_mask);
  say("epoll_pwait lets it in", epoll_pwait(empty, more, 4, 1000, &open_mask));
  // signalfd
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, 0);
  int sfd = signalfd(-1, &set, SFD_NONBLOCK);
  struct signalfd_siginfo si;
  say("signalfd none", read(sfd, &si, sizeof si));
  kill(getpid(), SIGUSR1);
  struct pollfd ps = {sfd, POLLIN, 0};
  say("signalfd poll", poll(&ps, 1, 100));
  say("signalfd", read(sfd, &si, sizeof si));
  printf("signo %d code %d pid %d\n", si.ssi_signo, si.ssi_code, si.ssi_pid == (unsigned)getpid());
  say("signalfd short", read(sfd, &si, 100));
  if (fork() == 0) {
    usleep(10000);
    kill(getppid(), SIGUSR1);
    _exit(0);
  }
  fcntl(sfd, F_SETFL, 0);
  say("signalfd blocking", read(sfd, &si, sizeof si));
  wait(0);
  // timerfd
  say("timerfd bad clock", timerfd_create(77, 0));
  int tfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  say("timerfd unarmed", read(tfd, &value, 8));
  struct itimerspec its = {{0, 0}, {0, 5000000}}, old;
  say("settime", timerfd_settime(tfd, 0, &its, NULL));
  struct pollfd pt = {tfd, POLLIN, 0};
  say("timerfd poll", poll(&pt, 1, 1000));
  say("timerfd", read(tfd, &value, 8));
  printf("ticks %lu\n", value);
  its.it_interval.tv_nsec = 2000000;
  timerfd_settime(tfd, 0, &its, NULL);
  usleep(30000);
  say("timerfd periodic", read(tfd, &value, 8));
  printf("many ticks %d\n", value >= 10 && value < 100);
  its.it_value.tv_sec = 100;
  say("settime old", timerfd_settime(tfd, 0, &its, &old));
  printf("interval %ld\n", old.it_interval.tv_nsec);
  timerfd_gettime(tfd, &old);
  printf("left %d\n", old.it_value.tv_sec == 99 || old.it_value.tv_sec == 100);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  int rt = timerfd_create(CLOCK_REALTIME, 0);
  struct itimerspec abs = {{0, 0}, {now.tv_sec, now.tv_nsec}};
  abs.it_value.tv_nsec += 20000000;
  if (abs.it_value.tv_nsec >= 1000000000) abs.it_value.tv_nsec -= 1000000000, abs.it_value.tv_sec++;
  say("absolute", timerfd_settime(rt, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &abs, NULL));
  say("absolute read", read(rt, &value, 8));
  struct timespec after;
  clock_gettime(CLOCK_REALTIME, &after);
  printf("not early %d\n", after.tv_sec > abs.it_value.tv_sec || (after.tv_sec == abs.it_value.tv_sec && after.tv_nsec >= abs.it_value.tv_nsec));
  return 0;
}
