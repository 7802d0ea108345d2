/* Descriptors of the host that the Sentry watches while guests run (watch.c). */
#pragma once
#include <node_api.h>
#include <stdint.h>

/* Waits until a watched descriptor is ready or deadline (CLOCK_MONOTONIC ns; in the past: only looks). 1 if one is ready. */
int cordon_poll_watches(double deadline);
void cordon_forget_watches(void);
double cordon_now(void);
/*
 * The time (as cordon_now) when the processor's counter (rdtsc) was at `ticks`, a moment ago, not before `after`. For moments that a
 * clock reading would delay: when a guest goes on, which may take the Sentry's core before that could look at the clock.
 */
double cordon_time_of(uint64_t ticks, double after);
/* As cordon_now, to some ten nanoseconds; without the clock when cordon_time_of has read it a moment ago. */
double cordon_now_by_ticks(void);

/* watch(fd, events): 0 events removes. Readiness raises SIGIO. 0 or -errno. */
napi_value cordon_watch(napi_env env, napi_callback_info info);
/* watched(out: Int32Array): pairs of fd, ready events; returns how many are ready. */
napi_value cordon_watched(napi_env env, napi_callback_info info);
/* Called when a descriptor was watched anew: what came before SIGIO was on must be looked for. */
extern void (*cordon_watch_added)(void);
