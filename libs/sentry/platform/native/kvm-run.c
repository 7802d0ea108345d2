/* Running guests in the machine that kvm.c has made. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "addon.h"
#include "kvm-state.h"
#include "watch.h"

#define QUANTUM 4e6 /* ns a thread runs while others wait */

static int space_of[MAX_CONTEXTS];

/* Threads that want to run, in this order. */
static int queue[MAX_CONTEXTS + 1], queue_length;
static uint8_t queued[MAX_CONTEXTS];
static int last_run; /* context that had the last turn, and until when it may go on */
static double slice_end;

/* What the processor holds. */
static int fpu_owner;
static uint64_t loaded_root;
static int stale; /* translations may be out of date */

double kvm_spent;
double kvm_fastest = 1e9;
char kvm_trouble[160];
int kvm_calls_stay = -1;

/* ---- waiting: as in ptrace.c, but a signal also ends a run ---- */

static volatile sig_atomic_t woken;
static timer_t timer;
static uint8_t timer_made;
static volatile double armed; /* ns; 0 = off, -1 = went off */

static void on_signal(int signal) {
  if (signal == SIGIO) woken = 1;
  else if (signal == SIGALRM) armed = -1;
  if (signal != KICK && kvm_beside_runs()) kvm_beside_news();
  else if (kvm_page) kvm_page->immediate_exit = 1;
}

int kvm_woken(void) { return woken; }

static void look_again(void) { woken = 1; }

static void arm(double deadline) {
  if (deadline == armed) return;
  struct itimerspec when = {0};
  if (deadline > 0) {
    when.it_value.tv_sec = (time_t)(deadline / 1e9);
    when.it_value.tv_nsec = (long)(deadline - (double)when.it_value.tv_sec * 1e9);
    if (!when.it_value.tv_sec && !when.it_value.tv_nsec) when.it_value.tv_nsec = 1;
  }
  armed = deadline;
  timer_settime(timer, TIMER_ABSTIME, &when, NULL);
}

int kvm_prepare_waiting(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGIO, &action, NULL);
  sigaction(SIGALRM, &action, NULL);
  sigaction(KICK, &action, NULL);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGIO);
  sigaddset(&set, SIGALRM);
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  if (timer_made) timer_delete(timer);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0) return -errno;
  timer_made = 1;
  armed = 0;
  return 0;
}

long kvm_raw_call(long number, long a, long b, long c, long d) {
  register long fourth __asm__("r10") = d;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth) : "rcx", "r11", "memory");
  return result;
}

/* Of the processor, from whichever thread runs it: a result or -errno. */
static int request(unsigned long what, void *argument) {
  return (int)kvm_raw_call(SYS_ioctl, kvm_vcpu, (long)what, (long)argument, 0);
}

