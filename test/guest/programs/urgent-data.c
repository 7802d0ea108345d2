// TCP's urgent byte: MSG_OOB, SO_OOBINLINE, POLLPRI, SIOCATMARK; and writing to a connection that was closed. Same as native.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static char buffer[100];
static void say(const char *what, long result) {
  printf("%s: %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : "");
}
static void got(const char *what, int fd, int flags) {
  memset(buffer, 0, sizeof buffer);
  long n = recv(fd, buffer, sizeof buffer, flags | MSG_DONTWAIT);
  printf("%s: %ld %s\n", what, n, n < 0 ? strerrorname_np(errno) : buffer);
}
static void state(int fd) {
  int mark = -1, bytes = -1;
  struct pollfd p = {fd, POLLIN | POLLPRI | POLLRDBAND, 0};
  poll(&p, 1, 50);
  ioctl(fd, SIOCATMARK, &mark);
  ioctl(fd, FIONREAD, &bytes);
  printf("events %x, at mark %d, readable %d\n", p.revents, mark, bytes);
}
static void pair(int fds[2]) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  bind(listener, (struct sockaddr *)&address, length);
  getsockname(listener, (struct sockaddr *)&address, &length);
  listen(listener, 1);
  fds[0] = socket(AF_INET, SOCK_STREAM, 0);
  connect(fds[0], (struct sockaddr *)&address, length);
  fds[1] = accept(listener, NULL, NULL);
  close(listener);
}
static void settle(void) { usleep(20000); }

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGPIPE, SIG_IGN);
  int s[2];
  pair(s);
  got("none yet", s[1], MSG_OOB);
  state(s[1]);
  say("send", send(s[0], "abc", 3, MSG_OOB));
  settle();
  state(s[1]);
  got("peek", s[1], MSG_OOB | MSG_PEEK);
  got("before the mark", s[1], 0);
  state(s[1]);
  got("at the mark", s[1], 0);
  state(s[1]);
  got("urgent", s[1], MSG_OOB);
  got("urgent again", s[1], MSG_OOB);
  state(s[1]);
  say("send", send(s[0], "de", 2, 0));
  settle();
  state(s[1]);
  got("peek behind the mark", s[1], MSG_PEEK);
  got("behind the mark", s[1], 0);
  state(s[1]);
  send(s[0], "12", 2, 0);
  send(s[0], "3", 1, MSG_OOB);
  send(s[0], "45", 2, 0);
  settle();
  got("up to the mark", s[1], 0);
  got("peek over the urgent byte", s[1], MSG_PEEK);
  got("still there", s[1], MSG_OOB | MSG_PEEK);
  got("unread urgent byte left out", s[1], 0);
  got("gone", s[1], MSG_OOB);
  int on = 1;
  setsockopt(s[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
  send(s[0], "12", 2, 0);
  send(s[0], "3", 1, MSG_OOB);
  send(s[0], "45", 2, 0);
  settle();
  state(s[1]);
  got("inline: not apart", s[1], MSG_OOB);
  got("inline: up to the mark", s[1], 0);
  state(s[1]);
  got("inline: on from the mark", s[1], 0);
  state(s[1]);
  send(s[0], "x", 1, MSG_OOB);
  close(s[0]);
  settle();
  got("the last byte", s[1], 0);
  got("end", s[1], 0);

  pair(s);
  close(s[1]);
  settle();
  static char block[1 << 20];
  struct iovec vector[64];
  for (int i = 0; i < 64; i++) vector[i] = (struct iovec){block, sizeof block};
  long sent = writev(s[0], vector, 64);
  printf("writing 64 MiB to nobody stops early: %d\n", sent > 0 && sent < (64 << 20));
  say("and then", write(s[0], "x", 1));
}
