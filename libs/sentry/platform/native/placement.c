#define _GNU_SOURCE
#include "placement.h"

#include <sched.h>
#include <string.h>

#define WINDOW 256       /* traps between decisions */
#define CHATTY 40e3      /* ns a trap below which spinning is worth a try */
#define GAIN 0.8         /* of the time a trap took on one core: what spinning must stay below */
#define MISSES 12        /* waits of a window longer than SPIN_TIME: the guest computes, or another core was busy */
#define FIRST_PAUSE 4e6  /* ns until the next try after one that did not pay; doubles */
#define LAST_PAUSE 1e9

static cpu_set_t allowed, own, other;
static int remembered, cores, spinning; /* cores: other ones */
static int traps, misses;
static double window_start, last_trap, longest, same_core_time, next_try, pause_length;

void cordon_placement_remember(void) {
  remembered = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
}

void cordon_placement_start(void) {
  spinning = traps = misses = 0;
  window_start = last_trap = longest = same_core_time = next_try = 0;
  pause_length = FIRST_PAUSE;
  cores = 0;
  if (!remembered || sched_getaffinity(0, sizeof own, &own) != 0 || CPU_COUNT(&own) != 1) return;
  CPU_ZERO(&other);
  CPU_XOR(&other, &allowed, &own);
  CPU_AND(&other, &other, &allowed);
  cores = CPU_COUNT(&other);
}

static void leave(double now) {
  spinning = 0;
  next_try = now + pause_length;
  pause_length = pause_length * 2 > LAST_PAUSE ? LAST_PAUSE : pause_length * 2;
}

static void begin_window(double now) {
  window_start = now;
  longest = 0;
  traps = misses = 0;
}

void cordon_placement_trap(double now) {
  if (cores == 0) return;
  double since = now - last_trap;
  last_trap = now;
  if (since > longest) longest = since;
  if (++traps < WINDOW) return;
  /* One long pause says nothing about cores: the Sentry's heap was collected. */
  double time = (now - window_start - longest) / traps;
  if (spinning) {
    if (time > GAIN * same_core_time) leave(now);
    else pause_length = FIRST_PAUSE;
  } else {
    same_core_time = time;
    spinning = time < CHATTY && now >= next_try;
  }
  begin_window(now);
}

void cordon_placement_missed(double now) {
  if (++misses < MISSES || !spinning) return;
  leave(now);
  begin_window(now);
}

int cordon_placement_spins(void) { return spinning; }

int cordon_placement_cores(void) { return cores; }

int cordon_placement_move(pid_t tid, int away) {
  return sched_setaffinity(tid, sizeof own, away ? &other : &own) == 0 ? away : !away;
}
