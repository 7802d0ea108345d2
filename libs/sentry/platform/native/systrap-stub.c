/*
 * What runs inside a systrap stub: the code that guest threads come to by a signal (a trapped system call, a fault) or by a
 * patched call site, and the filters around it. Assembly, because nothing here may use a stack, thread-local storage or a
 * vector register: all of those are the guest's.
 */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "filter-macros.h"
#include "ptrace-stub.h"
#include "systrap-stub.h"

#define TEXT(value) #value
#define NUMBER(value) TEXT(value)

/* Offsets of struct slot, checked below. */
#define S_STATE 0
#define S_SLEEPING 4
#define S_KIND 8
#define S_COMMAND 12
#define S_RAX 16
#define S_RDI 24
#define S_RSI 32
#define S_RDX 40
#define S_R10 48
#define S_R8 56
#define S_FS 64
#define S_RIP 72
#define S_RSP 80
#define S_R9 88
#define S_RBX 96
#define S_RBP 104
#define S_R12 112
#define S_R13 120
#define S_R14 128
#define S_R15 136
#define S_SPIN 144
#define S_SELF 152
#define S_FAST_ENTRY 160
#define S_WORD 168
#define S_WAKE 176
#define S_CONTEXT 184
#define S_FPSTATE 192
#define S_ALTSTACK 200
#define S_GS 224
#define S_LEAVE 232
#define CHECK(field, offset) _Static_assert(offsetof(struct slot, field) == offset, "")
CHECK(state, S_STATE);
CHECK(sleeping, S_SLEEPING);
CHECK(kind, S_KIND);
CHECK(command, S_COMMAND);
CHECK(fs_base, S_FS);
CHECK(rax, S_RAX);
CHECK(rdi, S_RDI);
CHECK(rsi, S_RSI);
CHECK(rdx, S_RDX);
CHECK(r10, S_R10);
CHECK(r8, S_R8);
CHECK(r9, S_R9);
CHECK(rip, S_RIP);
CHECK(rsp, S_RSP);
CHECK(rbx, S_RBX);
CHECK(rbp, S_RBP);
CHECK(r12, S_R12);
CHECK(r13, S_R13);
CHECK(r14, S_R14);
CHECK(r15, S_R15);
CHECK(spin, S_SPIN);
CHECK(self, S_SELF);
CHECK(fast_entry, S_FAST_ENTRY);
CHECK(word, S_WORD);
CHECK(wake, S_WAKE);
CHECK(context, S_CONTEXT);
CHECK(fpstate, S_FPSTATE);
CHECK(altstack, S_ALTSTACK);
CHECK(gs_base, S_GS);
CHECK(leave, S_LEAVE);
_Static_assert(TURN_GUEST == 0 && TURN_SENTRY == 1 && TURN_PARKED == 2 && SLEEPS_ON_STATE == 1 && SLEEPS_ON_WORD == 2, "");
_Static_assert(SLOT_SIZE == 0x8000 && DOORBELL == 0x7ffff0000000ul, "written into the assembly");

#define AT(name) NUMBER(name) "(%rbx)"

