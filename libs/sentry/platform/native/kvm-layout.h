/*
 * Where the guest's ring 0 has its things; shared with kvm/layout.ts. The area is memory of the Sentry's own, at guest-physical 0:
 * descriptor tables, the stub, page tables. Guest memory (the memory file) follows at MEMORY_BASE.
 */
#pragma once

#define AREA_SIZE (128ul << 20)
#define MEMORY_BASE (1ull << 32)
/* The host's time pages and the code that reads them. */
#define HOST_VDSO_BASE (4ull << 32)

/* The first pages of the area, and where every address space has them: out of reach for ring 3. */
#define KERNEL_BASE 0xffffffff80000000ul
#define TEXT_PAGE 1
#define DESCRIPTORS_PAGE 2
#define IDT_PAGE 3
#define STACK_PAGE 4

#define TEXT_BASE (KERNEL_BASE + TEXT_PAGE * 4096ul)
#define STACK_BASE (KERNEL_BASE + STACK_PAGE * 4096ul)

/* In the text page (kvm-stub.c). */
#define STUB_SYSCALL 0x000 /* LSTAR */
#define STUB_SYSCALL_STOP 0x00e
#define STUB_LEGACY 0x010  /* CSTAR: syscall of 32-bit code, where the processor has it */
#define STUB_ENTER 0x020   /* to ring 3 */
#define STUB_SWITCH 0x030  /* the same with another CR3 */
#define STUB_VECTORS 0x100 /* 8 bytes each: exceptions 0..31, the kick, int 0x80 */
#define STUB_FAULT_STOP 0x220 /* a page fault that is one */
#define STUB_SLOT_STOP 0x230  /* a system call that has waited in its slot for too long */
#define STUB_SLOT 0x240       /* the code that waits */

/* In the stack page. The processor pushes the frames of exceptions below EXCEPTION_STACK. */
#define EXCEPTION_STACK 0x800
#define ENTRY_FRAME 0xf00 /* rax for STUB_SWITCH, then what iretq takes: rip, cs, rflags, rsp, ss */

#define VECTOR_KICK 32
#define VECTOR_LEGACY 33 /* of the stub's; 0x80 of the processor's */

/*
 * Also there: where a system call waits for its answer in the exit-less mode (struct kvm_slot), and who says so. 32 bits of address, which the processor
 * extends with their sign.
 */
#define SLOT_OFFSET 0x900
#define SLOT_LOW (-0x80000000 + 4096 * STACK_PAGE + SLOT_OFFSET)
#define FRAME_LOW (-0x80000000 + 4096 * STACK_PAGE + ENTRY_FRAME + 8)
#define SYSCALL_LOW (-0x80000000 + 4096 * TEXT_PAGE + STUB_SYSCALL)

/* Descriptors with numbers of their own: the Sentry's filter names them. */
#define VM_DESCRIPTOR 4000
#define VCPU_DESCRIPTOR 4001
