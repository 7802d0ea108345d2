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
#define S_SPIN 16
#define S_FS 24
#define S_SELF 32
#define S_CONTEXT 40
#define S_FPSTATE 48
#define S_ALTSTACK 56
#define S_R15 80
#define S_RIP 200
#define S_FAST_ENTRY 216
#define S_GS 224
#define S_LEAVE 232
_Static_assert(offsetof(struct slot, sleeping) == S_SLEEPING && offsetof(struct slot, kind) == S_KIND, "");
_Static_assert(offsetof(struct slot, command) == S_COMMAND && offsetof(struct slot, spin) == S_SPIN, "");
_Static_assert(offsetof(struct slot, fs_base) == S_FS && offsetof(struct slot, self) == S_SELF, "");
_Static_assert(offsetof(struct slot, context) == S_CONTEXT && offsetof(struct slot, fpstate) == S_FPSTATE, "");
_Static_assert(offsetof(struct slot, altstack) == S_ALTSTACK && offsetof(struct slot, r15) == S_R15, "");
_Static_assert(offsetof(struct slot, rip) == S_RIP && offsetof(struct slot, fast_entry) == S_FAST_ENTRY, "");
_Static_assert(offsetof(struct slot, leave) == S_LEAVE && offsetof(struct slot, gs_base) == S_GS, "");
_Static_assert(SLOT_SIZE == 0x8000 && DOORBELL == 0x7ffff0000000ul, "written into the assembly");

#define AT(name) NUMBER(name) "(%rbx)"

