/*
 * The ptrace platform's native half: stubs (processes that hold guest address spaces), their threads, and the one wait for
 * whatever they do next. Policy is in platform/ptrace. See platform/README.md for the picture.
 *
 * All state is static: one Sentry per process. It is created in the process that uses it (after the zygote's fork).
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "addon.h"
#include "host-vdso.h"
#include "napi-arguments.h"
#include "ptrace-stub.h"
#include "stub-contexts.h"
#include "watch.h"

#ifndef PTRACE_SYSEMU
#define PTRACE_SYSEMU 31
#endif

#define MAX_THREADS 16384
#define TID_BUCKETS 32768 /* power of two, twice MAX_THREADS */



struct thread {
  pid_t tid;
  int space;
  int context;    /* bound to, or -1 */
  int next;       /* of the same space, or of the free list */
  uint8_t running;
  uint8_t kicked;   /* a KICK is on its way */
  uint8_t reported; /* the kick was asked for by the kernel (interrupt), not for borrowing */
};

struct space {
  pid_t pid;
  int threads; /* list */
  int next_free;
  uint8_t used;
};

static struct thread threads[MAX_THREADS];
static struct space spaces[MAX_SPACES];
static int tid_bucket[TID_BUCKETS]; /* thread index + 1 */
static int free_thread, free_space;
static int thread_top, space_top;
static int running; /* threads in guest code */
static struct stub_platform platform; /* at the end */
static pid_t template_pid;
static double cpu_of_dead; /* ns, of released spaces */

#define now_ns cordon_now

/* ---- tables ---- */

static unsigned bucket_of(pid_t tid) { return ((unsigned)tid * 2654435761u) & (TID_BUCKETS - 1); }

static int find_thread(pid_t tid) {
  for (unsigned at = bucket_of(tid); tid_bucket[at]; at = (at + 1) & (TID_BUCKETS - 1))
    if (threads[tid_bucket[at] - 1].tid == tid) return tid_bucket[at] - 1;
  return -1;
}

static void index_thread(int index) {
  unsigned at = bucket_of(threads[index].tid);
  while (tid_bucket[at]) at = (at + 1) & (TID_BUCKETS - 1);
  tid_bucket[at] = index + 1;
}

static void unindex_thread(pid_t tid) {
  unsigned at = bucket_of(tid);
  while (tid_bucket[at] && threads[tid_bucket[at] - 1].tid != tid) at = (at + 1) & (TID_BUCKETS - 1);
  if (!tid_bucket[at]) return;
  tid_bucket[at] = 0;
  /* Close the gap: entries that probed past it move up. */
  for (unsigned next = (at + 1) & (TID_BUCKETS - 1); tid_bucket[next]; next = (next + 1) & (TID_BUCKETS - 1)) {
    int moved = tid_bucket[next];
    tid_bucket[next] = 0;
    index_thread(moved - 1);
  }
}

/* The kick of a thread that had stopped by itself has come: the next interrupt must send another. */
static void forget_kick(pid_t tid) {
  int index = find_thread(tid);
  if (index < 0) return;
  threads[index].kicked = 0;
  threads[index].reported = 0;
}

static int64_t inject(pid_t tid, uint64_t number, const uint64_t arguments[6]) {
  return cordon_inject(tid, number, arguments, forget_kick);
}

static int add_thread(int space, pid_t tid) {
  int index;
  if (free_thread >= 0) {
    index = free_thread;
    free_thread = threads[index].next;
  } else {
    if (thread_top == MAX_THREADS) return -EAGAIN;
    index = thread_top++;
  }
  threads[index] = (struct thread){.tid = tid, .space = space, .context = -1, .next = spaces[space].threads};
  spaces[space].threads = index;
  index_thread(index);
  return index;
}

static void drop_thread(int index) {
  unindex_thread(threads[index].tid);
  if (threads[index].running) running--;
  if (threads[index].context >= 0) bindings[threads[index].context].thread = -1;
  threads[index] = (struct thread){.tid = 0, .space = -1, .context = -1, .next = free_thread};
  free_thread = index;
}

/* ---- traps ---- */

static void mark_died(int thread) {
  int context = threads[thread].context;
  if (threads[thread].running) {
    threads[thread].running = 0;
    running--;
  }
  if (context >= 0) {
    contexts[context].trap = TRAP_DIED;
    push_ready(context);
  }
}

