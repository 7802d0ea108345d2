// ptrace(2): who may trace whom, what a tracee stops for, who hears of it, how it goes on.
#include "ptrace.h"

static int handled;
static void count(int signal) { handled += signal; }

static void signals_child(void) {
  signal(SIGUSR1, count);
  raise(SIGUSR1);
  raise(SIGUSR1);
  raise(SIGUSR1);
  raise(SIGCHLD);
  _exit(handled);
}

static void signals(void) {
  puts("-- signals");
  pid_t pid = self_traced(signals_child);
  next("first", pid);
  show_status("stopped", pid, "State", 0);
  show_status("stopped", pid, "TracerPid", getpid());
  R(waitpid(pid, NULL, __WALL | WNOHANG));
  R(ptrace(PTRACE_CONT, pid, 0, 0));
  next("suppressed", pid);
  show_siginfo("suppressed", pid);
  R(ptrace(PTRACE_CONT, pid, 0, 0));
  next("delivered", pid);
  R(ptrace(PTRACE_CONT, pid, 0, SIGUSR1));
  next("changed", pid);
  R(ptrace(PTRACE_CONT, pid, 0, SIGWINCH));
  next("ignored ones are seen", pid);
  R(ptrace(PTRACE_CONT, pid, 0, 65));
  R(ptrace(PTRACE_CONT, pid, 0, SIGCHLD));
  next("end", pid);
  R(ptrace(PTRACE_CONT, pid, 0, 0));
}

static void sleeper(void) { pause(); }

static void calls_child(void) {
  getppid();
  syscall(SYS_getpgid, 0x7fffffff);
}