__asm__(
    ".pushsection .text\n"
    ".globl cordon_systrap_start\n.hidden cordon_systrap_start\n"
    "cordon_systrap_start:\n"

    /*
     * In the mapping thread, by injection: a list of system calls. rbx: the list, rbp: how many, r14: the secret, r13 and r15: its
     * low and high half as the upper half of a word. Ends at int3 with the last result, or the first that failed, in rax.
     */
    ".globl cordon_systrap_orders\n"
    ".hidden cordon_systrap_orders\n"
    "cordon_systrap_orders:\n"
    "1: mov (%rbx), %rax\n"
    "  mov 8(%rbx), %rdi\n"
    "  mov 16(%rbx), %rsi\n"
    "  mov 24(%rbx), %rdx\n"
    "  mov 32(%rbx), %r10\n"
    "  mov 40(%rbx), %r8\n"
    "  mov 48(%rbx), %r9\n"
    "  mov 56(%rbx), %r12\n"
    "  cmp $9, %eax\n" /* mmap has six arguments: the host ignores the upper halves of protection and descriptor */
    "  jne 2f\n"
    "  or %r13, %rdx\n"
    "  or %r15, %r8\n"
    "  jmp 3f\n"
    "2: mov %r14, %r9\n"
    "3: syscall\n"
    "  test %rax, %rax\n"
    "  js 5f\n"
    "  jnz 4f\n"
    "  cmpl $56, (%rbx)\n"
    "  je 6f\n"
    "4: add $64, %rbx\n"
    "  dec %rbp\n"
    "  jnz 1b\n"
    "5: int3\n"
    ".globl cordon_systrap_trap\n"
    ".hidden cordon_systrap_trap\n"
    "cordon_systrap_trap:\n"
    /* The new guest thread, r12: its slot. No descriptors, its stack for signals; the secret goes before the guest could see it. */
    "6: xor %edi, %edi\n"
    "  mov $-1, %esi\n"
    "  xor %edx, %edx\n"
    "  mov $436, %eax\n" /* close_range */
    "  syscall\n"
    "  lea " NUMBER(S_ALTSTACK) "(%r12), %rdi\n"
    "  xor %esi, %esi\n"
    "  mov $131, %eax\n" /* sigaltstack */
    "  syscall\n"
    "  xor %r9d, %r9d\n"
    "  xor %r13d, %r13d\n"
    "  xor %r14d, %r14d\n"
    "  xor %r15d, %r15d\n"
    "  xor %r8d, %r8d\n"
    "  wrgsbase %r12\n"
    /* It reports by a system call that traps. */
    "7: mov $4095, %eax\n"
    "  syscall\n"
    "  jmp 7b\n"

    /* Signal handler: rdi signal, rdx ucontext, on the slot's stack. */
    ".balign 16\n"
    ".globl cordon_systrap_handler\n.hidden cordon_systrap_handler\n"
    "cordon_systrap_handler:\n"
    "  cmp $23, %edi\n" /* KICK (SIGURG) while in this page: the trap that is on its way, or the return to the guest, comes first */
    "  jne 1f\n"
    "  mov 168(%rdx), %rax\n"
    "  and $-4096, %rax\n"
    "  movabs $0x7fffffffe000, %rcx\n"
    "  cmp %rcx, %rax\n"
    "  jne 1f\n"
    "  ret\n"
    "1: mov %rsp, %rbx\n"
    "  and $-0x8000, %rbx\n"
    "  mov %edi, " AT(S_KIND) "\n"
    "  mov %rdx, " AT(S_CONTEXT) "\n"
    "  lea cordon_systrap_return(%rip), %r13\n"
    /* Reports to the Sentry and waits for its turn. rbx: slot, r13: where to go then. */
    "cordon_systrap_report:\n"
    "  rdfsbase %rax\n"
    "  mov %rax, " AT(S_FS) "\n"
    "  movl $1, " AT(S_STATE) "\n"
    "cordon_systrap_reported:\n"
    "  mfence\n" /* before the look at whether the Sentry sleeps */
    "  movabs $0x7ffff0000000, %rdi\n"
    "  cmpl $0, 4(%rdi)\n"
    "  je 2f\n"
    "  lock incl (%rdi)\n"
    "  mov $1, %esi\n" /* FUTEX_WAKE: all, a guest may be waiting there too */
    "  mov $0x7fffffff, %edx\n"
    "  mov $202, %eax\n"
    "  syscall\n"
    "2: mov " AT(S_SPIN) ", %ecx\n"
    "3: mov " AT(S_STATE) ", %eax\n"
    "  test %eax, %eax\n"
    "  jz 6f\n"
    "  dec %eax\n"
    "  jnz 10f\n"
    "  dec %ecx\n"
    "  js 4f\n"
    "  pause\n"
    "  jmp 3b\n"
    "4: mov $1, %eax\n" /* SLEEPS_ON_STATE */
    "  xchg %eax, " AT(S_SLEEPING) "\n"
    "5: mov " AT(S_STATE) ", %eax\n"
    "  test %eax, %eax\n"
    "  jz 7f\n"
    "  dec %eax\n"
    "  jnz 10f\n"
    "  lea " NUMBER(S_STATE) "(%rbx), %rdi\n"
    "  xor %esi, %esi\n" /* FUTEX_WAIT */
    "  mov $1, %edx\n"
    "  xor %r10d, %r10d\n"
    "  mov $202, %eax\n"
    "  syscall\n"
    "  jmp 5b\n"
    /* TURN_PARKED */
    "10: mov " AT(S_WAKE) ", %rdi\n"
    "  test %rdi, %rdi\n"
    "  jz 11f\n"
    "  mov $1, %esi\n" /* FUTEX_WAKE */
    "  mov $0x7fffffff, %edx\n"
    "  mov $202, %eax\n"
    "  syscall\n"
    "11: mov $2, %eax\n" /* SLEEPS_ON_WORD */
    "  xchg %eax, " AT(S_SLEEPING) "\n"
    "12: mov " AT(S_WORD) ", %rdi\n"
    "  mov (%rdi), %edx\n"
    "  cmpl $0, " AT(S_STATE) "\n"
    "  je 7f\n"
    "  xor %esi, %esi\n" /* FUTEX_WAIT */
    "  xor %r10d, %r10d\n"
    "  mov $202, %eax\n"
    "  syscall\n"
    "  jmp 12b\n"
    "7: movl $0, " AT(S_SLEEPING) "\n"
    "6: mov " AT(S_COMMAND) ", %eax\n"
    "  test $1, %eax\n" /* COMMAND_FS */
    "  jz 8f\n"
    "  mov " AT(S_FS) ", %rcx\n"
    "  wrfsbase %rcx\n"
    "8: test $8, %eax\n" /* COMMAND_GS */
    "  jz 9f\n"
    "  mov " AT(S_GS) ", %rcx\n"
    "  wrgsbase %rcx\n"
    "9: jmp *%r13\n"

    "cordon_systrap_return:\n"
    "  ret\n"
    ".globl cordon_systrap_restorer\n.hidden cordon_systrap_restorer\n"
    "cordon_systrap_restorer:\n"
    "  mov $15, %eax\n" /* rt_sigreturn */
    "  syscall\n"
    "  hlt\n"

    /* From a patched call site: rax number, rcx where to return, gs: the slot. r11 is free; nothing of the stack is. */
    ".balign 16\n"
    ".globl cordon_systrap_fast\n.hidden cordon_systrap_fast\n"
    "cordon_systrap_fast:\n"
    "  mov %gs:" NUMBER(S_SELF) ", %r11\n"
    "  mov %rcx, " NUMBER(S_RIP) "(%r11)\n"
    "  mov %rsp, " NUMBER(S_RSP) "(%r11)\n"
    "  mov %r9, " NUMBER(S_R9) "(%r11)\n"
    "  mov %rbx, " NUMBER(S_RBX) "(%r11)\n"
    "  mov %rbp, " NUMBER(S_RBP) "(%r11)\n"
    "  mov %r12, " NUMBER(S_R12) "(%r11)\n"
    "  mov %r13, " NUMBER(S_R13) "(%r11)\n"
    "  mov %r14, " NUMBER(S_R14) "(%r11)\n"
    "  mov %r15, " NUMBER(S_R15) "(%r11)\n"
    "  mov %r11, %rbx\n"
    "  lea 1f(%rip), %r13\n"
    "  rdfsbase %rcx\n"
    "  mov %rcx, " AT(S_FS) "\n"
    "  movl $0, " AT(S_KIND) "\n"
    "  mov %rax, " AT(S_RAX) "\n"
    "  mov %rdi, " AT(S_RDI) "\n"
    "  mov %rsi, " AT(S_RSI) "\n"
    "  mov %rdx, " AT(S_RDX) "\n"
    "  mov %r10, " AT(S_R10) "\n"
    "  mov %r8, " AT(S_R8) "\n"
    "  movl $1, " AT(S_STATE) "\n"
    "  jmp cordon_systrap_reported\n"
    "1: test $6, %eax\n"
    "  jnz 2f\n"
    "  mov " AT(S_RIP) ", %rcx\n"
    "  mov " AT(S_RAX) ", %rax\n"
    "  mov " AT(S_RDI) ", %rdi\n"
    "  mov " AT(S_RSI) ", %rsi\n"
    "  mov " AT(S_RDX) ", %rdx\n"
    "  mov " AT(S_R10) ", %r10\n"
    "  mov " AT(S_R13) ", %r13\n"
    "  mov " AT(S_RBX) ", %rbx\n"
    "  jmp *%rcx\n"
    "2: test $4, %eax\n" /* COMMAND_SIGRETURN */
    "  jnz 3f\n"
    "  mov " AT(S_FPSTATE) ", %rcx\n" /* COMMAND_SAVE */
    "  mov $-1, %eax\n"
    "  mov $-1, %edx\n"
    "  xsave64 (%rcx)\n"
    "  jmp cordon_systrap_report\n"
    "3: mov " AT(S_LEAVE) ", %rsp\n"
    "  jmp cordon_systrap_restorer\n"

    ".globl cordon_systrap_end\n.hidden cordon_systrap_end\n"
    "cordon_systrap_end:\n"
    ".popsection\n");