/* Fills the context from a stop that ends its run. */
static void take_trap(int index, int signal, const siginfo_t *info) {
  struct thread *thread = &threads[index];
  struct context *context = &contexts[thread->context];
  if (ptrace(PTRACE_GETREGS, thread->tid, 0, &context->regs) < 0) {
    mark_died(index);
    return;
  }
  thread->running = 0;
  running--;
  struct binding *binding = &bindings[thread->context];
  context->trapped = now_ns();
  binding->spent += context->trapped - binding->started;
  if (signal == (SIGTRAP | 0x80)) {
    /* After `syscall` RCX is the return address; int 0x80 leaves it alone. */
    context->trap = context->regs.rcx == context->regs.rip ? TRAP_SYSCALL : TRAP_LEGACY;
    return;
  }
  if (signal == KICK) {
    context->trap = TRAP_INTERRUPTED;
    return;
  }
  context->signal = (uint32_t)signal;
  context->signal_code = info->si_code;
  context->fault_address = (uint64_t)info->si_addr;
  if (signal == SIGSYS) { /* a vsyscall; the kernel has already done its `ret` */
    context->trap = TRAP_SYSCALL;
    context->regs.orig_rax = (uint64_t)info->si_syscall;
    return;
  }
  int page_fault = (signal == SIGSEGV && (info->si_code == SEGV_MAPERR || info->si_code == SEGV_ACCERR)) ||
                   (signal == SIGBUS && info->si_code == BUS_ADRERR);
  context->trap = page_fault ? TRAP_FAULT : TRAP_EXCEPTION;
}

static int resume_thread(int index) {
  struct thread *thread = &threads[index];
  if (ptrace(PTRACE_SYSEMU, thread->tid, 0, 0) < 0) return -errno;
  thread->running = 1;
  running++;
  return 0;
}

/* One stop of a running thread. Returns its context when that has something to tell, else -1. */
static int handle_stop(int index, int status) {
  struct thread *thread = &threads[index];
  if (!WIFSTOPPED(status)) {
    mark_died(index); /* told through the ready queue; released with its space */
    return -1;
  }
  int signal = WSTOPSIG(status);
  siginfo_t info = {0};
  if (signal == (SIGTRAP | 0x80)) {
    take_trap(index, signal, &info);
    return thread->context;
  }
  if (signal == KICK && thread->kicked) {
    thread->kicked = 0;
    if (thread->reported) {
      thread->reported = 0;
      take_trap(index, signal, &info);
      return thread->context;
    }
  } else if (signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE || signal == SIGTRAP ||
             signal == SIGSYS) {
    /* Only the processor's own: kill(2) from outside has a code <= 0. */
    if (ptrace(PTRACE_GETSIGINFO, thread->tid, 0, &info) == 0 && info.si_code > 0) {
      take_trap(index, signal, &info);
      return thread->context;
    }
  }
  /* Anything else is not for the guest. */
  if (ptrace(PTRACE_SYSEMU, thread->tid, 0, 0) < 0) mark_died(index);
  return -1;
}

/* A stopped thread of the space to run host calls in; a running one is stopped for it and *borrowed is set. */
static int stopped_thread(int space, int *borrowed) {
  *borrowed = 0;
  for (int index = spaces[space].threads; index >= 0; index = threads[index].next)
    if (!threads[index].running) return index;
  int index = spaces[space].threads;
  if (index < 0) return -ESRCH;
  struct thread *thread = &threads[index];
  if (!thread->kicked) {
    thread->kicked = 1;
    syscall(SYS_tgkill, spaces[space].pid, thread->tid, KICK);
  }
  for (;;) {
    int status = cordon_wait_stop(thread->tid);
    if (status < 0) return status;
    if (!WIFSTOPPED(status)) {
      mark_died(index);
      return -ESRCH;
    }
    if (WSTOPSIG(status) == KICK && thread->kicked && !thread->reported) {
      thread->kicked = 0;
      if (ptrace(PTRACE_GETREGS, thread->tid, 0, &contexts[thread->context].regs) < 0) return -errno;
      thread->running = 0;
      running--;
      *borrowed = 1;
      return index;
    }
    int context = handle_stop(index, status);
    if (context >= 0) {
      push_ready(context);
      return index;
    }
  }
}

static int load_context(int index);

