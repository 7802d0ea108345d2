// seccomp(2): what programs are taken, what their verdicts do, who inherits them. Prints only what must be the same natively.
#include "results.h"
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>

#define LEN(a) (sizeof(a) / sizeof *(a))
#define NR BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define RET(value) BPF_STMT(BPF_RET | BPF_K, value)
#define IF_NR(number, value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), RET(value)

static long install(unsigned flags, struct sock_filter *filter, unsigned short length) {
  struct sock_fprog program = {length, filter};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}
#define INSTALL(flags, ...) ({ struct sock_filter f_[] = {__VA_ARGS__}; install(flags, f_, LEN(f_)); })
#define TRY(...) R(INSTALL(0, __VA_ARGS__))

static void in_child(const char *what, void (*run)(void)) {
  printf("-- %s\n", what);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    run();
    _exit(0);
  }
  wait_for(pid);
}

// A program is refused with EINVAL whatever it would say, so the good ones that are taken here allow everything.
static void checks(void) {
  R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  R(install(0, NULL, 0));
  static struct sock_filter many[4097];
  for (int i = 0; i < 4097; i++) many[i] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
  R(install(0, many, 4097));
  R(install(0, wild, 1));
  R(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, wild));
  R(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1u << 20, wild));
  R(syscall(SYS_seccomp, 77, 0, NULL));
  R(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
  R(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, wild));
  R(prctl(PR_SET_SECCOMP, 3, 0, 0, 0));
  TRY(NR);
  TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 60), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 31), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_ST, 16), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_LD | BPF_MEM, 3), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_MEM, 3), RET(SECCOMP_RET_ALLOW));
  TRY(NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_MEM, 3), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_JMP | BPF_JA, 1), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_JMP | BPF_JA, 0), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), RET(SECCOMP_RET_ALLOW));
  TRY(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 255), RET(SECCOMP_RET_ALLOW));
  TRY({0xffff, 0, 0, 0}, RET(SECCOMP_RET_ALLOW));
  TRY(BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_A, 0));
  for (unsigned i = 0, actions[] = {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO, SECCOMP_RET_TRACE, SECCOMP_RET_LOG,
                                   SECCOMP_RET_ALLOW, 0x12340000, SECCOMP_RET_ERRNO | 1}; i < LEN(actions); i++)
    R(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &actions[i]));
  R(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, wild));
  R(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, wild));
  R(prctl(PR_GET_SECCOMP));
  R(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
  // Too many instructions on the way of one call.
  int taken = 0;
  while (install(0, many, 4096) == 0) taken++;
  // How many depends on what they are compiled to.
  printf("%s longest programs, then %s\n", taken > 1 && taken < 9 ? "some" : "no", strerrorname_np(errno));
}

static void arithmetic(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  // The answer to getppid is an errno that 32-bit arithmetic has made of the argument; X first, then K.
  R(INSTALL(0, NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 1, 0), RET(SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])), BPF_STMT(BPF_MISC | BPF_TAX, 0),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])), BPF_STMT(BPF_ST, 5),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), BPF_STMT(BPF_LD | BPF_MEM, 5),
    BPF_STMT(BPF_ALU | BPF_MUL | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 0xfffffff0), BPF_STMT(BPF_ALU | BPF_SUB | BPF_X, 0),
    BPF_STMT(BPF_ALU | BPF_NEG, 0), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 0x5a5a5a5a),
    BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 3), BPF_STMT(BPF_ALU | BPF_RSH | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_OR | BPF_X, 0),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x7ff), BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_A, 0)));
  unsigned values[] = {0, 1, 2, 7, 31, 255, 0x12345678, 0x80000000, 0xffffffff};
  unsigned long sum = 0;
  for (unsigned i = 0; i < LEN(values); i++)
    for (unsigned j = 1; j < LEN(values); j++) {
      errno = 0;
      syscall(SYS_getppid, (long)values[i], (long)values[j] | 1l << 40, (long)values[i] ^ 99);
      sum = sum * 31 + errno;
      printf("%d ", errno);
    }
  printf("= %lu\n", sum);
}