extern const char __attribute__((visibility("hidden"))) cordon_systrap_start[], cordon_systrap_orders[], cordon_systrap_trap[], cordon_systrap_handler[],
    cordon_systrap_restorer[], cordon_systrap_fast[], cordon_systrap_end[];

/* Where the code lies in the stub's page. */
#define CODE_OFFSET 1024
#define IN_PAGE(symbol) (STUB_PAGE + CODE_OFFSET + (uint64_t)((symbol)-cordon_systrap_start))

uint64_t cordon_systrap_orders_entry(void) { return IN_PAGE(cordon_systrap_orders); }
uint64_t cordon_systrap_orders_trap(void) { return IN_PAGE(cordon_systrap_trap); }
uint64_t cordon_systrap_fast_entry(void) { return IN_PAGE(cordon_systrap_fast); }

/* Filled in by cordon_systrap_filter: the secret's halves. */
#define LOW 0x11111111u
#define HIGH 0x22222222u
#define HALF(index, half) LOAD_AT(ARG(index) + 4 * (half))

/*
 * One filter for all threads of a stub, so that none has to be installed when a guest makes a thread. From outside the stub's page
 * everything traps. From inside, anybody may wait, wake and return from a signal: a guest that jumps there does so to itself. What
 * the mapping thread is told, and what a new thread sets up, takes the secret, which is never in memory that the guest can read: only in
 * registers of threads that run no guest code. Nothing is ever killed: that would win over a trap.
 */