static int64_t inject_in_space(int space, uint64_t number, const uint64_t arguments[6]) {
  int borrowed;
  int index = stopped_thread(space, &borrowed);
  if (index < 0) return index;
  int64_t result = inject(threads[index].tid, number, arguments);
  if (borrowed) {
    int failed = load_context(index);
    if (!failed) failed = resume_thread(index);
    if (failed) mark_died(index);
  }
  return result;
}

/* Puts the context's registers (and newer xsave) into its thread. */
static int load_context(int index) {
  struct thread *thread = &threads[index];
  struct binding *binding = &bindings[thread->context];
  struct user_regs_struct regs = contexts[thread->context].regs;
  regs.orig_rax = (uint64_t)-1; /* never let the host restart what it did not run */
  if (ptrace(PTRACE_SETREGS, thread->tid, 0, &regs) < 0) return -errno;
  if (binding->load_xsave) {
    struct iovec area = {binding->xsave, regset_size};
    if (ptrace(PTRACE_SETREGSET, thread->tid, NT_X86_XSTATE, &area) < 0) return -errno;
    binding->load_xsave = 0;
  }
  return 0;
}

/* Brings the context's own copy of the vector registers up to date. */
static int save_xsave(int context, uint8_t *area) {
  struct iovec vector = {area, XSAVE_MAX};
  return ptrace(PTRACE_GETREGSET, threads[bindings[context].thread].tid, NT_X86_XSTATE, &vector) < 0 ? -errno : 0;
}

/* The host judges at once, so that a malformed area is found here. */
static int refuses_xsave(int context, const uint8_t *area) {
  struct iovec vector = {(uint8_t *)area, regset_size};
  return ptrace(PTRACE_SETREGSET, threads[bindings[context].thread].tid, NT_X86_XSTATE, &vector) < 0;
}

static void unbind(int context) {
  struct binding *binding = &bindings[context];
  if (binding->thread < 0) return;
  struct thread *thread = &threads[binding->thread];
  thread->context = -1;
  binding->thread = -1;
}

static int bind(int context, int space) {
  struct binding *binding = &bindings[context];
  if (binding->thread >= 0 && threads[binding->thread].space == space) return 0;
  int failed = leave_thread(context);
  if (failed) return failed;
  int index = -1;
  for (int at = spaces[space].threads; at >= 0 && index < 0; at = threads[at].next)
    if (threads[at].context < 0) index = at;
  if (index < 0) {
    const uint64_t arguments[6] = {THREAD_FLAGS, 0, 0, 0, 0, 0};
    int64_t tid = inject_in_space(space, NR_CLONE, arguments);
    if (tid < 0) return (int)tid;
    int status = cordon_wait_stop((pid_t)tid);
    if (status < 0 || !WIFSTOPPED(status)) return -ESRCH;
    index = add_thread(space, (pid_t)tid);
    if (index < 0) return index;
  }
  threads[index].context = context;
  binding->thread = index;
  return initial_xsave(context);
}

static int resume_context(int context, int space) {
  int failed = bind(context, space);
  if (failed) return failed;
  int index = bindings[context].thread;
  failed = load_context(index);
  if (failed) return failed;
  bindings[context].started = contexts[context].resumed = now_ns();
  return resume_thread(index);
}

/* ---- waiting ---- */

static volatile sig_atomic_t woken; /* a watched descriptor or the timer */
static timer_t timer;
static uint8_t timer_made;
static double armed; /* deadline of the timer, ns; 0 = off */
static void arm(double deadline) {
  struct itimerspec when = {0};
  if (deadline > 0) {
    when.it_value.tv_sec = (time_t)(deadline / 1e9);
    when.it_value.tv_nsec = (long)(deadline - (double)when.it_value.tv_sec * 1e9);
    if (!when.it_value.tv_sec && !when.it_value.tv_nsec) when.it_value.tv_nsec = 1;
    /* It repeats: a signal between the check of `woken` and wait4 would be lost otherwise. */
    when.it_interval.tv_nsec = 1000000;
  }
  /* In this order: SIGIO in between may leave the timer off and `armed` set, and `woken` mends that; the other way it would run for ever. */
  armed = deadline;
  timer_settime(timer, TIMER_ABSTIME, &when, NULL);
}

