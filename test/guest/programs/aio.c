// Linux's own asynchronous I/O by raw calls: requests, events, refusals, polls, eventfd. Same as natively.
#include "results.h"
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>

static long io_setup(unsigned n, aio_context_t *c) { return syscall(SYS_io_setup, n, c); }
static long io_destroy(aio_context_t c) { return syscall(SYS_io_destroy, c); }
static long io_submit(aio_context_t c, long n, struct iocb **p) { return syscall(SYS_io_submit, c, n, p); }
static long io_getevents(aio_context_t c, long least, long most, struct io_event *e, struct timespec *t) {
  return syscall(SYS_io_getevents, c, least, most, e, t);
}
static long io_cancel(aio_context_t c, struct iocb *p, struct io_event *e) { return syscall(SYS_io_cancel, c, p, e); }

static struct io_event events[16];
static struct timespec none = {0, 0};
static aio_context_t context;

static void show_events(long n) {
  printf("%ld events:", n);
  // In whatever order they were done.
  for (long tag = 0; tag < 100; tag++)
    for (long i = 0; i < n; i++)
      if ((long)events[i].data == tag) printf(" %ld=%lld", tag, (long long)events[i].res);
  puts("");
}
static struct iocb make(long tag, int opcode, int fd, void *buffer, size_t bytes, long offset) {
  return (struct iocb){.aio_data = tag, .aio_lio_opcode = opcode, .aio_fildes = fd, .aio_buf = (uintptr_t)buffer, .aio_nbytes = bytes, .aio_offset = offset};
}
static long one(struct iocb *request) { return io_submit(context, 1, &request); }

static void contexts(void) {
  R(io_setup(0, &context));
  R(io_setup(1, wild));
  R(io_setup(1u << 30, &context));
  R(io_setup(4, &context));
  R(io_setup(4, &context));
  R(io_submit(context, -1, NULL));
  R(io_submit(context, 0, NULL));
  R(io_submit(context + 4096, 0, NULL));
  R(io_submit(context, 1, wild));
  R(io_getevents(context, -1, 1, events, NULL));
  R(io_getevents(context, 2, 1, events, NULL));
  R(io_getevents(context, 0, 4, events, NULL));
  R(io_getevents(context, 1, 4, events, &none));
  R(io_getevents(context, 1, 4, events, wild));
  R(io_getevents(context + 4096, 0, 4, events, NULL));
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    R(io_submit(context, 0, NULL));
    fflush(stdout);
    _exit(0);
  }
  wait_for(pid);
  R(io_destroy(context));
  R(io_destroy(context));
  R(io_destroy(0));
}

