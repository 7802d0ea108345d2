/* What guest threads report, and how the Sentry waits for it: see systrap.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <signal.h>
#include <sys/wait.h>

#include "addon.h"
#include "placement.h"
#include "systrap-state.h"
#include "watch.h"

#define KICKS_MAX 3000 /* a guest that does not answer for so long has tampered with its stub */

void systrap_set_running(int index) {
  threads[index].running = 1;
  threads[index].place = active_count;
  active[active_count++] = index;
}

static void answer_kick(struct thread *thread) {
  if (thread->kicks) kicked--;
  thread->kicks = 0;
  thread->wanted = 0;
}

void systrap_set_stopped(int index) {
  struct thread *thread = &threads[index];
  thread->running = 0;
  active[thread->place] = active[--active_count];
  threads[active[thread->place]].place = thread->place;
  answer_kick(thread);
}

void systrap_mark_died(int index) {
  int context = threads[index].context;
  if (!threads[index].running) return;
  systrap_set_stopped(index);
  if (context >= 0) {
    contexts[context].trap = TRAP_DIED;
    push_ready(context);
  }
}

static void mark_space_dead(int space) {
  spaces[space].dead = 1;
  for (int index = spaces[space].threads; index >= 0; index = threads[index].next) systrap_mark_died(index);
}

void systrap_kill_space(int space) {
  kill(spaces[space].pid, SIGKILL);
  mark_space_dead(space);
}

void systrap_reap(void) {
  int status;
  pid_t pid;
  while ((pid = wait4(-1, &status, __WALL | WNOHANG, NULL)) > 0) {
    if (WIFSTOPPED(status)) continue;
    for (int space = 0; space < space_top; space++)
      if (spaces[space].used && spaces[space].pid == pid) {
        mark_space_dead(space);
        spaces[space].pid = 0;
      }
  }
}

/* ---- traps ---- */

/* What the host says of the signal: the part of siginfo_t that differs by signal starts at 16. */
struct signal_info {
  int32_t signal, error, code, pad;
  union {
    uint64_t address;
    struct {
      uint64_t call_address;
      int32_t number;
      uint32_t arch;
    };
  };
};

/* A trap that is none of the kernel's business: the thread goes on. The frame is as the host left it. */
static int swallow(int index) {
  slot_of(index)->command = 0;
  hand_back(index);
  return -1;
}

static void take_fast(int index, struct context *context) {
  const volatile struct slot *slot = slot_of(index);
  struct user_regs_struct *regs = &context->regs;
  regs->r15 = slot->r15;
  regs->r14 = slot->r14;
  regs->r13 = slot->r13;
  regs->r12 = slot->r12;
  regs->rbp = slot->rbp;
  regs->rbx = slot->rbx;
  regs->r10 = slot->r10;
  regs->r9 = slot->r9;
  regs->r8 = slot->r8;
  regs->rax = regs->orig_rax = slot->rax;
  regs->rdx = slot->rdx;
  regs->rsi = slot->rsi;
  regs->rdi = slot->rdi;
  regs->rcx = regs->rip = slot->rip;
  regs->rsp = slot->rsp;
  regs->r11 = regs->eflags = CALL_FLAGS;
  context->trap = TRAP_SYSCALL;
  context->patchable = 0;
}

/* One of those that the stub handles (cordon_systrap_prepare_page), whatever a guest has written to its slot: SIGSEGV for any other. */
static int handled(int signal) {
  switch (signal) {
    case SIGSYS:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case KICK:
      return signal;
    default:
      return SIGSEGV;
  }
}

