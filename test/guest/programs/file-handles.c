// name_to_handle_at, and the id of a mount wherever it is told. Prints what it sees: same as native.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct file_handle *handle(const char *path, int flags, unsigned room, int *mount) {
  struct file_handle *h = calloc(1, sizeof *h + MAX_HANDLE_SZ);
  h->handle_bytes = room;
  int result = name_to_handle_at(AT_FDCWD, path, h, mount, flags);
  printf("%s: %d %s%s\n", path, result, result < 0 ? strerrorname_np(errno) : "", result < 0 && h->handle_bytes > room ? ", needs more" : "");
  return h;
}

static int same(struct file_handle *a, struct file_handle *b) {
  return a->handle_bytes == b->handle_bytes && a->handle_type == b->handle_type && !memcmp(a->f_handle, b->f_handle, a->handle_bytes);
}

int main(void) {
  int mount, other, fd = open("one", O_CREAT | O_RDWR, 0600);
  close(open("two", O_CREAT | O_RDWR, 0600));
  link("one", "again");
  symlink("one", "link");
  struct file_handle *one = handle("one", 0, MAX_HANDLE_SZ, &mount);
  printf("hard link: %d\n", same(one, handle("again", 0, MAX_HANDLE_SZ, &other)));
  printf("other file: %d\n", same(one, handle("two", 0, MAX_HANDLE_SZ, &other)));
  printf("symbolic link: %d\n", same(one, handle("link", 0, MAX_HANDLE_SZ, &other)));
  printf("followed: %d\n", same(one, handle("link", AT_SYMLINK_FOLLOW, MAX_HANDLE_SZ, &other)));
  printf("same mount: %d\n", mount == other);
  handle("one", 0, 0, &other);
  handle("one", 0, MAX_HANDLE_SZ + 1, &other);
  handle("one", AT_SYMLINK_NOFOLLOW, MAX_HANDLE_SZ, &other);
  handle("missing", 0, MAX_HANDLE_SZ, &other);
  handle("", 0, MAX_HANDLE_SZ, &other);
  struct statx sx;
  statx(AT_FDCWD, "one", 0, STATX_MNT_ID, &sx);
  printf("statx: %d\n", (int)sx.stx_mnt_id == mount);
  char path[64], line[256];
  int id = -1, found = 0;
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  FILE *info = fopen(path, "r");
  while (fgets(line, sizeof line, info)) sscanf(line, "mnt_id: %d", &id);
  printf("fdinfo: %d\n", id == mount);
  info = fopen("/proc/self/mountinfo", "r");
  while (fgets(line, sizeof line, info)) found |= atoi(line) == mount;
  printf("mountinfo: %d\n", found);
}
