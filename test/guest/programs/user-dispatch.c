// prctl(PR_SET_SYSCALL_USER_DISPATCH): system calls become SIGSYS, by selector and range. Prints what it sees: same as native.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define PR_SET_SYSCALL_USER_DISPATCH 59
static volatile char selector;
static siginfo_t seen;
static long seen_rax;
static int count;

static void handler(int signal, siginfo_t *info, void *context) {
  selector = 0;
  (void)signal;
  seen = *info;
  count++;
  ucontext_t *uc = context;
  seen_rax = uc->uc_mcontext.gregs[REG_RAX];
  uc->uc_mcontext.gregs[REG_RAX] = 4711;
}

static long call(long number) {
  long result;
  asm volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
  return result;
}

static void say(const char *what, long result) { printf("%s: %ld %s\n", what, result, result == -1 ? strerrorname_np(errno) : ""); }

static int child(char value) {
  int pid = fork(), status;
  if (pid == 0) {
    prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0, 0, &selector);
    selector = value;
    call(SYS_getppid);
    selector = 0;
    _exit(0);
  }
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  sigaction(SIGSYS, &action, NULL);
  say("off with a range", prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 1, 0, 0));
  say("bad mode", prctl(PR_SET_SYSCALL_USER_DISPATCH, 2, 0, 0, 0));
  say("empty range", prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 4096, 0, &selector));
  say("wild selector", prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0, 0, 1ul << 63));
  say("on", prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0, 0, &selector));
  say("allowed", call(SYS_getpid) == getpid());
  selector = 1;
  long result = call(SYS_getpid);
  selector = 0;
  printf("result %ld, %d signal, code %d, call %d, arch %x, address %d, rax %ld\n", result, count, seen.si_code, seen.si_syscall,
         seen.si_arch, seen.si_call_addr != NULL, seen_rax);
  selector = 1;
  result = call(100000);
  selector = 0;
  printf("unknown call: %ld, %d, rax %ld\n", result, seen.si_syscall, seen_rax);
  say("range", prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, (long)call & ~4095ul, 8192, &selector));
  selector = 1;
  result = call(SYS_getppid);
  selector = 0;
  printf("inside the range: %d, %d signals\n", result == getppid(), count);
  printf("fork does not inherit: %d\n", child(0));
  action.sa_handler = SIG_DFL;
  sigaction(SIGSYS, &action, NULL);
  printf("blocked without handler: %d\n", child(1));
  printf("bad selector: %d\n", child(2));
  say("off", prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0));
}
