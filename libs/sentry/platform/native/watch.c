#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "napi-arguments.h"
#include "watch.h"

#define WATCHES 8
static struct pollfd watches[WATCHES];
static int watch_count;
void (*cordon_watch_added)(void);

double cordon_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

#define RECENT 100000 /* ticks, some 40 us: the clock may run by a two-thousandth faster or slower than the counter */
static uint64_t last_ticks; /* the last reading of both by cordon_time_of */
static double last, tick;

/*
 * What a tick is, is measured from the first use to this one: whatever the clock reading then was off by becomes less than that here.
 * A counter that differs between cores, or was set back, is not believed beyond `after`.
 */
double cordon_time_of(uint64_t ticks, double after) {
  static uint64_t first_ticks;
  static double first;
  uint64_t ticks_now = __builtin_ia32_rdtsc();
  double now = cordon_now();
  if (!first_ticks) {
    first_ticks = ticks_now;
    first = now;
  }
  last_ticks = ticks_now;
  last = now;
  if (ticks_now <= ticks || ticks <= first_ticks) return now;
  tick = (now - first) / (double)(ticks_now - first_ticks);
  double then = now - (double)(ticks_now - ticks) * tick;
  return then > after ? then : after;
}

double cordon_now_by_ticks(void) {
  uint64_t since = __builtin_ia32_rdtsc() - last_ticks;
  return tick > 0 && since < RECENT ? last + (double)since * tick : cordon_now();
}

void cordon_forget_watches(void) { watch_count = 0; }

int cordon_poll_watches(double deadline) {
  struct timespec limit = {0};
  double wait = deadline - cordon_now();
  if (wait > 0) {
    double seconds = wait / 1e9 > 1e6 ? 1e6 : wait / 1e9;
    limit.tv_sec = (time_t)seconds;
    limit.tv_nsec = (long)((seconds - (double)limit.tv_sec) * 1e9);
  }
  return ppoll(watches, (nfds_t)watch_count, &limit, NULL) > 0;
}

static napi_value answer(napi_env env, int value) {
  napi_value result;
  napi_create_int32(env, value, &result);
  return result;
}

napi_value cordon_watch(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int fd = (int)int_of(env, arguments[0]);
  short events = (short)int_of(env, arguments[1]);
  int at = 0;
  while (at < watch_count && watches[at].fd != fd) at++;
  if (events == 0) {
    if (at < watch_count) watches[at] = watches[--watch_count];
    return answer(env, 0);
  }
  if (at == WATCHES) return answer(env, -ENOSPC);
  if (at == watch_count) {
    watch_count++;
    fcntl(fd, F_SETOWN, getpid());
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK | O_ASYNC);
    if (cordon_watch_added) cordon_watch_added();
  }
  watches[at] = (struct pollfd){.fd = fd, .events = events};
  return answer(env, 0);
}

napi_value cordon_watched(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct bytes out = bytes_of(env, arguments[0]);
  int32_t *pairs = (int32_t *)out.data;
  int count = 0;
  for (int at = 0; at < watch_count && (size_t)(count + 1) * 8 <= out.length; at++)
    if (watches[at].revents) {
      pairs[2 * count] = watches[at].fd;
      pairs[2 * count + 1] = watches[at].revents;
      count++;
    }
  return answer(env, count);
}
