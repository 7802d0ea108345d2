// ioctl(FS_IOC_FIEMAP) of a sparse file: where its data is. Prints what does not depend on the file system.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct fiemap *map(int fd, unsigned long start, unsigned long length, unsigned flags, unsigned count) {
  static struct { struct fiemap header; struct fiemap_extent extents[8]; } buffer;
  memset(&buffer, 0, sizeof buffer);
  buffer.header = (struct fiemap){.fm_start = start, .fm_length = length, .fm_flags = flags, .fm_extent_count = count};
  int result = ioctl(fd, FS_IOC_FIEMAP, &buffer);
  printf("%d %s, flags %x, %u extents:", result, result < 0 ? strerrorname_np(errno) : "", buffer.header.fm_flags, buffer.header.fm_mapped_extents);
  for (unsigned i = 0; result == 0 && i < buffer.header.fm_mapped_extents && i < count; i++) {
    struct fiemap_extent *e = &buffer.extents[i];
    printf(" [%llu, +%llu)%s", e->fe_logical, e->fe_length, e->fe_flags & FIEMAP_EXTENT_LAST ? " last" : "");
  }
  printf("\n");
  return &buffer.header;
}

int main(void) {
  char *page = malloc(8192);
  memset(page, 'x', 8192);
  int fd = open("sparse", O_RDWR | O_CREAT | O_TRUNC, 0600);
  map(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 8);
  pwrite(fd, page, 8192, 0);
  pwrite(fd, page, 4096, 1 << 20);
  pwrite(fd, page, 100, 4 << 20);
  lseek(fd, 77, SEEK_SET);
  map(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 8);
  map(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 0);
  map(fd, 0, ~0ul, FIEMAP_FLAG_SYNC, 2);
  map(fd, 65536, 1 << 20, FIEMAP_FLAG_SYNC, 8);
  map(fd, 2 << 20, 4096, FIEMAP_FLAG_SYNC, 8);
  map(fd, 0, 0, FIEMAP_FLAG_SYNC, 8);
  map(fd, 0, ~0ul, 0x80000000, 8);
  printf("position %ld\n", lseek(fd, 0, SEEK_CUR));
  int dir = open("/dev/null", O_RDONLY);
  int result = ioctl(dir, FS_IOC_FIEMAP, page);
  printf("not here: %d %s\n", result, strerrorname_np(errno));
}