__asm__(
    ".pushsection .text\n"
    ".globl cordon_systrap_start\n.hidden cordon_systrap_start\n"
    "cordon_systrap_start:\n"

    /* In the mapping thread, by injection. rdi..r9: mmap of a slot; r12: its address; r13: clone flags. Ends at int3 with rax. */
    ".globl cordon_systrap_thread\n.hidden cordon_systrap_thread\n"
    "cordon_systrap_thread:\n"
    "  mov $9, %eax\n"
    "  syscall\n"
    "  test %rax, %rax\n"
    "  js 1f\n"
    "  mov %r12, %rdi\n"
    "  mov $0x8000, %esi\n"
    "  mov $10, %edx\n" /* MADV_DONTFORK */
    "  mov $28, %eax\n"
    "  syscall\n"
    "  test %rax, %rax\n"
    "  js 1f\n"
    "  mov %r13, %rdi\n"
    "  xor %esi, %esi\n"
    "  xor %edx, %edx\n"
    "  xor %r10d, %r10d\n"
    "  xor %r8d, %r8d\n"
    "  mov $56, %eax\n"
    "  syscall\n"
    "  test %rax, %rax\n"
    "  jz 2f\n"
    "1: int3\n"
    ".globl cordon_systrap_trap\n.hidden cordon_systrap_trap\n"
    "cordon_systrap_trap:\n"
    /* The new guest thread: no descriptors, its stack for signals, its filter. Then it reports by a system call that the filter traps. */
    "2: xor %edi, %edi\n"
    "  mov $-1, %esi\n"
    "  xor %edx, %edx\n"
    "  mov $436, %eax\n" /* close_range */
    "  syscall\n"
    "  lea " NUMBER(S_ALTSTACK) "(%r12), %rdi\n"
    "  xor %esi, %esi\n"
    "  mov $131, %eax\n" /* sigaltstack */
    "  syscall\n"
    "  wrgsbase %r12\n"
    "  mov $1, %edi\n" /* SECCOMP_SET_MODE_FILTER */
    "  xor %esi, %esi\n"
    "  lea cordon_systrap_program(%rip), %rdx\n"
    "  mov $317, %eax\n"
    "  syscall\n"
    "  test %rax, %rax\n"
    "  jnz 4f\n"
    "3: mov $4095, %eax\n"
    "  syscall\n"
    "  jmp 3b\n"
    "4: hlt\n"

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
    "  mov $1, %eax\n"
    "  xchg %eax, " AT(S_STATE) "\n"
    "  movabs $0x7ffff0000000, %rdi\n"
    "  cmpl $0, 4(%rdi)\n"
    "  je 2f\n"
    "  lock incl (%rdi)\n"
    "  mov $1, %esi\n" /* FUTEX_WAKE */
    "  mov $1, %edx\n"
    "  mov $202, %eax\n"
    "  syscall\n"
    "2: mov " AT(S_SPIN) ", %ecx\n"
    "3: cmpl $0, " AT(S_STATE) "\n"
    "  je 6f\n"
    "  dec %ecx\n"
    "  js 4f\n"
    "  pause\n"
    "  jmp 3b\n"
    "4: mov $1, %eax\n"
    "  xchg %eax, " AT(S_SLEEPING) "\n"
    "5: cmpl $0, " AT(S_STATE) "\n"
    "  je 7f\n"
    "  lea " NUMBER(S_STATE) "(%rbx), %rdi\n"
    "  xor %esi, %esi\n" /* FUTEX_WAIT */
    "  mov $1, %edx\n"
    "  xor %r10d, %r10d\n"
    "  mov $202, %eax\n"
    "  syscall\n"
    "  jmp 5b\n"
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
    "  mov %r15, 80(%r11)\n"
    "  mov %r14, 88(%r11)\n"
    "  mov %r13, 96(%r11)\n"
    "  mov %r12, 104(%r11)\n"
    "  mov %rbp, 112(%r11)\n"
    "  mov %rbx, 120(%r11)\n"
    "  mov %r10, 136(%r11)\n"
    "  mov %r9, 144(%r11)\n"
    "  mov %r8, 152(%r11)\n"
    "  mov %rax, 160(%r11)\n"
    "  mov %rdx, 176(%r11)\n"
    "  mov %rsi, 184(%r11)\n"
    "  mov %rdi, 192(%r11)\n"
    "  mov %rcx, 200(%r11)\n"
    "  mov %rsp, 208(%r11)\n"
    "  mov %r11, %rbx\n"
    "  movl $0, " AT(S_KIND) "\n"
    "  lea 1f(%rip), %r13\n"
    "  jmp cordon_systrap_report\n"
    "1: test $6, %eax\n"
    "  jnz 2f\n"
    "  mov " NUMBER(S_RIP) "(%rbx), %rcx\n"
    "  mov 160(%rbx), %rax\n"
    "  mov 192(%rbx), %rdi\n"
    "  mov 184(%rbx), %rsi\n"
    "  mov 176(%rbx), %rdx\n"
    "  mov 136(%rbx), %r10\n"
    "  mov 96(%rbx), %r13\n"
    "  mov 120(%rbx), %rbx\n"
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

    ".globl cordon_systrap_program\n.hidden cordon_systrap_program\n"
    ".balign 8\n"
    "cordon_systrap_program:\n" /* struct sock_fprog, filled when the page is made */
    "  .quad 0, 0\n"
    ".globl cordon_systrap_end\n.hidden cordon_systrap_end\n"
    "cordon_systrap_end:\n"
    ".popsection\n");
extern const char __attribute__((visibility("hidden"))) cordon_systrap_start[], cordon_systrap_thread[], cordon_systrap_trap[], cordon_systrap_handler[],
    cordon_systrap_restorer[], cordon_systrap_fast[], cordon_systrap_program[], cordon_systrap_end[];

/* Where the code lies in the stub's page; behind it the filter of the guest threads. */
#define CODE_OFFSET 1024
#define FILTER_OFFSET 2048
#define IN_PAGE(symbol) (STUB_PAGE + CODE_OFFSET + (uint64_t)((symbol)-cordon_systrap_start))

