// POSIX message queues as a program sees them. Usage: posix-mq SECTION.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define R(call) show(#call, (long)(call))
static void show(const char *what, long result) {
  if (result == -1) printf("%s = -1 %s\n", what, strerrorname_np(errno));
  else printf("%s = %ld\n", what, result);
}

static char name[64];
static char text[8192];
static unsigned priority;
static void *wild = (void *)0x10;

static void nap(int ms) {
  struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
  nanosleep(&t, NULL);
}

static void wait_for(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  if (WIFEXITED(status)) printf("child exited %d\n", WEXITSTATUS(status));
  else printf("child killed by %d\n", WTERMSIG(status));
}

static struct timespec in_ms(int ms) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  t.tv_nsec += (long)ms * 1000000;
  t.tv_sec += t.tv_nsec / 1000000000;
  t.tv_nsec %= 1000000000;
  return t;
}

static mqd_t open_queue(int flags, long max, long size) {
  struct mq_attr attr = {.mq_maxmsg = max, .mq_msgsize = size};
  return mq_open(name, O_CREAT | flags, 0600, &attr);
}

static void get(mqd_t q) {
  memset(text, 0, 100);
  long n = mq_receive(q, text, sizeof text, &priority);
  if (n < 0) printf("receive: %s\n", strerrorname_np(errno));
  else printf("receive %ld %u %s\n", n, priority, text);
}

static void basics(void) {
  mqd_t q = open_queue(O_RDWR | O_EXCL, 6, 100);
  printf("open %d cloexec %d flags %o\n", q >= 0, fcntl(q, F_GETFD), fcntl(q, F_GETFL));
  R(mq_send(q, "low", 4, 1));
  R(mq_send(q, "high", 5, 30));
  R(mq_send(q, "low again", 10, 1));
  R(mq_send(q, "highest", 8, 32767));
  R(mq_send(q, "", 0, 5));
  struct pollfd p = {q, POLLIN | POLLOUT, 0};
  printf("poll %d %d\n", poll(&p, 1, 0), p.revents);
  R(mq_send(q, "x", 1, 5));
  printf("poll %d %d\n", poll(&p, 1, 0), p.revents);
  char status[128] = {0};
  lseek(q, 0, SEEK_SET);
  printf("read %ld: %s", read(q, status, 100), status);
  for (int i = 0; i < 6; i++) get(q);
  printf("poll %d %d\n", poll(&p, 1, 0), p.revents);
  struct stat st;
  R(fstat(q, &st));
  printf("mode %o size %ld links %ld\n", st.st_mode, (long)st.st_size, (long)st.st_nlink);
  R(write(q, "x", 1));
  mqd_t other = mq_open(name, O_RDONLY);
  R(mq_send(other, "x", 1, 0));
  R(mq_unlink(name));
  R(mq_unlink(name));
  R(mq_open(name, O_RDWR));
  R(mq_send(q, "still there", 12, 0));
  get(other);
  R(mq_close(q));
  R(mq_close(q));
  pid_t pid = fork();
  if (pid == 0) { get(other); _exit(0); }
  nap(20);
  kill(pid, SIGKILL);
  wait_for(pid);
}

static void attributes(void) {
  mqd_t q = mq_open(name, O_CREAT | O_RDWR, 0600, NULL);
  struct mq_attr attr, old;
  R(mq_getattr(q, &attr));
  printf("%ld %ld %ld %ld\n", attr.mq_flags, attr.mq_maxmsg, attr.mq_msgsize, attr.mq_curmsgs);
  attr.mq_flags = O_NONBLOCK;
  attr.mq_maxmsg = 99;
  R(mq_setattr(q, &attr, &old));
  R(mq_getattr(q, &attr));
  printf("%ld %ld old %ld; F_GETFL %d\n", attr.mq_flags, attr.mq_maxmsg, old.mq_flags, (fcntl(q, F_GETFL) & O_NONBLOCK) != 0);
  get(q);
  attr.mq_flags = O_APPEND;
  R(mq_setattr(q, &attr, NULL));
  R(syscall(SYS_mq_getsetattr, q, wild, NULL));
  R(syscall(SYS_mq_getsetattr, q, NULL, wild));
  R(syscall(SYS_mq_getsetattr, q, NULL, NULL));
  mq_unlink(name);
  R(open_queue(O_RDWR, 0, 10));
  R(open_queue(O_RDWR, 10, 0));
  R(open_queue(O_RDWR, -1, 10));
  R(open_queue(O_RDWR, 10, -1));
  R(open_queue(O_RDWR, 65537, 1));
  R(open_queue(O_RDWR, 1, (16 << 20) + 1));
  R(open_queue(O_RDWR, 65537, 100000000));
  R(mq_open(name, O_RDWR | O_CREAT, 0600, wild));
  R(mq_open(name, O_RDWR));
  struct rlimit limit;
  getrlimit(RLIMIT_MSGQUEUE, &limit);
  printf("%ld\n", (long)limit.rlim_cur);
  int opened = 0;
  for (int i = 0; i < 20; i++) {
    sprintf(name, "/cordon-test-%d-%d", getpid(), i);
    if (mq_open(name, O_CREAT | O_RDWR, 0600, NULL) < 0) break;
    opened++;
  }
  printf("opened %d then %s\n", opened, strerrorname_np(errno));
  for (int i = 0; i < opened; i++) {
    sprintf(name, "/cordon-test-%d-%d", getpid(), i);
    mq_unlink(name);
  }
}