static void requests(void) {
  char text[64] = "hello, world", back[64] = {0}, parts[2][4];
  int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
  context = 0;
  R(io_setup(8, &context));
  struct iovec vector[2] = {{parts[0], 4}, {parts[1], 4}};
  struct iocb r[8] = {make(1, IOCB_CMD_PWRITE, fd, text, 12, 0), make(2, IOCB_CMD_PREAD, fd, back, 5, 7), make(3, IOCB_CMD_FSYNC, fd, 0, 0, 0),
                      make(4, IOCB_CMD_FDSYNC, fd, 0, 0, 0), make(5, IOCB_CMD_PREADV, fd, vector, 2, 0), make(6, IOCB_CMD_PREAD, fd, back, 5, 100)};
  struct iocb *p[8] = {r, r + 1, r + 2, r + 3, r + 4, r + 5};
  R(io_submit(context, 1, p));
  show_events(io_getevents(context, 1, 8, events, NULL));
  printf("object: %d\n", events[0].obj == (uintptr_t)r);
  R(io_submit(context, 5, p + 1));
  show_events(io_getevents(context, 5, 8, events, NULL));
  printf("%.5s %.4s %.4s\n", back, parts[0], parts[1]);
  printf("position: %ld\n", (long)lseek(fd, 0, SEEK_CUR));
  struct iocb bad[] = {make(1, IOCB_CMD_PREAD, 999, back, 5, 0), make(1, IOCB_CMD_PREAD, fd, back, 5, -1), make(1, 77, fd, back, 5, 0),
                       make(1, IOCB_CMD_PREAD, fd, back, -1, 0), make(1, IOCB_CMD_FSYNC, fd, back, 5, 0), make(1, IOCB_CMD_POLL, fd, (void *)1, 5, 0)};
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) R(one(bad + i));
  struct iocb odd = make(1, IOCB_CMD_PREAD, fd, back, 5, 0);
  odd.aio_flags = IOCB_FLAG_RESFD;
  odd.aio_resfd = fd;
  R(one(&odd));
  odd.aio_resfd = 999;
  R(one(&odd));
  odd.aio_flags = 128;
  R(one(&odd));
  odd = make(1, IOCB_CMD_PREAD, fd, back, 5, 0);
  odd.aio_reserved2 = 1;
  R(one(&odd));
  int only_read = open("file", O_RDONLY), only_write = open("file", O_WRONLY), path = open("file", O_PATH);
  struct iocb rights[] = {make(1, IOCB_CMD_PWRITE, only_read, text, 5, 0), make(1, IOCB_CMD_PREAD, only_write, back, 5, 0), make(1, IOCB_CMD_PREAD, path, back, 5, 0)};
  for (int i = 0; i < 3; i++) R(one(rights + i));
  // The first of several decides, and those before it count.
  struct iocb *mixed[] = {r + 1, bad, r + 2};
  R(io_submit(context, 3, mixed));
  R(io_submit(context, 2, mixed + 1));
  show_events(io_getevents(context, 0, 8, events, NULL));
  R(io_getevents(context, 0, 8, events, NULL));
  int ends[2];
  pipe(ends);
  struct iocb in = make(7, IOCB_CMD_PWRITE, ends[1], text, 5, 0), out = make(8, IOCB_CMD_PREAD, ends[0], back, 64, 0);
  struct iocb *both[] = {&in, &out};
  R(io_submit(context, 2, both));
  show_events(io_getevents(context, 2, 8, events, NULL));
  int counter = eventfd(0, EFD_NONBLOCK);
  uint64_t count = 0;
  r[1].aio_flags = IOCB_FLAG_RESFD;
  r[1].aio_resfd = counter;
  R(io_submit(context, 1, p + 1));
  R(io_submit(context, 1, p + 1));
  struct pollfd wait = {counter, POLLIN};
  R(poll(&wait, 1, -1));
  show_events(io_getevents(context, 2, 8, events, NULL));
  read(counter, &count, 8);
  printf("counted %d\n", (int)count);
  R(io_destroy(context));
}

static void *write_later(void *fd) {
  nap(20);
  write((int)(long)fd, "x", 1);
  return NULL;
}
static void on_alarm(int signal) { (void)signal; }

// More bits than were asked for may be told.
static void show_ready(long n, int bit) {
  printf("%ld ready, tag %d: %d\n", n, (int)events[0].data, ((int)events[0].res & bit) == bit);
}

static void polls(void) {
  int ends[2];
  pipe(ends);
  context = 0;
  R(io_setup(8, &context));
  struct iocb request = make(1, IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0, 0), writable = make(2, IOCB_CMD_POLL, ends[1], (void *)POLLOUT, 0, 0);
  R(one(&writable));
  show_ready(io_getevents(context, 1, 8, events, NULL), POLLOUT);
  R(one(&request));
  R(io_getevents(context, 0, 8, events, NULL));
  struct timespec soon = {0, 20000000};
  R(io_getevents(context, 1, 8, events, &soon));
  pthread_t thread;
  pthread_create(&thread, NULL, write_later, (void *)(long)ends[1]);
  show_ready(io_getevents(context, 1, 8, events, NULL), POLLIN);
  pthread_join(thread, NULL);
  char byte;
  read(ends[0], &byte, 1);
  R(one(&request));
  R(io_cancel(context, &writable, events));
  R(io_cancel(context, wild, events));
  R(io_cancel(context, &request, events));
  show_events(io_getevents(context, 1, 8, events, NULL));
  R(io_cancel(context, &request, events));
  R(one(&request));
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  // Again and again: the first may come too soon.
  struct itimerval often = {{0, 100000}, {0, 100000}}, never = {{0}};
  setitimer(ITIMER_REAL, &often, NULL);
  R(io_getevents(context, 1, 8, events, NULL));
  setitimer(ITIMER_REAL, &never, NULL);
  // Its end wakes whoever waits for a file's other end.
  R(io_destroy(context));
  close(ends[0]);
  signal(SIGPIPE, SIG_IGN);
  R(write(ends[1], "x", 1));
}

static const struct section sections[] = {{"contexts", contexts}, {"requests", requests}, {"polls", polls}};
int main(int argc, char **argv) { return run_section(argc, argv, sections, sizeof sections / sizeof *sections); }