uint64_t cordon_systrap_thread_entry(void) { return IN_PAGE(cordon_systrap_thread); }
uint64_t cordon_systrap_thread_trap(void) { return IN_PAGE(cordon_systrap_trap); }
uint64_t cordon_systrap_fast_entry(void) { return IN_PAGE(cordon_systrap_fast); }

/*
 * Guest threads: the two calls that their waiting and leaving take, from the stub's page. A guest may jump there: then it waits,
 * wakes or returns from a signal of its own making, all of which it could do to itself anyway. Everything else traps.
 */
static const struct sock_filter thread_filter[] = {
    LOAD(arch),
    IS(AUDIT_ARCH_X86_64, 0, 10),
    LOAD_AT(offsetof(struct seccomp_data, instruction_pointer) + 4),
    IS((uint32_t)(STUB_PAGE >> 32), 0, 8),
    LOAD_AT(offsetof(struct seccomp_data, instruction_pointer)),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfffff000u),
    IS((uint32_t)STUB_PAGE, 0, 5),
    LOAD(nr),
    IS(SYS_rt_sigreturn, 4, 0),
    IS(SYS_futex, 0, 2),
    LOAD_AT(ARG(1)),
    BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, FUTEX_WAKE, 0, 1),
    ANSWER(SECCOMP_RET_TRAP),
    ANSWER(SECCOMP_RET_ALLOW),
};

/* The whole stub: what the mapping thread is told to do, and what a guest thread needs before it has its own filter. */
static struct sock_filter process_filter[] = {
    LOAD(arch),
    IS(AUDIT_ARCH_X86_64, 1, 0),
    ANSWER(SECCOMP_RET_TRAP),
    LOAD(nr),
    IS(SYS_futex, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(SYS_rt_sigreturn, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(NR_MUNMAP, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(NR_MPROTECT, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(NR_MMAP, 0, 6),
    LOAD_AT(ARG(3)),
    IS(MAP_SHARED | MAP_FIXED, 3, 0),
    IS(MAP_SHARED | MAP_FIXED | MAP_POPULATE, 2, 0),
    IS(MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, 1, 0),
    ANSWER(SECCOMP_RET_TRAP),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(NR_CLONE, 0, 5),
    LOAD_AT(ARG(0)),
    IS(SYSTRAP_THREAD_FLAGS, 1, 0),
    IS(PROCESS_FLAGS, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    ANSWER(SECCOMP_RET_TRAP),
    IS(SYS_madvise, 0, 4),
    LOAD_AT(ARG(2)),
    IS(MADV_DONTFORK, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    ANSWER(SECCOMP_RET_TRAP),
    IS(SYS_sigaltstack, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(SYS_seccomp, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    IS(SYS_close_range, 0, 1),
    ANSWER(SECCOMP_RET_ALLOW),
    ANSWER(SECCOMP_RET_TRAP), /* never KILL: it would win over the thread's own filter, which traps the guest's calls */
};

void cordon_systrap_filter(struct sock_fprog *out) {
  *out = (struct sock_fprog){sizeof process_filter / sizeof *process_filter, process_filter};
}

struct kernel_sigaction {
  uint64_t handler, flags, restorer, mask;
};

/* In the child that becomes the template: its handlers, then the rest of the page. `page` is the copy that boot moves into place. */
int cordon_systrap_prepare_page(uint8_t *page) {
  size_t size = (size_t)(cordon_systrap_end - cordon_systrap_start);
  if (CODE_OFFSET + size > FILTER_OFFSET || FILTER_OFFSET + sizeof thread_filter > 4096) return -1;
  memcpy(page + CODE_OFFSET, cordon_systrap_start, size);
  memcpy(page + FILTER_OFFSET, thread_filter, sizeof thread_filter);
  uint8_t *program = page + CODE_OFFSET + (cordon_systrap_program - cordon_systrap_start);
  uint64_t fprog[2] = {sizeof thread_filter / sizeof *thread_filter, STUB_PAGE + FILTER_OFFSET};
  memcpy(program, fprog, sizeof fprog);
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