static void refusals(void) {
  R(syscall(SYS_mq_open, "", O_RDWR | O_CREAT, 0600, NULL));
  R(syscall(SYS_mq_open, ".", O_RDWR | O_CREAT, 0600, NULL));
  R(syscall(SYS_mq_open, "..", O_RDWR | O_CREAT, 0600, NULL));
  R(syscall(SYS_mq_open, "/x", O_RDWR | O_CREAT, 0600, NULL));
  R(syscall(SYS_mq_open, "a/x", O_RDWR | O_CREAT, 0600, NULL));
  R(syscall(SYS_mq_open, NULL, O_RDWR | O_CREAT, 0600, NULL));
  R(syscall(SYS_mq_open, wild, O_RDWR, 0600, NULL));
  char long_name[300];
  memset(long_name, 'a', 299);
  long_name[299] = 0;
  R(syscall(SYS_mq_open, long_name, O_RDWR, 0600, NULL));
  R(syscall(SYS_mq_unlink, long_name));
  R(syscall(SYS_mq_unlink, "a/b"));
  R(syscall(SYS_mq_unlink, ""));
  R(syscall(SYS_mq_unlink, wild));
  R(syscall(SYS_mq_unlink, "cordon-no-such-queue"));
  mqd_t q = open_queue(O_RDWR, 2, 10);
  R(open_queue(O_RDWR | O_EXCL, 2, 10));
  R(mq_open(name, 3));
  R(mq_send(q, text, 11, 0));
  R(mq_send(q, text, -1, 0));
  R(mq_send(q, text, 1, 32768));
  R(mq_send(q, wild, 1, 0));
  R(mq_send(0, text, 1, 0));
  R(mq_send(-1, text, 1, 0));
  R(mq_receive(q, text, 9, NULL));
  R(mq_receive(0, text, 100, NULL));
  struct timespec bad = {0, 1000000000}, negative = {-1, 0}, past = {1, 0};
  R(mq_timedreceive(q, text, 10, NULL, &bad));
  R(mq_timedreceive(q, text, 10, NULL, &negative));
  R(mq_timedreceive(q, text, 10, NULL, &past));
  R(mq_timedreceive(q, text, 10, NULL, wild));
  R(mq_send(q, text, 1, 0));
  R(mq_timedreceive(q, text, 10, NULL, &past));
  R(mq_send(q, text, 1, 0));
  R(mq_receive(q, wild, 10, NULL));
  R(mq_send(q, text, 1, 0));
  R(mq_receive(q, text, 10, wild));
  R(mq_notify(0, NULL));
  struct sigevent event = {.sigev_notify = 77};
  R(mq_notify(q, &event));
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = 65;
  R(mq_notify(q, &event));
  R(syscall(SYS_mq_notify, q, wild));
  event.sigev_signo = SIGUSR1;
  R(mq_notify(q, NULL));
  R(mq_notify(q, &event));
  R(mq_notify(q, &event));
  R(mq_notify(q, NULL));
  mq_unlink(name);
}

static void on_signal(int signal, siginfo_t *info, void *context) {
  (void)context;
  printf("signal %d code %d value %d pid %d\n", signal, info->si_code, info->si_value.sival_int, info->si_pid == getpid());
}

