// ptrace(2): events of births, programs and ends, seccomp, system call information, signal queues and masks.
#include "ptrace.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

static pid_t traced(void (*run)(void), long options) {
  pid_t pid = self_traced(run);
  quiet_next(pid);
  if (ptrace(PTRACE_SETOPTIONS, pid, 0, options) < 0) perror("options");
  return pid;
}

static void go(pid_t pid) { ptrace(PTRACE_CONT, pid, 0, 0); }

static void fork_child(void) {
  pid_t pid = fork();
  if (pid == 0) _exit(3);
  waitpid(pid, NULL, 0);
  pid = vfork();
  if (pid == 0) _exit(4);
  waitpid(pid, NULL, 0);
  pid = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
  if (pid == 0) _exit(5);
  waitpid(pid, NULL, __WALL);
  pid = (pid_t)syscall(SYS_clone, CLONE_UNTRACED | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(6);
  waitpid(pid, NULL, __WALL);
}

static void births(void) {
  puts("-- births");
  pid_t pid = traced(fork_child, PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORKDONE);
  for (int birth = 0; birth < 3; birth++) {
    go(pid);
    next("birth", pid);
    show_siginfo("birth", pid);
    pid_t child = (pid_t)message(pid);
    next("the child", child);
    show_status("the child", child, "TracerPid", getpid());
    go(child);
    if (birth != 1) {
      go(pid);
      next("the child's end", child);
      next("SIGCHLD or the end", pid);
      if (birth != 2) continue;
      go(pid);
      break;
    }
    next("the child's end", child);
    go(pid);
    next("done", pid);
    printf("of the child: %d\n", message(pid) == child);
    go(pid);
    next("SIGCHLD", pid);
  }
  next("SIGCHLD of the untraced one", pid);
  go(pid);
  next("end", pid);
}

static pthread_barrier_t barrier;
static void *thread(void *argument) {
  pthread_barrier_wait(&barrier);
  return argument;
}
static void thread_child(void) {
  pthread_t id;
  pthread_barrier_init(&barrier, NULL, 2);
  pthread_create(&id, NULL, thread, NULL);
  pthread_barrier_wait(&barrier);
  pthread_join(id, NULL);
  // The end of the process would be the thread's, too, as long as nobody has waited for that.
  raise(SIGSTOP);
  _exit(8);
}

static void threads(void) {
  puts("-- threads");
  pid_t pid = traced(thread_child, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT);
  go(pid);
  next("birth", pid);
  pid_t tid = (pid_t)message(pid);
  next("the thread", tid);
  go(tid);
  go(pid);
  next("the thread leaves", tid);
  printf("status %lx\n", message(tid));
  R(waitpid(pid, NULL, __WALL | WNOHANG));
  go(tid);
  next("the thread's end", tid);
  R(waitpid(tid, NULL, __WALL | WNOHANG));
  next("joined", pid);
  go(pid);
  next("the process leaves", pid);
  printf("status %lx\n", message(pid));
  go(pid);
  next("end", pid);
}

static char self[256];
static void exec_child(void) {
  execl(self, self, "exit", (char *)NULL);
  _exit(99);
}

static void *executes(void *argument) {
  exec_child();
  return argument;
}
static void thread_exec_child(void) {
  pthread_t id;
  pthread_create(&id, NULL, executes, NULL);
  for (;;) pause();
}

static void programs(void) {
  puts("-- programs");
  pid_t pid = traced(exec_child, 0);
  go(pid);
  next("of old", pid);
  show_siginfo("of old", pid);
  go(pid);
  next("end", pid);
  pid = traced(exec_child, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD);
  go(pid);
  next("exec", pid);
  printf("the same id %d\n", message(pid) == pid);
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  next("its end", pid);
  struct user_regs_struct regs;
  ptrace(PTRACE_GETREGS, pid, 0, &regs);
  printf("rax %lld, orig_rax %lld\n", (long long)regs.rax, (long long)regs.orig_rax);
  go(pid);
  next("end", pid);
  pid = traced(thread_exec_child, PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE);
  go(pid);
  next("birth", pid);
  pid_t tid = (pid_t)message(pid);
  next("the thread", tid);
  go(tid);
  go(pid);
  next("exec by a thread", pid);
  printf("the thread's id %d\n", message(pid) == tid);
  R(ptrace(PTRACE_CONT, tid, 0, 0) == -1 && errno == ESRCH);
  go(pid);
  next("end", pid);
}

static void *spins(void *argument) {
  for (;;) pause();
  return argument;
}
static void group_child(void) {
  pthread_t id;
  pthread_create(&id, NULL, spins, NULL);
  exit(6);
}

static void spins_forever(void) { spins(NULL); }

static void ends(void) {
  puts("-- ends");
  pid_t pid = traced(group_child, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT);
  go(pid);
  next("birth", pid);
  pid_t tid = (pid_t)message(pid);
  next("the thread", tid);
  go(tid);
  go(pid);
  next("the process leaves", pid);
  next("the thread, too", tid);
  printf("%lx %lx\n", message(pid), message(tid));
  kill(pid, SIGKILL);
  R(waitpid(pid, NULL, __WALL | WNOHANG));
  go(pid);
  R(waitpid(pid, NULL, __WALL | WNOHANG));
  go(tid);
  next("the thread's end", tid);
  next("end", pid);
  pid = traced(spins_forever, PTRACE_O_TRACEEXIT);
  go(pid);
  await_state(pid, 'S');
  kill(pid, SIGKILL);
  next("killed", pid);
  printf("status %lx\n", message(pid));
  go(pid);
  next("end", pid);
}

static void filtered_child(void) {
  const struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 1234),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getuid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTTY),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog fprog = {sizeof program / sizeof *program, (struct sock_filter *)program};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog);
  for (int call = 0; call < 4; call++) {
    errno = 0;
    long result = syscall(SYS_getppid);
    if (result > 0) puts("child: positive");
    else printf("child: %ld %s\n", result, strerrorname_np(errno));
    fflush(stdout);
  }
  _exit(0);
}

