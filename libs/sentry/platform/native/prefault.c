/*
 * Pages that every forked Sentry writes to. Each first write to one is a fault and a copy, some 1.5 us: known beforehand, they are copied in one
 * go while nobody waits. Learned from a child on trial.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addon.h"
#include "napi-arguments.h"

#define PAGE 4096ul
/* pagemap: proc_pid_pagemap(5) */
#define PRESENT (1ull << 63)
#define SHARED_OR_FILE (1ull << 61)
#define EXCLUSIVE (1ull << 56)
#define POPULATE_WRITE 23 /* MADV_POPULATE_WRITE, Linux 5.14 */
#define WINDOW 512

struct range {
  uint64_t start, end;
};

struct ranges {
  struct range *items;
  size_t count, room;
};

static void add_page(struct ranges *ranges, uint64_t page) {
  if (ranges->count > 0 && ranges->items[ranges->count - 1].end == page) {
    ranges->items[ranges->count - 1].end += PAGE;
  } else if (ranges->count < ranges->room) {
    ranges->items[ranges->count++] = (struct range){page, page + PAGE};
  }
}

/* Those of [start, end) that only this process has. */
static void add_private(struct ranges *ranges, int pagemap, uint64_t start, uint64_t end) {
  uint64_t entries[WINDOW];
  for (uint64_t at = start; at < end; at += WINDOW * PAGE) {
    uint64_t pages = (end - at) / PAGE < WINDOW ? (end - at) / PAGE : WINDOW;
    ssize_t got = pread(pagemap, entries, pages * 8, (off_t)(at / PAGE * 8));
    for (ssize_t index = 0; index < got / 8; index++)
      if ((entries[index] & (PRESENT | SHARED_OR_FILE | EXCLUSIVE)) == (PRESENT | EXCLUSIVE)) add_page(ranges, at + (uint64_t)index * PAGE);
  }
}

/*
 * privatePages(out: BigUint64Array): pairs of start and end, as many as there is room for, of anonymous memory that may be written and that no
 * other process has. The number of pairs, or -errno. Needs /proc.
 */
static napi_value private_pages(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct bytes out = bytes_of(env, arguments[0]);
  struct ranges ranges = {(struct range *)out.data, 0, out.length / sizeof(struct range)};
  napi_value result;
  int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  FILE *maps = fopen("/proc/self/maps", "re");
  int failed = pagemap < 0 || !maps ? -errno : 0;
  char line[4200], rights[5];
  unsigned long start, end, offset, inode;
  while (!failed && fgets(line, sizeof line, maps)) {
    if (sscanf(line, "%lx-%lx %4s %lx %*s %lu", &start, &end, rights, &offset, &inode) != 5) continue;
    if (inode == 0 && rights[1] == 'w' && rights[3] == 'p' && !strstr(line, "[stack]")) add_private(&ranges, pagemap, start, end);
  }
  if (maps) fclose(maps);
  if (pagemap >= 0) close(pagemap);
  napi_create_double(env, failed ? failed : (double)ranges.count, &result);
  return result;
}

/* prefault(ranges: BigUint64Array): pairs as above. What is not there (any more), or a host that cannot, is nothing to worry about. */
static napi_value prefault(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct bytes ranges = bytes_of(env, arguments[0]);
  const struct range *items = (const struct range *)ranges.data;
  for (size_t index = 0; index < ranges.length / sizeof *items; index++)
    /* Raw: the zygote's shim drops other advice. */
    syscall(SYS_madvise, items[index].start, items[index].end - items[index].start, POPULATE_WRITE);
  return NULL;
}

void cordon_register_prefault(napi_env env, napi_value exports) {
  const struct function functions[] = {{"privatePages", private_pages}, {"prefault", prefault}};
  register_functions(env, exports, functions, sizeof functions / sizeof *functions);
}
