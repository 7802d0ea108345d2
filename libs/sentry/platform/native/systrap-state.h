/*
 * What the parts of the systrap platform's native half share: systrap.c (what JavaScript calls), systrap-orders.c (to the mapping thread),
 * systrap-traps.c (what guest threads report, and waiting for it), systrap-threads.c (guest threads, and how they go on), systrap-turns.c
 * (whose turn it is on the other core).
 */
#pragma once
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>

#include "stub-contexts.h"
#include "systrap-stub.h"

#define KICK_AGAIN 1e6 /* ns: a kick that came while the thread was in the stub's page is lost */
#define CALL_FLAGS 0x246 /* of a thread at a patched call site: nobody looks at them */
#define START_MAX 5e9  /* ns: a new thread reports within this, or something is wrong */

#pragma GCC visibility push(hidden)

/* A guest thread of a stub; its index is that of its slot. */
struct thread {
  pid_t tid;
  int space;
  int context;  /* bound to, or -1 */
  int next;     /* of the same space, or of the free list */
  int place;    /* in the list of running threads */
  uint8_t running;
  uint8_t fast;     /* stopped at a patched call site, not in a signal handler */
  uint8_t own;      /* what the slot has of it is of the context it is bound to */
  uint8_t saved;    /* fast: its xsave state is in the frame made by the Sentry */
  uint8_t away;     /* on another core than the Sentry */
  uint8_t parked;   /* told to sleep until its turn */
  uint8_t wanted;   /* the kernel asked to be told of an interrupt */
  int kicks;        /* sent since and not answered */
  uint64_t fs_base; /* as the processor has it */
};

struct space {
  pid_t pid;
  int threads; /* list */
  int next_free;
  uint8_t used;
  double spun;  /* ns that its threads waited for answers without sleeping: not the guest's time */
  uint8_t dead; /* killed from outside, or by us for tampering */
};

/* The host's signal frame (arch/x86/include/uapi/asm/sigcontext.h, ucontext.h). */
struct frame_registers {
  uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
  uint16_t cs, gs, fs, ss;
  uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
};
struct frame {
  uint64_t flags, link, stack_sp, stack_flags, stack_size;
  struct frame_registers regs;
  uint64_t mask;
};
_Static_assert(sizeof(struct frame) == 304, "struct ucontext of the kernel");

extern struct thread threads[MAX_SLOTS];
extern struct space spaces[MAX_SPACES];
extern int free_thread, thread_top, space_top;
extern int active[MAX_SLOTS], active_count, turn; /* running threads */
extern int kicked;                                /* of them, those with an unanswered kick */
extern struct user_regs_struct stub_regs; /* of the template: segment registers for every order */
extern int slots_fd;
extern uint8_t *slots; /* the slots' file, in the Sentry */
extern struct doorbell *doorbell;
extern uint64_t frame_offset;   /* of the host's signal frame in a slot */
extern uint64_t fpstate_offset; /* of its xsave area */
extern uint64_t secret; /* what makes an order one of ours (systrap-stub.c) */
extern volatile sig_atomic_t woken, child_news;

static inline struct slot *slot_of(int index) { return (struct slot *)(slots + SLOT_OFFSET(index)); }
static inline struct frame *frame_of(int index) { return (struct frame *)(slots + SLOT_OFFSET(index) + frame_offset); }
static inline uint32_t load32(const uint32_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }

static inline long futex(uint32_t *word, int operation, uint32_t value, const struct timespec *limit) {
  return syscall(SYS_futex, word, operation, value, limit, NULL, FUTEX_BITSET_MATCH_ANY);
}

void systrap_wake_by_word(int index);

/* The thread's turn. */
static inline void hand_back(int index) {
  struct slot *slot = slot_of(index);
  __atomic_exchange_n(&slot->state, TURN_GUEST, __ATOMIC_SEQ_CST);
  uint32_t sleeps = load32(&slot->sleeping);
  if (sleeps == SLEEPS_ON_STATE) futex(&slot->state, FUTEX_WAKE, 1, NULL);
  else if (sleeps) systrap_wake_by_word(index);
}

/* What a frame and the registers as ptrace has them both hold, but for segments. */
#define FRAME_REGISTERS(each)                                                                             \
  each(r15) each(r14) each(r13) each(r12) each(rbp) each(rbx) each(r11) each(r10) each(r9) each(r8)       \
  each(rax) each(rcx) each(rdx) each(rsi) each(rdi) each(rip) each(eflags) each(rsp)
#define COPY_REGISTER(name) to->name = from->name;

static inline void copy_frame(struct user_regs_struct *to, const struct frame_registers *from) {
  FRAME_REGISTERS(COPY_REGISTER)
}

static inline void fill_frame(struct frame_registers *to, const struct user_regs_struct *from) {
  FRAME_REGISTERS(COPY_REGISTER)
}

/* ---- systrap-orders.c ---- */

/* At once. The last result or -errno. */
int64_t systrap_carry_out(pid_t pid, const struct order *orders, int count);
/* Carries out what is pending for the space. The last result or -errno; 0 if there was nothing. */
int64_t systrap_flush(int space);
/* Later, with those before it. */
int64_t systrap_add_order(int space, const struct order *order);
/* An order whose result nobody needs now. */
int64_t systrap_order(int space, uint64_t number, const uint64_t arguments[6]);
/* Of a space that ends; -1: of all. */
void systrap_forget_orders(int space);

/* ---- systrap-traps.c ---- */

void systrap_set_running(int index);
void systrap_set_stopped(int index);
void systrap_mark_died(int index);
void systrap_kill_space(int space);
/* Stubs that died: each is told once, through its running contexts. */
void systrap_reap(void);
/* A context that trapped, or NEXT_*. */
int systrap_next_event(double deadline);
/* Sends a running thread the signal that makes it report. */
void systrap_kick(int index);
/* Sleeps until the doorbell rings, a signal comes or deadline passes. False if the deadline passed. */
int systrap_sleep_until(double deadline, int (*news)(void));
/* Waits for one thread that has been told to report. 0, -ESRCH, -ETIMEDOUT. */
int systrap_await_report(int index);
/* Takes a running thread's turn away for good: it stays stopped until another context needs one. */
void systrap_stop_thread(int index);
void systrap_prepare_waiting(void);
/* As it was before. */
void systrap_end_waiting(void);

/* ---- systrap-turns.c ---- */

void systrap_start_turns(void);
/* The thread has trapped, `now` (ns), and waits for its answer. */
void systrap_asks(int index, double now);
/* The turn of a thread that is among the running ones: at once, or when the one before it parks. */
void systrap_give_turn(int index);
/* The Sentry has done with the last trap. */
void systrap_end_of_answer(void);
/* Wakes those that nobody has woken, all, or if they wait for long. calling: other threads still trap. */
void systrap_wake_waiting(void);
void systrap_wake_late(double now, int calling);

/* ---- systrap-threads.c ---- */

/* Sees to it that the context has a thread in the space. 0 or -errno. */
int systrap_bind(int context, int space);
void systrap_unbind(int context);
int systrap_resume(int context, int space);
int systrap_save_xsave(int context, uint8_t *area);
/* Components that the host does not have: XRSTOR would fault. */
int systrap_refuses_xsave(int context, const uint8_t *area);
/* ns of guest code in a space that lives. */
double systrap_space_cpu(int space);

#pragma GCC visibility pop
