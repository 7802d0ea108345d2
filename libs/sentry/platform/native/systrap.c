/*
 * The systrap platform's native half. Guest threads run untraced; a seccomp filter turns each of their system calls into
 * SIGSYS, whose handler (systrap-stub.c) leaves the registers in memory shared with the Sentry and waits there for its turn.
 * One more thread a stub, always stopped under ptrace, maps memory and makes threads: no guest code ever runs in it, and what
 * it is told to do lies in registers that the guest cannot reach. See platform/README.md for the picture.
 *
 * All that lies in a slot can be written by the guest: it is read once, into the context, and only ever says something about
 * that guest's own registers.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "addon.h"
#include "host-vdso.h"
#include "napi-arguments.h"
#include "placement.h"
#include "ptrace-stub.h"
#include "stub-contexts.h"
#include "systrap-stub.h"
#include "watch.h"

#define KICK_AGAIN 1e6 /* ns: a kick that came while the thread was in the stub's page is lost */
#define KICKS_MAX 3000 /* a guest that does not answer for so long has tampered with its stub */
#define START_MAX 5e9  /* ns: a new thread reports within this, or something is wrong */


/* A guest thread of a stub; its index is that of its slot. */
struct thread {
  pid_t tid;
  int space;
  int context;  /* bound to, or -1 */
  int next;     /* of the same space, or of the free list */
  int place;    /* in the list of running threads */
  uint8_t running;
  uint8_t fast;     /* stopped at a patched call site, not in a signal handler */
  uint8_t saved;    /* fast: its xsave state is in the frame made by the Sentry */
  uint8_t away;     /* on another core than the Sentry */
  uint8_t wanted;   /* the kernel asked to be told of an interrupt */
  int kicks;        /* sent since and not answered */
  uint64_t fs_base; /* as the processor has it */
  struct user_regs_struct taken; /* as the trap left them */
};

struct space {
  pid_t pid;
  int threads; /* list */
  int next_free;
  uint8_t used;
  double spun;  /* ns that its threads waited for answers without sleeping: not the guest's time */
  uint8_t dead; /* killed from outside, or by us for tampering */
};

/* The host's signal frame (arch/x86/include/uapi/asm/sigcontext.h, ucontext.h). */
struct frame_registers {
  uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
  uint16_t cs, gs, fs, ss;
  uint64_t err, trapno, oldmask, cr2, fpstate, reserved[8];
};
struct frame {
  uint64_t flags, link, stack_sp, stack_flags, stack_size;
  struct frame_registers regs;
  uint64_t mask;
};
_Static_assert(sizeof(struct frame) == 304, "struct ucontext of the kernel");

static struct thread threads[MAX_SLOTS];
static struct space spaces[MAX_SPACES];
static int free_thread, free_space;
static int thread_top, space_top;
static int active[MAX_SLOTS], active_count, turn; /* running threads */
static int kicked;                                /* of them, those with an unanswered kick */
static struct stub_platform platform; /* at the end */
static pid_t template_pid;
static struct user_regs_struct stub_regs; /* of the template: segment registers for every order */
static double cpu_of_dead;
static int slots_fd = -1;
static uint8_t *slots; /* the slots' file, in the Sentry */
static struct doorbell *doorbell;
static uint64_t frame_offset;   /* of the host's signal frame in a slot */
static uint64_t fpstate_offset; /* of its xsave area */
static uint64_t secret; /* what makes an order one of ours (systrap-stub.c) */
static volatile sig_atomic_t woken, child_news;

static struct slot *slot_of(int index) { return (struct slot *)(slots + SLOT_OFFSET(index)); }
static struct frame *frame_of(int index) { return (struct frame *)(slots + SLOT_OFFSET(index) + frame_offset); }
static uint32_t load32(const uint32_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }

static long futex(uint32_t *word, int operation, uint32_t value, const struct timespec *limit) {
  return syscall(SYS_futex, word, operation, value, limit, NULL, FUTEX_BITSET_MATCH_ANY);
}

/* ---- orders to a stub's mapping thread ---- */

