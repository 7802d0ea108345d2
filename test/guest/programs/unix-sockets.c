// AF_UNIX: names, streams, datagrams, seqpackets, descriptors and credentials in flight. Same as native.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long result) { printf("%s: %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : ""); }
static socklen_t address(struct sockaddr_un *a, const char *name, int abstract) {
  memset(a, 0, sizeof *a);
  a->sun_family = AF_UNIX;
  memcpy(a->sun_path + abstract, name, strlen(name));
  return offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name) + !abstract;
}
static int events(int fd) {
  struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
  poll(&p, 1, 0);
  return p.revents;
}
static void send_fds(const char *what, int s, int *fds, int n, const char *data, size_t len) {
  char control[CMSG_SPACE(sizeof(int) * 8)];
  struct iovec iov = {(void *)data, len};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
  memset(control, 0, sizeof control);
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int) * n);
  memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
  say(what, sendmsg(s, &m, 0));
}
static int receive(const char *what, int s, int flags, size_t room, int *fds) {
  char control[512], data[256];
  struct sockaddr_un from;
  struct iovec iov = {data, sizeof data};
  struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room, .msg_name = &from, .msg_namelen = sizeof from};
  long n = recvmsg(s, &m, flags);
  int e = errno, count = 0;
  printf("%s: %ld", what, n);
  if (n < 0) { printf(" %s\n", strerrorname_np(e)); return 0; }
  printf(" '%.*s' flags %x control %zu name %d", (int)n, data, m.msg_flags, (size_t)m.msg_controllen, m.msg_namelen);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_type == SCM_RIGHTS) {
      count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      memcpy(fds, CMSG_DATA(c), count * sizeof(int));
      printf(" rights %d cloexec %d", count, fcntl(fds[0], F_GETFD));
    } else {
      struct ucred u;
      memcpy(&u, CMSG_DATA(c), sizeof u);
      printf(" creds %d %d %d", u.pid == getpid(), u.uid == getuid(), u.gid == getgid());
    }
  }
  printf("\n");
  return count;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGPIPE, SIG_IGN);
  char buf[1000];
  struct sockaddr_un a;
  socklen_t len;
  say("socket family", socket(99, SOCK_STREAM, 0));
  say("socket type", socket(AF_UNIX, 9, 0));
  say("socket protocol", socket(AF_UNIX, SOCK_STREAM, 6));
  say("socketpair inet", socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0}));
  int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  printf("fresh %x\n", events(l));
  say("listen unbound", listen(l, 1));
  unlink("sock");
  len = address(&a, "sock", 0);
  say("connect absent", connect(l, (void *)&a, len));
  say("bind", bind(l, (void *)&a, len));
  say("bind again", bind(l, (void *)&a, len));
  int l2 = socket(AF_UNIX, SOCK_STREAM, 0);
  say("bind in use", bind(l2, (void *)&a, len));
  say("connect not listening", connect(l2, (void *)&a, len));
  struct stat st;
  stat("sock", &st);
  printf("socket file %o\n", st.st_mode & S_IFMT);
  say("open socket file", open("sock", O_RDONLY));
  say("accept not listening", accept(l, NULL, NULL));
  say("listen", listen(l, 1));
  printf("listening %x\n", events(l));
  int c = socket(AF_UNIX, SOCK_STREAM, 0);
  say("recv unconnected", recv(c, buf, 10, 0));
  say("send unconnected", send(c, buf, 10, 0));
  say("connect", connect(c, (void *)&a, len));
  say("connect again", connect(c, (void *)&a, len));
  printf("pending %x client %x\n", events(l), events(c));
  int c2 = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), c3 = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  say("connect 2", connect(c2, (void *)&a, len));
  say("connect 3", connect(c3, (void *)&a, len));
  int d = socket(AF_UNIX, SOCK_DGRAM, 0);
  say("connect wrong type", connect(d, (void *)&a, len));
  struct sockaddr_un peer;
  socklen_t plen = sizeof peer;
  int s = accept4(l, (void *)&peer, &plen, SOCK_CLOEXEC);
  printf("accepted %d peer length %d\n", s > 0, plen);
  plen = sizeof peer;
  getpeername(c, (void *)&peer, &plen);
  printf("peer %d %s\n", plen, peer.sun_path);
  plen = sizeof peer;
  getsockname(s, (void *)&peer, &plen);
  printf("own %d %s\n", plen, peer.sun_path);
  struct ucred u;
  socklen_t ul = sizeof u;
  getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &ul);
  printf("peercred %d %d %d\n", u.pid == getpid(), u.uid == getuid(), u.gid == getgid());
  send(c, "hello", 5, 0);
  say("peek", recv(s, buf, 3, MSG_PEEK));
  int queued;
  ioctl(s, FIONREAD, &queued);
  say("FIONREAD", queued);
  say("read", read(s, buf, 100));
  say("dontwait", recv(s, buf, 1, MSG_DONTWAIT));
  send(c, "abc", 3, 0);
  say("trunc on stream", recv(s, buf, 1, MSG_TRUNC));
  read(s, buf, 10);
  say("shutdown", shutdown(c, SHUT_WR));
  printf("after shutdown %x %x\n", events(s), events(c));
  say("eof", read(s, buf, 10));
  say("write after shutdown", write(c, "x", 1));
  say("other way", write(s, "yz", 2));
  say("reads", read(c, buf, 10));
  write(s, "unread", 6);
  close(c);
  printf("after close with unread %x\n", events(s));
  say("reset", read(s, buf, 10));
  say("then", read(s, buf, 10));
  say("epipe", write(s, "x", 1));
  close(s);
  close(l);
  printf("embryo %x\n", events(c2));
  say("embryo read", read(c2, buf, 1));
  unlink("sock");

  // abstract and autobind
  int ab = socket(AF_UNIX, SOCK_STREAM, 0);
  len = address(&a, "cordon-test-name", 1);
  say("bind abstract", bind(ab, (void *)&a, len));
  say("bind abstract twice", bind(l2, (void *)&a, len));
  listen(ab, 5);
  c = socket(AF_UNIX, SOCK_STREAM, 0);
  say("connect abstract", connect(c, (void *)&a, len));
  close(ab);
  ab = socket(AF_UNIX, SOCK_STREAM, 0);
  say("rebind abstract", bind(ab, (void *)&a, len));
  a.sun_family = AF_UNIX;
  say("autobind", bind(l2, (void *)&a, sizeof(sa_family_t)));
  plen = sizeof peer;
  getsockname(l2, (void *)&peer, &plen);
  printf("autobound length %d first %d\n", plen, peer.sun_path[0]);

  // descriptors
  int sv[2], fds[8], p[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
  pipe(p);
  send(sv[0], "before", 6, 0);
  send_fds("send rights", sv[0], (int[]){p[0], p[1]}, 2, "with", 4);
  send(sv[0], "after", 5, 0);
  close(p[0]);
  receive("recv 1", sv[1], MSG_CMSG_CLOEXEC, 256, fds);
  receive("recv 2", sv[1], 0, 256, fds);
  close(fds[0]), close(fds[1]);
  send_fds("send rights", sv[0], (int[]){p[1], p[1], p[1]}, 3, "x", 1);
  receive("peek", sv[1], MSG_PEEK, 256, fds);
  receive("no room", sv[1], 0, 20, fds);
  send_fds("send rights", sv[0], (int[]){p[1]}, 1, "y", 1);
  receive("none", sv[1], 0, 0, fds);
  send_fds("bad fd", sv[0], (int[]){999}, 1, "y", 1);
  int on = 1;
  setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  write(sv[0], "cred", 4);
  receive("passcred", sv[1], 0, 256, fds);
  setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, (int[]){0}, sizeof on);
  // A descriptor outlives its sender: the pipe ends only with the last copy.
  pipe(p);
  send_fds("in flight", sv[0], &p[1], 1, "z", 1);
  close(p[1]);
  struct pollfd pp = {p[0], POLLIN, 0};
  poll(&pp, 1, 0);
  printf("writer in flight %x\n", pp.revents);
  close(sv[0]);
  close(sv[1]);
  poll(&pp, 1, 0);
  printf("writer gone %x\n", pp.revents);

  // datagrams
  socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, sv);
  send(sv[0], "one", 3, 0);
  send(sv[0], "two22", 5, 0);
  say("dgram cut", recv(sv[1], buf, 2, 0));
  receive("dgram", sv[1], MSG_TRUNC, 256, fds);
  say("dgram empty", recv(sv[1], buf, 2, 0));
  send(sv[0], "", 0, 0);
  say("zero length", recv(sv[1], buf, 2, 0));
  int n = 0;
  while (send(sv[0], "x", 1, 0) == 1) n++;
  printf("queue limit reached %d %x\n", n > 0, events(sv[0]));
  say("dgram to closed", (close(sv[1]), send(sv[0], "x", 1, 0)));
  int da = socket(AF_UNIX, SOCK_DGRAM, 0), db = socket(AF_UNIX, SOCK_DGRAM, 0);
  len = address(&a, "cordon-dgram", 1);
  bind(da, (void *)&a, len);
  say("sendto", sendto(db, "hi", 2, 0, (void *)&a, len));
  receive("from unnamed", da, 0, 0, fds);
  say("send unconnected", send(db, "hi", 2, 0));
  say("dgram connect", connect(db, (void *)&a, len));
  say("dgram send", send(db, "hi2", 3, 0));
  say("dgram getpeername", (plen = sizeof peer, getpeername(db, (void *)&peer, &plen)));
  say("disconnect", connect(db, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr)));
  say("dgram getpeername", getpeername(db, (void *)&peer, &plen));

  // seqpacket
  socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv);
  send(sv[0], "packet", 6, 0);
  send(sv[0], "next", 4, 0);
  receive("seqpacket", sv[1], 0, 256, fds);
  say("seqpacket cut", recv(sv[1], buf, 2, 0));
  say("seqpacket empty", recv(sv[1], buf, 2, 0));
  close(sv[0]);
  printf("seqpacket hup %x\n", events(sv[1]));
  say("seqpacket eof", recv(sv[1], buf, 2, 0));
  say("seqpacket epipe", send(sv[1], "x", 1, MSG_NOSIGNAL));

  // blocking bulk transfer, MSG_WAITALL, timeouts
  socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
  static char big[3 << 20];
  if (fork() == 0) {
    close(sv[0]);
    for (size_t i = 0; i < sizeof big; i++) big[i] = i % 251;
    _exit(send(sv[1], big, sizeof big, 0) == sizeof big ? 0 : 1);
  }
  close(sv[1]);
  long got = recv(sv[0], big, sizeof big, MSG_WAITALL), bad = 0;
  for (long i = 0; i < got; i++) bad += big[i] != (char)(i % 251);
  int status;
  wait(&status);
  printf("waitall %ld bad %ld status %d\n", got, bad, status);
  say("eof after", recv(sv[0], buf, 1, 0));
  socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
  struct timeval tv = {0, 20000};
  setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
  say("rcvtimeo", recv(sv[0], buf, 1, 0));
  say("rcvtimeo read", read(sv[0], buf, 1));
  int type, domain;
  ul = sizeof type;
  getsockopt(sv[0], SOL_SOCKET, SO_TYPE, &type, &ul);
  getsockopt(sv[0], SOL_SOCKET, SO_DOMAIN, &domain, &ul);
  printf("type %d domain %d\n", type, domain);
  pipe(p);
  say("not a socket", recv(p[0], buf, 1, 0));
  return 0;
}
