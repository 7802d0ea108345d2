// Signals: frames, alternate stacks, masks, restarts, queueing, faults, and registers kept across handlers.
#define _GNU_SOURCE
#include <errno.h>
#include <immintrin.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int count;
static void counter(int s) { count++; }
static sigjmp_buf jump;
static void on_fault(int s, siginfo_t *i, void *u) {
  ucontext_t *uc = u;
  printf("sig %d code %d addr %p trap %lld\n", s, i->si_code, i->si_addr, uc->uc_mcontext.gregs[REG_TRAPNO]);
  siglongjmp(jump, 1);
}
static void on_alt(int s, siginfo_t *i, void *u) {
  stack_t now;
  char here;
  sigaltstack(NULL, &now);
  printf("on stack %d flags %d inside %d\n", s, now.ss_flags, &here > (char *)now.ss_sp && &here < (char *)now.ss_sp + now.ss_size);
}
static void on_queue(int s, siginfo_t *i, void *u) {
  printf("queued %d code %d value %d self %d\n", s - SIGRTMIN, i->si_code, i->si_value.sival_int, i->si_pid == getpid());
}
static void clobber(int s) {
  count++;
  __asm__ volatile("vpcmpeqd %%ymm0,%%ymm0,%%ymm0; vmovdqa %%ymm0,%%ymm7; vmovdqa %%ymm0,%%ymm15; fninit; mov $-1,%%r12; mov "
                   "$-1,%%r13" ::
                       : "ymm0", "ymm7", "ymm15", "r12", "r13");
}
static void skip(int s, siginfo_t *i, void *u) {
  ucontext_t *uc = u;
  uc->uc_mcontext.gregs[REG_RIP] += 2;  // over ud2
  uc->uc_mcontext.gregs[REG_RBX] = 1234;
}
static void nested(int s) {
  printf("nested %d\n", s);
  if (s == SIGUSR1) raise(SIGUSR2);
  printf("nested end %d\n", s);
}

