/*
 * All code that ever runs in the guest's ring 0 (kvm-layout.h says where). It stops the processor, so that the Sentry sees the
 * registers as the guest left them, and starts it again; in the exit-less mode (kvm-beside.c) it asks by a slot first. A handler is told by
 * the address at which it stopped.
 */
#include "kvm-layout.h"
#include "kvm-slot.h"

#include <stddef.h>

#define STRING(x) #x
#define VALUE(x) STRING(x)

/* Offsets of struct kvm_slot, checked below. */
#define S_STATE 0
#define S_SLEEPING 4
#define S_MODE 8
#define S_SPIN 12
#define S_CR3 64
#define S_RAX 72
#define S_RBX 80
#define S_RCX 88
#define S_RDX 96
#define S_RSI 104
#define S_RDI 112
#define S_RBP 120
#define S_R8 128
#define S_R9 136
#define S_R10 144
#define S_R11 152
#define S_R12 160
#define S_R13 168
#define S_R14 176
#define S_R15 184
#define S_RSP 192
#define S_FS 200
#define S_GS 208
#define CHECK(field, offset) _Static_assert(offsetof(struct kvm_slot, field) == offset, "")
CHECK(state, S_STATE);
CHECK(sleeping, S_SLEEPING);
CHECK(mode, S_MODE);
CHECK(spin, S_SPIN);
CHECK(cr3, S_CR3);
CHECK(rax, S_RAX);
CHECK(rbx, S_RBX);
CHECK(rcx, S_RCX);
CHECK(rdx, S_RDX);
CHECK(rsi, S_RSI);
CHECK(rdi, S_RDI);
CHECK(rbp, S_RBP);
CHECK(r8, S_R8);
CHECK(r9, S_R9);
CHECK(r10, S_R10);
CHECK(r11, S_R11);
CHECK(r12, S_R12);
CHECK(r13, S_R13);
CHECK(r14, S_R14);
CHECK(r15, S_R15);
CHECK(rsp, S_RSP);
CHECK(fs, S_FS);
CHECK(gs, S_GS);

#define SLOT(name) VALUE(SLOT_LOW + S_##name)
#define AT(offset) ".org cordon_kvm_stub + " VALUE(offset) "\n"

