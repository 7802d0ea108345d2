/*
 * Turns of guest threads that run on another core than the Sentry (placement.c), when there are more of them than such cores: see
 * systrap.c. A thread whose call blocks gives its core away at once, and wakes the next one itself: on its own core that is a mere
 * switch, as between two processes that block on a pipe, where a wake from the Sentry's core would be an interrupt of the other.
 */
#define _GNU_SOURCE
#include "placement.h"
#include "systrap-state.h"

#define SOON 5e3      /* ns without a trap until the Sentry wakes the waiting ones itself: their predecessor computes */
#define AT_LAST 20e3  /* ns that one waits at most while the others go on calling */

static int waiting[MAX_SLOTS]; /* a ring: they have their turn and sleep, nobody has woken them yet */
static int first, count;
static double since; /* the oldest waits */
static int asking;   /* of the trap that is being answered, or -1: its thread looks at its slot */
/*
 * One that another, who parked, was told to wake, or -1; and who, and when. Until it is seen awake that is not sure: the other may have
 * got its own turn before it saw that it was to park, or be a guest that has tampered with its stub.
 */
static int entrusted, trustee;
static double entrusted_since;
static double asked_at; /* the last trap */

void systrap_start_turns(void) {
  first = count = 0;
  asking = entrusted = trustee = -1;
}

void systrap_asks(int index, double now) {
  asked_at = now;
  asking = threads[index].away ? index : -1;
  if (index == entrusted) entrusted = -1;
}

static uint32_t *word_of(int index) {
  return (uint32_t *)(slots + WORDS_OFFSET) + (unsigned)index % WORD_COUNT;
}

void systrap_wake_by_word(int index) {
  __atomic_add_fetch(word_of(index), 1, __ATOMIC_SEQ_CST);
  futex(word_of(index), FUTEX_WAKE, INT32_MAX, NULL);
}

/* Not by whom it was entrusted to, if it still sleeps. */
static void wake_entrusted(void) {
  int index = entrusted;
  entrusted = -1;
  if (index >= 0 && threads[index].running && load32(&slot_of(index)->sleeping)) futex(word_of(index), FUTEX_WAKE, INT32_MAX, NULL);
}

static void entrust(int index, int to) {
  wake_entrusted();
  entrusted = index;
  trustee = to;
  entrusted_since = asked_at;
}

void systrap_give_turn(int index) {
  int asked = index == asking;
  if (asked) asking = -1;
  if (entrusted >= 0 && trustee == index) wake_entrusted();
  int occupied = active_count - 1 + (asking >= 0);
  if (asked || !threads[index].away || occupied < cordon_placement_cores()) {
    hand_back(index);
    return;
  }
  struct slot *slot = slot_of(index);
  __atomic_exchange_n(&slot->state, TURN_GUEST, __ATOMIC_SEQ_CST);
  uint32_t sleeps = load32(&slot->sleeping);
  if (sleeps == SLEEPS_ON_STATE) futex(&slot->state, FUTEX_WAKE, 1, NULL);
  if (sleeps != SLEEPS_ON_WORD) return;
  __atomic_add_fetch(word_of(index), 1, __ATOMIC_SEQ_CST);
  if (count == MAX_SLOTS) systrap_wake_waiting();
  if (count == 0) since = asked_at;
  waiting[(first + count++) % MAX_SLOTS] = index;
}

/* The next one that nobody has woken, or -1. */
static int pop_waiting(void) {
  while (count > 0) {
    int index = waiting[first];
    first = (first + 1) % MAX_SLOTS;
    count--;
    if (threads[index].running && threads[index].away) return index;
  }
  return -1;
}

void systrap_wake_waiting(void) {
  wake_entrusted();
  for (int index; (index = pop_waiting()) >= 0;) futex(word_of(index), FUTEX_WAKE, INT32_MAX, NULL);
}

/* The thread that asked was not answered: its call blocks. */
static void park(int index) {
  struct thread *thread = &threads[index];
  if (thread->running || !thread->away || active_count < cordon_placement_cores()) return;
  struct slot *slot = slot_of(index);
  int next = pop_waiting();
  if (next >= 0) entrust(next, index);
  slot->wake = next >= 0 ? WORD_ADDRESS(next) : 0;
  thread->parked = 1;
  __atomic_exchange_n(&slot->state, TURN_PARKED, __ATOMIC_SEQ_CST);
  /* Asleep already, or about to be, it may not have seen it. */
  if (next >= 0 && load32(&slot->sleeping)) wake_entrusted();
}

void systrap_end_of_answer(void) {
  int index = asking;
  asking = -1;
  if (index >= 0) park(index);
  if (count > 0 && (count == active_count || !cordon_placement_spins())) systrap_wake_waiting();
}

void systrap_wake_late(double now, int calling) {
  if (count > 0 && now - since > (calling ? AT_LAST : SOON)) systrap_wake_waiting();
  if (entrusted >= 0 && now - entrusted_since > AT_LAST) wake_entrusted();
}