static void on_signal(int signal) {
  int saved = errno;
  woken = 1;
  if (signal == SIGIO && timer_made) arm(now_ns() + 1e6);
  errno = saved;
}

/* What came before SIGIO was on is found by looking. */
static void look_again(void) { woken = 1; }

static int prepare_waiting(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGIO, &action, NULL);
  sigaction(SIGALRM, &action, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGIO);
  sigaddset(&set, SIGALRM);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0) return -errno;
  timer_made = 1;
  armed = 0;
  return 0;
}

static int poll_watches(double deadline) { return cordon_poll_watches(deadline) ? NEXT_WATCH : NEXT_NOTHING; }

static int next_event(double deadline) {
  if (any_ready()) return pop_ready();
  if (running == 0) {
    if (armed != 0) arm(0); /* polling has a deadline of its own, and an idle sandbox costs nothing */
    return poll_watches(deadline);
  }
  if (deadline < 1e18 && (armed == 0 || deadline < armed)) arm(deadline);
  int options = __WALL | (deadline <= 0 ? WNOHANG : 0);
  while (running > 0) {
    if (woken) {
      woken = 0;
      if (armed != 0) arm(0);
      return poll_watches(0) == NEXT_WATCH ? NEXT_WATCH : NEXT_NOTHING;
    }
    int status;
    pid_t tid = wait4(-1, &status, options, NULL);
    if (tid == 0) return NEXT_NOTHING;
    if (tid < 0) {
      if (errno == EINTR) continue;
      return NEXT_NOTHING;
    }
    int index = find_thread(tid);
    if (index < 0) continue;
    int context = handle_stop(index, status);
    if (context >= 0) return context;
    if (any_ready()) return next_event(deadline);
  }
  return any_ready() ? next_event(deadline) : NEXT_NOTHING;
}

/* ---- JavaScript ---- */

static void forget_everything(void) {
  start_contexts(&platform);
  memset(threads, 0, sizeof(struct thread) * (size_t)thread_top);
  memset(spaces, 0, sizeof(struct space) * (size_t)space_top);
  memset(tid_bucket, 0, sizeof tid_bucket);
  free_thread = free_space = -1;
  thread_top = space_top = 0;
  running = 0;
  cordon_forget_watches();
  cordon_watch_added = look_again;
  woken = 0;
  cpu_of_dead = 0;
  template_pid = 0;
}

/* start(): makes the template stub. 0 or -errno; -(1000+n): the stub's own step n failed. */
static napi_value start(napi_env env, napi_callback_info info) {
  (void)info;
  forget_everything();
  int failed = prepare_waiting();
  if (failed) return number(env, failed);
  size_t regset;
  pid_t pid = cordon_start_template(STUB_PTRACE, pristine_xsave, &regset);
  if (pid < 0) return number(env, pid);
  set_xsave_sizes(regset);
  template_pid = pid;
  return number(env, 0);
}

/* createSpace(original): an empty one for -1, else one that has mapped what the original has. */
static napi_value create_space(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int original = (int)int_of(env, arguments[0]);
  int space;
  if (free_space >= 0) {
    space = free_space;
    free_space = spaces[space].next_free;
  } else {
    if (space_top == MAX_SPACES) return number(env, -EAGAIN);
    space = space_top++;
  }
  const uint64_t clone_arguments[6] = {PROCESS_FLAGS, 0, 0, 0, 0, 0};
  int64_t pid = original < 0 ? inject(template_pid, NR_CLONE, clone_arguments)
                             : inject_in_space(original, NR_CLONE, clone_arguments);
  int status = pid < 0 ? (int)pid : cordon_wait_stop((pid_t)pid);
  spaces[space] = (struct space){.pid = (pid_t)pid, .threads = -1, .used = 1};
  int failed = status < 0 ? status : !WIFSTOPPED(status) ? -ESRCH : add_thread(space, (pid_t)pid);
  if (failed < 0) {
    spaces[space].used = 0;
    spaces[space].next_free = free_space;
    free_space = space;
    return number(env, failed);
  }
  return number(env, space);
}

