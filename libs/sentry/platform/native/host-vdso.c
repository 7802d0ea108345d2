/*
 * The kernel maps into every process pages with its clocks' parameters ([vvar] and the like) and code that reads them ([vdso]). Their
 * size and number change between kernels, their order in memory does not: the code reaches the data by its distance.
 */
#define _GNU_SOURCE
#include "host-vdso.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static uintptr_t start, end, code;

void cordon_find_host_vdso(void) {
  /* It stays where it is, in our forks too. */
  static int sought;
  if (sought++) return;
  FILE *maps = fopen("/proc/self/maps", "re");
  if (!maps) return;
  char line[512];
  while (fgets(line, sizeof line, maps)) {
    unsigned long from, to;
    int vdso = strstr(line, "[vdso]") != NULL;
    if (!vdso && !strstr(line, "[vvar")) continue;
    if (sscanf(line, "%lx-%lx", &from, &to) != 2) continue;
    if (end && from != end) { /* not in one piece: not as we know it */
      start = end = code = 0;
      break;
    }
    if (!start) start = from;
    end = to;
    if (vdso) code = from;
  }
  fclose(maps);
  if (!code || end - start > HOST_VDSO_ROOM) start = end = code = 0;
}

/* Each mapping by itself: mremap takes one at a time, and they may be several. Page by page would split what must stay whole. */
static int move(uintptr_t from, uintptr_t to) {
  uintptr_t size = end - start, data = code - start, at = 0;
  while (at < size) {
    uintptr_t length = at < data ? data - at : size - at;
    /* [vvar] may be several mappings: EFAULT over their border; shorten until one piece fits. */
    while (mremap((void *)(from + at), length, length, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(to + at)) == MAP_FAILED) {
      if (errno != EFAULT || length <= 4096) return -errno;
      length -= 4096;
    }
    at += length;
  }
  return 0;
}

int cordon_move_host_vdso(void) {
  if (!code) return -ENOENT;
  uintptr_t size = end - start, from = start;
  if (from < HOST_VDSO + size && HOST_VDSO < from + size) { /* mremap refuses to move over itself */
    void *aside = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (aside == MAP_FAILED) return -errno;
    int failed = move(from, (uintptr_t)aside);
    if (failed) return failed;
    from = (uintptr_t)aside;
  }
  return move(from, HOST_VDSO);
}

size_t cordon_host_vdso_range(void **at) {
  *at = (void *)start;
  return code ? end - start : 0;
}

void cordon_forget_host_vdso(void) { start = end = code = 0; }

napi_value cordon_host_vdso(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result;
  napi_get_null(env, &result);
  if (!code) return result;
  napi_value address, bytes;
  void *data;
  napi_create_object(env, &result);
  napi_create_double(env, (double)(HOST_VDSO + (code - start)), &address);
  napi_create_arraybuffer(env, end - code, &data, &bytes);
  memcpy(data, (const void *)code, end - code);
  napi_set_named_property(env, result, "address", address);
  napi_set_named_property(env, result, "bytes", bytes);
  return result;
}
