// Control messages of UDP and UDP-Lite: hop limit, traffic class, packet information; sent, received, cut off. Same as native.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void show(struct msghdr *message, long n) {
  printf("  %ld bytes, flags %x:", n, message->msg_flags);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    printf(" [level %d type %d length %zu:", c->cmsg_level, c->cmsg_type, c->cmsg_len);
    long bytes = (long)c->cmsg_len - (long)CMSG_LEN(0);
    for (long i = 0; i < bytes; i++) printf(" %02x", CMSG_DATA(c)[i]);
    printf("]");
  }
  printf(" used %zu\n", message->msg_controllen);
}

static void receive(int fd, size_t room) {
  char data[100], control[256];
  memset(control, 0, sizeof control);
  struct iovec vector = {data, sizeof data};
  struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
  show(&message, recvmsg(fd, &message, MSG_DONTWAIT));
}

static void send_with(int fd, struct sockaddr *to, socklen_t length, int level, int type, int value, size_t size) {
  char control[CMSG_SPACE(64)];
  memset(control, 0, sizeof control);
  struct iovec vector = {"hello", 5};
  struct msghdr message = {.msg_name = to, .msg_namelen = length, .msg_iov = &vector, .msg_iovlen = 1};
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(size);
  struct cmsghdr *c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(c), &value, sizeof value);
  long n = sendmsg(fd, &message, 0);
  printf("send level %d type %d value %d size %zu: %ld %s\n", level, type, value, size, n, n < 0 ? strerrorname_np(errno) : "");
}

static void six(int protocol) {
  int server = socket(AF_INET6, SOCK_DGRAM, protocol), client = socket(AF_INET6, SOCK_DGRAM, protocol), on = 1;
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
  socklen_t length = sizeof address;
  bind(server, (struct sockaddr *)&address, length);
  getsockname(server, (struct sockaddr *)&address, &length);
  struct sockaddr *to = (struct sockaddr *)&address;
  sendto(client, "x", 1, 0, to, length);
  receive(server, 256);
  setsockopt(server, SOL_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
  setsockopt(server, SOL_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
  setsockopt(server, SOL_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  for (size_t room = 0; room <= 104; room += 4) {
    sendto(client, "x", 1, 0, to, length);
    receive(server, room);
  }
  int hops = 7, class = 0x20;
  setsockopt(client, SOL_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof hops);
  setsockopt(client, SOL_IPV6, IPV6_TCLASS, &class, sizeof class);
  sendto(client, "x", 1, 0, to, length);
  receive(server, 256);
  send_with(client, to, length, SOL_IPV6, IPV6_HOPLIMIT, 3, 4);
  receive(server, 256);
  send_with(client, to, length, SOL_IPV6, IPV6_HOPLIMIT, -1, 4);
  receive(server, 256);
  send_with(client, to, length, SOL_IPV6, IPV6_TCLASS, 0x40, 4);
  receive(server, 256);
  send_with(client, to, length, SOL_IPV6, IPV6_HOPLIMIT, 256, 4);
  send_with(client, to, length, SOL_IPV6, IPV6_HOPLIMIT, 3, 2);
  send_with(client, to, length, SOL_IPV6, 9999, 3, 4);
  send_with(client, to, length, IPPROTO_UDP, 9999, 3, 4);
  receive(server, 256);
  close(server);
  close(client);
}

static void four(void) {
  int server = socket(AF_INET, SOCK_DGRAM, 0), client = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  bind(server, (struct sockaddr *)&address, length);
  getsockname(server, (struct sockaddr *)&address, &length);
  struct sockaddr *to = (struct sockaddr *)&address;
  setsockopt(server, SOL_IP, IP_PKTINFO, &on, sizeof on);
  setsockopt(server, SOL_IP, IP_RECVTTL, &on, sizeof on);
  setsockopt(server, SOL_IP, IP_RECVTOS, &on, sizeof on);
  sendto(client, "x", 1, 0, to, length);
  receive(server, 256);
  int ttl = 9, tos = 0x10;
  setsockopt(client, SOL_IP, IP_TTL, &ttl, sizeof ttl);
  setsockopt(client, SOL_IP, IP_TOS, &tos, sizeof tos);
  sendto(client, "x", 1, 0, to, length);
  receive(server, 256);
  send_with(client, to, length, SOL_IP, IP_TTL, 3, 4);
  receive(server, 256);
  send_with(client, to, length, SOL_IP, IP_TOS, 8, 4);
  receive(server, 256);
  send_with(client, to, length, SOL_IP, IP_TTL, 0, 4);
  send_with(client, to, length, SOL_IP, 77, 0, 4);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  six(0);
  six(IPPROTO_UDPLITE);
  four();
  // UDP and UDP-Lite have ports of their own.
  int udp = socket(AF_INET, SOCK_DGRAM, 0), lite = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  bind(udp, (struct sockaddr *)&address, length);
  getsockname(udp, (struct sockaddr *)&address, &length);
  printf("same port: %d\n", bind(lite, (struct sockaddr *)&address, length));
  int value = 20, protocol;
  printf("coverage: %d", setsockopt(lite, IPPROTO_UDPLITE, 10, &value, sizeof value));
  value = 0;
  length = sizeof value;
  getsockopt(lite, IPPROTO_UDPLITE, 10, &value, &length);
  printf(" %d\n", value);
  printf("not for UDP: %d\n", setsockopt(udp, IPPROTO_UDPLITE, 10, &value, sizeof value));
  length = sizeof protocol;
  getsockopt(lite, SOL_SOCKET, SO_PROTOCOL, &protocol, &length);
  printf("protocol %d\n", protocol);
}