static void divide_by_zero(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  INSTALL(0, NR, BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), RET(SECCOMP_RET_ALLOW));
  getuid();
  syscall(SYS_getppid);
  puts("not reached");
}

static void errors(void) {
  R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  TRY(NR, IF_NR(SYS_getppid, SECCOMP_RET_ERRNO | ENOANO), IF_NR(SYS_getuid, SECCOMP_RET_ERRNO | 0xffff), IF_NR(SYS_getgid, SECCOMP_RET_ERRNO),
      IF_NR(SYS_geteuid, SECCOMP_RET_TRACE | 5), IF_NR(SYS_getpgrp, SECCOMP_RET_USER_NOTIF), RET(SECCOMP_RET_ALLOW));
  R(syscall(SYS_getppid));
  errno = 0;
  long result = syscall(SYS_getuid);
  printf("largest: %ld %d\n", result, errno);
  R(syscall(SYS_getgid));
  R(syscall(SYS_geteuid));
  R(syscall(SYS_getpgrp));
  R(prctl(PR_GET_SECCOMP));
  // A later program can only be stricter; a tie goes to the newer.
  TRY(NR, IF_NR(SYS_getppid, SECCOMP_RET_ALLOW), IF_NR(SYS_getgid, SECCOMP_RET_ERRNO | EBADE), IF_NR(SYS_getsid, SECCOMP_RET_LOG), RET(SECCOMP_RET_ALLOW));
  R(syscall(SYS_getppid));
  R(syscall(SYS_getgid));
  OK(syscall(SYS_getsid, 0));
  // By argument, all 64 bits of it; by number beyond the table; by place.
  TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]) + 4), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x1234, 0, 1),
      RET(SECCOMP_RET_ERRNO | EXFULL), NR, BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 1000, 0, 1), RET(SECCOMP_RET_ERRNO | EL2HLT),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      RET(SECCOMP_RET_ERRNO | EILSEQ), RET(SECCOMP_RET_ALLOW));
  R(syscall(SYS_getpgid, 0x123400000000l));
  R(syscall(5000));
  R(syscall(-1));
}

static void status(void) {
  char text[4096], *line;
  int fd = open("/proc/thread-self/status", O_RDONLY);
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  text[got > 0 ? got : 0] = 0;
  for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
    if (strncmp(line, "Seccomp", 7) == 0 || strncmp(line, "NoNewPrivs", 10) == 0) puts(line);
}

static void kept(void) {
  status();
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  INSTALL(0, RET(SECCOMP_RET_ALLOW));
  INSTALL(0, NR, IF_NR(SYS_getppid, SECCOMP_RET_ERRNO | ENOANO), RET(SECCOMP_RET_ALLOW));
  status();
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    R(syscall(SYS_getppid));
    fflush(stdout);
    execl("/proc/self/exe", "program", "after-exec", NULL);
  }
  wait_for(pid);
}

static void after_exec(void) {
  status();
  R(syscall(SYS_getppid));
}

static volatile int handled;
static void on_sigsys(int signal, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  handled++;
  printf("signal %d code %d errno %d call %d arch %x place %d rax %lld\n", signal, info->si_code, info->si_errno, info->si_syscall, info->si_arch,
         (long)info->si_call_addr == uc->uc_mcontext.gregs[REG_RIP], uc->uc_mcontext.gregs[REG_RAX]);
  uc->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void traps(void) {
  struct sigaction action = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
  sigaction(SIGSYS, &action, NULL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  TRY(NR, IF_NR(SYS_getppid, SECCOMP_RET_TRAP | 77), IF_NR(9999, SECCOMP_RET_TRAP), RET(SECCOMP_RET_ALLOW));
  R(syscall(SYS_getppid));
  R(syscall(9999));
  long total = 0;
  fflush(stdout);
  for (int i = 0; i < 3; i++) total += syscall(SYS_getppid);
  printf("%ld in %d signals\n", total, handled);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGSYS);
  sigprocmask(SIG_BLOCK, &set, NULL);
  fflush(stdout);
  syscall(SYS_getppid);
  puts("not reached");
}

static void kill_process(void) {
  signal(SIGSYS, SIG_IGN);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  INSTALL(0, NR, IF_NR(SYS_getppid, SECCOMP_RET_KILL_PROCESS), RET(SECCOMP_RET_ALLOW));
  syscall(SYS_getppid);
  puts("not reached");
}

static void unknown_action(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  INSTALL(0, NR, IF_NR(SYS_getppid, 0x00010000), RET(SECCOMP_RET_ALLOW));
  syscall(SYS_getppid);
  puts("not reached");
}

static void *dying(void *argument) {
  (void)argument;
  INSTALL(0, NR, IF_NR(SYS_getppid, SECCOMP_RET_KILL_THREAD), RET(SECCOMP_RET_ALLOW));
  syscall(SYS_getppid);
  puts("not reached");
  return NULL;
}

static void kill_thread(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  pthread_t thread;
  pthread_create(&thread, NULL, dying, NULL);
  R(pthread_join(thread, NULL));
  OK(syscall(SYS_getppid));
  fflush(stdout);
  dying(NULL);
}

static void strict(void) {
  static const char *said = "still here\n";
  R(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, wild));
  fflush(stdout);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
  if (syscall(SYS_write, 1, said, strlen(said)) > 0 && syscall(SYS_read, -1, NULL, 0) == -1) syscall(SYS_exit, 7);
}

