/* What the two parts of the KVM platform's native half share: kvm.c (the machine, what JavaScript calls) and kvm-run.c (running guests in it). */
#pragma once
#include <linux/kvm.h>
#include <stdint.h>

#include "kvm-layout.h"
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
extern double kvm_spent;      /* ns in guest code, of all spaces there ever were */

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

#pragma GCC visibility pop
