// Hot call sites, which a platform may turn into jumps: registers, signals, restarts, fork, threads, GS. Same as native.
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 200
static volatile int alarms;

// Each call is a site of its own of the form `mov $n, %eax; syscall`.
#define SITE(number, a, b, c, result)                                                                                \
  __asm__ volatile("mov $" #number ", %%eax\n\tsyscall" : "=a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10_), "r"(r8_) \
                   : "rcx", "r11", "memory")

static long call3(int which, long a, long b, long c) {
  register long r10_ __asm__("r10") = 0;
  register long r8_ __asm__("r8") = 0;
  long result = -1;
  switch (which) {
    case 0: SITE(110, a, b, c, result); break;  // getppid
    case 1: SITE(34, a, b, c, result); break;   // pause
    case 2: SITE(61, a, b, c, result); break;   // wait4
    case 3: SITE(57, a, b, c, result); break;   // fork
    case 4: SITE(1, a, b, c, result); break;    // write
    case 5: SITE(35, a, b, c, result); break;   // nanosleep
  }
  return result;
}

// Every register but rax, rcx and r11 comes back as it was, vector registers too.
uint64_t in[12], out[12], red;
static int keeps_registers(void) {
  for (int i = 0; i < 12; i++) in[i] = 0x1111111111111111ull * (unsigned)(i + 1), out[i] = 0;
  long parent = -1;
  __asm__ volatile(
      "sub $256, %%rsp\n\tpush %%rbx\n\tpush %%rbp\n\t"
      "movq in(%%rip), %%xmm0\n\tmovq in+88(%%rip), %%xmm15\n\t"
      "mov in(%%rip), %%rbx\n\tmov in+8(%%rip), %%rdx\n\tmov in+16(%%rip), %%rsi\n\tmov in+24(%%rip), %%r8\n\t"
      "mov in+32(%%rip), %%r9\n\tmov in+40(%%rip), %%r10\n\tmov in+48(%%rip), %%r12\n\tmov in+56(%%rip), %%r13\n\t"
      "mov in+64(%%rip), %%r14\n\tmov in+72(%%rip), %%r15\n\tmov in+80(%%rip), %%rbp\n\tmov in+88(%%rip), %%rdi\n\t"
      "mov %%rbx, -64(%%rsp)\n\t"  // the red zone is the guest's
      "mov $110, %%eax\n\tsyscall\n\t"
      "mov -64(%%rsp), %%rcx\n\tmov %%rcx, red(%%rip)\n\t"
      "mov %%rbx, out(%%rip)\n\tmov %%rdx, out+8(%%rip)\n\tmov %%rsi, out+16(%%rip)\n\tmov %%r8, out+24(%%rip)\n\t"
      "mov %%r9, out+32(%%rip)\n\tmov %%r10, out+40(%%rip)\n\tmov %%r12, out+48(%%rip)\n\tmov %%r13, out+56(%%rip)\n\t"
      "mov %%r14, out+64(%%rip)\n\tmov %%r15, out+72(%%rip)\n\tmov %%rbp, out+80(%%rip)\n\tmov %%rdi, out+88(%%rip)\n\t"
      "movq %%xmm0, %%rcx\n\tcmp in(%%rip), %%rcx\n\tjne 1f\n\t"
      "movq %%xmm15, %%rcx\n\tcmp in+88(%%rip), %%rcx\n\tje 2f\n"
      "1: mov $-1, %%rax\n"
      "2: pop %%rbp\n\tpop %%rbx\n\tadd $256, %%rsp\n\t"
      : "=a"(parent)
      :
      : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm15", "memory", "cc");
  return parent == getppid() && memcmp(in, out, sizeof in) == 0 && red == in[0];
}

// By the library's syscall(2): one site for all numbers, the sixth argument from the stack.
static int by_library(void) {
  int file = memfd_create("pages", 0), right = 0;
  char page[4096];
  for (int i = 0; i < 3; i++) {
    memset(page, 'a' + i, sizeof page);
    if (write(file, page, sizeof page) < 0) return -1;
  }
  for (int i = 0; i < ROUNDS; i++) {
    char *at = (char *)syscall(SYS_mmap, NULL, 4096L, (long)PROT_READ, (long)MAP_PRIVATE, (long)file, i % 3 * 4096L);
    right += at != MAP_FAILED && *at == 'a' + i % 3 && syscall(SYS_munmap, at, 4096L) == 0;
    right += syscall(SYS_close, -1L) == -1 && errno == EBADF;
    lseek(file, i * 41, SEEK_SET);
    right += read(file, page, 1) == 1 && page[0] == 'a' + i * 41 / 4096;
    right += read(-1, page, 1) == -1 && errno == EBADF;
  }
  close(file);
  return right;
}

static void on_alarm(int signal) {
  (void)signal;
  alarms++;
}

static void *calls(void *arg) {
  long bad = 0, parent = getppid();
  for (int i = 0; i < 5000; i++) bad += call3(0, 0, 0, 0) != parent;
  *(long *)arg = bad;
  return NULL;
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  int kept = 0;
  for (int i = 0; i < ROUNDS; i++) kept += keeps_registers();
  printf("registers kept %d\n", kept);

  printf("by the library %d\n", by_library());
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  struct itimerval timer = {{0, 500}, {0, 500}};
  setitimer(ITIMER_REAL, &timer, NULL);
  int interrupted = 0;
  for (int i = 0; i < ROUNDS; i++) interrupted += call3(1, 0, 0, 0) == -EINTR;
  printf("pauses interrupted %d, as many handlers %d\n", interrupted, alarms >= interrupted);
  struct timespec second = {1, 0}, left = {0, 0};
  int slept = 0;
  for (int i = 0; i < ROUNDS; i++) slept += call3(5, (long)&second, (long)&left, 0) == -EINTR && left.tv_nsec > 0;
  printf("sleeps interrupted %d\n", slept);

  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  int reaped = 0;
  for (int i = 0; i < 40; i++) {
    pid_t child = fork();
    if (child == 0) {
      timer.it_value.tv_usec = timer.it_interval.tv_usec = 0;
      setitimer(ITIMER_REAL, &timer, NULL);
      usleep(3000);
      _exit(7);
    }
    int status = 0;
    reaped += call3(2, child, (long)&status, 0) == child && WEXITSTATUS(status) == 7;
  }
  printf("waits restarted until the child ended %d\n", reaped);
  timer.it_value.tv_usec = timer.it_interval.tv_usec = 0;
  setitimer(ITIMER_REAL, &timer, NULL);

  int forked = 0;
  for (int i = 0; i < 60; i++) {
    long child = call3(3, 0, 0, 0);
    if (child == 0) _exit(call3(0, 0, 0, 0) == getppid() ? 3 : 4);
    int status = 0;
    waitpid((pid_t)child, &status, 0);
    forked += WEXITSTATUS(status) == 3;
  }
  printf("forked %d\n", forked);

  pthread_t threads[4];
  long bad[4] = {-1, -1, -1, -1};
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, calls, &bad[i]);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  printf("wrong answers in threads %ld %ld %ld %ld\n", bad[0], bad[1], bad[2], bad[3]);

  static uint64_t area[4] = {11, 22, 33, 44};
  long result = syscall(SYS_arch_prctl, ARCH_SET_GS, area);
  uint64_t read = 0;
  int right = 0;
  for (int i = 0; i < ROUNDS; i++) {
    right += call3(0, 0, 0, 0) == getppid();
    __asm__ volatile("mov %%gs:8, %0" : "=r"(read));
    right += read == 22;
  }
  uint64_t base = 0;
  syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
  printf("with GS of its own %ld: %d %d\n", result, right, base == (uint64_t)area);
  for (int i = 0; i < 50; i++) call3(4, 1, (long)".", 1);
  printf("\nby the library %d\n", by_library());
  return 0;
}