static void waiting(void) {
  mqd_t q = open_queue(O_RDWR, 2, 10);
  pid_t pid = fork();
  if (pid == 0) {
    q = mq_open(name, O_RDONLY);
    for (int i = 0; i < 2; i++) {
      long n = mq_receive(q, text, 10, &priority);
      nap(60);
      printf("received %ld %u %s\n", n, priority, text);
    }
    _exit(0);
  }
  // The receiver's buffer is large enough, and it waits: the message goes straight to it.
  nap(20);
  R(mq_send(q, "first", 6, 3));
  nap(20);
  R(mq_send(q, "second", 7, 4));
  wait_for(pid);
  R(mq_send(q, "1", 2, 1));
  R(mq_send(q, "2", 2, 2));
  struct timespec soon = in_ms(20);
  R(mq_timedsend(q, "3", 2, 3, &soon));
  pid = fork();
  if (pid == 0) _exit(mq_send(q, "3", 2, 3) == 0 ? 0 : errno);
  nap(20);
  get(q);
  wait_for(pid);
  struct mq_attr attr;
  mq_getattr(q, &attr);
  printf("%ld in it\n", attr.mq_curmsgs);
  get(q);
  get(q);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval timer = {{0, 0}, {0, 20000}};
  setitimer(ITIMER_REAL, &timer, NULL);
  get(q);
  soon = in_ms(30);
  R(mq_timedreceive(q, text, 10, NULL, &soon));
  int ep = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = 7};
  R(epoll_ctl(ep, EPOLL_CTL_ADD, q, &event));
  R(epoll_wait(ep, &event, 1, 0));
  pid = fork();
  if (pid == 0) { nap(20); mq_send(q, "late", 5, 0); _exit(0); }
  R(epoll_wait(ep, &event, 1, 2000));
  printf("events %x\n", event.events);
  R(epoll_wait(ep, &event, 1, 0));
  wait_for(pid);
  get(q);
  mq_unlink(name);
}

static void notify(void) {
  mqd_t q = open_queue(O_RDWR, 4, 10), again = mq_open(name, O_RDWR);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
  R(mq_notify(q, &event));
  char status[128] = {0};
  read(q, status, 100);
  printf("%.40s\n", status);
  R(mq_send(q, "a", 2, 0));
  R(mq_send(q, "b", 2, 0));
  R(mq_notify(q, &event));
  R(mq_send(q, "c", 2, 0));
  get(q); get(q); get(q);
  R(mq_send(q, "d", 2, 0));
  get(q);
  R(mq_notify(q, &event));
  pid_t pid = fork();
  if (pid == 0) {
    R(mq_notify(q, &event));
    mq_close(q);
    mq_send(again, "child", 6, 0);
    _exit(0);
  }
  wait_for(pid);
  get(q);
  R(mq_notify(q, &event));
  R(mq_close(again));
  R(mq_send(q, "e", 2, 0));
  get(q);
  event.sigev_notify = SIGEV_NONE;
  R(mq_notify(q, &event));
  R(mq_notify(q, &event));
  R(mq_send(q, "f", 2, 0));
  get(q);
  R(mq_notify(q, &event));
  pid = fork();
  if (pid == 0) { get(q); _exit(0); }
  nap(20);
  mq_send(q, "g", 2, 0);
  wait_for(pid);
  R(mq_notify(q, &event));
  R(mq_notify(q, NULL));
  mq_unlink(name);
}

static volatile int called;
static void in_thread(union sigval value) { called = value.sival_int; }

static void notify_thread(void) {
  mqd_t q = open_queue(O_RDWR, 4, 10);
  struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = in_thread, .sigev_value.sival_int = 23};
  R(mq_notify(q, &event));
  R(mq_send(q, "a", 2, 0));
  for (int i = 0; i < 2000 && !called; i++) nap(1);
  printf("thread called with %d\n", called);
  get(q);
  called = 0;
  R(mq_notify(q, &event));
  R(mq_notify(q, NULL));
  R(mq_send(q, "b", 2, 0));
  nap(20);
  printf("called %d\n", called);
  event.sigev_notify = SIGEV_THREAD;
  int ends[2], sockets[2];
  pipe(ends);
  socketpair(AF_UNIX, SOCK_STREAM, 0, sockets);
  event.sigev_signo = ends[0];
  char cookie[32] = {0};
  event.sigev_value.sival_ptr = cookie;
  R(syscall(SYS_mq_notify, q, &event));
  event.sigev_signo = sockets[0];
  R(syscall(SYS_mq_notify, q, &event));
  event.sigev_signo = -1;
  R(syscall(SYS_mq_notify, q, &event));
  event.sigev_value.sival_ptr = wild;
  R(syscall(SYS_mq_notify, q, &event));
  mq_unlink(name);
}