static const struct sock_filter filter[] = {
    LOAD(arch),
    IS(AUDIT_ARCH_X86_64, 1, 0),
    ANSWER(SECCOMP_RET_TRAP),
    LOAD_AT(offsetof(struct seccomp_data, instruction_pointer) + 4),
    IS((uint32_t)(STUB_PAGE >> 32), 1, 0),
    ANSWER(SECCOMP_RET_TRAP),
    LOAD_AT(offsetof(struct seccomp_data, instruction_pointer)),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfffff000u),
    IS((uint32_t)STUB_PAGE, 1, 0),
    ANSWER(SECCOMP_RET_TRAP),
    LOAD(nr),
    IS(SYS_rt_sigreturn, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(SYS_futex, 0, 4),
    LOAD_AT(ARG(1)),
    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, FUTEX_WAKE, 1, 0),
    ANSWER(SECCOMP_RET_ALLOW),
    ANSWER(SECCOMP_RET_TRAP),
    IS(NR_MMAP, 0, 10),
    HALF(2, 1),
    IS(LOW, 0, 7),
    HALF(4, 1),
    IS(HIGH, 0, 5),
    HALF(3, 0),
    IS(MAP_SHARED | MAP_FIXED, 2, 0),
    IS(MAP_SHARED | MAP_FIXED | MAP_POPULATE, 1, 0),
    IS(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    ANSWER(SECCOMP_RET_TRAP),
    HALF(5, 0),
    IS(LOW, 1, 0),
    ANSWER(SECCOMP_RET_TRAP),
    HALF(5, 1),
    IS(HIGH, 1, 0),
    ANSWER(SECCOMP_RET_TRAP),
    LOAD(nr),
    IS(NR_MUNMAP, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(NR_MPROTECT, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(SYS_madvise, 0, 3),
    LOAD_AT(ARG(2)),
    IS(MADV_DONTFORK, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    LOAD(nr),
    IS(NR_CLONE, 0, 4),
    LOAD_AT(ARG(0)),
    IS(SYSTRAP_THREAD_FLAGS, 1, 0),
    IS(PROCESS_FLAGS, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    LOAD(nr),
    IS(SYS_sigaltstack, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(SYS_close_range, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    ANSWER(SECCOMP_RET_TRAP),
};

size_t cordon_systrap_filter(uint8_t *page, uint64_t address, uint64_t secret) {
  struct sock_filter *program = (struct sock_filter *)(page + 16);
  memcpy(program, filter, sizeof filter);
  for (size_t i = 0; i < sizeof filter / sizeof *filter; i++) {
    if (program[i].code != (BPF_JMP | BPF_JEQ | BPF_K)) continue;
    if (program[i].k == LOW) program[i].k = (uint32_t)secret;
    else if (program[i].k == HIGH) program[i].k = (uint32_t)(secret >> 32);
  }
  uint64_t fprog[2] = {sizeof filter / sizeof *filter, address + 16};
  memcpy(page, fprog, sizeof fprog);
  return 16 + sizeof filter;
}

struct kernel_sigaction {
  uint64_t handler, flags, restorer, mask;
};

/* In the child that becomes the template: its handlers, then the rest of the page. `page` is the copy that boot moves into place. */
int cordon_systrap_prepare_page(uint8_t *page) {
  size_t size = (size_t)(cordon_systrap_end - cordon_systrap_start);
  if (CODE_OFFSET + size > 4096) return -1;
  memcpy(page + CODE_OFFSET, cordon_systrap_start, size);
  const struct kernel_sigaction action = {
      .handler = IN_PAGE(cordon_systrap_handler),
      .flags = SA_SIGINFO | SA_ONSTACK | 0x04000000 /* SA_RESTORER */,
      .restorer = IN_PAGE(cordon_systrap_restorer),
      .mask = ~0ul,
  };
  const int signals[] = {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGURG};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    if (syscall(SYS_rt_sigaction, signals[i], &action, NULL, 8) < 0) return -1;
  return 0;
}
