// TCP and UDP over the loopback: states, errors, half-close, options, threads. Same as native.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void say(const char *what, long result) { printf("%s: %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : ""); }
static struct sockaddr_in v4(const char *ip, int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, ip, &a.sin_addr);
  return a;
}
static struct sockaddr_in6 v6(const char *ip, int port) {
  struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  inet_pton(AF_INET6, ip, &a.sin6_addr);
  return a;
}
#define AT(a) (struct sockaddr *)&(a), sizeof(a)
static int port_of(int s) {
  struct sockaddr_storage a;
  socklen_t l = sizeof a;
  getsockname(s, (void *)&a, &l);
  return ntohs(((struct sockaddr_in *)&a)->sin_port);
}
static int events(int fd) {
  struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP, 0};
  poll(&p, 1, 0);
  return p.revents;
}
static int error_of(int s) {
  int e = -1;
  socklen_t l = sizeof e;
  getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &l);
  return e;
}
static void settle(void) { usleep(5000); }
static void *echo(void *arg) {
  int s = (int)(long)arg;
  char b[5000];
  long n;
  while ((n = read(s, b, sizeof b)) > 0)
    for (long at = 0; at < n;) at += write(s, b + at, n - at);
  close(s);
  return 0;
}
static void *server(void *arg) {
  int l = (int)(long)arg;
  pthread_t t[8];
  for (int i = 0; i < 8; i++) pthread_create(&t[i], 0, echo, (void *)(long)accept(l, 0, 0));
  for (int i = 0; i < 8; i++) pthread_join(t[i], 0);
  return 0;
}
static void *client(void *arg) {
  struct sockaddr_in a = v4("127.0.0.1", (int)(long)arg);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(s, AT(a)) < 0) return (void *)1;
  static __thread char out[100000], in[100000];
  for (int i = 0; i < 100000; i++) out[i] = i * 13;
  for (int round = 0; round < 5; round++) {
    if (send(s, out, sizeof out, 0) != sizeof out) return (void *)2;
    if (recv(s, in, sizeof in, MSG_WAITALL) != sizeof in) return (void *)3;
    if (memcmp(in, out, sizeof in)) return (void *)4;
  }
  close(s);
  return 0;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGPIPE, SIG_IGN);
  char buf[100];
  int l = socket(AF_INET, SOCK_STREAM, 0);
  printf("fresh %x\n", events(l));
  struct sockaddr_in a = v4("127.0.0.1", 0);
  say("bind short", bind(l, (void *)&a, 8));
  say("bind elsewhere", (a = v4("192.0.2.7", 0), bind(l, AT(a))));
  a = v4("127.0.0.1", 0);
  say("bind", bind(l, AT(a)));
  int port = port_of(l);
  printf("ephemeral %d\n", port >= 32768 && port <= 60999);
  a = v4("127.0.0.1", port);
  int l2 = socket(AF_INET, SOCK_STREAM, 0);
  say("bind in use", bind(l2, AT(a)));
  int c = socket(AF_INET, SOCK_STREAM, 0);
  say("refused", connect(c, AT(a)));
  say("recv unconnected", recv(c, buf, 1, 0));
  say("send unconnected", send(c, buf, 1, 0));
  say("listen", listen(l, 5));
  say("connect", connect(c, AT(a)));
  say("connect again", connect(c, AT(a)));
  struct sockaddr_in peer;
  socklen_t len = sizeof peer;
  int s = accept(l, (void *)&peer, &len);
  printf("accepted from %s same port %d\n", inet_ntoa(peer.sin_addr), ntohs(peer.sin_port) == port_of(c));
  printf("connected %x %x\n", events(c), events(s));
  say("accept nothing", (fcntl(l, F_SETFL, O_NONBLOCK), accept(l, 0, 0)));
  write(c, "hello", 5);
  settle();
  printf("readable %x\n", events(s));
  say("peek", recv(s, buf, 100, MSG_PEEK));
  say("read", recv(s, buf, 100, 0));
  say("shutdown", shutdown(c, SHUT_WR));
  settle();
  printf("half closed %x %x\n", events(s), events(c));
  say("eof", read(s, buf, 10));
  say("write back", write(s, "back", 4));
  say("read back", read(c, buf, 10));
  say("epipe", write(c, "x", 1));
  close(s);
  settle();
  printf("both closed %x\n", events(c));
  say("read", read(c, buf, 1));
  close(c);
  // reset: unread data at close
  c = socket(AF_INET, SOCK_STREAM, 0);
  connect(c, AT(a));
  s = accept(l, 0, 0);
  write(c, "unread", 6);
  settle();
  close(s);
  settle();
  printf("reset %x\n", events(c));
  say("read reset", read(c, buf, 1));
  say("read after reset", read(c, buf, 1));
  say("write after reset", write(c, "x", 1));
  close(c);
  // writing to a closed peer
  c = socket(AF_INET, SOCK_STREAM, 0);
  connect(c, AT(a));
  s = accept(l, 0, 0);
  close(s);
  settle();
  printf("peer closed %x\n", events(c));
  say("first write", write(c, "x", 1));
  settle();
  printf("after first write %x\n", events(c));
  say("second write", write(c, "x", 1));
  close(c);
  // linger 0
  c = socket(AF_INET, SOCK_STREAM, 0);
  connect(c, AT(a));
  s = accept(l, 0, 0);
  struct linger lg = {1, 0};
  setsockopt(s, SOL_SOCKET, SO_LINGER, &lg, sizeof lg);
  close(s);
  settle();
  say("linger reset", read(c, buf, 1));
  close(c);
  // non-blocking connect
  c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  say("nonblocking connect", connect(c, AT(a)));
  settle();
  printf("poll %x error %d\n", events(c), error_of(c));
  say("connect done", connect(c, AT(a)));
  say("connect more", connect(c, AT(a)));
  close(c);
  close(accept(l, 0, 0));
  c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in closed = v4("127.0.0.1", 1);
  say("nonblocking refused", connect(c, AT(closed)));
  settle();
  printf("poll %x error %d error %d\n", events(c), error_of(c), error_of(c));
  close(c);
  // 127/8 and the wildcard
  c = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in other = v4("127.1.2.3", port);
  say("other loopback address", connect(c, AT(other)));
  close(c);
  l2 = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in any = v4("0.0.0.0", 0);
  bind(l2, AT(any));
  listen(l2, 5);
  other = v4("127.1.2.3", port_of(l2));
  c = socket(AF_INET, SOCK_STREAM, 0);
  say("wildcard", connect(c, AT(other)));
  len = sizeof peer;
  getsockname(c, (void *)&peer, &len);
  printf("source %s\n", inet_ntoa(peer.sin_addr));
  close(c);
  close(l2);
  // IPv6, dual stack
  int l6 = socket(AF_INET6, SOCK_STREAM, 0);
  struct sockaddr_in6 any6 = v6("::", 0);
  say("bind ::", bind(l6, AT(any6)));
  listen(l6, 5);
  struct sockaddr_in6 one6 = v6("::1", port_of(l6));
  c = socket(AF_INET6, SOCK_STREAM, 0);
  say("connect ::1", connect(c, AT(one6)));
  struct sockaddr_in6 peer6;
  len = sizeof peer6;
  s = accept(l6, (void *)&peer6, &len);
  printf("from %s\n", inet_ntop(AF_INET6, &peer6.sin6_addr, buf, sizeof buf));
  close(c), close(s);
  c = socket(AF_INET, SOCK_STREAM, 0);
  other = v4("127.0.0.1", port_of(l6));
  say("v4 to dual stack", connect(c, AT(other)));
  len = sizeof peer6;
  s = accept(l6, (void *)&peer6, &len);
  printf("from %s\n", inet_ntop(AF_INET6, &peer6.sin6_addr, buf, sizeof buf));
  close(c), close(s);
  // options
  int value = 0;
  len = sizeof value;
  getsockopt(l, SOL_SOCKET, SO_ACCEPTCONN, &value, &len);
  printf("acceptconn %d\n", value);
  value = 1;
  say("nodelay", setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
  getsockopt(l, IPPROTO_TCP, TCP_NODELAY, &value, &len);
  printf("nodelay %d\n", value);
  value = 77;
  say("keepidle", setsockopt(l, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof value));
  value = 0;
  say("keepidle 0", setsockopt(l, IPPROTO_TCP, TCP_KEEPIDLE, &value, sizeof value));
  getsockopt(l, IPPROTO_TCP, TCP_KEEPIDLE, &value, &len);
  printf("keepidle %d\n", value);
  say("short option", setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &value, 2));
  say("unknown option", setsockopt(l, SOL_SOCKET, 9999, &value, 4));
  value = 10000;
  setsockopt(l, SOL_SOCKET, SO_SNDBUF, &value, 4);
  getsockopt(l, SOL_SOCKET, SO_SNDBUF, &value, &len);
  printf("sndbuf %d\n", value);
  struct tcp_info ti;
  len = sizeof ti;
  getsockopt(l, IPPROTO_TCP, TCP_INFO, &ti, &len);
  printf("state %d\n", ti.tcpi_state);
  // UDP
  int ua = socket(AF_INET, SOCK_DGRAM, 0), ub = socket(AF_INET, SOCK_DGRAM, 0);
  a = v4("127.0.0.1", 0);
  bind(ua, AT(a));
  a = v4("127.0.0.1", port_of(ua));
  say("send without address", send(ub, "x", 1, 0));
  say("sendto", sendto(ub, "datagram", 8, 0, AT(a)));
  len = sizeof peer;
  say("recvfrom cut", recvfrom(ua, buf, 4, MSG_TRUNC, (void *)&peer, &len));
  printf("from right port %d\n", ntohs(peer.sin_port) == port_of(ub));
  connect(ub, AT(a));
  send(ub, "", 0, 0);
  say("empty datagram", recv(ua, buf, 10, 0));
  say("too long", send(ub, malloc(70000), 70000, 0));
  close(ua);
  say("to nobody", send(ub, "x", 1, 0));
  settle();
  printf("poll %x\n", events(ub));
  say("icmp refused", recv(ub, buf, 1, MSG_DONTWAIT));
  say("then", recv(ub, buf, 1, MSG_DONTWAIT));
  // echo server with threads
  pthread_t srv, cl[8];
  fcntl(l, F_SETFL, 0);
  pthread_create(&srv, 0, server, (void *)(long)l);
  long bad = 0;
  for (int i = 0; i < 8; i++) pthread_create(&cl[i], 0, client, (void *)(long)port);
  for (int i = 0; i < 8; i++) {
    void *r;
    pthread_join(cl[i], &r);
    bad += (long)r;
  }
  pthread_join(srv, 0);
  printf("echo bad %ld\n", bad);
  // interfaces
  struct ifaddrs *list;
  say("getifaddrs", getifaddrs(&list));
  for (struct ifaddrs *i = list; i; i = i->ifa_next)
    if (!strcmp(i->ifa_name, "lo") && i->ifa_addr && i->ifa_addr->sa_family != AF_PACKET)
      printf("lo family %d flags %x\n", i->ifa_addr->sa_family, i->ifa_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING));
  printf("index %u\n", if_nametoindex("lo"));
  struct ifreq ifr = {0};
  strcpy(ifr.ifr_name, "lo");
  say("SIOCGIFADDR", ioctl(l, SIOCGIFADDR, &ifr));
  printf("%s\n", inet_ntoa(((struct sockaddr_in *)&ifr.ifr_addr)->sin_addr));
  return 0;
}