static napi_value release_space(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int space = (int)int_of(env, arguments[0]);
  pid_t pid = spaces[space].pid;
  cpu_of_dead += process_cpu(pid);
  kill(pid, SIGKILL);
  /* The leader can be reaped only after its threads. */
  int leader = -1;
  for (int index = spaces[space].threads; index >= 0;) {
    int next = threads[index].next;
    if (threads[index].tid == pid) {
      leader = index;
    } else {
      int status;
      do status = cordon_wait_stop(threads[index].tid);
      while (status >= 0 && WIFSTOPPED(status));
      drop_thread(index);
    }
    index = next;
  }
  if (leader >= 0) {
    int status;
    do status = cordon_wait_stop(pid);
    while (status >= 0 && WIFSTOPPED(status));
    drop_thread(leader);
  }
  spaces[space] = (struct space){.threads = -1, .next_free = free_space};
  free_space = space;
  return number(env, 0);
}

static int is_running(int index) { return threads[index].running; }

/* Not to be reused: its turn is taken away. */
static void stop_thread(int index) {
  struct thread *thread = &threads[index];
  thread->kicked = 1;
  thread->reported = 1;
  syscall(SYS_tgkill, spaces[thread->space].pid, thread->tid, KICK);
  while (thread->running) {
    int status = cordon_wait_stop(thread->tid);
    if (status < 0) break;
    handle_stop(index, status);
    if (!WIFSTOPPED(status)) break;
  }
}

static napi_value interrupt(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int index = bindings[int_of(env, arguments[0])].thread;
  if (index < 0 || !threads[index].running) return number(env, 0);
  struct thread *thread = &threads[index];
  thread->reported = 1;
  if (!thread->kicked) {
    thread->kicked = 1;
    syscall(SYS_tgkill, spaces[thread->space].pid, thread->tid, KICK);
  }
  return number(env, 0);
}

static napi_value space_time(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  return number(env, process_cpu(spaces[int_of(env, arguments[0])].pid));
}

static napi_value total_time(napi_env env, napi_callback_info info) {
  (void)info;
  double total = cpu_of_dead;
  for (int space = 0; space < space_top; space++)
    if (spaces[space].used) total += process_cpu(spaces[space].pid);
  return number(env, total);
}

static napi_value stop(napi_env env, napi_callback_info info) {
  (void)info;
  for (int space = 0; space < space_top; space++)
    if (spaces[space].used) {
      cpu_of_dead += process_cpu(spaces[space].pid);
      kill(spaces[space].pid, SIGKILL);
    }
  if (template_pid) kill(template_pid, SIGKILL);
  int status;
  pid_t tid;
  while ((tid = wait4(-1, &status, __WALL, NULL)) > 0 || (tid < 0 && errno == EINTR)) {
  }
  if (timer_made) timer_delete(timer);
  timer_made = 0;
  double spent = cpu_of_dead;
  forget_everything();
  cpu_of_dead = spent;
  return number(env, 0);
}

#ifndef PTRACE_SECCOMP_GET_FILTER
#define PTRACE_SECCOMP_GET_FILTER 0x420c
#endif

/* stubFilter(out): the seccomp program that the template runs under now, as the host has it (8 bytes an instruction). For tests: root only. */
static napi_value live_stub_filter(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct bytes out = bytes_of(env, arguments[0]);
  long count = ptrace(PTRACE_SECCOMP_GET_FILTER, template_pid, 0, NULL);
  if (count < 0) return number(env, -errno);
  if ((size_t)count * 8 > out.length) return number(env, -ENOSPC);
  if (ptrace(PTRACE_SECCOMP_GET_FILTER, template_pid, 0, out.data) < 0) return number(env, -errno);
  return number(env, (double)count);
}

static struct stub_platform platform = {
    .call = inject_in_space,
    .bind = bind,
    .resume = resume_context,
    .next = next_event,
    .save_xsave = save_xsave,
    .refuses_xsave = refuses_xsave,
    .is_running = is_running,
    .stop_thread = stop_thread,
    .unbind = unbind,
};

void cordon_register_ptrace(napi_env env, napi_value exports) {
  const struct function functions[] = {
      {"start", start},          {"createSpace", create_space}, {"releaseSpace", release_space},
      {"interrupt", interrupt},  {"spaceTime", space_time},     {"totalTime", total_time},
      {"stubFilter", live_stub_filter}, {"stop", stop},
  };
  napi_value part;
  napi_create_object(env, &part);
  register_contexts(env, part, &platform);
  register_functions(env, part, functions, sizeof functions / sizeof *functions);
  napi_set_named_property(env, exports, "ptrace", part);
}
