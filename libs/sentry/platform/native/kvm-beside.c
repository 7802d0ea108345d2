/*
 * The exit-less mode of the KVM platform: while a guest does little but call and another core has nothing better to do (placement.c), a
 * thread of its own runs the machine over there. A system call does not leave the machine then: the stub (kvm-stub.c) puts the
 * registers into a slot of the area and looks there for its answer, for a while; then it stops as ever, and the thread with it.
 *
 * Still nothing of the guest runs while the Sentry does: `next` returns when the stub waits in its slot (the context is *held*) or the
 * machine has stopped. Whoever changes the machine in between pulls it out first.
 *
 * The thread shares all with the Sentry's, thread-local storage too: it makes system calls by itself, and only while the Sentry waits here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kvm-state.h"
#include "placement.h"
#include "watch.h"

#define STUB_ROUNDS 20000   /* of the stub that waits for its answer, before it stops */
#define RUNNER_ROUNDS 4000  /* of the thread that waits for an order, before it sleeps */
#define KICK_AGAIN 1e6      /* ns */
#define STACK_SIZE 65536

#define THREAD_FLAGS                                                                                        \
  (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_PARENT_SETTID | \
   CLONE_CHILD_CLEARTID)

enum { ORDER_NONE, ORDER_RUN, ORDER_END };
static struct {
  _Alignas(64) uint32_t order; /* a futex */
  uint32_t sleeping;           /* the thread waits on it */
  int context;
  _Alignas(64) uint32_t done;
  uint32_t kick; /* the run is to end, also if it has not begun */
  int result;
  double cpu; /* ns that the run took */
} runner;
static _Alignas(64) uint32_t bell; /* a futex of the Sentry's thread: changes with news */
static uint32_t bell_sleeping;
static pid_t runner_tid; /* cleared by the host when the thread has ended */
static void *stack;
static uint32_t enabled; /* SLOT_ON or SLOT_WITH_BASES, where this is wanted */
static int broken;

static int busy;      /* an order has not been done */
static int held = -1; /* the context whose call waits in the slot */
static double started, charged, credit;
static int kicks;

static inline uint32_t load32(const uint32_t *at) { return __atomic_load_n(at, __ATOMIC_SEQ_CST); }
static inline void store32(uint32_t *at, uint32_t value) { __atomic_store_n(at, value, __ATOMIC_SEQ_CST); }

static long futex_wake(uint32_t *word) { return kvm_raw_call(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, 1, 0); }

/* ---- the thread ---- */

static void ring(void) {
  __atomic_add_fetch(&bell, 1, __ATOMIC_SEQ_CST);
  if (load32(&bell_sleeping)) futex_wake(&bell);
}

static uint32_t next_order(void) {
  for (int round = 0; round < RUNNER_ROUNDS; round++) {
    uint32_t order = load32(&runner.order);
    if (order) return order;
    __builtin_ia32_pause();
  }
  for (;;) {
    store32(&runner.sleeping, 1);
    uint32_t order = load32(&runner.order);
    if (!order) kvm_raw_call(SYS_futex, (long)&runner.order, FUTEX_WAIT_PRIVATE, ORDER_NONE, 0);
    store32(&runner.sleeping, 0);
    if (order) return order;
  }
}

static void run_orders(void) {
  while (next_order() != ORDER_END) {
    store32(&runner.order, ORDER_NONE);
    double before = kvm_thread_cpu();
    kvm_page->immediate_exit = 0;
    if (load32(&runner.kick)) kvm_page->immediate_exit = 1;
    runner.result = kvm_run_loaded(runner.context);
    runner.cpu = kvm_thread_cpu() - before;
    store32(&runner.done, 1);
    ring();
  }
  kvm_raw_call(SYS_exit, 0, 0, 0, 0);
}

/* The new thread begins by returning to `entry`, as if that had been called: `top` is 8 off a multiple of 16. Its number or -errno. */
static long clone_thread(uint64_t *top, void (*entry)(void)) {
  *--top = (uint64_t)entry;
  register long tid_at __asm__("r10") = (long)&runner_tid;
  long result;
  __asm__ volatile(
      "syscall\n"
      "test %%rax, %%rax\n"
      "jnz 1f\n"
      "xor %%ebp, %%ebp\n"
      "ret\n"
      "1:\n"
      : "=a"(result)
      : "a"(SYS_clone), "D"(THREAD_FLAGS), "S"(top), "d"(&runner_tid), "r"(tid_at)
      : "rcx", "r11", "memory");
  return result;
}

