/* Orders to a stub's mapping thread: see systrap.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "ptrace-stub.h"
#include "systrap-state.h"

/* They are collected while no thread of the space runs, and carried out in one go before one does. */
static struct order pending[ORDERS_MAX];
static int pending_count, pending_space;

int64_t systrap_carry_out(pid_t pid, const struct order *orders, int count) {
  memcpy(slots + ORDERS_OFFSET, orders, sizeof *orders * (size_t)count);
  struct user_regs_struct regs = stub_regs;
  regs.rbx = ORDERS;
  regs.rbp = (uint64_t)count;
  regs.r14 = secret;
  regs.r13 = secret << 32;
  regs.r15 = secret >> 32 << 32;
  return cordon_inject_at(pid, cordon_systrap_orders_entry(), cordon_systrap_orders_trap(), &regs, NULL);
}

int64_t systrap_flush(int space) {
  if (pending_count == 0 || pending_space != space) return 0;
  int count = pending_count;
  pending_count = 0;
  return spaces[space].dead ? -ESRCH : systrap_carry_out(spaces[space].pid, pending, count);
}

int64_t systrap_add_order(int space, const struct order *order) {
  int64_t result = 0;
  if (pending_count > 0 && (pending_space != space || pending_count == ORDERS_MAX)) result = systrap_flush(pending_space);
  if (result < 0) return result;
  pending_space = space;
  pending[pending_count++] = *order;
  return 0;
}

int64_t systrap_order(int space, uint64_t number, const uint64_t arguments[6]) {
  struct order one = {.number = number};
  memcpy(one.arguments, arguments, sizeof one.arguments);
  int64_t result = systrap_add_order(space, &one);
  if (result < 0) return result;
  /* Not behind the back of a thread that runs: what it must not see any more could be somebody else's already. */
  for (int index = spaces[space].threads; index >= 0; index = threads[index].next)
    if (threads[index].running) return systrap_flush(space);
  return 0;
}

void systrap_forget_orders(int space) {
  if (space < 0 || pending_space == space) pending_count = 0;
}
