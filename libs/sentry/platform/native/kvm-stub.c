/*
 * All code that ever runs in the guest's ring 0 (kvm-layout.h says where). It only stops the processor, so that the Sentry sees the
 * registers as the guest left them, and starts it again. A handler is told by the address at which it stopped.
 */
#include "kvm-layout.h"

#define STRING(x) #x
#define VALUE(x) STRING(x)

__asm__(
    ".section .rodata\n"
    ".balign 16\n"
    ".globl cordon_kvm_stub, cordon_kvm_stub_end\n"
    ".hidden cordon_kvm_stub, cordon_kvm_stub_end\n"
    "cordon_kvm_stub:\n"
    "  hlt\n"
    ".org cordon_kvm_stub + " VALUE(STUB_LEGACY) "\n"
    "  hlt\n"
    ".org cordon_kvm_stub + " VALUE(STUB_ENTER) "\n"
    "  iretq\n"
    ".org cordon_kvm_stub + " VALUE(STUB_SWITCH) "\n"
    "  mov %rax, %cr3\n"
    "  pop %rax\n"
    "  iretq\n"
    ".set vector, 0\n"
    ".rept 34\n"
    ".org cordon_kvm_stub + " VALUE(STUB_VECTORS) " + 8 * vector\n"
    "  hlt\n"
    ".set vector, vector + 1\n"
    ".endr\n"
    "cordon_kvm_stub_end:\n"
    ".text\n");
