// Attacks on what the platform keeps in a guest's address space. What happens to the attacker is its own affair: it says what it saw, if it lives.
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define STUB_PAGE 0x7fffffffe000ul
#define SLOTS 0x7ffff0000000ul
#define SLOT 0x8000ul

static sigjmp_buf back;
static volatile uint64_t result;
static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)info;
  result = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RAX];
  siglongjmp(back, signal);
}

static void catch_faults(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
  static char stack[65536];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGSYS, SIGFPE};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
}

// Every byte of the slots that can be written, whoever uses them.
static void scribble(int value) {
  for (uint64_t at = SLOTS; at < SLOTS + 64 * SLOT; at += 4096)
    if (!sigsetjmp(back, 1)) memset((void *)at, value, 4096);
}

// Runs the stub's own `syscall` instructions with a number of our choice; true if any answered as the host would.
static long jump(long number, long a, long b, long c) {
  const unsigned char *code = (const unsigned char *)STUB_PAGE;
  long seen = 0;
  for (int at = 0; at < 4095; at++) {
    if (sigsetjmp(back, 1)) continue;
    if (code[at] != 0x0f || code[at + 1] != 0x05) continue;
    seen++;
    if (sigsetjmp(back, 1)) {
      if ((long)result >= 0 && (long)result < 1 << 22 && number == SYS_getpid && (long)result != getpid())
        printf("the stub answered %ld\n", (long)result);
      continue;
    }
    alarm(1);
    register long r10 __asm__("r10") = 0;
    __asm__ volatile("jmp *%0" : : "r"(STUB_PAGE + (unsigned)at), "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "memory");
  }
  return seen;
}

// Leaves by the stub's rt_sigreturn with all signals blocked.
static void block_everything(void (*then)(void)) {
  ucontext_t frame;
  memset(&frame, 0, sizeof frame);
  getcontext(&frame);
  static char stack[65536];
  frame.uc_mcontext.gregs[REG_RIP] = (greg_t)then;
  frame.uc_mcontext.gregs[REG_RSP] = (greg_t)(stack + sizeof stack - 256 - 8);
  frame.uc_mcontext.gregs[REG_CSGSFS] = 0x33 | (0x2bll << 48);
  frame.uc_mcontext.fpregs = NULL;
  memset(&frame.uc_sigmask, 0xff, sizeof frame.uc_sigmask);
  const unsigned char *code = (const unsigned char *)STUB_PAGE;
  for (int at = 0; at < 4090; at++)
    if (code[at] == 0xb8 && code[at + 1] == 15 && code[at + 5] == 0x0f && code[at + 6] == 0x05)
      __asm__ volatile("mov %0, %%rsp\n\tjmp *%1" : : "r"(&frame), "r"(STUB_PAGE + (unsigned)at) : "memory");
}

static void spin(void) {
  for (;;) __asm__ volatile("");
}
static void call(void) {
  for (;;) syscall(SYS_getppid);
}

static void *scribbler(void *unused) {
  (void)unused;
  for (;;)
    for (uint64_t at = SLOTS; at < SLOTS + 8 * SLOT; at += 4) *(volatile uint32_t *)at = (uint32_t)rand();
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  setvbuf(stdout, NULL, _IONBF, 0);
  catch_faults();
  // Its patched call sites lead nowhere from then on: the handler that leaves by one may meet itself for ever.
  if (strcmp(mode, "ones") == 0 || strcmp(mode, "zeros") == 0) alarm(1);
  if (strcmp(mode, "ones") == 0) scribble(0xff);
  if (strcmp(mode, "zeros") == 0) scribble(0);
  if (strcmp(mode, "race") == 0) {
    pthread_t thread;
    pthread_create(&thread, NULL, scribbler, NULL);
    for (int i = 0; i < 20000; i++) getppid();
  }
  if (strcmp(mode, "jump") == 0) {
    jump(SYS_getpid, 0, 0, 0);
    jump(SYS_kill, -1, SIGKILL, 0);
    jump(SYS_munmap, STUB_PAGE, 4096, 0);
    puts("jumped");
  }
  if (strcmp(mode, "unmap") == 0) {
    printf("munmap %d\n", munmap((void *)STUB_PAGE, 4096));
    printf("mmap %d\n", mmap((void *)SLOTS, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
    printf("mprotect %d\n", mprotect((void *)SLOTS, 4096, PROT_NONE));
    puts("whole");
  }
  if (strcmp(mode, "deaf") == 0) block_everything(spin);
  if (strcmp(mode, "deaf-calls") == 0) block_everything(call);
  puts("alive");
  return 0;
}