static int start_thread(void) {
  if (!stack) {
    void *at = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return -errno;
    stack = at;
  }
  memset(&runner, 0, sizeof runner);
  long tid = clone_thread((uint64_t *)((uint8_t *)stack + STACK_SIZE - 24), run_orders);
  if (tid < 0) return (int)tid;
  cordon_placement_move((pid_t)tid, 1);
  return 0;
}

/* ---- the Sentry's side ---- */

void kvm_beside_enable(int on, int own_bases) {
  enabled = !on ? SLOT_OFF : own_bases ? SLOT_WITH_BASES : SLOT_ON;
  broken = 0;
}

/* ns: what a KVM without hardware under it takes for a call is two orders of magnitude more, and what is worth a try, too. */
static double at_least(double usual, double calls) { return kvm_fastest < 1e9 && calls * kvm_fastest > usual ? calls * kvm_fastest : usual; }

void kvm_beside_start(void) {
  held = -1;
  busy = 0;
  charged = credit = 0;
  if (enabled) cordon_placement_start(at_least(CHATTY, 4), at_least(SPIN_TIME, 1.5));
}

int kvm_beside_wanted(void) {
  if (!enabled || broken || !cordon_placement_spins()) return 0;
  if (runner_tid == 0 && start_thread() < 0) broken = 1;
  return !broken;
}

void kvm_beside_trap(double now) {
  if (enabled) cordon_placement_trap(now);
}

int kvm_beside_runs(void) { return busy; }
void kvm_beside_news(void) { ring(); }

/* Time of the guest, by the clock; what that was too much is found when the run has ended. */
static void charge(int context, double now) {
  double spent = now - started, back = credit < spent ? credit : spent;
  credit -= back;
  charged += spent - back;
  kvm_charge(context, spent - back);
}

static void end_of_run(void) {
  busy = 0;
  kicks = 0;
  store32(&runner.kick, 0);
  if (charged > runner.cpu) credit += charged - runner.cpu;
  charged = 0;
}

