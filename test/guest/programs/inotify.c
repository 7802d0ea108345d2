// inotify: what a directory and a file watch tell. Same as native.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static int in;
static void say(const char *what, long result) { printf("%s: %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : ""); }
static void show(const char *what) {
  char buffer[8192] __attribute__((aligned(8)));
  long n = read(in, buffer, sizeof buffer);
  printf("%s:", what);
  if (n < 0) printf(" %s", strerrorname_np(errno));
  for (long at = 0; at < n;) {
    struct inotify_event *e = (void *)(buffer + at);
    printf(" [%d %x%s %s]", e->wd, e->mask, e->cookie ? " cookie" : "", e->len ? e->name : "");
    at += sizeof *e + e->len;
  }
  printf("\n");
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  say("bad flags", inotify_init1(0x1234));
  in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  mkdir("watched", 0755);
  say("absent", inotify_add_watch(in, "absent", IN_ALL_EVENTS));
  say("no mask", inotify_add_watch(in, "watched", 0));
  say("directory", inotify_add_watch(in, "watched", IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVE | IN_CLOSE_WRITE));
  show("nothing");
  int fd = open("watched/file", O_CREAT | O_RDWR, 0644);
  show("create");
  write(fd, "abc", 3);
  show("modify");
  write(fd, "abc", 3);
  write(fd, "abc", 3);
  show("modify merged");
  close(fd);
  show("close");
  rename("watched/file", "watched/other");
  show("rename");
  mkdir("watched/sub", 0755);
  show("mkdir");
  rmdir("watched/sub");
  show("rmdir");
  say("file", inotify_add_watch(in, "watched/other", IN_ATTRIB | IN_DELETE_SELF | IN_MODIFY));
  say("same again", inotify_add_watch(in, "watched/other", IN_MODIFY | IN_MASK_ADD));
  say("exclusive", inotify_add_watch(in, "watched/other", IN_MODIFY | IN_MASK_CREATE));
  say("only directories", inotify_add_watch(in, "watched/other", IN_MODIFY | IN_ONLYDIR));
  chmod("watched/other", 0600);
  show("chmod");
  fd = open("watched/other", O_WRONLY | O_TRUNC);
  show("truncated by open");
  close(fd);
  show("close");
  int small = 0;
  fd = open("watched/short", O_CREAT | O_WRONLY, 0644);
  close(fd);
  char tiny[8];
  say("buffer too small", read(in, tiny, sizeof tiny));
  (void)small;
  show("short");
  say("remove", inotify_rm_watch(in, 1));
  show("ignored");
  say("remove again", inotify_rm_watch(in, 1));
  unlink("watched/short");
  show("quiet");
  unlink("watched/other");
  rmdir("watched");
  return 0;
}
