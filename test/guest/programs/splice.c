// splice, tee and vmsplice between pipes, files and sockets. Prints what it sees: same as native.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char block[1 << 18], back[1 << 18];
static void say(const char *what, long result) { printf("%s: %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : ""); }

static void errors(void) {
  int p[2], q[2], file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600), append = open("file", O_WRONLY | O_APPEND);
  loff_t at = 0;
  pipe2(p, O_NONBLOCK);
  pipe2(q, O_NONBLOCK);
  say("no pipe", splice(file, NULL, append, NULL, 10, 0));
  say("bad flags", splice(p[0], NULL, q[1], NULL, 10, 16));
  say("zero length", splice(-1, NULL, -1, NULL, 0, 0));
  say("bad descriptor", splice(-1, NULL, q[1], NULL, 10, 0));
  say("wrong end", splice(p[1], NULL, q[1], NULL, 10, 0));
  say("same pipe", splice(p[0], NULL, p[1], NULL, 10, 0));
  say("offset of a pipe", splice(p[0], &at, file, NULL, 10, 0));
  say("offset of the other pipe", splice(file, NULL, q[1], &at, 10, 0));
  write(p[1], "hello", 5);
  say("appending", splice(p[0], NULL, append, NULL, 5, 0));
  say("fault", splice(p[0], NULL, file, (void *)8, 5, 0));
  say("empty pipe", splice(q[0], NULL, file, NULL, 5, 0));
  say("end of file", splice(file, NULL, q[1], NULL, 5, 0));
  say("tee of a file", tee(file, q[1], 5, 0));
  say("tee same pipe", tee(p[0], p[1], 5, 0));
  say("tee empty", tee(q[0], p[1], 5, 0));
  say("tee nothing", tee(p[0], q[1], 0, 0));
  struct iovec vector = {"abc", 3};
  say("vmsplice of a file", vmsplice(file, &vector, 1, 0));
  close(q[0]);
  say("no reader", splice(p[0], NULL, q[1], NULL, 5, 0));
  say("tee to no reader", tee(p[0], q[1], 5, 0));
  say("vmsplice to no reader", vmsplice(q[1], &vector, 1, 0));
  say("nothing was lost", read(p[0], back, sizeof back));
}

static void pipes_and_files(void) {
  int p[2], q[2], file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
  pipe(p);
  pipe(q);
  write(p[1], "0123456789", 10);
  say("tee", tee(p[0], q[1], 4, 0));
  say("pipe to pipe", splice(p[0], NULL, q[1], NULL, 3, 0));
  say("read both", read(q[0], back, sizeof back));
  printf("%.7s\n", back);
  loff_t at = 100;
  say("to a place in a file", splice(p[0], NULL, file, &at, 5, 0));
  say("the place", at);
  say("position", lseek(file, 0, SEEK_CUR));
  say("to the position", splice(p[0], NULL, file, NULL, 100, 0));
  say("position", lseek(file, 0, SEEK_CUR));
  at = 98;
  say("from a place", splice(file, &at, p[1], NULL, 100, 0));
  say("the place", at);
  say("read", read(p[0], back, sizeof back));
  printf("%d %d %.5s\n", back[0], back[1], back + 2);
  ftruncate(file, 0);
  pwrite(file, block, sizeof block, 0);
  at = 0;
  say("as much as a pipe holds", splice(file, &at, p[1], NULL, sizeof block, 0));
  say("a full pipe", splice(file, &at, p[1], NULL, 1, SPLICE_F_NONBLOCK));
  say("tee of a full pipe", tee(p[0], q[1], 1 << 20, SPLICE_F_NONBLOCK));
  say("read", read(p[0], back, sizeof back));
  printf("same: %d\n", memcmp(back, block, 65536));
  while (fcntl(q[0], F_SETFL, O_NONBLOCK), read(q[0], back, sizeof back) > 0) {}
  struct iovec out[2] = {{"scatter", 7}, {"gather", 6}}, in[2] = {{back, 3}, {back + 3, 100}};
  say("vmsplice in", vmsplice(q[1], out, 2, 0));
  memset(back, 0, 200);
  say("vmsplice out", vmsplice(q[0], in, 2, 0));
  printf("%s\n", back);
  say("vmsplice empty", vmsplice(q[0], in, 2, SPLICE_F_NONBLOCK));
  close(q[1]);
  say("no writer", splice(q[0], NULL, p[1], NULL, 10, 0));
}

// A stream through a socket, a pipe and a socket again, whose reader is slow: not a byte is lost or doubled.
static void through_sockets(int nonblocking) {
  int in[2], out[2], p[2];
  socketpair(AF_UNIX, SOCK_STREAM | nonblocking, 0, in);
  socketpair(AF_UNIX, SOCK_STREAM | nonblocking, 0, out);
  pipe2(p, nonblocking ? O_NONBLOCK : 0);
  enum { TOTAL = 4 << 20 };
  if (fork() == 0) {
    for (int flags = fcntl(in[0], F_GETFL); flags & O_NONBLOCK; flags = 0) fcntl(in[0], F_SETFL, flags & ~O_NONBLOCK);
    for (long sent = 0; sent < TOTAL; sent += sizeof block) write(in[0], block, sizeof block);
    _exit(0);
  }
  if (fork() == 0) {
    long in_pipe = 0, done = 0;
    while (done < TOTAL) {
      long n = in_pipe > 0 ? 0 : splice(in[1], NULL, p[1], NULL, 1 << 20, nonblocking ? SPLICE_F_NONBLOCK : 0);
      if (n > 0) in_pipe += n;
      long m = in_pipe == 0 ? 0 : splice(p[0], NULL, out[0], NULL, in_pipe, nonblocking ? SPLICE_F_NONBLOCK : 0);
      if (m > 0) in_pipe -= m, done += m;
      if (n < 0 && errno != EAGAIN) _exit(1);
      if (m < 0 && errno != EAGAIN) _exit(2);
      if (m < 0) usleep(100);
    }
    _exit(0);
  }
  fcntl(out[1], F_SETFL, fcntl(out[1], F_GETFL) & ~O_NONBLOCK);
  long got = 0, wrong = 0;
  while (got < TOTAL) {
    long n = read(out[1], back, 10000);
    for (long i = 0; i < n; i++) wrong += back[i] != block[(got + i) % sizeof block];
    got += n;
  }
  int first, second;
  wait(&first);
  wait(&second);
  printf("through sockets: %ld bytes, %ld wrong, %d %d\n", got, wrong, first, second);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGPIPE, SIG_IGN);
  for (unsigned i = 0; i < sizeof block; i++) block[i] = (i * 2654435761u) >> 24;
  errors();
  pipes_and_files();
  through_sockets(0);
  through_sockets(SOCK_NONBLOCK);
}
