// What a program sees of each exception that its processor raises: signal, code, address, where it was, and that it can go on.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static volatile uintptr_t resume_at;
static volatile int steps;
static uint8_t *area;
static int with_errors; /* of page faults: not every platform knows what was tried */

static void handler(int signal, siginfo_t *info, void *raw) {
  ucontext_t *context = raw;
  greg_t *registers = context->uc_mcontext.gregs;
  if (signal == SIGTRAP && info->si_code == TRAP_TRACE && ++steps > 1) {
    if (steps == 4) registers[REG_EFL] &= ~0x100;
    return;
  }
  uintptr_t address = (uintptr_t)info->si_addr, at = (uintptr_t)registers[REG_RIP];
  printf(" signal %d code %d address ", signal, info->si_code);
  if (address == at) printf("of the instruction");
  else if (area && address - (uintptr_t)area < 3 * 4096) printf("area+%lu", address - (uintptr_t)area);
  else printf("%#lx", address);
  if (with_errors && signal == SIGSEGV && info->si_code != SI_KERNEL && address >> 47 == 0) printf(" error %lld", registers[REG_ERR] & 0x17);
  printf("\n");
  if (resume_at) registers[REG_RIP] = (greg_t)resume_at;
  resume_at = 0;
}

#define TRY(name, code, ...)                                                                                  \
  do {                                                                                                        \
    printf(name);                                                                                             \
    fflush(stdout);                                                                                           \
    __asm__ volatile("lea 9f(%%rip), %%rax\n mov %%rax, %0\n" code "\n9:" : "=m"(resume_at) : __VA_ARGS__      \
                     : "rax", "rcx", "rdx", "rdi", "rsi", "r11", "memory", "cc");                              \
    resume_at = 0;                                                                                            \
  } while (0)

int main(int argc, char **argv) {
  (void)argv;
  with_errors = argc > 1;
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  const int caught[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
  for (unsigned i = 0; i < sizeof caught / sizeof *caught; i++) sigaction(caught[i], &action, NULL);
  area = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  area[4096] = 1;
  mprotect(area + 4096, 4096, PROT_READ);
  munmap(area + 8192, 4096);
  area[0] = 0xc3; /* ret, on a page that must not be executed */

  TRY("divide by zero", "xor %%ecx, %%ecx\n xor %%edx, %%edx\n mov $1, %%eax\n div %%ecx", "i"(0));
  TRY("quotient too large", "mov $1, %%ecx\n mov $2, %%edx\n xor %%eax, %%eax\n div %%ecx", "i"(0));
  TRY("ud2", "ud2", "i"(0));
  TRY("breakpoint", "int3", "i"(0));
  TRY("int 3 in two bytes", ".byte 0xcd, 3", "i"(0));
  TRY("icebp", ".byte 0xf1", "i"(0));
  TRY("hlt", "hlt", "i"(0));
  TRY("port", "in $0x60, %%al", "i"(0));
  TRY("cli", "cli", "i"(0));
  TRY("read cr3", "mov %%cr3, %%rax", "i"(0));
  TRY("rdmsr", "xor %%ecx, %%ecx\n rdmsr", "i"(0));
  TRY("int 0x21", "int $0x21", "i"(0));
  TRY("no such selector", "mov $0x50, %%eax\n mov %%eax, %%ds", "i"(0));
  TRY("null page", "xor %%ecx, %%ecx\n movb $1, 8(%%rcx)", "i"(0));
  TRY("not canonical", "movabs $0x8000000000000000, %%rax\n movb (%%rax), %%cl", "i"(0));
  TRY("upper half", "mov $-0x7fffe000, %%rax\n movb (%%rax), %%cl", "i"(0));
  TRY("write to what may be read", "movb $1, 4100(%1)", "r"(area));
  TRY("read of what is gone", "movb 8200(%1), %%al", "r"(area));
  TRY("execute of what may not be", "jmp *%1", "r"(area));
  TRY("x87", "movw $0x037b, -8(%%rsp)\n fldcw -8(%%rsp)\n fld1\n fldz\n fdivrp\n fwait", "i"(0));
  __asm__ volatile("fninit");
  TRY("sse", "movl $0x1d80, -8(%%rsp)\n ldmxcsr -8(%%rsp)\n pxor %%xmm0, %%xmm0\n mov $1, %%eax\n cvtsi2sd %%eax, %%xmm1\n divsd %%xmm0, %%xmm1", "i"(0));
  __asm__ volatile("movl $0x1f80, -8(%%rsp)\n ldmxcsr -8(%%rsp)" ::: "memory");
  TRY("single steps", "pushfq\n orl $0x100, (%%rsp)\n popfq\n nop\n nop\n nop\n nop\n nop", "i"(0));
  printf(" %d\n", steps);
  printf("went on\n");
  return 0;
}