/* Fills the context from the frame; false if there is nothing to tell. */
static int take_signal(int index, int signal, struct context *context) {
  struct thread *thread = &threads[index];
  const struct frame *frame = frame_of(index);
  const struct signal_info *shared = (const struct signal_info *)(frame + 1);
  const struct signal_info info = *(const volatile struct signal_info *)shared;
  if (signal == KICK) {
    if (!thread->wanted) return 0;
    copy_frame(&context->regs, &frame->regs);
    context->trap = TRAP_INTERRUPTED;
    return 1;
  }
  if (info.code <= 0) return 0; /* kill(2) from outside */
  copy_frame(&context->regs, &frame->regs);
  context->signal = (uint32_t)signal;
  context->signal_code = info.code;
  if (signal == SIGSYS) {
    context->regs.orig_rax = context->regs.rax;
    context->trap = info.arch == AUDIT_ARCH_X86_64 ? TRAP_SYSCALL : TRAP_LEGACY;
    context->patchable = 1;
    return 1;
  }
  context->fault_address = info.address;
  int page_fault = (signal == SIGSEGV && (info.code == SEGV_MAPERR || info.code == SEGV_ACCERR)) ||
                   (signal == SIGBUS && info.code == BUS_ADRERR);
  uint64_t error = frame->regs.err;
  context->access = !page_fault    ? ACCESS_UNKNOWN
                    : error & 0x10 ? ACCESS_EXECUTE
                    : error & 2    ? ACCESS_WRITE
                                   : ACCESS_READ;
  context->trap = page_fault ? TRAP_FAULT : TRAP_EXCEPTION;
  return 1;
}

/* A running thread has reported. Its context when there is something to tell, else -1 and it goes on. */
static int take(int index) {
  struct thread *thread = &threads[index];
  const volatile struct slot *slot = slot_of(index);
  struct context *context = &contexts[thread->context];
  int signal = (int)slot->kind;
  if (signal != 0) signal = handled(signal);
  if (signal == 0) take_fast(index, context);
  else if (!take_signal(index, signal, context)) return swallow(index);
  thread->fast = signal == 0;
  thread->saved = 0;
  thread->fs_base = slot->fs_base;
  context->regs.fs_base = thread->fs_base;
  thread->own = 1;
  struct binding *binding = &bindings[thread->context];
  double now = cordon_now_by_ticks();
  context->trapped = now;
  binding->spent += now - binding->started;
  cordon_placement_trap(now);
  systrap_set_stopped(index);
  systrap_asks(index, now);
  systrap_wake_late(now, 1);
  return thread->context;
}

/* ---- waiting ---- */

static int reported(void) {
  for (int at = 0; at < active_count; at++)
    if (load32(&slot_of(active[at])->state)) return 1;
  return 0;
}

int systrap_sleep_until(double deadline, int (*news)(void)) {
  struct timespec limit, *at = NULL;
  if (deadline < 1e18) {
    limit.tv_sec = (time_t)(deadline / 1e9);
    limit.tv_nsec = (long)(deadline - (double)limit.tv_sec * 1e9);
    at = &limit;
  }
  uint32_t value = load32(&doorbell->value);
  __atomic_exchange_n(&doorbell->sleeping, 1, __ATOMIC_SEQ_CST);
  int timed_out = 0;
  if (!woken && !child_news && !news())
    timed_out = futex(&doorbell->value, FUTEX_WAIT_BITSET, value, at) < 0 && errno == ETIMEDOUT;
  __atomic_store_n(&doorbell->sleeping, 0, __ATOMIC_RELEASE);
  return !timed_out;
}

void systrap_kick(int index) {
  struct thread *thread = &threads[index];
  if (thread->kicks++ == 0) kicked++;
  syscall(SYS_tgkill, spaces[thread->space].pid, thread->tid, KICK);
}

/* Looks for a while without sleeping. True if there is news. */
static int spin_for_news(void) {
  double limit = 0, now;
  do {
    for (int round = 0; round < 32; round++) {
      if (reported() || woken || child_news) return 1;
      __builtin_ia32_pause();
    }
    now = cordon_now();
    /* Most guests are back before the clock has been read once. */
    if (limit == 0) limit = now + SPIN_TIME;
    systrap_wake_late(now, 0);
  } while (now < limit);
  cordon_placement_missed(limit);
  return 0;
}

