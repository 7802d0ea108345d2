// kcmp, pidfd_getfd, process_madvise, adjtimex, sched_setattr's sizes, positions of what has none, and whom EPOLLEXCLUSIVE wakes.
#include "results.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/uio.h>

static long same(int pid, int other, int type, int one, int two) {
  long result = syscall(SYS_kcmp, pid, other, type, one, two);
  return result > 0 ? 1 : result; // which is less depends on where they lie
}

static void compare(void) {
  int self = getpid(), stop[2], first = open("/dev/null", O_RDONLY), copy = dup(first), second = open("/dev/null", O_RDONLY);
  pipe(stop);
  pid_t child = fork();
  if (child == 0) { char c; close(stop[1]); read(stop[0], &c, 1); _exit(0); }
  R(same(self, self, 0, first, copy)); R(same(self, self, 0, first, second)); R(same(self, child, 0, first, copy)); R(same(self, child, 0, first, second));
  for (int type = 1; type <= 6; type++) { printf("%d: ", type); R(same(self, self, type, 0, 0)); R(same(self, child, type, 0, 0)); }
  R(same(self, self, 0, first, 999)); R(same(self, self, 99, 0, 0)); R(same(self, 999999, 1, 0, 0));
  long one = syscall(SYS_kcmp, self, self, 0, first, second), two = syscall(SYS_kcmp, self, self, 0, second, first);
  printf("in order: %d\n", one + two == 3);
  int p = syscall(SYS_pidfd_open, child, 0), got = syscall(SYS_pidfd_getfd, p, second, 0);
  R(same(self, child, 0, got, second)); R(fcntl(got, F_GETFD)); R(syscall(SYS_pidfd_getfd, p, 999, 0)); R(syscall(SYS_pidfd_getfd, first, 0, 0));
  R(syscall(SYS_pidfd_getfd, 999, 0, 0)); R(syscall(SYS_pidfd_getfd, p, 0, 1));
  close(stop[1]); wait_for(child);
  R(syscall(SYS_pidfd_getfd, p, 0, 0));
  char *memory = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct iovec ranges[] = {{memory, 4096}, {memory + 8192, 4096}};
  int own = syscall(SYS_pidfd_open, self, 0);
  R(syscall(SYS_process_madvise, own, ranges, 2, MADV_COLD, 0)); R(syscall(SYS_process_madvise, own, ranges, 2, MADV_WILLNEED, 0));
  R(syscall(SYS_process_madvise, own, ranges, 2, MADV_COLD, 1)); R(syscall(SYS_process_madvise, first, ranges, 2, MADV_COLD, 0));
  R(syscall(SYS_process_madvise, own, wild, 2, MADV_COLD, 0)); R(syscall(SYS_process_madvise, p, ranges, 2, MADV_COLD, 0));
  ranges[1].iov_base = memory + 100;
  R(syscall(SYS_process_madvise, own, ranges, 2, MADV_COLD, 0));
  ranges[0].iov_base = memory + 100;
  R(syscall(SYS_process_madvise, own, ranges, 2, MADV_COLD, 0));
}

// KCMP_EPOLL_TFD: what an epoll watches under a number.
static long watched(int fd, uint32_t epoll, uint32_t target, uint32_t index) {
  uint32_t slot[] = {epoll, target, index};
  long result = syscall(SYS_kcmp, getpid(), getpid(), 7, fd, slot);
  return result > 0 ? 1 : result;
}

static void watch(void) {
  int one = eventfd(0, 0), two = eventfd(0, 0), epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(epoll, EPOLL_CTL_ADD, one, &event);
  int copy = dup(one);
  R(watched(one, epoll, one, 0)); R(watched(copy, epoll, one, 0)); R(watched(two, epoll, one, 0)); R(watched(one, epoll, two, 0));
  R(watched(one, epoll, one, 1)); R(watched(one, two, one, 0)); R(watched(999, epoll, one, 0)); R(watched(one, 999, one, 0));
  R(syscall(SYS_kcmp, getpid(), getpid(), 7, one, wild));
  // Another description under the same number: both are watched.
  dup2(two, one);
  epoll_ctl(epoll, EPOLL_CTL_ADD, one, &event);
  printf("both: %d\n", (watched(two, epoll, one, 0) == 0) + (watched(two, epoll, one, 1) == 0));
  R(watched(two, epoll, one, 2));
}

