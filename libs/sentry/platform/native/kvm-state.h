/* What the two parts of the KVM platform's native half share: kvm.c (the machine, what JavaScript calls) and kvm-run.c (running guests in it). */
#pragma once
#include <linux/kvm.h>
#include <stdint.h>

#include "kvm-layout.h"
#include "kvm-slot.h"
#include "stub-contexts.h"

#pragma GCC visibility push(hidden)

struct kvm_space {
  uint64_t root; /* CR3 */
  double spent;  /* ns in guest code */
  int next_free;
  uint8_t used;
};

extern struct kvm_space kvm_spaces[MAX_SPACES];
extern uint8_t *kvm_area;
extern int kvm_vcpu;
extern struct kvm_run *kvm_page;
extern uint64_t kvm_features; /* of XCR0 that guests have */
/*
 * Whether `syscall` leaves the processor in ring 3, as a KVM without hardware under it does: 1 or 0, -1 not known yet. Found by the
 * first call of all, which is the probe's; children inherit it.
 */
extern int kvm_calls_stay;
extern char kvm_trouble[160]; /* why the last run failed */
/* ns of the fastest run so far, a call of the probe's; children inherit it. */
extern double kvm_fastest;
extern double kvm_spent;      /* ns in guest code, of all spaces there ever were */

/* In the area; see kvm-slot.h. */
static inline struct kvm_slot *kvm_call_slot(void) { return (struct kvm_slot *)(kvm_area + STACK_PAGE * 4096 + SLOT_OFFSET); }

/* Nothing has run, nothing is loaded. */
void kvm_forget_run(void);
/* The processor has been given a table (CR3). */
void kvm_table_loaded(uint64_t root);
/* Translations may be out of date. */
void kvm_translations_stale(void);
/* A context that waits for its turn does so no more. False if it did not. */
int kvm_give_up_turn(int context);
/* Signals and the timer that end a run. 0 or -errno. */
int kvm_prepare_waiting(void);
void kvm_end_waiting(void);

int kvm_bind(int context, int space);
void kvm_unbind(int context);
int kvm_resume(int context, int space);
/* A context that trapped, or NEXT_*, or -(1000+errno). */
int kvm_next_event(double deadline);
int kvm_save_xsave(int context, uint8_t *out);
/* Components that guests do not have. */
int kvm_refuses_xsave(int context, const uint8_t *in);

/* ---- kvm-run.c, for kvm-beside.c ---- */

enum { RUN_PARKED = 2, RUN_TRAPPED = 1, RUN_IN_SLOT = 3 };
/* One turn of a context, loaded before: RUN_* or -errno. */
int kvm_run_loaded(int context);
/* A host call that leaves errno alone: the result or -errno. */
long kvm_raw_call(long number, long a, long b, long c, long d);
/* ns of this thread. */
double kvm_thread_cpu(void);
/* Counts ns of guest code. */
void kvm_charge(int context, double spent);
/* Whether the processor has the context's vector registers, FS and GS. */
int kvm_same_processor(int context);
/* The table that it has to load first, or 0; it will. */
uint64_t kvm_root_to_load(int context);
/* Where `iretq` goes. */
void kvm_write_frame(const struct user_regs_struct *regs);
/* A watched descriptor has news. */
int kvm_woken(void);

/* ---- kvm-beside.c ---- */

/* own_bases: guests can change FS and GS base by themselves. */
void kvm_beside_enable(int on, int own_bases);
/* The machine has been made, the thread pinned. */
void kvm_beside_start(void);
void kvm_beside_stop(void);
/* Whether the next run should be over there. */
int kvm_beside_wanted(void);
/* A context has trapped, wherever it ran. */
void kvm_beside_trap(double now);
/* The thread is in the machine. */
int kvm_beside_runs(void);
/* From a signal handler: whoever waits for a run looks again. */
void kvm_beside_news(void);
/* Runs a context over there until it traps, is kicked or `limit` passes: RUN_TRAPPED, RUN_PARKED or -errno. */
int kvm_run_beside(int context, double limit);
/* Stops the machine if a call waits in it: for all that changes the machine. */
void kvm_pull_out(void);

#pragma GCC visibility pop