/* Kicks again who has not answered; ends who does not answer at all. */
static void kick_again(void) {
  for (int at = 0; at < active_count; at++) {
    int index = active[at];
    if (!threads[index].kicks) continue;
    if (threads[index].kicks >= KICKS_MAX) {
      systrap_kill_space(threads[index].space);
      return; /* the list has changed */
    }
    systrap_kick(index);
  }
}

int systrap_next_event(double deadline) {
  systrap_end_of_answer();
  for (;;) {
    if (any_ready()) return pop_ready();
    for (int count = active_count; count > 0; count--) {
      if (++turn >= active_count) turn = 0;
      int index = active[turn];
      if (!load32(&slot_of(index)->state)) continue;
      int context = take(index);
      if (context >= 0) return context;
    }
    if (child_news) {
      child_news = 0;
      systrap_reap();
      continue;
    }
    if (woken) {
      woken = 0;
      return cordon_poll_watches(0) ? NEXT_WATCH : NEXT_NOTHING;
    }
    if (active_count == 0) return cordon_poll_watches(deadline) ? NEXT_WATCH : NEXT_NOTHING;
    if (deadline <= 0) return NEXT_NOTHING;
    if (cordon_placement_spins() && spin_for_news()) continue;
    systrap_wake_waiting();
    double again = kicked ? cordon_now() + KICK_AGAIN : 1e300;
    if (systrap_sleep_until(again < deadline ? again : deadline, reported)) continue;
    if (again < deadline) kick_again();
    else return reported() ? systrap_next_event(0) : NEXT_NOTHING;
  }
}

static void on_signal(int signal) {
  if (signal == SIGCHLD) child_news = 1;
  else woken = 1;
  /* Not a mere flag: a sleep that is about to begin must not. */
  if (doorbell) __atomic_add_fetch(&doorbell->value, 1, __ATOMIC_SEQ_CST);
}

static void look_again(void) { woken = 1; }

/* A zygote rehearses a guest and has children of its own afterwards. */
static struct sigaction former_child_action;
static sigset_t former_mask;

void systrap_prepare_waiting(void) {
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NOCLDSTOP};
  sigaction(SIGIO, &action, NULL);
  sigaction(SIGCHLD, &action, &former_child_action);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGIO);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_UNBLOCK, &set, &former_mask);
  cordon_watch_added = look_again;
}

static int awaited;
static int awaited_reported(void) { return (int)load32(&slot_of(awaited)->state); }

int systrap_await_report(int index) {
  double limit = cordon_now() + START_MAX;
  awaited = index;
  while (!awaited_reported()) {
    if (child_news) {
      child_news = 0;
      systrap_reap();
    }
    if (spaces[threads[index].space].dead) return -ESRCH;
    int was_woken = woken; /* kept for next_event */
    woken = 0;
    int in_time = systrap_sleep_until(limit, awaited_reported);
    woken |= was_woken;
    if (!in_time) return -ETIMEDOUT;
  }
  return 0;
}

void systrap_stop_thread(int index) {
  struct thread *thread = &threads[index];
  double limit = cordon_now() + START_MAX;
  awaited = index;
  while (thread->running && !awaited_reported()) {
    if (cordon_now() > limit || spaces[thread->space].dead) {
      systrap_kill_space(thread->space);
      return;
    }
    systrap_kick(index);
    int was_woken = woken, had_news = child_news;
    woken = child_news = 0;
    systrap_sleep_until(cordon_now() + KICK_AGAIN, awaited_reported);
    woken |= was_woken;
    child_news |= had_news;
    if (child_news) {
      child_news = 0;
      systrap_reap();
    }
  }
  if (!thread->running) return;
  thread->fast = slot_of(index)->kind == 0;
  thread->saved = 0;
  systrap_set_stopped(index);
}

void systrap_end_waiting(void) {
  sigaction(SIGCHLD, &former_child_action, NULL);
  sigprocmask(SIG_SETMASK, &former_mask, NULL);
}