/* They are collected while no thread of the space runs, and carried out in one go before one does. */
static struct order pending[ORDERS_MAX];
static int pending_count, pending_space;

static int64_t carry_out(pid_t pid, const struct order *orders, int count) {
  memcpy(slots + ORDERS_OFFSET, orders, sizeof *orders * (size_t)count);
  struct user_regs_struct regs = stub_regs;
  regs.rbx = ORDERS;
  regs.rbp = (uint64_t)count;
  regs.r14 = secret;
  regs.r13 = secret << 32;
  regs.r15 = secret >> 32 << 32;
  return cordon_inject_at(pid, cordon_systrap_orders_entry(), cordon_systrap_orders_trap(), &regs, NULL);
}

/* Carries out what is pending for the space. The last result or -errno; 0 if there was nothing. */
static int64_t flush(int space) {
  if (pending_count == 0 || pending_space != space) return 0;
  int count = pending_count;
  pending_count = 0;
  return spaces[space].dead ? -ESRCH : carry_out(spaces[space].pid, pending, count);
}

static int64_t add_order(int space, const struct order *order) {
  int64_t result = 0;
  if (pending_count > 0 && (pending_space != space || pending_count == ORDERS_MAX)) result = flush(pending_space);
  if (result < 0) return result;
  pending_space = space;
  pending[pending_count++] = *order;
  return 0;
}

/* An order whose result nobody needs now. */
static int64_t order(int space, uint64_t number, const uint64_t arguments[6]) {
  struct order one = {.number = number};
  memcpy(one.arguments, arguments, sizeof one.arguments);
  int64_t result = add_order(space, &one);
  if (result < 0) return result;
  /* Not behind the back of a thread that runs: what it must not see any more could be somebody else's already. */
  for (int index = spaces[space].threads; index >= 0; index = threads[index].next)
    if (threads[index].running) return flush(space);
  return 0;
}

/* ---- running threads ---- */

static void set_running(int index) {
  threads[index].running = 1;
  threads[index].place = active_count;
  active[active_count++] = index;
}

static void answer_kick(struct thread *thread) {
  if (thread->kicks) kicked--;
  thread->kicks = 0;
  thread->wanted = 0;
}

static void set_stopped(int index) {
  struct thread *thread = &threads[index];
  thread->running = 0;
  active[thread->place] = active[--active_count];
  threads[active[thread->place]].place = thread->place;
  answer_kick(thread);
}

static void mark_died(int index) {
  int context = threads[index].context;
  if (!threads[index].running) return;
  set_stopped(index);
  if (context >= 0) {
    contexts[context].trap = TRAP_DIED;
    push_ready(context);
  }
}

static void mark_space_dead(int space) {
  spaces[space].dead = 1;
  for (int index = spaces[space].threads; index >= 0; index = threads[index].next) mark_died(index);
}

static void kill_space(int space) {
  kill(spaces[space].pid, SIGKILL);
  mark_space_dead(space);
}

/* Stubs that died: each is told once, through its running contexts. */
static void reap(void) {
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

/* What a frame and the registers as ptrace has them both hold, but for segments. */
#define FRAME_REGISTERS(each)                                                                             \
  each(r15) each(r14) each(r13) each(r12) each(rbp) each(rbx) each(r11) each(r10) each(r9) each(r8)       \
  each(rax) each(rcx) each(rdx) each(rsi) each(rdi) each(rip) each(eflags) each(rsp)
#define COPY_REGISTER(name) to->name = from->name;

static void copy_frame(struct user_regs_struct *to, const struct frame_registers *from) {
  FRAME_REGISTERS(COPY_REGISTER)
}

static void fill_frame(struct frame_registers *to, const struct user_regs_struct *from) {
  FRAME_REGISTERS(COPY_REGISTER)
}

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

static void hand_back(int index) {
  struct slot *slot = slot_of(index);
  __atomic_exchange_n(&slot->state, 0, __ATOMIC_SEQ_CST);
  if (load32(&slot->sleeping)) futex(&slot->state, FUTEX_WAKE, 1, NULL);
}

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
  regs->r11 = regs->eflags = 0x246;
  context->trap = TRAP_SYSCALL;
  context->patchable = 0;
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
  context->signal = (uint64_t)signal;
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
  if (signal == 0) take_fast(index, context);
  else if (!take_signal(index, signal, context)) return swallow(index);
  thread->fast = signal == 0;
  thread->saved = 0;
  thread->fs_base = slot->fs_base;
  context->regs.fs_base = thread->fs_base;
  thread->taken = context->regs;
  struct binding *binding = &bindings[thread->context];
  binding->trapped = cordon_now();
  binding->spent += binding->trapped - binding->started;
  cordon_placement_trap(binding->trapped);
  set_stopped(index);
  return thread->context;
}

