/*
 * Where guest threads run relative to the Sentry (placement.c). Waking a sleeper on another core costs many times a switch on
 * the same core, so both share one core and sleep; but while a guest does little but call, and another core has nothing better to
 * do, the guest runs there and both sides spin. Whether that pays is measured as it goes.
 */
#pragma once
#include <sys/types.h>

#define SPIN_ROUNDS 4000  /* of a guest thread that waits for its answer, before it sleeps */
#define SPIN_TIME 40e3    /* ns that the Sentry spins for the next trap before it sleeps, of a platform with fast calls */
#define CHATTY 7e3        /* likewise: ns a trap below which spinning is worth a try */

/* Call when the Sentry has been pinned; threads started later share its core. ns; see CHATTY and SPIN_TIME. */
void cordon_placement_start(double chatty, double spin_time);
double cordon_placement_spin_time(void);
/* Remembers the cores there were before the Sentry was pinned to one of them. */
void cordon_placement_remember(void);
/* A trap has come, at `now` (CLOCK_MONOTONIC ns). */
void cordon_placement_trap(double now);
/* The Sentry has spun for a trap in vain. */
void cordon_placement_missed(double now);
/* Whether both sides should spin, on two cores. */
int cordon_placement_spins(void);
/* How many other cores there are. */
int cordon_placement_cores(void);
/* Moves a thread to where it should be (away: the other core); returns where it is. */
int cordon_placement_move(pid_t tid, int away);