static void calls(void) {
  puts("-- calls");
  pid_t pid = self_traced(calls_child);
  next("first", pid);
  R(ptrace(PTRACE_SETOPTIONS, pid, 0, 1 << 30));
  R(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
  for (int stop = 0; stop < 5; stop++) {
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    next("stop", pid);
    if (stop == 4) break;
    struct user_regs_struct regs;
    ptrace(PTRACE_GETREGS, pid, 0, &regs);
    bool entry = message(pid) == PTRACE_EVENTMSG_SYSCALL_ENTRY;
    bool parent = (pid_t)regs.rax == getpid();
    printf("%s of %lld: rax %lld\n", entry ? "entry" : "exit", (long long)regs.orig_rax, parent ? 0 : (long long)regs.rax);
    show_siginfo("at a call", pid);
  }
  ptrace(PTRACE_SETOPTIONS, pid, 0, 0);
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  next("the end without a mark", pid);
}

static void permissions(void) {
  puts("-- permissions");
  R(ptrace(PTRACE_ATTACH, getpid(), 0, 0));
  R(ptrace(PTRACE_SEIZE, getpid(), 0, 0));
  R(ptrace(PTRACE_ATTACH, 0x7ffffff0, 0, 0));
  R(ptrace(PTRACE_CONT, 0x7ffffff0, 0, 0));
  pid_t pid = fork();
  if (pid == 0) for (;;) pause();
  R(ptrace(PTRACE_CONT, pid, 0, 0));
  R(ptrace(PTRACE_PEEKDATA, pid, count, 0));
  R(ptrace(PTRACE_SEIZE, pid, 8, 0));
  R(ptrace(PTRACE_SEIZE, pid, 0, 0x40000000));
  R(ptrace(PTRACE_SEIZE, pid, 0, 0));
  R(ptrace(PTRACE_SEIZE, pid, 0, 0));
  R(ptrace(PTRACE_ATTACH, pid, 0, 0));
  R(ptrace(PTRACE_CONT, pid, 0, 0));
  R(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
  next("interrupted", pid);
  R(ptrace(0x1234, pid, 0, 0));
  R(ptrace(-1, pid, 0, 0));
  // Another process, and a thread of this one, are not the tracer.
  pid_t other = fork();
  if (other == 0) {
    R(ptrace(PTRACE_CONT, pid, 0, 0));
    R(ptrace(PTRACE_SEIZE, pid, 0, 0));
    R(ptrace(PTRACE_SEIZE, getppid(), 0, 0));
    _exit(0);
  }
  waitpid(other, NULL, 0);
  R(ptrace(PTRACE_KILL, pid, 0, 0));
  next("killed", pid);
  R(ptrace(PTRACE_SEIZE, pid, 0, 0));
  pid = fork();
  if (pid == 0) {
    R(ptrace(PTRACE_TRACEME, 0, 0, 0));
    R(ptrace(PTRACE_TRACEME, 0, 0, 0));
    fflush(stdout);
    kill(getpid(), SIGKILL);
  }
  next("killed itself", pid);
  pid = fork();
  if (pid == 0) {
    prctl(PR_SET_DUMPABLE, 0);
    for (;;) pause();
  }
  await_state(pid, 'S');
  printf("not dumpable: %s\n", ptrace(PTRACE_SEIZE, pid, 0, 0) == 0 || errno == EPERM ? "as its rights say" : strerrorname_np(errno));
  kill(pid, SIGKILL);
  waitpid(pid, NULL, __WALL);
  pid = fork();
  if (pid == 0) _exit(7);
  siginfo_t info;
  waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
  R(ptrace(PTRACE_ATTACH, pid, 0, 0));
  next("a zombie", pid);
}

static void attaching(void) {
  puts("-- attaching");
  pid_t pid = fork();
  if (pid == 0) for (;;) pause();
  await_state(pid, 'S');
  R(ptrace(PTRACE_ATTACH, pid, 0, 0));
  next("attached", pid);
  show_siginfo("attached", pid);
  R(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
  R(ptrace(PTRACE_LISTEN, pid, 0, 0));
  R(ptrace(PTRACE_DETACH, pid, 0, 65));
  R(ptrace(PTRACE_DETACH, pid, 0, 0));
  R(ptrace(PTRACE_DETACH, pid, 0, 0));
  show_status("detached", pid, "TracerPid", getpid());
  kill(pid, SIGTERM);
  next("not traced any more", pid);
  pid = fork();
  if (pid == 0) for (;;) pause();
  kill(pid, SIGSTOP);
  int status;
  waitpid(pid, &status, WUNTRACED);
  tell("stopped", status);
  R(ptrace(PTRACE_ATTACH, pid, 0, 0));
  next("attached to one that was stopped", pid);
  show_siginfo("group-stop", pid);
  R(ptrace(PTRACE_CONT, pid, 0, 0));
  next("the signal of attaching", pid);
  R(ptrace(PTRACE_DETACH, pid, 0, 0));
  await_state(pid, 'T');
  show_status("detached", pid, "State", 0);
  kill(pid, SIGKILL);
  next("killed", pid);
  pid = fork();
  if (pid == 0) for (;;) pause();
  R(ptrace(PTRACE_ATTACH, pid, 0, 0));
  next("attached", pid);
  R(ptrace(PTRACE_DETACH, pid, 0, SIGUSR2));
  next("left with a signal", pid);
}

static void groups(void) {
  puts("-- group stops");
  pid_t pid = self_traced(sleeper);
  next("first", pid);
  ptrace(PTRACE_CONT, pid, 0, SIGSTOP);
  next("group-stop", pid);
  show_siginfo("group-stop", pid);
  R(waitpid(pid, NULL, WUNTRACED | WNOHANG));
  R(ptrace(PTRACE_CONT, pid, 0, 0));
  await_state(pid, 'S');
  kill(pid, SIGCONT);
  next("continued", pid);
  R(ptrace(PTRACE_CONT, pid, 0, SIGCONT));
  int status;
  waitpid(pid, &status, WCONTINUED | __WALL);
  tell("and told so", status);
  kill(pid, SIGKILL);
  next("killed", pid);

  pid = fork();
  if (pid == 0) for (;;) pause();
  await_state(pid, 'S');
  ptrace(PTRACE_SEIZE, pid, 0, 0);
  kill(pid, SIGTSTP);
  next("seized, a stop signal", pid);
  R(ptrace(PTRACE_LISTEN, pid, 0, 0));
  R(ptrace(PTRACE_CONT, pid, 0, SIGSTOP));
  next("group-stop", pid);
  show_siginfo("group-stop", pid);
  R(ptrace(PTRACE_LISTEN, pid, 0, 0));
  R(ptrace(PTRACE_GETEVENTMSG, pid, 0, &status));
  R(waitpid(pid, NULL, __WALL | WNOHANG));
  R(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
  next("interrupted while listening", pid);
  R(ptrace(PTRACE_LISTEN, pid, 0, 0));
  kill(pid, SIGCONT);
  next("continued while listening", pid);
  R(ptrace(PTRACE_CONT, pid, 0, 0));
  next("the signal itself", pid);
  R(ptrace(PTRACE_CONT, pid, 0, 0));
  await_state(pid, 'S');
  R(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
  next("interrupted", pid);
  R(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
  R(ptrace(PTRACE_CONT, pid, 0, 0));
  next("interrupted again", pid);
  R(ptrace(PTRACE_CONT, pid, 0, SIGTERM));
  await_state(pid, 'S');
  puts("signals with events are dropped");
  kill(pid, SIGTERM);
  next("a deadly signal first", pid);
  R(ptrace(PTRACE_CONT, pid, 0, SIGTERM));
  next("end", pid);
}

// The parent of a process that another one traces: stops are the tracer's to hear of, the end comes to both, the tracer first.
static void between(void) {
  puts("-- between parent and tracer");
  int ready[2], go[2];
  if (pipe(ready) || pipe(go)) return;
  pid_t child = fork();
  if (child == 0) {
    char byte;
    if (read(go[0], &byte, 1) != 1) _exit(1);
    _exit(9);
  }
  pid_t tracer = fork();
  if (tracer == 0) {
    ptrace(PTRACE_SEIZE, child, 0, 0);
    if (write(ready[1], "a", 1) != 1) _exit(1);
    next("tracer: a stop signal", child);
    if (write(ready[1], "b", 1) != 1) _exit(1);
    ptrace(PTRACE_CONT, child, 0, SIGSTOP);
    next("tracer: group-stop", child);
    fflush(stdout);
    if (write(ready[1], "c", 1) != 1) _exit(1);
    pause();
    _exit(0);
  }
  char byte;
  signal(SIGUSR1, count);
  if (read(ready[0], &byte, 1) != 1) return;
  kill(child, SIGSTOP);
  if (read(ready[0], &byte, 1) != 1) return;
  if (read(ready[0], &byte, 1) != 1) return;
  int status = 0;
  waitpid(child, &status, WUNTRACED);
  tell("parent: group-stop", status);
  kill(child, SIGCONT);
  kill(tracer, SIGKILL);
  waitpid(tracer, NULL, 0);
  show_status("tracer gone", child, "TracerPid", tracer);
  if (write(go[1], "x", 1) != 1) return;
  next("parent: the end", child);

  child = fork();
  if (child == 0) for (;;) pause();
  tracer = fork();
  if (tracer == 0) {
    ptrace(PTRACE_SEIZE, child, 0, 0);
    kill(child, SIGKILL);
    siginfo_t info;
    waitid(P_PID, child, &info, WEXITED | WNOWAIT | __WALL);
    printf("tracer: code %d, status %d\n", info.si_code, info.si_status);
    fflush(stdout);
    if (write(ready[1], "d", 1) != 1) _exit(1);
    if (read(go[0], &byte, 1) != 1) _exit(1);
    next("tracer: the end", child);
    fflush(stdout);
    _exit(0);
  }
  if (read(ready[0], &byte, 1) != 1) return;
  R(waitpid(child, NULL, WNOHANG));
  if (write(go[1], "x", 1) != 1) return;
  waitpid(tracer, NULL, 0);
  next("parent: the end", child);
}

static void tracer_ends(void) {
  puts("-- a tracer ends");
  for (int kills = 0; kills < 2; kills++) {
    int ready[2];
    if (pipe(ready)) return;
    pid_t child = fork();
    if (child == 0) for (;;) pause();
    pid_t tracer = fork();
    if (tracer == 0) {
      ptrace(PTRACE_SEIZE, child, 0, kills ? PTRACE_O_EXITKILL : 0);
      ptrace(PTRACE_INTERRUPT, child, 0, 0);
      quiet_next(child);
      if (write(ready[1], "a", 1) != 1) _exit(1);
      pause();
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1) return;
    await_state(child, 't');
    kill(tracer, SIGKILL);
    waitpid(tracer, NULL, 0);
    if (!kills) {
      await_state(child, 'S');
      kill(child, SIGTERM);
    }
    next(kills ? "with PTRACE_O_EXITKILL" : "goes on", child);
  }
}

// Stops that nobody lets go on end with SIGKILL, wherever they are.
static void forker(void) { if (fork() == 0) _exit(0); wait(NULL); }
static void killed_stops(void) {
  puts("-- killed while stopped");
  pid_t pid = self_traced(sleeper);
  next("before a signal", pid);
  kill(pid, SIGKILL);
  next("killed", pid);
  pid = self_traced(calls_child);
  quiet_next(pid);
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  next("before a call", pid);
  kill(pid, SIGKILL);
  next("killed", pid);
  pid = self_traced(calls_child);
  quiet_next(pid);
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  quiet_next(pid);
  ptrace(PTRACE_SYSCALL, pid, 0, 0);
  next("after a call", pid);
  kill(pid, SIGKILL);
  next("killed", pid);
  pid = self_traced(forker);
  quiet_next(pid);
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL);
  ptrace(PTRACE_CONT, pid, 0, 0);
  next("in the middle of fork", pid);
  pid_t child = (pid_t)message(pid);
  kill(pid, SIGKILL);
  next("killed", pid);
  next("its child", child);
  kill(child, SIGKILL);
  next("killed, too", child);
}

static int chld_code, chld_status;
static volatile sig_atomic_t chld_seen;
static void on_chld(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  chld_code = info->si_code, chld_status = info->si_status;
  chld_seen = 1;
}
static void child_signals(void) {
  puts("-- SIGCHLD");
  struct sigaction action = {.sa_sigaction = on_chld, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGCHLD, &action, NULL);
  pid_t pid = self_traced(sleeper);
  quiet_next(pid);
  printf("seen %d, code %d, status %d\n", chld_seen, chld_code, chld_status);
  chld_seen = 0;
  action.sa_flags |= SA_NOCLDSTOP;
  sigaction(SIGCHLD, &action, NULL);
  ptrace(PTRACE_CONT, pid, 0, SIGSTOP);
  siginfo_t info;
  memset(&info, 0, sizeof info);
  R(waitid(P_PID, pid, &info, WSTOPPED | WNOWAIT));
  printf("code %d, status %d, signal %d, seen %d\n", info.si_code, info.si_status, info.si_signo, chld_seen);
  R(waitid(P_ALL, 0, &info, WSTOPPED));
  R(waitid(P_ALL, 0, &info, WSTOPPED | WNOHANG));
  kill(pid, SIGKILL);
  quiet_next(pid);
  printf("seen %d, code %d, status %d\n", chld_seen, chld_code, chld_status);
  signal(SIGCHLD, SIG_IGN);
  pid = self_traced(sleeper);
  next("with SIGCHLD ignored", pid);
  kill(pid, SIGKILL);
  next("a tracee's end is kept", pid);
  signal(SIGCHLD, SIG_DFL);
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  alarm(60);
  signals();
  calls();
  permissions();
  attaching();
  groups();
  between();
  tracer_ends();
  killed_stops();
  child_signals();
  return 0;
}