static void strict_killed(void) {
  syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL);
  syscall(SYS_getpid);
  syscall(SYS_exit, 7);
}

static pthread_barrier_t ready, go;
static void *other(void *argument) {
  long own = (long)argument;
  if (own) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    INSTALL(0, RET(SECCOMP_RET_ALLOW));
  }
  pthread_barrier_wait(&ready);
  pthread_barrier_wait(&go);
  status();
  OK(syscall(SYS_getppid));
  pthread_barrier_wait(&go);
  return (void *)syscall(SYS_gettid);
}

static void threads(long own) {
  pthread_t thread;
  pthread_barrier_init(&ready, NULL, 2);
  pthread_barrier_init(&go, NULL, 2);
  pthread_create(&thread, NULL, other, (void *)own);
  pthread_barrier_wait(&ready);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  long result = INSTALL(SECCOMP_FILTER_FLAG_TSYNC, NR, IF_NR(SYS_getppid, SECCOMP_RET_ERRNO | ENOANO), RET(SECCOMP_RET_ALLOW));
  R(INSTALL(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, RET(SECCOMP_RET_ALLOW)));
  pthread_barrier_wait(&go);
  pthread_barrier_wait(&go);
  void *tid;
  pthread_join(thread, &tid);
  printf("synchronized: %s\n", result == 0 ? "yes" : result == (long)tid ? "no, by the thread" : "no");
  status();
}

static void in_step(void) { threads(0); }
static void out_of_step(void) { threads(1); }

static void unprivileged(void) {
  if (getuid() == 0 && (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))) puts("not dropped");
  TRY(RET(SECCOMP_RET_ALLOW));
  TRY(NR);
  R(install(0, NULL, 0));
  R(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, wild));
  R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  TRY(RET(SECCOMP_RET_ALLOW));
}

// The old entry has numbers of its own, and a filter sees which entry it was.
static void old_entry(void) {
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  INSTALL(0, BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 0, 1),
          RET(SECCOMP_RET_KILL_PROCESS), RET(SECCOMP_RET_ALLOW));
  puts("before");
  fflush(stdout);
  long result;
  asm volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
  puts("not reached");
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  if (argc > 1 && strcmp(argv[1], "after-exec") == 0) {
    after_exec();
    return 0;
  }
  if (argc > 1) {
    in_child("int 0x80", old_entry);
    return 0;
  }
  in_child("checks", checks);
  in_child("arithmetic", arithmetic);
  in_child("division by zero", divide_by_zero);
  in_child("errors", errors);
  in_child("fork and exec", kept);
  in_child("traps", traps);
  in_child("kill process", kill_process);
  in_child("unknown action", unknown_action);
  in_child("kill thread", kill_thread);
  in_child("strict", strict);
  in_child("strict, killed", strict_killed);
  in_child("threads in step", in_step);
  in_child("threads out of step", out_of_step);
  in_child("unprivileged", unprivileged);
}