double kvm_thread_cpu(void) {
  struct timespec t;
  kvm_raw_call(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, (long)&t, 0, 0);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void kvm_charge(int context, double spent) {
  bindings[context].spent += spent;
  kvm_spaces[space_of[context]].spent += spent;
  kvm_spent += spent;
}

/* ---- the queue ---- */

static void enqueue(int context) {
  if (queued[context]) return;
  queued[context] = 1;
  if (context == last_run && cordon_now() < slice_end) { /* its turn is not over: a switch costs more than a call */
    memmove(queue + 1, queue, sizeof *queue * (size_t)queue_length++);
    queue[0] = context;
  } else {
    queue[queue_length++] = context;
  }
}

static void dequeue(int context) {
  if (!queued[context]) return;
  queued[context] = 0;
  int kept = 0;
  for (int at = 0; at < queue_length; at++)
    if (queue[at] != context) queue[kept++] = queue[at];
  queue_length = kept;
}

/* ---- the processor's state ---- */

static int read_xsave(uint8_t *out) {
  static struct kvm_xsave state;
  int failed = request(KVM_GET_XSAVE, &state);
  if (failed < 0) return failed;
  memcpy(out, &state, xsave_size);
  return 0;
}

int kvm_save_xsave(int context, uint8_t *out) {
  if (fpu_owner != context) return -EINVAL; /* its area is up to date then, and this is not asked for */
  kvm_pull_out();
  return read_xsave(out);
}

static int load_xsave(int context) {
  struct binding *binding = &bindings[context];
  if (fpu_owner == context && !binding->load_xsave) return 0;
  if (fpu_owner >= 0 && fpu_owner != context && bindings[fpu_owner].used && !bindings[fpu_owner].load_xsave) {
    uint8_t *out = xsave_area(fpu_owner);
    int failed = out ? read_xsave(out) : -ENOMEM;
    if (failed) return failed;
    bindings[fpu_owner].load_xsave = 1;
  }
  static struct kvm_xsave state;
  memset(&state, 0, sizeof state);
  memcpy(&state, binding->xsave, xsave_size);
  int failed = request(KVM_SET_XSAVE, &state);
  if (failed < 0) return failed;
  binding->load_xsave = 0;
  fpu_owner = context;
  return 0;
}

int kvm_refuses_xsave(int context, const uint8_t *in) {
  (void)context;
  uint64_t features;
  memcpy(&features, in + 512, 8);
  return (features & ~kvm_features) != 0;
}

static int set_bases(uint64_t fs, uint64_t gs) {
  struct {
    struct kvm_msrs header;
    struct kvm_msr_entry entries[2];
  } msrs = {.header = {.nmsrs = 2}, .entries = {{.index = 0xc0000100, .data = fs}, {.index = 0xc0000101, .data = gs}}};
  int set = request(KVM_SET_MSRS, &msrs);
  return set == 2 ? 0 : set < 0 ? set : -EINVAL;
}

/* What iretq takes and the processor pushes. */
struct frame {
  uint64_t rip, cs, rflags, rsp, ss;
};

#define USER_FLAGS 0x254dd5ul /* arithmetic, TF, DF, NT, RF, AC, ID */

void kvm_write_frame(const struct user_regs_struct *regs) {
  struct frame *frame = (struct frame *)(kvm_area + STACK_PAGE * 4096 + ENTRY_FRAME + 8);
  *frame = (struct frame){regs->rip, regs->cs == 0x23 ? 0x23 : 0x33, (regs->eflags & USER_FLAGS) | 0x202, regs->rsp, 0x2b};
}

int kvm_same_processor(int context) { return fpu_owner == context && !bindings[context].load_xsave; }

uint64_t kvm_root_to_load(int context) {
  uint64_t root = kvm_spaces[space_of[context]].root;
  if (!stale && root == loaded_root) return 0;
  stale = 0;
  loaded_root = root;
  return root;
}

static int load(int context) {
  struct context *c = &contexts[context];
  struct user_regs_struct *from = &c->regs;
  int failed = load_xsave(context);
  if (failed) return failed;
  struct kvm_regs *to = &kvm_page->s.regs.regs;
  struct kvm_sregs *special = &kvm_page->s.regs.sregs;
  if (special->fs.base != from->fs_base || special->gs.base != from->gs_base) {
    failed = set_bases(from->fs_base, from->gs_base);
    if (failed) return failed;
    special->fs.base = from->fs_base;
    special->gs.base = from->gs_base;
  }
  kvm_write_frame(from);
  *to = (struct kvm_regs){
      .rax = from->rax, .rbx = from->rbx, .rcx = from->rcx, .rdx = from->rdx, .rsi = from->rsi, .rdi = from->rdi,
      .rbp = from->rbp, .r8 = from->r8,   .r9 = from->r9,   .r10 = from->r10, .r11 = from->r11, .r12 = from->r12,
      .r13 = from->r13, .r14 = from->r14, .r15 = from->r15, .rflags = 2,
  };
  uint64_t root = kvm_root_to_load(context);
  if (root) {
    *(uint64_t *)(kvm_area + STACK_PAGE * 4096 + ENTRY_FRAME) = from->rax;
    to->rax = root;
    to->rip = TEXT_BASE + STUB_SWITCH;
    to->rsp = STACK_BASE + ENTRY_FRAME;
  } else {
    to->rip = TEXT_BASE + STUB_ENTER;
    to->rsp = STACK_BASE + ENTRY_FRAME + 8;
  }
  kvm_page->kvm_dirty_regs = KVM_SYNC_X86_REGS;
  return 0;
}

static void store(int context, uint64_t rip, uint64_t cs, uint64_t rflags, uint64_t rsp) {
  const struct kvm_regs *from = &kvm_page->s.regs.regs;
  struct user_regs_struct *to = &contexts[context].regs;
  to->rax = from->rax, to->rbx = from->rbx, to->rcx = from->rcx, to->rdx = from->rdx, to->rsi = from->rsi, to->rdi = from->rdi;
  to->rbp = from->rbp, to->r8 = from->r8, to->r9 = from->r9, to->r10 = from->r10, to->r11 = from->r11, to->r12 = from->r12;
  to->r13 = from->r13, to->r14 = from->r14, to->r15 = from->r15;
  to->rip = rip, to->cs = cs, to->eflags = rflags, to->rsp = rsp, to->ss = 0x2b;
  to->fs_base = kvm_page->s.regs.sregs.fs.base, to->gs_base = kvm_page->s.regs.sregs.gs.base;
  to->orig_rax = (uint64_t)-1;
}

/* ---- traps ---- */

#define SI_KERNEL_ 0x80
enum { VECTOR_DE, VECTOR_DB, VECTOR_BP = 3, VECTOR_UD = 6, VECTOR_GP = 13, VECTOR_PF = 14, VECTOR_MF = 16, VECTOR_XM = 19 };
#define WITH_ERROR 0x60227d00u /* exceptions that push an error code: 8, 10-14, 17, 21, 29, 30 */

/* What Linux makes of exceptions (arch/x86/kernel/traps.c); those missing are general protection. address: 0, or 1 = the instruction. */
static const struct {
  uint8_t signal, code, address;
} signals[32] = {
    [VECTOR_DE] = {SIGFPE, 1 /* FPE_INTDIV */, 1},
    [VECTOR_DB] = {SIGTRAP, 1 /* TRAP_BRKPT */, 1},
    [VECTOR_BP] = {SIGTRAP, SI_KERNEL_, 0},
    [VECTOR_UD] = {SIGILL, 2 /* ILL_ILLOPN */, 1},
    [11] = {SIGBUS, SI_KERNEL_, 0},
    [12] = {SIGBUS, SI_KERNEL_, 0},
    [VECTOR_MF] = {SIGFPE, 0, 1},
    [17] = {SIGBUS, 1 /* BUS_ADRALN */, 0},
    [VECTOR_XM] = {SIGFPE, 0, 1},
};

/* The code of a floating-point exception, from what is raised and not masked. */
static int float_code(int context, int vector) {
  uint8_t *state = xsave_area(context);
  if (!state || fetch_xsave(context)) return 0;
  uint32_t raised;
  if (vector == VECTOR_MF) {
    uint16_t control, status;
    memcpy(&control, state, 2);
    memcpy(&status, state + 2, 2);
    raised = status & ~(uint32_t)control;
  } else {
    uint32_t mxcsr;
    memcpy(&mxcsr, state + 24, 4);
    raised = mxcsr & ~(mxcsr >> 7);
  }
  return raised & 1 ? 7 /* FPE_FLTINV */ : raised & 4 ? 3 /* DIV */ : raised & 8 ? 4 /* OVF */ : raised & 0x12 ? 5 /* UND */
       : raised & 0x20 ? 6 /* RES */ : 0;
}

/* Single steps are told from breakpoints by a register that only ever gathers bits. */
static int debug_code(void) {
  struct kvm_debugregs debug;
  if (request(KVM_GET_DEBUGREGS, &debug) < 0) return 1;
  int step = (debug.dr6 & 0x4000) != 0;
  debug.dr6 = 0xffff0ff0;
  request(KVM_SET_DEBUGREGS, &debug);
  return step ? 2 /* TRAP_TRACE */ : 1;
}

static void take_fault(int context, uint64_t error, uint64_t address) {
  struct context *c = &contexts[context];
  c->trap = TRAP_FAULT;
  c->signal = SIGSEGV;
  c->signal_code = error & 1 ? 2 : 1; /* SEGV_ACCERR, SEGV_MAPERR */
  c->fault_address = address;
  c->access = error & 16 ? ACCESS_EXECUTE : error & 2 ? ACCESS_WRITE : ACCESS_READ;
}

static void take_exception(int context, int vector) {
  struct context *c = &contexts[context];
  c->trap = TRAP_EXCEPTION;
  c->signal = signals[vector].signal ? signals[vector].signal : SIGSEGV;
  c->signal_code = signals[vector].signal ? signals[vector].code : SI_KERNEL_;
  c->fault_address = signals[vector].address ? c->regs.rip : 0;
  if (vector == VECTOR_MF || vector == VECTOR_XM) c->signal_code = float_code(context, vector);
  if (vector == VECTOR_DB) c->signal_code = debug_code();
}

static int failed_run(const char *what, uint64_t detail) {
  static const char digits[] = "0123456789abcdef";
  char *out = kvm_trouble;
  while (*what) *out++ = *what++;
  *out++ = ' ';
  for (int shift = 60; shift >= 0; shift -= 4) *out++ = digits[detail >> shift & 15];
  *out = 0;
  return -EIO;
}

/* A byte as the guest's page tables show it; -1 where there is none. */
static int guest_byte(int context, uint64_t address) {
  if (address >> 47) return -1;
  uint64_t table = kvm_spaces[space_of[context]].root;
  for (int shift = 39; shift >= 12; shift -= 9) {
    uint64_t entry = *(uint64_t *)(kvm_area + table + (address >> shift & 511) * 8);
    if (!(entry & 1)) return -1;
    table = entry & 0xffffffffff000ul;
  }
  size_t capacity;
  const uint8_t *memory = cordon_memory_base(&capacity);
  return table - MEMORY_BASE < capacity ? memory[table - MEMORY_BASE + (address & 4095)] : -1;
}

enum { STILL_RUNNING = 0, TRAPPED = RUN_TRAPPED, PARKED = RUN_PARKED };

/* Reads why the stub stopped: TRAPPED, PARKED (the kick), RUN_IN_SLOT (a system call, in the slot), or -errno. */
static int take(int context) {
  const struct kvm_regs *regs = &kvm_page->s.regs.regs;
  uint64_t at = regs->rip - 1 - TEXT_BASE;
  struct context *c = &contexts[context];
  if (at == STUB_SLOT_STOP) return RUN_IN_SLOT;
  if (at == STUB_SYSCALL_STOP || at == STUB_LEGACY) {
    store(context, regs->rcx, at == STUB_LEGACY ? 0x23 : 0x33, regs->r11, regs->rsp);
    c->trap = at == STUB_LEGACY ? TRAP_LEGACY : TRAP_SYSCALL;
    if (kvm_calls_stay < 0) kvm_calls_stay = 0;
    c->regs.orig_rax = regs->rax;
    return TRAPPED;
  }
  uint64_t vector = at == STUB_FAULT_STOP ? VECTOR_PF : (at - STUB_VECTORS) / 8;
  if (at < STUB_VECTORS || vector > VECTOR_LEGACY) return failed_run("stopped at", regs->rip);
  uint64_t place = regs->rsp - STACK_BASE;
  int has_error = vector < 32 && (WITH_ERROR >> vector & 1);
  if (place > 4096 - sizeof(struct frame) - 8) return failed_run("a stack at", regs->rsp);
  uint64_t error = 0;
  if (has_error) memcpy(&error, kvm_area + STACK_PAGE * 4096 + place, 8);
  struct frame frame;
  memcpy(&frame, kvm_area + STACK_PAGE * 4096 + place + (has_error ? 8 : 0), sizeof frame);
  if ((frame.cs & 3) != 3) {
    /* iretq itself failed: the frame it was given is the guest's state. */
    if (vector == VECTOR_PF || frame.rip < TEXT_BASE) return failed_run("an exception of the stub", vector << 48 | frame.rip);
    memcpy(&frame, kvm_area + STACK_PAGE * 4096 + ENTRY_FRAME + 8, sizeof frame);
  }
  if (kvm_calls_stay && vector == VECTOR_PF && frame.rip == TEXT_BASE + STUB_SYSCALL && kvm_page->s.regs.sregs.cr2 == frame.rip) {
    /* The page of the stub is out of ring 3's reach, and that fault is the call. */
    kvm_calls_stay = 1;
    store(context, regs->rcx, 0x33, regs->r11, frame.rsp);
    c->trap = TRAP_SYSCALL;
    c->regs.orig_rax = regs->rax;
    return TRAPPED;
  }
  if (kvm_calls_stay && vector == VECTOR_UD && guest_byte(context, frame.rip) == 0xcd) {
    /* Such a KVM takes `int` for an unknown instruction. */
    int wanted = guest_byte(context, frame.rip + 1);
    vector = wanted == 0x80 ? VECTOR_LEGACY : VECTOR_GP;
    if (wanted == 0x80) frame.rip += 2;
  }
  store(context, frame.rip, frame.cs & 0xffff, frame.rflags, frame.rsp);
  if (vector == VECTOR_KICK) return PARKED;
  if (vector == VECTOR_LEGACY) {
    c->trap = TRAP_LEGACY;
    c->regs.orig_rax = regs->rax;
  } else if (vector == VECTOR_PF) {
    take_fault(context, error, kvm_page->s.regs.sregs.cr2);
  } else {
    take_exception(context, (int)vector);
  }
  return TRAPPED;
}

/* One KVM_RUN: STILL_RUNNING when a signal ended it. */
static int run_once(int context) {
  int error = -request(KVM_RUN, NULL);
  kvm_page->kvm_dirty_regs = 0;
  if (error > 0) {
    if (error == EINTR || error == EAGAIN) return STILL_RUNNING;
    failed_run("KVM_RUN", (uint64_t)error);
    return -error;
  }
  switch (kvm_page->exit_reason) {
    case KVM_EXIT_HLT: return take(context);
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN: return STILL_RUNNING;
    case KVM_EXIT_INTERNAL_ERROR: return failed_run("KVM_EXIT_INTERNAL_ERROR", kvm_page->internal.suberror);
    case KVM_EXIT_FAIL_ENTRY: return failed_run("KVM_EXIT_FAIL_ENTRY", kvm_page->fail_entry.hardware_entry_failure_reason);
    case KVM_EXIT_MMIO: return failed_run("KVM_EXIT_MMIO", kvm_page->mmio.phys_addr);
    default: return failed_run("exit", kvm_page->exit_reason);
  }
}

/* Brings the processor back to the stub, wherever a signal stopped it: TRAPPED when the guest got there by itself. */
static int park(int context) {
  for (;;) {
    kvm_page->immediate_exit = 0;
    if (kvm_page->ready_for_interrupt_injection) {
      struct kvm_interrupt kick = {.irq = VECTOR_KICK};
      int failed = request(KVM_INTERRUPT, &kick);
      if (failed < 0) return failed_run("KVM_INTERRUPT", (uint64_t)-failed);
      kvm_page->request_interrupt_window = 0;
    } else {
      kvm_page->request_interrupt_window = 1;
    }
    int state = run_once(context);
    if (state != STILL_RUNNING) {
      kvm_page->request_interrupt_window = 0;
      return state;
    }
  }
}

int kvm_run_loaded(int context) {
  int failed = load(context);
  if (failed) return failed;
  int state = run_once(context);
  return state == STILL_RUNNING ? park(context) : state;
}

/* Runs a context in this thread until it traps or `limit` passes: TRAPPED, PARKED, or -errno. */
static int run_here(int context, double limit) {
  kvm_pull_out();
  kvm_call_slot()->mode = SLOT_OFF;
  /* Before the timer can go off, so that it ends the run however early it does. */
  kvm_page->immediate_exit = 0;
  arm(limit < 1e18 ? limit : 0);
  if (woken) kvm_page->immediate_exit = 1;
  contexts[context].resumed = cordon_now();
  double before = kvm_thread_cpu();
  int state = kvm_run_loaded(context);
  kvm_charge(context, kvm_thread_cpu() - before);
  double took = cordon_now() - contexts[context].resumed;
  if (took < kvm_fastest) kvm_fastest = took;
  return state;
}

int kvm_bind(int context, int space) {
  space_of[context] = space;
  bindings[context].thread = 0;
  return fpu_owner == context ? 0 : initial_xsave(context);
}

int kvm_resume(int context, int space) {
  int failed = kvm_bind(context, space);
  if (failed) return failed;
  enqueue(context);
  contexts[context].resumed = cordon_now();
  return 0;
}

static int look(double deadline) { return cordon_poll_watches(deadline) ? NEXT_WATCH : NEXT_NOTHING; }

int kvm_next_event(double deadline) {
  for (;;) {
    if (any_ready()) return pop_ready();
    if (queue_length == 0) {
      kvm_pull_out();
      if (armed != 0) arm(0); /* an idle sandbox costs nothing */
      return look(deadline);
    }
    if (woken) {
      woken = 0;
      if (look(0) == NEXT_WATCH) return NEXT_WATCH;
    }
    double now = cordon_now();
    if (now >= deadline) return NEXT_NOTHING;
    int context = queue[0];
    if (context != last_run || now >= slice_end) {
      last_run = context;
      slice_end = now + QUANTUM;
    }
    double limit = queue_length > 1 && slice_end < deadline ? slice_end : deadline;
    int state = kvm_beside_wanted() ? kvm_run_beside(context, limit) : run_here(context, limit);
    if (state < 0) return -1000 + state;
    if (state == TRAPPED) {
      dequeue(context);
      contexts[context].trapped = cordon_now();
      kvm_beside_trap(contexts[context].trapped);
      return context;
    }
    if (queue_length > 1 && cordon_now() >= slice_end) {
      dequeue(context);
      last_run = -1;
      enqueue(context);
    }
  }
}

void kvm_unbind(int context) {
  kvm_pull_out();
  dequeue(context);
  if (fpu_owner == context) fpu_owner = -1;
  if (last_run == context) last_run = -1;
  bindings[context].thread = -1;
}

/* ---- for kvm.c ---- */

void kvm_forget_run(void) {
  memset(queued, 0, sizeof queued);
  fpu_owner = last_run = -1;
  queue_length = 0;
  slice_end = 0;
  loaded_root = 0;
  stale = 1;
  woken = 0;
  kvm_spent = 0;
  cordon_watch_added = look_again;
  kvm_beside_start();
}

void kvm_table_loaded(uint64_t root) { loaded_root = root; }

void kvm_translations_stale(void) { stale = 1; }

int kvm_give_up_turn(int context) {
  if (!queued[context]) return 0;
  dequeue(context);
  return 1;
}

void kvm_end_waiting(void) {
  if (timer_made) timer_delete(timer);
  timer_made = 0;
  armed = 0;
}