void kvm_pull_out(void) {
  if (!busy) return;
  uint32_t waits = SLOT_ASKED;
  __atomic_compare_exchange_n(&kvm_call_slot()->state, &waits, SLOT_LEAVE, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  while (!load32(&runner.done)) __builtin_ia32_pause();
  held = -1;
  end_of_run();
}

static void post(int context) {
  struct kvm_slot *slot = kvm_call_slot();
  slot->mode = enabled;
  slot->fs = contexts[context].regs.fs_base, slot->gs = contexts[context].regs.gs_base;
  slot->spin = STUB_ROUNDS;
  store32(&slot->state, SLOT_ANSWERED);
  runner.context = context;
  store32(&runner.done, 0);
  busy = 1;
  store32(&runner.order, ORDER_RUN);
  if (load32(&runner.sleeping)) futex_wake(&runner.order);
}

/* The held context goes on in the machine. False if that takes more than a slot, or the stub has given up. */
static int answer(int context) {
  struct kvm_slot *slot = kvm_call_slot();
  const struct user_regs_struct *from = &contexts[context].regs;
  if (from->fs_base != slot->fs || from->gs_base != slot->gs || !kvm_same_processor(context)) return 0;
  slot->rax = from->rax, slot->rbx = from->rbx, slot->rcx = from->rcx, slot->rdx = from->rdx, slot->rsi = from->rsi;
  slot->rdi = from->rdi, slot->rbp = from->rbp, slot->r8 = from->r8, slot->r9 = from->r9, slot->r10 = from->r10;
  slot->r11 = from->r11, slot->r12 = from->r12, slot->r13 = from->r13, slot->r14 = from->r14, slot->r15 = from->r15;
  kvm_write_frame(from);
  slot->cr3 = kvm_root_to_load(context);
  uint32_t waits = SLOT_ASKED;
  if (__atomic_compare_exchange_n(&slot->state, &waits, SLOT_ANSWERED, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return 1;
  if (slot->cr3) kvm_translations_stale(); /* it has not been loaded */
  return 0;
}

/* What the stub wrote down. */
static void take_slot(int context) {
  const struct kvm_slot *slot = kvm_call_slot();
  struct context *c = &contexts[context];
  struct user_regs_struct *to = &c->regs;
  to->rax = slot->rax, to->rbx = slot->rbx, to->rcx = slot->rcx, to->rdx = slot->rdx, to->rsi = slot->rsi, to->rdi = slot->rdi;
  to->rbp = slot->rbp, to->r8 = slot->r8, to->r9 = slot->r9, to->r10 = slot->r10, to->r11 = slot->r11, to->r12 = slot->r12;
  to->r13 = slot->r13, to->r14 = slot->r14, to->r15 = slot->r15;
  to->rip = slot->rcx, to->eflags = slot->r11, to->rsp = slot->rsp, to->cs = 0x33, to->ss = 0x2b;
  to->fs_base = slot->fs, to->gs_base = slot->gs;
  to->orig_rax = slot->rax;
  c->trap = TRAP_SYSCALL;
}

static void kick(void) {
  kicks++;
  store32(&runner.kick, 1);
  kvm_raw_call(SYS_tgkill, getpid(), runner_tid, KICK, 0);
}

static int news(void) { return load32(&kvm_call_slot()->state) == SLOT_ASKED || load32(&runner.done); }

static void sleep_for_news(double deadline) {
  struct kvm_slot *slot = kvm_call_slot();
  struct timespec limit, *at = NULL;
  if (kicks) deadline = cordon_now() + KICK_AGAIN;
  if (deadline < 1e18) {
    limit.tv_sec = (time_t)(deadline / 1e9);
    limit.tv_nsec = (long)(deadline - (double)limit.tv_sec * 1e9);
    at = &limit;
  }
  store32(&bell_sleeping, 1);
  store32(&slot->sleeping, 1);
  uint32_t value = load32(&bell);
  if (!news() && !kvm_woken()) syscall(SYS_futex, &bell, FUTEX_WAIT_BITSET_PRIVATE, value, at, NULL, FUTEX_BITSET_MATCH_ANY);
  store32(&slot->sleeping, 0);
  store32(&bell_sleeping, 0);
}

/* Until the run has something to tell, or is to end. */
static void await(double limit) {
  double spin_until = cordon_now() + cordon_placement_spin_time();
  for (;;) {
    for (int round = 0; round < 32; round++) {
      if (news()) return;
      __builtin_ia32_pause();
    }
    double now = cordon_now();
    if ((now >= limit || kvm_woken()) && !kicks) kick();
    if (now < spin_until) continue;
    if (!kicks) cordon_placement_missed(now);
    int asked = kicks;
    sleep_for_news(limit);
    if (asked && !news()) kick();
  }
}

int kvm_run_beside(int context, double limit) {
  uint64_t ticks = __builtin_ia32_rdtsc();
  if (held != context || !answer(context)) {
    kvm_pull_out();
    ticks = __builtin_ia32_rdtsc();
    post(context);
  }
  held = -1;
  contexts[context].resumed = started = cordon_time_of(ticks, contexts[context].trapped);
  await(limit);
  charge(context, cordon_now());
  struct kvm_slot *slot = kvm_call_slot();
  if (load32(&slot->state) == SLOT_ASKED) {
    take_slot(context);
    held = context;
    return RUN_TRAPPED;
  }
  /* The stub may have given up just now. */
  while (!load32(&runner.done)) __builtin_ia32_pause();
  end_of_run();
  if (runner.result != RUN_IN_SLOT) return runner.result;
  take_slot(context);
  return RUN_TRAPPED;
}

void kvm_beside_stop(void) {
  kvm_pull_out();
  if (kvm_area) kvm_call_slot()->mode = SLOT_OFF;
  if (runner_tid == 0) return;
  store32(&runner.order, ORDER_END);
  futex_wake(&runner.order);
  for (pid_t tid; (tid = __atomic_load_n(&runner_tid, __ATOMIC_SEQ_CST)) != 0;)
    syscall(SYS_futex, &runner_tid, FUTEX_WAIT, tid, NULL, NULL, 0);
}
