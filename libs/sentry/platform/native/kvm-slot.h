/* What the stub in the machine (kvm-stub.c) and the Sentry (kvm-beside.c) share in the exit-less mode. Out of reach for ring 3. */
#pragma once
#include <stdint.h>

struct kvm_slot {
  uint32_t state;    /* SLOT_* */
  uint32_t sleeping; /* the Sentry does not look at the slot */
  uint32_t mode;     /* whether calls come here at all, SLOT_OFF … */
  uint32_t spin;     /* rounds to look for the answer before the processor stops */
  uint64_t apart[6]; /* whoever waits looks at the first cache line */
  uint64_t cr3;      /* to load with the answer, or 0 */
  uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rsp, fs, gs;
};
enum { SLOT_OFF, SLOT_ON, SLOT_WITH_BASES /* guests may change FS and GS base by themselves */ };
enum {
  SLOT_ANSWERED, /* the guest goes on, by the frame of ENTRY_FRAME */
  SLOT_ASKED,    /* its registers are here */
  SLOT_LEAVE,    /* as before, and the processor is to stop */
  SLOT_GIVEN_UP, /* as before, and it has stopped, or is about to */
};