static void permissions(void) {
  umask(022);
  struct mq_attr attr = {.mq_maxmsg = 2, .mq_msgsize = 10};
  mqd_t q = mq_open(name, O_CREAT | O_RDWR, 0666, &attr);
  struct stat st;
  fstat(q, &st);
  printf("mode %o uid %d\n", st.st_mode, st.st_uid == geteuid());
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    if (geteuid() == 0) {
      setresgid(12345, 12345, 12345);
      setresuid(12345, 12345, 12345);
    }
    R(mq_open(name, O_RDWR));
    R(mq_open(name, O_WRONLY));
    printf("read %d\n", mq_open(name, O_RDONLY) >= 0);
    R(mq_unlink(name));
    sprintf(name, "/cordon-test-%d", getpid());
    R(open_queue(O_RDWR, 11, 10));
    R(open_queue(O_RDWR, 10, 8193));
    printf("own %d\n", open_queue(O_RDWR, 10, 8192) >= 0);
    R(fchmod(q, 0600));
    R(mq_unlink(name));
    fflush(stdout);
    _exit(0);
  }
  wait_for(pid);
  R(fchmod(q, 0600));
  fstat(q, &st);
  printf("mode %o\n", st.st_mode);
  mq_unlink(name);
}

// Queues as files of /dev/mqueue, where it is mounted.
static void status_file(const char *path) {
  char line[256] = "";
  int fd = open(path, O_RDONLY);
  ssize_t got = read(fd, line, sizeof line - 1);
  printf("%zd: %s", got, line);
  close(fd);
}
static void directory(void) {
  struct stat st;
  struct mq_attr attributes;
  umask(022);
  mqd_t mq = mq_open("/made", O_RDWR | O_CREAT | O_NONBLOCK, 0640, NULL);
  R(mq_send(mq, "hello", 5, 3));
  R(mq_send(mq, "there", 5, 3));
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  R(mq_notify(mq, &event));
  status_file("/dev/mqueue/made");
  stat("/dev/mqueue/made", &st);
  printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
  mqd_t same = open("/dev/mqueue/made", O_RDWR | O_NONBLOCK);
  R(mq_receive(same, text, sizeof text, NULL));
  R(chmod("/dev/mqueue/made", 0600));
  fstat(mq, &st);
  printf("mode %o\n", st.st_mode & 0777);
  R(open("/dev/mqueue/by-name", O_RDWR | O_CREAT | O_EXCL, 0666) != -1);
  R(open("/dev/mqueue/by-name", O_RDWR | O_CREAT | O_EXCL, 0666));
  mqd_t other = mq_open("/by-name", O_RDWR | O_NONBLOCK);
  R(mq_getattr(other, &attributes));
  printf("%ld of %ld bytes\n", attributes.mq_maxmsg, attributes.mq_msgsize);
  R(write(other, "x", 1));
  DIR *list = opendir("/dev/mqueue");
  for (struct dirent *entry; (entry = readdir(list));)
    if (entry->d_name[0] != '.') printf("entry %s type %d\n", entry->d_name, entry->d_type);
  closedir(list);
  R(link("/dev/mqueue/made", "/dev/mqueue/link"));
  R(rename("/dev/mqueue/made", "/dev/mqueue/moved"));
  R(mkdir("/dev/mqueue/directory", 0700));
  R(open("/dev/mqueue/absent", O_RDONLY));
  R(unlink("/dev/mqueue/made"));
  R(mq_open("/made", O_RDWR));
  R(mq_receive(mq, text, sizeof text, NULL));
  R(mq_unlink("/by-name"));
  R(access("/dev/mqueue/by-name", F_OK));
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  sprintf(name, "/cordon-test-%d", getpid());
  const char *section = argc > 1 ? argv[1] : "";
  struct { const char *name; void (*run)(void); } sections[] = {
      {"basics", basics}, {"attributes", attributes}, {"refusals", refusals}, {"waiting", waiting},
      {"notify", notify}, {"notify-thread", notify_thread}, {"permissions", permissions},
      {"directory", directory}};
  for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
    if (strcmp(section, sections[i].name) == 0) { sections[i].run(); return 0; }
  return 2;
}