static void show_call(const char *what, pid_t pid) {
  struct __ptrace_syscall_info info;
  memset(&info, 0xee, sizeof info);
  long size = ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
  struct user_regs_struct regs;
  ptrace(PTRACE_GETREGS, pid, 0, &regs);
  printf("%s: %ld bytes, op %d, arch %x, ip %d, sp %d", what, size, info.op, info.arch, info.instruction_pointer == regs.rip,
         info.stack_pointer == regs.rsp);
  if (info.op == 1) printf(", call %llu(%llu, ...)", info.entry.nr, info.entry.args[0]);
  if (info.op == 2) printf(", result %lld, error %d", info.exit.rval > 0 ? 1 : info.exit.rval, info.exit.is_error);
  if (info.op == 3) printf(", call %llu, data %u", info.seccomp.nr, info.seccomp.ret_data);
  puts("");
}

static void filters(void) {
  puts("-- filters");
  pid_t pid = traced(filtered_child, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD);
  go(pid);
  next("filtered", pid);
  printf("data %ld\n", message(pid));
  show_siginfo("filtered", pid);
  show_call("filtered", pid);
  go(pid);
  next("left out", pid);
  ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), -1);
  ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), -EDOM);
  go(pid);
  next("replaced by one that is refused", pid);
  ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), SYS_getuid);
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  next("its end", pid);
  show_call("its end", pid);
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  next("the output", pid);
  ptrace(PTRACE_SETOPTIONS, pid, 0, 0);
  go(pid);
  next("nobody looks", pid);
}

static void info_child(void) {
  syscall(SYS_getpgid, 0x7fffffff);
  _exit(0);
}

static void call_information(void) {
  puts("-- call information");
  pid_t pid = traced(info_child, 0);
  show_call("at a signal", pid);
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  next("not marked", pid);
  show_call("not marked", pid);
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  next("its end", pid);
  show_call("its end", pid);
  char few[8];
  memset(few, 'x', sizeof few);
  R(ptrace(PTRACE_GET_SYSCALL_INFO, pid, 3, few));
  printf("%d %c\n", few[0], few[3]);
  R(ptrace(PTRACE_GET_SYSCALL_INFO, pid, 0, NULL));
  R(ptrace(PTRACE_GET_SYSCALL_INFO, pid, 88, wild));
  ptrace(PTRACE_KILL, pid, 0, 0);
  next("end", pid);
}

