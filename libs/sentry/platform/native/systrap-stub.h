/* The systrap stub: what the Sentry (systrap.c) and the code inside guest processes (systrap-stub.c) agree on. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The top of user space belongs to the stub: code, doorbell, one slot for each guest thread. Guest memory ends below.
 * A slot is a power of two, aligned: the handler finds it from its stack pointer.
 */
#define SYSTRAP_BASE 0x7ffff0000000ul
#define DOORBELL SYSTRAP_BASE
#define SLOT_SIZE 0x8000ul
#define SLOT_ADDRESS(index) (SYSTRAP_BASE + ((uint64_t)(index) + 1) * SLOT_SIZE)
#define SLOT_OFFSET(index) (((uint64_t)(index) + 1) * SLOT_SIZE)
#define MAX_SLOTS 8000

/*
 * A slot: a page of words, a signal frame made by the Sentry (to leave a patched call site with other registers), then the
 * thread's alternate signal stack, on which the host leaves the guest's registers at each trap.
 */
#define FRAME_OFFSET 0x1000ul
#define ALTSTACK_OFFSET 0x4000ul
#define ALTSTACK_SIZE (SLOT_SIZE - ALTSTACK_OFFSET)
struct slot {
  /*
   * The first cache line has all that most calls are about, so that it alone travels; it is filled in right before state, since the
   * other side, who waits, looks at it all the time and would take it away in between.
   */
  uint32_t state;    /* whose turn it is, TURN_*. A futex. */
  uint32_t sleeping; /* the thread waits in the host, and on what: SLEEPS_* */
  uint32_t kind;     /* signal that ended the run; 0: a patched call site */
  uint32_t command;  /* what to do on resuming, COMMAND_* */
  /* Of a patched call site. */
  uint64_t rax, rdi, rsi, rdx, r10, r8;
  uint64_t fs_base;  /* of the guest: told at each trap, loaded by COMMAND_FS */
  uint64_t rip, rsp, r9, rbx, rbp, r12, r13, r14, r15;
  uint32_t spin;     /* rounds to look at state before sleeping */
  uint32_t unused;   /* keeps what follows aligned */
  uint64_t self;     /* address of this slot in the guest */
  uint64_t fast_entry; /* where call sites jump */
  uint64_t word;     /* address of the thread's wake word */
  uint64_t wake;     /* of TURN_PARKED: address of the wake word of the thread to wake, or 0 */
  uint64_t context;  /* address of the ucontext of the last signal */
  uint64_t fpstate;  /* where COMMAND_SAVE writes: xsave area of the frame made by the Sentry */
  struct {
    uint64_t stack, flags, size;
  } altstack;
  uint64_t gs_base;  /* for COMMAND_GS */
  uint64_t leave;    /* ucontext of the frame made by the Sentry, for COMMAND_SIGRETURN */
};
enum { TURN_GUEST, TURN_SENTRY, TURN_PARKED /* the Sentry's for long: wake the other thread, sleep */ };
enum { SLEEPS_NOT, SLEEPS_ON_STATE, SLEEPS_ON_WORD };
_Static_assert(sizeof(struct slot) <= 4096, "a slot's head is one page");

enum {
  COMMAND_FS = 1,        /* load fs_base */
  COMMAND_SAVE = 2,      /* of a patched site: write the xsave state to fpstate and report again */
  COMMAND_SIGRETURN = 4, /* of a patched site: leave by the signal frame */
  COMMAND_GS = 8,        /* load gs_base: the guest has one of its own, no site of it is patched any more */
};

/* Shared by all stubs and the Sentry. */
struct doorbell {
  uint32_t value;    /* a futex: changes when there is news */
  uint32_t sleeping; /* the Sentry waits on it */
};

#define SYSTRAP_THREAD_FLAGS (CLONE_VM_ | CLONE_FS_ | CLONE_SIGHAND_ | CLONE_THREAD_ | CLONE_SYSVSEM_)

/* Fills the stub's page with code and sets the handlers, in the child that becomes the template. 0 or -1. */
int cordon_systrap_prepare_page(uint8_t *page);
/*
 * The filter of all threads of a stub, as a struct sock_fprog and its program, into a page that the stub has at address. Bytes
 * written. `secret`: 64 bits nobody can guess; the page must be wiped once the filter is in force.
 */
size_t cordon_systrap_filter(uint8_t *page, uint64_t address, uint64_t secret);

/* System calls for the mapping thread, in a page that stubs can read and not write. */
struct order {
  uint64_t number, arguments[6];
  uint64_t slot; /* of a clone that makes a guest thread: its address */
};
_Static_assert(sizeof(struct order) == 64, "the assembly steps through them");
#define ORDERS (DOORBELL + 0x1000ul)
#define ORDERS_OFFSET 0x1000ul
#define ORDERS_MAX 64

/*
 * Wake words: futexes that change when a thread gets its turn. Every stub can read those of all, so that a thread can wake another in
 * passing, and write none, so that none can keep another asleep. Whoever wakes wakes all: a guest may be waiting there too. Threads
 * may share one.
 */
#define WORDS (DOORBELL + 0x2000ul)
#define WORDS_OFFSET 0x2000ul
#define WORD_COUNT ((SLOT_SIZE - WORDS_OFFSET) / sizeof(uint32_t))
#define WORD_ADDRESS(index) (WORDS + (uint64_t)(index) % WORD_COUNT * sizeof(uint32_t))

/* Addresses in the stub's page. */
uint64_t cordon_systrap_orders_entry(void);
uint64_t cordon_systrap_orders_trap(void);
uint64_t cordon_systrap_fast_entry(void);
