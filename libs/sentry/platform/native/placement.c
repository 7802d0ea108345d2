#define _GNU_SOURCE
#include "placement.h"

#include <sched.h>
#include <string.h>

#define WINDOW 96        /* traps between decisions */
#define GAIN 0.8         /* of the time a trap took on one core: what spinning must stay below */
#define POOR_WINDOWS 2   /* until a try is given up */
#define MISSES 12        /* waits of a window longer than spin_time: the guest computes, or another core was busy */
#define FIRST_PAUSE 1e6  /* ns until the next try after one that did not pay; doubles */
#define LAST_PAUSE 1e9

static cpu_set_t allowed, own, other;
static int remembered, cores, spinning; /* cores: other ones */
static int traps, misses, fresh; /* fresh: the first window of a try, whose caches were the other core's */
static int poor;                 /* windows in a row that spinning made no faster: one may have been of other calls */
static double chatty, spin_time;
static double window_start, last_trap, longest, same_core_time, next_try, pause_length;
static double failed_time; /* same_core_time of the last try that did not pay */

void cordon_placement_remember(void) {
  remembered = sched_getaffinity(0, sizeof allowed, &allowed) == 0;
}

double cordon_placement_spin_time(void) { return spin_time; }

void cordon_placement_start(double chatty_trap, double longest_spin) {
  chatty = chatty_trap;
  spin_time = longest_spin;
  spinning = traps = misses = fresh = poor = 0;
  window_start = last_trap = longest = same_core_time = next_try = failed_time = 0;
  pause_length = FIRST_PAUSE;
  cores = 0;
  if (!remembered || sched_getaffinity(0, sizeof own, &own) != 0 || CPU_COUNT(&own) != 1) return;
  CPU_ZERO(&other);
  CPU_XOR(&other, &allowed, &own);
  CPU_AND(&other, &other, &allowed);
  cores = CPU_COUNT(&other);
}

static void leave(double now) {
  /* What the try has cost stays a small part of all, however slow the platform's calls are. */
  double cost = now - window_start;
  spinning = 0;
  if (1.5 * same_core_time < failed_time) pause_length = FIRST_PAUSE;
  if (pause_length < 4 * cost) pause_length = 4 * cost;
  next_try = now + pause_length;
  failed_time = same_core_time;
  if (pause_length < LAST_PAUSE) pause_length = pause_length * 2 > LAST_PAUSE ? LAST_PAUSE : pause_length * 2;
}

/* A try that did not pay says nothing about a guest that calls half as often again as it did then. */
static int worth_a_try(double now) { return same_core_time < chatty && (now >= next_try || 1.5 * same_core_time < failed_time); }

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
    poor = time > (fresh ? 1 : GAIN) * same_core_time ? poor + 1 : 0;
    if (poor == POOR_WINDOWS || (fresh && poor)) leave(now);
    else if (!fresh && !poor) pause_length = FIRST_PAUSE;
    fresh = 0;
  } else {
    same_core_time = time;
    spinning = fresh = worth_a_try(now);
    poor = 0;
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