int main(void) {
  setbuf(stdout, NULL);
  struct sigaction sa = {0};

  sa.sa_sigaction = on_fault;
  sa.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &sa, NULL);
  sigaction(SIGBUS, &sa, NULL);
  sigaction(SIGFPE, &sa, NULL);
  if (!sigsetjmp(jump, 1)) *(volatile int *)0x10 = 1;
  char *ro = mmap((void *)0x10000000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (!sigsetjmp(jump, 1)) ro[5] = 1;
  if (!sigsetjmp(jump, 1)) (void)*(volatile char *)0xdeadbeef000;
  if (!sigsetjmp(jump, 1)) {
    // The address is the instruction's: not printed by value.
    volatile int zero = 0;
    struct sigaction f = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    (void)f;
    signal(SIGFPE, SIG_DFL);
    pid_t p = fork();
    if (p == 0) _exit(1 / zero);
    int st;
    waitpid(p, &st, 0);
    printf("division %d\n", WTERMSIG(st));
  }

  stack_t alt = {.ss_sp = malloc(65536), .ss_size = 65536};
  printf("sigaltstack %d\n", sigaltstack(&alt, NULL));
  sa.sa_sigaction = on_alt;
  sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGUSR1, &sa, NULL);
  raise(SIGUSR1);
  stack_t off = {.ss_flags = SS_DISABLE};
  sigaltstack(&off, &alt);
  printf("old flags %d size %zu\n", alt.ss_flags, alt.ss_size);

  // real-time signals queue in order; standard ones do not
  sa.sa_sigaction = on_queue;
  sa.sa_flags = SA_SIGINFO;
  sigset_t set, old, pending;
  sigemptyset(&set);
  for (int i = 0; i < 3; i++) {
    sigaction(SIGRTMIN + i, &sa, NULL);
    sigaddset(&set, SIGRTMIN + i);
  }
  signal(SIGUSR2, counter);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, &old);
  for (int i = 0; i < 3; i++) {
    sigqueue(getpid(), SIGRTMIN + 2 - i, (union sigval){.sival_int = i});
    sigqueue(getpid(), SIGRTMIN + 2 - i, (union sigval){.sival_int = 10 + i});
    raise(SIGUSR2);
  }
  sigpending(&pending);
  printf("pending %d %d\n", sigismember(&pending, SIGUSR2), sigismember(&pending, SIGRTMIN));
  sigprocmask(SIG_SETMASK, &old, NULL);
  printf("standard once %d\n", count);

  // restart and interruption
  struct itimerval soon = {.it_value = {0, 20000}};
  char c;
  int pfd[2];
  pipe(pfd);
  sa.sa_handler = counter;
  sa.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &sa, NULL);
  pid_t p = fork();
  if (p == 0) {
    usleep(60000);
    write(pfd[1], "x", 1);
    _exit(0);
  }
  count = 0;
  setitimer(ITIMER_REAL, &soon, NULL);
  int r = read(pfd[0], &c, 1);
  printf("restarted read %d alarms %d\n", r, count);
  wait(NULL);
  sa.sa_flags = 0;
  sigaction(SIGALRM, &sa, NULL);
  setitimer(ITIMER_REAL, &soon, NULL);
  r = read(pfd[0], &c, 1);
  printf("interrupted read %d errno %d\n", r, errno);
  setitimer(ITIMER_REAL, &soon, NULL);
  struct timespec req = {5, 0}, rem = {0, 0};
  r = nanosleep(&req, &rem);
  printf("nanosleep %d errno %d rem %d\n", r, errno, rem.tv_sec == 4 && rem.tv_nsec > 0);
  setitimer(ITIMER_REAL, &soon, NULL);
  printf("poll %d errno %d\n", poll(NULL, 0, 5000), errno);
  sigemptyset(&set);
  setitimer(ITIMER_REAL, &soon, NULL);
  r = sigsuspend(&set);
  printf("sigsuspend %d errno %d\n", r, errno);

  // a stop and continue do not disturb a sleep
  p = fork();
  if (p == 0) {
    struct timespec nap = {0, 80000000};
    _exit(nanosleep(&nap, NULL) == 0 ? 0 : 1);
  }
  usleep(20000);
  kill(p, SIGSTOP);
  int st;
  waitpid(p, &st, WUNTRACED);
  kill(p, SIGCONT);
  waitpid(p, &st, 0);
  printf("sleep over a stop %d\n", st);

  // sigtimedwait
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  struct timespec ten = {0, 10000000};
  r = sigtimedwait(&set, NULL, &ten);
  printf("timedwait %d errno %d\n", r, errno);
  raise(SIGUSR1);
  siginfo_t info;
  printf("waitinfo %d", sigwaitinfo(&set, &info));
  printf(" code %d\n", info.si_code);
  sigprocmask(SIG_UNBLOCK, &set, NULL);

  // registers: a timer whose handler clobbers vectors and x87
  signal(SIGALRM, clobber);
  struct itimerval often = {{0, 1000}, {0, 1000}};
  count = 0;
  setitimer(ITIMER_REAL, &often, NULL);
  __m256i a = _mm256_set_epi64x(1, 2, 3, 4), b = a;
  uint64_t bad = 0, spins = 0;
  while (count < 20) {
    uint64_t r12 = 0x1122334455667788, r13 = 0x99aabbccddeeff00, ok;
    __m256i v = a;
    __asm__ volatile("vmovdqa %3,%%ymm7; vmovdqa %3,%%ymm15; mov %4,%%r12; mov %5,%%r13; mov $20000,%%ecx; 1: dec %%ecx; jnz 1b;"
                     "vpxor %%ymm7,%%ymm15,%%ymm6; vpxor %3,%%ymm7,%%ymm5; vpor %%ymm5,%%ymm6,%0; xor %%eax,%%eax; cmp %4,%%r12; "
                     "sete %%al; cmp %5,%%r13; sete %%cl; and %%cl,%%al; movzx %%al,%1"
                     : "=x"(v), "=r"(ok), "+x"(b)
                     : "x"(a), "r"(r12), "r"(r13)
                     : "rax", "rcx", "r12", "r13", "ymm5", "ymm6", "ymm7", "ymm15", "cc");
    if (!_mm256_testz_si256(v, v) || !ok) bad++;
    spins++;
  }
  often.it_value.tv_usec = 0;
  setitimer(ITIMER_REAL, &often, NULL);
  printf("vectors kept: bad %lu\n", (unsigned long)bad);

  // editing the frame
  sa.sa_sigaction = skip;
  sa.sa_flags = SA_SIGINFO;
  sigaction(SIGILL, &sa, NULL);
  long rbx = 0;
  __asm__ volatile("ud2; mov %%rbx,%0" : "=r"(rbx)::"rbx");
  printf("edited rbx %ld\n", rbx);

  // SA_NODEFER, SA_RESETHAND, nested
  signal(SIGUSR1, nested);
  signal(SIGUSR2, nested);
  raise(SIGUSR1);
  sa.sa_handler = counter;
  sa.sa_flags = SA_RESETHAND;
  sigaction(SIGUSR1, &sa, NULL);
  raise(SIGUSR1);
  sigaction(SIGUSR1, NULL, &sa);
  printf("reset %d\n", sa.sa_handler == SIG_DFL);

  // deadly ones
  int deadly[] = {SIGTERM, SIGKILL, SIGABRT, SIGSEGV, SIGPIPE, SIGRTMIN + 5};
  for (unsigned i = 0; i < sizeof deadly / sizeof *deadly; i++) {
    p = fork();
    if (p == 0) {
      signal(deadly[i], SIG_DFL);
      raise(deadly[i]);
      _exit(1);
    }
    waitpid(p, &st, 0);
    printf("died of %d\n", WTERMSIG(st));
  }
  // a stack overflow without an alternate stack is deadly, with a handler too
  p = fork();
  if (p == 0) {
    signal(SIGSEGV, counter);
    __asm__ volatile("mov $64,%rsp; push %rax");
    _exit(1);
  }
  waitpid(p, &st, 0);
  printf("no stack: %d\n", WTERMSIG(st));
  return 0;
}