static void settings(void) {
  struct timex tx = {0};
  int read_it = adjtimex(&tx) >= 0;
  printf("adjtimex %d, tick %ld, near now %d\n", read_it, tx.tick, labs(tx.time.tv_sec - time(NULL)) < 5);
  R(adjtimex(wild)); printf("%d\n", clock_adjtime(CLOCK_REALTIME, &tx) >= 0); R(clock_adjtime(CLOCK_MONOTONIC, &tx)); R(clock_adjtime(99, &tx));
  tx.modes = ADJ_FREQUENCY;
  R(adjtimex(&tx)); R(clock_adjtime(CLOCK_REALTIME, &tx));
  struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t a, b, c, d, e; } attr = {.nice = 19};
  R(syscall(SYS_sched_setattr, 0, &attr, 0)); R(getpriority(PRIO_PROCESS, 0));
  attr.size = 8; attr.nice = 18; R(syscall(SYS_sched_setattr, 0, &attr, 0)); printf("%d\n", attr.size >= 48); R(getpriority(PRIO_PROCESS, 0));
  attr.nice = 19; attr.size = 5000; R(syscall(SYS_sched_setattr, 0, &attr, 0));
  attr.size = sizeof attr; attr.e = 1; R(syscall(SYS_sched_setattr, 0, &attr, 0)); attr.e = 0; R(syscall(SYS_sched_setattr, 0, &attr, 0)); R(getpriority(PRIO_PROCESS, 0));
  struct sched_param param = {0};
  R(sched_setscheduler(0, SCHED_IDLE, &param)); R(sched_setscheduler(0, SCHED_OTHER, &param)); R(sched_getscheduler(0));
  int value = 0;
  R(prctl(PR_GET_TSC, &value)); R(value); R(prctl(PR_GET_TSC, wild)); R(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0)); R(prctl(PR_MCE_KILL_GET, 1, 0, 0, 0));
  R(prctl(PR_TASK_PERF_EVENTS_DISABLE)); R(prctl(PR_GET_SPECULATION_CTRL, 99, 0, 0, 0)); R(prctl(PR_GET_SPECULATION_CTRL, 0, 1, 0, 0));
}

static void positions(void) {
  sigset_t set; sigemptyset(&set); sigaddset(&set, SIGUSR1);
  int pipe_ends[2]; pipe(pipe_ends);
  const int files[] = {eventfd(0, 0), timerfd_create(CLOCK_MONOTONIC, 0), signalfd(-1, &set, 0), epoll_create(1), inotify_init(), pipe_ends[0], socket(AF_UNIX, SOCK_STREAM, 0)};
  char buffer[8];
  for (int i = 0; i < 7; i++) { printf("%d ", i); R(lseek(files[i], 5, SEEK_SET)); R(lseek(files[i], 5, SEEK_END)); R(pread(files[i], buffer, 8, 0)); }
}

enum { SLEEPERS = 4 };
static struct sleeper { pthread_t thread; int epoll, woken; volatile pid_t tid; } sleepers[SLEEPERS];

static void *sleep_on(void *argument) {
  struct sleeper *me = argument;
  struct epoll_event event;
  me->tid = gettid();
  me->woken = epoll_wait(me->epoll, &event, 1, 400);
  return NULL;
}

static int asleep(pid_t tid) {
  char path[64], line[256] = "";
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
  int fd = open(path, O_RDONLY);
  read(fd, line, sizeof line - 1);
  close(fd);
  char *name_end = strrchr(line, ')');
  return name_end && name_end[2] == 'S';
}

static void wake_some(const char *what, uint32_t exclusive, uint32_t others) {
  int event = eventfd(0, 0), count = 0;
  for (int i = 0; i < SLEEPERS; i++) {
    sleepers[i] = (struct sleeper){.epoll = epoll_create1(0)};
    struct epoll_event interest = {.events = EPOLLIN | (i < 2 ? exclusive : others)};
    epoll_ctl(sleepers[i].epoll, EPOLL_CTL_ADD, event, &interest);
    pthread_create(&sleepers[i].thread, NULL, sleep_on, &sleepers[i]);
  }
  for (int i = 0; i < SLEEPERS; i++) while (!sleepers[i].tid || !asleep(sleepers[i].tid)) nap(1);
  write(event, &(uint64_t){1}, 8);
  for (int i = 0; i < SLEEPERS; i++) { pthread_join(sleepers[i].thread, NULL); count += sleepers[i].woken; close(sleepers[i].epoll); }
  printf("%s: %d woken\n", what, count);
  close(event);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  setpriority(PRIO_PROCESS, 0, 0); // whatever the test runner has
  if (getuid() == 0) { setresgid(65534, 65534, 65534); setresuid(65534, 65534, 65534); prctl(PR_SET_DUMPABLE, 1); }
  compare();
  watch();
  settings();
  positions();
  wake_some("all shared", 0, 0);
  wake_some("two exclusive, two shared", EPOLLEXCLUSIVE, 0);
  wake_some("all exclusive", EPOLLEXCLUSIVE, EPOLLEXCLUSIVE);
  return 0;
}