__asm__(
    ".section .rodata\n"
    ".balign 16\n"
    ".globl cordon_kvm_stub, cordon_kvm_stub_end\n"
    ".hidden cordon_kvm_stub, cordon_kvm_stub_end\n"
    "cordon_kvm_stub:\n"
    "  cmpl $0, " SLOT(MODE) "\n"
    "  jne.d32 cordon_kvm_stub + " VALUE(STUB_SLOT) "\n"
    AT(STUB_SYSCALL_STOP)
    "  hlt\n"
    AT(STUB_LEGACY)
    "  hlt\n"
    AT(STUB_ENTER)
    "  iretq\n"
    AT(STUB_SWITCH)
    "  mov %rax, %cr3\n"
    "  pop %rax\n"
    "  iretq\n"
    ".set vector, 0\n"
    ".rept 34\n"
    ".org cordon_kvm_stub + " VALUE(STUB_VECTORS) " + 8 * vector\n"
    ".if vector == 14\n"
    "  jmp 8f\n"
    ".else\n"
    "  hlt\n"
    ".endif\n"
    ".set vector, vector + 1\n"
    ".endr\n"
    AT(STUB_FAULT_STOP)
    "  hlt\n"
    AT(STUB_SLOT_STOP)
    "  hlt\n"

    /* A system call in the exit-less mode: down with the registers, then wait for the answer. */
    AT(STUB_SLOT)
    "  mov %rax, " SLOT(RAX) "\n"
    "  mov %rsp, " SLOT(RSP) "\n"
    "1: mov %rbx, " SLOT(RBX) "\n"
    "  mov %rcx, " SLOT(RCX) "\n"
    "  mov %rdx, " SLOT(RDX) "\n"
    "  mov %rsi, " SLOT(RSI) "\n"
    "  mov %rdi, " SLOT(RDI) "\n"
    "  mov %rbp, " SLOT(RBP) "\n"
    "  mov %r8, " SLOT(R8) "\n"
    "  mov %r9, " SLOT(R9) "\n"
    "  mov %r10, " SLOT(R10) "\n"
    "  mov %r11, " SLOT(R11) "\n"
    "  mov %r12, " SLOT(R12) "\n"
    "  mov %r13, " SLOT(R13) "\n"
    "  mov %r14, " SLOT(R14) "\n"
    "  mov %r15, " SLOT(R15) "\n"
    "  cmpl $2, " SLOT(MODE) "\n" /* SLOT_WITH_BASES */
    "  jne 7f\n"
    "  rdfsbase %rax\n"
    "  mov %rax, " SLOT(FS) "\n"
    "  rdgsbase %rax\n"
    "  mov %rax, " SLOT(GS) "\n"
    "7: movl $1, " SLOT(STATE) "\n" /* SLOT_ASKED */
    "  mfence\n"
    "  cmpl $0, " SLOT(SLEEPING) "\n"
    "  jne 3f\n"
    "  mov " SLOT(SPIN) ", %ecx\n"
    "2: mov " SLOT(STATE) ", %eax\n"
    "  dec %eax\n"
    "  js 5f\n"
    "  jnz 4f\n" /* SLOT_LEAVE */
    "  dec %ecx\n"
    "  js 3f\n"
    "  pause\n"
    "  jmp 2b\n"
    "3: mov $1, %eax\n"
    "  mov $3, %ecx\n" /* SLOT_GIVEN_UP */
    "  lock cmpxchg %ecx, " SLOT(STATE) "\n"
    "  test %eax, %eax\n"
    "  jz 5f\n"
    "4: jmp cordon_kvm_stub + " VALUE(STUB_SLOT_STOP) "\n"
    "5: mov " SLOT(CR3) ", %rax\n"
    "  test %rax, %rax\n"
    "  jz 6f\n"
    "  mov %rax, %cr3\n"
    "6: mov " SLOT(RBX) ", %rbx\n"
    "  mov " SLOT(RCX) ", %rcx\n"
    "  mov " SLOT(RDX) ", %rdx\n"
    "  mov " SLOT(RSI) ", %rsi\n"
    "  mov " SLOT(RDI) ", %rdi\n"
    "  mov " SLOT(RBP) ", %rbp\n"
    "  mov " SLOT(R8) ", %r8\n"
    "  mov " SLOT(R9) ", %r9\n"
    "  mov " SLOT(R10) ", %r10\n"
    "  mov " SLOT(R11) ", %r11\n"
    "  mov " SLOT(R12) ", %r12\n"
    "  mov " SLOT(R13) ", %r13\n"
    "  mov " SLOT(R14) ", %r14\n"
    "  mov " SLOT(R15) ", %r15\n"
    "  mov " SLOT(RAX) ", %rax\n"
    "  mov $" VALUE(FRAME_LOW) ", %rsp\n"
    "  iretq\n"

    /* A page fault: where `syscall` stays in ring 3, that of the instruction at LSTAR is a call. */
    "8: cmpl $0, " SLOT(MODE) "\n"
    "  je 9f\n"
    "  cmpq $" VALUE(SYSCALL_LOW) ", 8(%rsp)\n"
    "  jne 9f\n"
    "  mov %rax, " SLOT(RAX) "\n"
    "  mov 32(%rsp), %rax\n"
    "  mov %rax, " SLOT(RSP) "\n"
    "  jmp 1b\n"
    "9: jmp cordon_kvm_stub + " VALUE(STUB_FAULT_STOP) "\n"
    "cordon_kvm_stub_end:\n"
    ".text\n");