/* ---- waiting ---- */

static int reported(void) {
  for (int at = 0; at < active_count; at++)
    if (load32(&slot_of(active[at])->state)) return 1;
  return 0;
}

/* Sleeps until the doorbell rings, a signal comes or deadline passes. False if the deadline passed. */
static int sleep_until(double deadline, int (*news)(void)) {
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

static void kick(int index) {
  struct thread *thread = &threads[index];
  if (thread->kicks++ == 0) kicked++;
  syscall(SYS_tgkill, spaces[thread->space].pid, thread->tid, KICK);
}

/* Looks for a while without sleeping. True if there is news. */
static int spin_for_news(void) {
  double limit = cordon_now() + SPIN_TIME;
  do {
    for (int round = 0; round < 32; round++) {
      if (reported() || woken || child_news) return 1;
      __builtin_ia32_pause();
    }
  } while (cordon_now() < limit);
  cordon_placement_missed(limit);
  return 0;
}

/* Kicks again who has not answered; ends who does not answer at all. */
static void kick_again(void) {
  for (int at = 0; at < active_count; at++) {
    int index = active[at];
    if (!threads[index].kicks) continue;
    if (threads[index].kicks >= KICKS_MAX) {
      kill_space(threads[index].space);
      return; /* the list has changed */
    }
    kick(index);
  }
}

static int next_event(double deadline) {
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
      reap();
      continue;
    }
    if (woken) {
      woken = 0;
      return cordon_poll_watches(0) ? NEXT_WATCH : NEXT_NOTHING;
    }
    if (active_count == 0) return cordon_poll_watches(deadline) ? NEXT_WATCH : NEXT_NOTHING;
    if (deadline <= 0) return NEXT_NOTHING;
    if (cordon_placement_spins() && spin_for_news()) continue;
    double again = kicked ? cordon_now() + KICK_AGAIN : 1e300;
    if (sleep_until(again < deadline ? again : deadline, reported)) continue;
    if (again < deadline) kick_again();
    else return reported() ? next_event(0) : NEXT_NOTHING;
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

static void prepare_waiting(void) {
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

/* ---- threads of a stub ---- */

static int awaited;
static int awaited_reported(void) { return (int)load32(&slot_of(awaited)->state); }

/* Waits for one thread that has been told to report. */
static int await_report(int index) {
  double limit = cordon_now() + START_MAX;
  awaited = index;
  while (!awaited_reported()) {
    if (child_news) {
      child_news = 0;
      reap();
    }
    if (spaces[threads[index].space].dead) return -ESRCH;
    int was_woken = woken; /* kept for next_event */
    woken = 0;
    int in_time = sleep_until(limit, awaited_reported);
    woken |= was_woken;
    if (!in_time) return -ETIMEDOUT;
  }
  return 0;
}

/* The frame by which a thread leaves a patched call site with other registers: a copy of the host's own, with its addresses. */
static void make_frame(int index) {
  uint8_t *base = slots + SLOT_OFFSET(index);
  struct slot *slot = slot_of(index);
  struct frame *frame = (struct frame *)(base + FRAME_OFFSET);
  *frame = *frame_of(index);
  uint64_t fpstate = FRAME_OFFSET + 512;
  memcpy(base + fpstate, base + fpstate_offset, xsave_size + 4);
  frame->regs.fpstate = SLOT_ADDRESS(index) + fpstate;
  slot->fpstate = SLOT_ADDRESS(index) + fpstate;
  slot->leave = SLOT_ADDRESS(index) + FRAME_OFFSET;
}

static int first_report(int index) {
  int failed = await_report(index);
  if (failed) return failed;
  struct slot *slot = slot_of(index);
  uint64_t at = slot->context - SLOT_ADDRESS(index);
  if (at < ALTSTACK_OFFSET || at + sizeof(struct frame) > SLOT_SIZE) return -EFAULT;
  if (!frame_offset) frame_offset = at;
  if (at != frame_offset) return -EFAULT;
  uint64_t fpstate = frame_of(index)->regs.fpstate - SLOT_ADDRESS(index);
  if (fpstate < ALTSTACK_OFFSET || fpstate + xsave_size > SLOT_SIZE) return -EFAULT;
  if (!fpstate_offset) fpstate_offset = fpstate;
  make_frame(index);
  return 0;
}

/* A new guest thread in the space, stopped. Its index or -errno. */
static int spawn_thread(int space) {
  int index;
  if (free_thread >= 0) {
    index = free_thread;
    free_thread = threads[index].next;
  } else {
    if (thread_top == MAX_SLOTS) return -EAGAIN;
    index = thread_top++;
  }
  struct slot *slot = slot_of(index);
  memset(slot, 0, sizeof *slot);
  slot->self = SLOT_ADDRESS(index);
  slot->fast_entry = cordon_systrap_fast_entry();
  slot->altstack.stack = SLOT_ADDRESS(index) + ALTSTACK_OFFSET;
  slot->altstack.flags = 1u << 31; /* SS_AUTODISARM: the frame's place does not depend on the guest's stack pointer */
  slot->altstack.size = ALTSTACK_SIZE;
  const struct order orders[] = {
      {NR_MMAP,
       {SLOT_ADDRESS(index), SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, (uint64_t)slots_fd, SLOT_OFFSET(index)},
       0},
      {SYS_madvise, {SLOT_ADDRESS(index), SLOT_SIZE, MADV_DONTFORK}, 0},
      {NR_CLONE, {SYSTRAP_THREAD_FLAGS}, SLOT_ADDRESS(index)},
  };
  int64_t tid = 0;
  for (int at = 0; at < 3 && tid >= 0; at++) tid = add_order(space, &orders[at]);
  if (tid >= 0) tid = flush(space);
  threads[index] = (struct thread){.tid = (pid_t)tid, .space = space, .context = -1, .next = spaces[space].threads};
  int failed = tid < 0 ? (int)tid : first_report(index);
  if (failed) {
    if (tid >= 0) kill_space(space);
    threads[index] = (struct thread){.space = -1, .context = -1, .next = free_thread};
    free_thread = index;
    return failed;
  }
  spaces[space].threads = index;
  return index;
}

static uint8_t *thread_xsave(int index) {
  return slots + SLOT_OFFSET(index) + (threads[index].fast ? FRAME_OFFSET + 512 : fpstate_offset);
}

/* A thread stopped at a patched call site still has the guest's vector registers: it writes them down. */
static int write_down_xsave(int index) {
  struct thread *thread = &threads[index];
  if (!thread->fast || thread->saved) return 0;
  slot_of(index)->command = COMMAND_SAVE;
  hand_back(index);
  int failed = await_report(index);
  if (!failed) thread->saved = 1;
  return failed;
}

static int save_xsave(int context, uint8_t *area) {
  int index = bindings[context].thread;
  int failed = write_down_xsave(index);
  if (!failed) memcpy(area, thread_xsave(index), xsave_size);
  return failed;
}

/* Components that the host does not have (its note in the software bytes of a frame it made): XRSTOR would fault. */
static int refuses_xsave(int context, const uint8_t *area) {
  uint64_t features, asked;
  memcpy(&features, thread_xsave(bindings[context].thread) + 464 + 8, sizeof features);
  memcpy(&asked, area + 512, sizeof asked);
  return (asked & ~features) != 0;
}

static void unbind(int context) {
  struct binding *binding = &bindings[context];
  if (binding->thread < 0) return;
  threads[binding->thread].context = -1;
  binding->thread = -1;
}

static int bind(int context, int space) {
  struct binding *binding = &bindings[context];
  if (binding->thread >= 0 && threads[binding->thread].space == space) return 0;
  if (binding->thread >= 0) {
    int failed = fetch_xsave(context);
    if (failed) return failed;
    binding->load_xsave = 1;
    unbind(context);
  }
  int index = -1;
  for (int at = spaces[space].threads; at >= 0 && index < 0; at = threads[at].next)
    if (threads[at].context < 0) index = at;
  if (index < 0) index = spawn_thread(space);
  if (index < 0) return index;
  threads[index].context = context;
  binding->thread = index;
  threads[index].taken.rip = 0; /* whatever it had is somebody else's */
  return initial_xsave(context);
}

/* Only what a system call may change: then a patched site returns by itself. */
static int same_but_result(const struct user_regs_struct *regs, struct user_regs_struct *taken) {
  taken->rax = regs->rax;
  taken->orig_rax = regs->orig_rax;
  taken->fs_base = regs->fs_base;
  taken->gs_base = regs->gs_base;
  taken->rcx = regs->rcx;
  taken->r11 = regs->r11;
  taken->eflags = regs->eflags;
  return memcmp(regs, taken, sizeof *regs) == 0;
}

/* All but the bytes that the host keeps its own notes in (464..511). */
static void load_xsave(int context, int index) {
  uint8_t *to = thread_xsave(index), *from = bindings[context].xsave;
  memcpy(to, from, 464);
  memcpy(to + 512, from + 512, xsave_size - 512);
  bindings[context].load_xsave = 0;
}

/* Writes the registers where the thread will load them from, and says how. Command or -errno. */
static int prepare_return(int context, int index) {
  struct thread *thread = &threads[index];
  struct binding *binding = &bindings[context];
  struct slot *slot = slot_of(index);
  const struct user_regs_struct *regs = &contexts[context].regs;
  int command = 0;
  if (regs->fs_base != thread->fs_base) command |= COMMAND_FS;
  if (regs->gs_base) command |= COMMAND_GS;
  if (thread->fast && !binding->load_xsave && same_but_result(regs, &thread->taken)) {
    slot->rax = regs->rax;
  } else {
    int failed = binding->load_xsave ? 0 : write_down_xsave(index);
    if (failed) return failed;
    if (binding->load_xsave) load_xsave(context, index);
    struct frame *frame = thread->fast ? (struct frame *)(slots + SLOT_OFFSET(index) + FRAME_OFFSET) : frame_of(index);
    fill_frame(&frame->regs, regs);
    frame->mask = 0;
    if (thread->fast) command |= COMMAND_SIGRETURN;
  }
  slot->fs_base = regs->fs_base;
  slot->gs_base = regs->gs_base;
  return command;
}

/* Where the thread runs from now on. waited: ns since its trap. */
static void place(int index, double waited) {
  struct thread *thread = &threads[index];
  if (thread->away) spaces[thread->space].spun += waited < SPIN_TIME ? waited : SPIN_TIME;
  int spins = cordon_placement_spins();
  if (thread->away == spins) return;
  thread->away = (uint8_t)cordon_placement_move(thread->tid, spins);
  slot_of(index)->spin = thread->away ? SPIN_ROUNDS : 0;
}

static double space_cpu(int space) {
  if (!spaces[space].pid) return 0;
  double spent = process_cpu(spaces[space].pid) - spaces[space].spun;
  return spent > 0 ? spent : 0;
}

static int resume_context(int context, int space) {
  int failed = bind(context, space);
  if (failed) return failed;
  int index = bindings[context].thread;
  if (spaces[space].dead) return -ESRCH;
  int64_t flushed = flush(space);
  if (flushed < 0) return (int)flushed;
  int command = prepare_return(context, index);
  if (command < 0) return command;
  slot_of(index)->command = (uint32_t)command;
  struct binding *binding = &bindings[context];
  binding->started = cordon_now();
  place(index, binding->started - binding->trapped);
  set_running(index);
  hand_back(index);
  return 0;
}

/* ---- JavaScript ---- */

static void forget_everything(void) {
  start_contexts(&platform);
  memset(threads, 0, sizeof(struct thread) * (size_t)thread_top);
  memset(spaces, 0, sizeof(struct space) * (size_t)space_top);
  free_thread = free_space = -1;
  thread_top = space_top = 0;
  active_count = turn = kicked = 0;
  woken = child_news = 0;
  cpu_of_dead = 0;
  template_pid = 0;
  frame_offset = fpstate_offset = 0;
  pending_count = 0;
  cordon_forget_watches();
}

static int make_slots(void) {
  size_t size = SLOT_OFFSET(MAX_SLOTS);
  if (slots) munmap(slots, size);
  if (slots_fd >= 0) close(slots_fd);
  slots = NULL;
  doorbell = NULL;
  slots_fd = (int)syscall(SYS_memfd_create, "slots", 1u /* close on exec */);
  if (slots_fd < 0 || ftruncate(slots_fd, (off_t)size) < 0) return -errno;
  uint8_t *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, slots_fd, 0);
  if (at == MAP_FAILED) return -errno;
  slots = at;
  doorbell = (struct doorbell *)slots;
  return 0;
}

static int start_platform(void) {
  if (!(getauxval(AT_HWCAP2) & 2)) return -ENODEV; /* FSGSBASE: guests change FS without our knowing, and the stub must tell */
  int failed = make_slots();
  if (failed) return failed;
  if (getrandom(&secret, sizeof secret, 0) != sizeof secret) return -EIO;
  size_t regset;
  pid_t pid = cordon_start_template(STUB_SYSTRAP, pristine_xsave, &regset);
  if (pid < 0) return pid;
  set_xsave_sizes(regset);
  template_pid = pid;
  if (xsave_size > ALTSTACK_OFFSET - FRAME_OFFSET - 512 - 64) return -E2BIG;
  if (ptrace(PTRACE_GETREGS, pid, 0, &stub_regs) < 0) return -errno;
  const uint64_t bell[6] = {DOORBELL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, (uint64_t)slots_fd, 0};
  const uint64_t list[6] = {ORDERS, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, (uint64_t)slots_fd, ORDERS_OFFSET};
  int64_t result = cordon_inject(pid, NR_MMAP, bell, NULL);
  if (result >= 0) result = cordon_inject(pid, NR_MMAP, list, NULL);
  if (result != (int64_t)ORDERS) return result < 0 ? (int)result : -EFAULT;
  /* No guest has run yet: the page shows the secret to nobody. */
  size_t written = cordon_systrap_filter(slots + ORDERS_OFFSET, ORDERS, secret);
  const uint64_t close[6] = {SECCOMP_SET_MODE_FILTER, 0, ORDERS};
  result = cordon_inject(pid, SYS_seccomp, close, NULL);
  memset(slots + ORDERS_OFFSET, 0, written);
  if (result < 0) return (int)result;
  prepare_waiting();
  cordon_placement_start();
  return 0;
}

/* start(): makes the template stub. 0 or -errno; -(1000+n): the stub's own step n failed. */
static napi_value start(napi_env env, napi_callback_info info) {
  (void)info;
  forget_everything();
  int failed = start_platform();
  if (failed && template_pid) {
    kill(template_pid, SIGKILL);
    cordon_wait_stop(template_pid);
    template_pid = 0;
  }
  return number(env, failed);
}

static int is_running(int index) { return threads[index].running; }

/* Takes a running thread's turn away for good: it stays stopped until another context needs one. */
static void stop_thread(int index) {
  struct thread *thread = &threads[index];
  double limit = cordon_now() + START_MAX;
  awaited = index;
  while (thread->running && !awaited_reported()) {
    if (cordon_now() > limit || spaces[thread->space].dead) {
      kill_space(thread->space);
      return;
    }
    kick(index);
    int was_woken = woken, had_news = child_news;
    woken = child_news = 0;
    sleep_until(cordon_now() + KICK_AGAIN, awaited_reported);
    woken |= was_woken;
    child_news |= had_news;
    if (child_news) {
      child_news = 0;
      reap();
    }
  }
  if (!thread->running) return;
  thread->fast = slot_of(index)->kind == 0;
  thread->saved = 0;
  set_stopped(index);
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
  const struct order clone = {NR_CLONE, {PROCESS_FLAGS}, 0};
  int64_t pid = original < 0 ? 0 : add_order(original, &clone);
  if (pid >= 0) pid = original < 0 ? carry_out(template_pid, &clone, 1) : flush(original);
  int status = pid < 0 ? (int)pid : cordon_wait_stop((pid_t)pid);
  int failed = status < 0 ? status : !WIFSTOPPED(status) ? -ESRCH : 0;
  spaces[space] = (struct space){.pid = (pid_t)pid, .threads = -1, .used = !failed};
  if (failed) {
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
  if (pending_space == space) pending_count = 0;
  if (pid) {
    cpu_of_dead += space_cpu(space);
    kill(pid, SIGKILL);
    int status;
    do status = cordon_wait_stop(pid);
    while (status >= 0 && WIFSTOPPED(status));
  }
  for (int index = spaces[space].threads; index >= 0;) {
    int next = threads[index].next;
    mark_died(index);
    if (threads[index].context >= 0) bindings[threads[index].context].thread = -1;
    threads[index] = (struct thread){.space = -1, .context = -1, .next = free_thread};
    free_thread = index;
    index = next;
  }
  spaces[space] = (struct space){.threads = -1, .next_free = free_space};
  free_space = space;
  return number(env, 0);
}

static napi_value interrupt(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int index = bindings[int_of(env, arguments[0])].thread;
  if (index < 0 || !threads[index].running) return number(env, 0);
  threads[index].wanted = 1;
  if (!threads[index].kicks) kick(index);
  return number(env, 0);
}

static napi_value space_time(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  return number(env, space_cpu((int)int_of(env, arguments[0])));
}

static napi_value total_time(napi_env env, napi_callback_info info) {
  (void)info;
  double total = cpu_of_dead;
  for (int space = 0; space < space_top; space++)
    if (spaces[space].used) total += space_cpu(space);
  return number(env, total);
}

/* shortCall(): where in a thread's GS the address lies to which a patched call site jumps, rax its number, rcx where to return. */
static napi_value short_call(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, offsetof(struct slot, fast_entry));
}

static napi_value stop(napi_env env, napi_callback_info info) {
  (void)info;
  for (int space = 0; space < space_top; space++)
    if (spaces[space].used && spaces[space].pid) {
      cpu_of_dead += space_cpu(space);
      kill(spaces[space].pid, SIGKILL);
    }
  if (template_pid) kill(template_pid, SIGKILL);
  int status;
  pid_t tid;
  while ((tid = wait4(-1, &status, __WALL, NULL)) > 0 || (tid < 0 && errno == EINTR)) {
  }
  if (template_pid) {
    sigaction(SIGCHLD, &former_child_action, NULL);
    sigprocmask(SIG_SETMASK, &former_mask, NULL);
  }
  double spent = cpu_of_dead;
  forget_everything();
  cpu_of_dead = spent;
  return number(env, 0);
}

static struct stub_platform platform = {
    .call = order,
    .bind = bind,
    .resume = resume_context,
    .next = next_event,
    .save_xsave = save_xsave,
    .refuses_xsave = refuses_xsave,
    .is_running = is_running,
    .stop_thread = stop_thread,
    .unbind = unbind,
};

void cordon_register_systrap(napi_env env, napi_value exports) {
  const struct function functions[] = {
      {"start", start},         {"createSpace", create_space}, {"releaseSpace", release_space},
      {"interrupt", interrupt}, {"spaceTime", space_time},     {"totalTime", total_time},
      {"shortCall", short_call}, {"stop", stop},
  };
  napi_value part;
  napi_create_object(env, &part);
  register_contexts(env, part, &platform);
  register_functions(env, part, functions, sizeof functions / sizeof *functions);
  napi_set_named_property(env, exports, "systrap", part);
}