static void queue_child(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, NULL);
  for (int value = 1; value < 4; value++) sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = value});
  syscall(SYS_tkill, gettid(), SIGUSR1);
  raise(SIGUSR2);
  _exit(0);
}

static void queues(void) {
  puts("-- queues and masks");
  pid_t pid = traced(queue_child, 0);
  go(pid);
  next("stopped", pid);
  siginfo_t infos[8];
  struct __ptrace_peeksiginfo_args args = {0, 0, 8};
  R(ptrace(PTRACE_PEEKSIGINFO, pid, &args, infos));
  printf("%d\n", infos[0].si_signo);
  args.flags = PTRACE_PEEKSIGINFO_SHARED;
  R(ptrace(PTRACE_PEEKSIGINFO, pid, &args, infos));
  for (int at = 0; at < 3; at++) printf("%d %d %d\n", infos[at].si_signo, infos[at].si_code, infos[at].si_value.sival_int);
  args.off = 2;
  R(ptrace(PTRACE_PEEKSIGINFO, pid, &args, infos));
  args.off = 7;
  R(ptrace(PTRACE_PEEKSIGINFO, pid, &args, infos));
  args = (struct __ptrace_peeksiginfo_args){0, 2, 8};
  R(ptrace(PTRACE_PEEKSIGINFO, pid, &args, infos));
  args = (struct __ptrace_peeksiginfo_args){0, 1, -1};
  R(ptrace(PTRACE_PEEKSIGINFO, pid, &args, infos));
  args.nr = 8;
  R(ptrace(PTRACE_PEEKSIGINFO, pid, &args, wild));
  R(ptrace(PTRACE_PEEKSIGINFO, pid, wild, infos));
  uint64_t mask = 0;
  R(ptrace(PTRACE_GETSIGMASK, pid, 8, &mask));
  printf("%lx\n", mask);
  R(ptrace(PTRACE_GETSIGMASK, pid, 4, &mask));
  R(ptrace(PTRACE_GETSIGMASK, pid, 8, wild));
  mask = ~0ul;
  R(ptrace(PTRACE_SETSIGMASK, pid, 8, &mask));
  R(ptrace(PTRACE_GETSIGMASK, pid, 8, &mask));
  printf("%lx\n", ~mask);
  mask = 1ul << (SIGUSR1 - 1);
  R(ptrace(PTRACE_SETSIGMASK, pid, 8, &mask));
  siginfo_t info;
  R(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
  info.si_signo = SIGTERM;
  info.si_code = SI_QUEUE;
  info.si_value.sival_int = 17;
  R(ptrace(PTRACE_SETSIGINFO, pid, 0, &info));
  R(ptrace(PTRACE_SETSIGINFO, pid, 0, wild));
  memset(&info, 0, sizeof info);
  R(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
  printf("%d %d %d\n", info.si_signo, info.si_code, info.si_value.sival_int);
  go(pid);
  next("a real-time signal", pid);
  ptrace(PTRACE_CONT, pid, 0, SIGTERM);
  next("end", pid);
}

static void seized_child(void) {
  pid_t pid = fork();
  if (pid == 0) _exit(2);
  waitpid(pid, NULL, 0);
}

static void seized(void) {
  puts("-- seized");
  int ready[2];
  if (pipe(ready)) return;
  pid_t pid = fork();
  if (pid == 0) {
    char byte;
    if (read(ready[0], &byte, 1) == 1) seized_child();
    exec_child();
  }
  R(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEFORK));
  if (write(ready[1], "x", 1) != 1) return;
  next("birth", pid);
  pid_t child = (pid_t)message(pid);
  next("the child", child);
  show_siginfo("the child", child);
  go(child);
  next("the child's end", child);
  go(pid);
  next("SIGCHLD", pid);
  go(pid);
  next("no sign of the program", pid);
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1) return 55;
  if (!realpath(argv[0], self)) return 1;
  alarm(60);
  births();
  threads();
  programs();
  ends();
  filters();
  call_information();
  queues();
  seized();
  return 0;
}
