/*
 * The KVM platform's native half: a virtual machine of one processor, which this thread runs. Guest code runs in its ring 3; whatever
 * stops it ends in the stub (kvm-stub.c), whose `hlt` gives control back. What the machine looks like (page tables, descriptor
 * tables, CPUID) is made in platform/kvm; here are the calls that KVM takes. See platform/README.md for the picture.
 *
 * Guest code and the Sentry never run at the same time: between two calls of `next` no guest runs, and all registers are in the contexts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "addon.h"
#include "host-vdso.h"
#include "kvm-layout.h"
#include "napi-arguments.h"
#include "stub-contexts.h"
#include "watch.h"

#define QUANTUM 4e6 /* ns a thread runs while others wait */
#define MAX_CPUID 256

extern INTERNAL const uint8_t cordon_kvm_stub[], cordon_kvm_stub_end[];

struct space {
  uint64_t root; /* CR3 */
  double spent;  /* ns in guest code */
  int next_free;
  uint8_t used;
};

static struct stub_platform platform; /* at the end */
static struct space spaces[MAX_SPACES];
static int free_space, space_top;
static int space_of[MAX_CONTEXTS];

/* Threads that want to run, in this order. */
static int queue[MAX_CONTEXTS + 1], queue_length;
static uint8_t queued[MAX_CONTEXTS];
static int last_run; /* context that had the last turn, and until when it may go on */
static double slice_end;

static uint8_t *area;
static int device = -1, vm = -1, vcpu = -1;
static struct kvm_run *run;
static size_t run_size;
static uint64_t supported_features; /* of XCR0 */

/* What the processor holds. */
static int fpu_owner;
static uint64_t loaded_root;
static int stale; /* translations may be out of date */
static double total_spent;
static char trouble[160]; /* why the last run failed */
/*
 * Whether `syscall` leaves the processor in ring 3, as a KVM without hardware under it does: 1 or 0, -1 not known yet. Found by the
 * first call of all, which is the probe's; children inherit it.
 */
static int calls_stay = -1;

/* ---- waiting: as in ptrace.c, but a signal also ends a run ---- */

static volatile sig_atomic_t woken;
static timer_t timer;
static uint8_t timer_made;
static volatile double armed; /* ns; 0 = off, -1 = went off */

static void on_signal(int signal) {
  if (signal == SIGIO) woken = 1;
  else armed = -1;
  if (run) run->immediate_exit = 1;
}

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

static int prepare_waiting(void) {
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGIO, &action, NULL);
  sigaction(SIGALRM, &action, NULL);
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

static double thread_cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
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

static int save_xsave(int context, uint8_t *out) {
  if (fpu_owner != context) return -EINVAL; /* its area is up to date then, and this is not asked for */
  static struct kvm_xsave state;
  if (ioctl(vcpu, KVM_GET_XSAVE, &state) < 0) return -errno;
  memcpy(out, &state, xsave_size);
  return 0;
}

static int load_xsave(int context) {
  struct binding *binding = &bindings[context];
  if (fpu_owner == context && !binding->load_xsave) return 0;
  if (fpu_owner >= 0 && fpu_owner != context && bindings[fpu_owner].used && !bindings[fpu_owner].load_xsave) {
    uint8_t *out = xsave_area(fpu_owner);
    int failed = out ? save_xsave(fpu_owner, out) : -ENOMEM;
    if (failed) return failed;
    bindings[fpu_owner].load_xsave = 1;
  }
  static struct kvm_xsave state;
  memset(&state, 0, sizeof state);
  memcpy(&state, binding->xsave, xsave_size);
  if (ioctl(vcpu, KVM_SET_XSAVE, &state) < 0) return -errno;
  binding->load_xsave = 0;
  fpu_owner = context;
  return 0;
}

static int refuses_xsave(int context, const uint8_t *in) {
  (void)context;
  uint64_t features;
  memcpy(&features, in + 512, 8);
  return (features & ~supported_features) != 0;
}

static int set_bases(uint64_t fs, uint64_t gs) {
  struct {
    struct kvm_msrs header;
    struct kvm_msr_entry entries[2];
  } msrs = {.header = {.nmsrs = 2}, .entries = {{.index = 0xc0000100, .data = fs}, {.index = 0xc0000101, .data = gs}}};
  int set = ioctl(vcpu, KVM_SET_MSRS, &msrs);
  return set == 2 ? 0 : set < 0 ? -errno : -EINVAL;
}

/* What iretq takes and the processor pushes. */
struct frame {
  uint64_t rip, cs, rflags, rsp, ss;
};

#define USER_FLAGS 0x254dd5ul /* arithmetic, TF, DF, NT, RF, AC, ID */

static int load(int context) {
  struct context *c = &contexts[context];
  struct user_regs_struct *from = &c->regs;
  int failed = load_xsave(context);
  if (failed) return failed;
  struct kvm_regs *to = &run->s.regs.regs;
  struct kvm_sregs *special = &run->s.regs.sregs;
  if (special->fs.base != from->fs_base || special->gs.base != from->gs_base) {
    failed = set_bases(from->fs_base, from->gs_base);
    if (failed) return failed;
    special->fs.base = from->fs_base;
    special->gs.base = from->gs_base;
  }
  struct frame *frame = (struct frame *)(area + STACK_PAGE * 4096 + ENTRY_FRAME + 8);
  *frame = (struct frame){from->rip, from->cs == 0x23 ? 0x23 : 0x33, (from->eflags & USER_FLAGS) | 0x202, from->rsp, 0x2b};
  *to = (struct kvm_regs){
      .rax = from->rax, .rbx = from->rbx, .rcx = from->rcx, .rdx = from->rdx, .rsi = from->rsi, .rdi = from->rdi,
      .rbp = from->rbp, .r8 = from->r8,   .r9 = from->r9,   .r10 = from->r10, .r11 = from->r11, .r12 = from->r12,
      .r13 = from->r13, .r14 = from->r14, .r15 = from->r15, .rflags = 2,
  };
  uint64_t root = spaces[space_of[context]].root;
  if (stale || root != loaded_root) {
    *(uint64_t *)(area + STACK_PAGE * 4096 + ENTRY_FRAME) = from->rax;
    to->rax = root;
    to->rip = TEXT_BASE + STUB_SWITCH;
    to->rsp = STACK_BASE + ENTRY_FRAME;
    stale = 0;
    loaded_root = root;
  } else {
    to->rip = TEXT_BASE + STUB_ENTER;
    to->rsp = STACK_BASE + ENTRY_FRAME + 8;
  }
  run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
  return 0;
}

static void store(int context, uint64_t rip, uint64_t cs, uint64_t rflags, uint64_t rsp) {
  const struct kvm_regs *from = &run->s.regs.regs;
  struct user_regs_struct *to = &contexts[context].regs;
  to->rax = from->rax, to->rbx = from->rbx, to->rcx = from->rcx, to->rdx = from->rdx, to->rsi = from->rsi, to->rdi = from->rdi;
  to->rbp = from->rbp, to->r8 = from->r8, to->r9 = from->r9, to->r10 = from->r10, to->r11 = from->r11, to->r12 = from->r12;
  to->r13 = from->r13, to->r14 = from->r14, to->r15 = from->r15;
  to->rip = rip, to->cs = cs, to->eflags = rflags, to->rsp = rsp, to->ss = 0x2b;
  to->fs_base = run->s.regs.sregs.fs.base, to->gs_base = run->s.regs.sregs.gs.base;
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
  if (ioctl(vcpu, KVM_GET_DEBUGREGS, &debug) < 0) return 1;
  int step = (debug.dr6 & 0x4000) != 0;
  debug.dr6 = 0xffff0ff0;
  ioctl(vcpu, KVM_SET_DEBUGREGS, &debug);
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
  char *out = trouble;
  while (*what) *out++ = *what++;
  *out++ = ' ';
  for (int shift = 60; shift >= 0; shift -= 4) *out++ = digits[detail >> shift & 15];
  *out = 0;
  return -EIO;
}

/* A byte as the guest's page tables show it; -1 where there is none. */
static int guest_byte(int context, uint64_t address) {
  if (address >> 47) return -1;
  uint64_t table = spaces[space_of[context]].root;
  for (int shift = 39; shift >= 12; shift -= 9) {
    uint64_t entry = *(uint64_t *)(area + table + (address >> shift & 511) * 8);
    if (!(entry & 1)) return -1;
    table = entry & 0xffffffffff000ul;
  }
  size_t capacity;
  const uint8_t *memory = cordon_memory_base(&capacity);
  return table - MEMORY_BASE < capacity ? memory[table - MEMORY_BASE + (address & 4095)] : -1;
}

enum { STILL_RUNNING = 0, TRAPPED = 1, PARKED = 2 };

/* Reads why the stub stopped: TRAPPED, PARKED (the kick), or -errno. */
static int take(int context) {
  const struct kvm_regs *regs = &run->s.regs.regs;
  uint64_t at = regs->rip - 1 - TEXT_BASE;
  struct context *c = &contexts[context];
  if (at == STUB_SYSCALL || at == STUB_LEGACY) {
    store(context, regs->rcx, at == STUB_LEGACY ? 0x23 : 0x33, regs->r11, regs->rsp);
    c->trap = at == STUB_LEGACY ? TRAP_LEGACY : TRAP_SYSCALL;
    if (calls_stay < 0) calls_stay = 0;
    c->regs.orig_rax = regs->rax;
    return TRAPPED;
  }
  uint64_t vector = (at - STUB_VECTORS) / 8;
  if (at < STUB_VECTORS || vector > VECTOR_LEGACY) return failed_run("stopped at", regs->rip);
  uint64_t place = regs->rsp - STACK_BASE;
  int has_error = vector < 32 && (WITH_ERROR >> vector & 1);
  if (place > 4096 - sizeof(struct frame) - 8) return failed_run("a stack at", regs->rsp);
  uint64_t error = 0;
  if (has_error) memcpy(&error, area + STACK_PAGE * 4096 + place, 8);
  struct frame frame;
  memcpy(&frame, area + STACK_PAGE * 4096 + place + (has_error ? 8 : 0), sizeof frame);
  if ((frame.cs & 3) != 3) {
    /* iretq itself failed: the frame it was given is the guest's state. */
    if (vector == VECTOR_PF || frame.rip < TEXT_BASE) return failed_run("an exception of the stub", vector << 48 | frame.rip);
    memcpy(&frame, area + STACK_PAGE * 4096 + ENTRY_FRAME + 8, sizeof frame);
  }
  if (calls_stay && vector == VECTOR_PF && frame.rip == TEXT_BASE + STUB_SYSCALL && run->s.regs.sregs.cr2 == frame.rip) {
    /* The page of the stub is out of ring 3's reach, and that fault is the call. */
    calls_stay = 1;
    store(context, regs->rcx, 0x33, regs->r11, frame.rsp);
    c->trap = TRAP_SYSCALL;
    c->regs.orig_rax = regs->rax;
    return TRAPPED;
  }
  if (calls_stay && vector == VECTOR_UD && guest_byte(context, frame.rip) == 0xcd) {
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
    take_fault(context, error, run->s.regs.sregs.cr2);
  } else {
    take_exception(context, (int)vector);
  }
  return TRAPPED;
}

/* One KVM_RUN: STILL_RUNNING when a signal ended it. */
static int run_once(int context) {
  int result = ioctl(vcpu, KVM_RUN, 0);
  int error = errno;
  run->kvm_dirty_regs = 0;
  if (result < 0) {
    if (error == EINTR || error == EAGAIN) return STILL_RUNNING;
    failed_run("KVM_RUN", (uint64_t)error);
    return -error;
  }
  switch (run->exit_reason) {
    case KVM_EXIT_HLT: return take(context);
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN: return STILL_RUNNING;
    case KVM_EXIT_INTERNAL_ERROR: return failed_run("KVM_EXIT_INTERNAL_ERROR", run->internal.suberror);
    case KVM_EXIT_FAIL_ENTRY: return failed_run("KVM_EXIT_FAIL_ENTRY", run->fail_entry.hardware_entry_failure_reason);
    case KVM_EXIT_MMIO: return failed_run("KVM_EXIT_MMIO", run->mmio.phys_addr);
    default: return failed_run("exit", run->exit_reason);
  }
}

/* Brings the processor back to the stub, wherever a signal stopped it: TRAPPED when the guest got there by itself. */
static int park(int context) {
  for (;;) {
    run->immediate_exit = 0;
    if (run->ready_for_interrupt_injection) {
      struct kvm_interrupt kick = {.irq = VECTOR_KICK};
      if (ioctl(vcpu, KVM_INTERRUPT, &kick) < 0) return failed_run("KVM_INTERRUPT", (uint64_t)errno);
      run->request_interrupt_window = 0;
    } else {
      run->request_interrupt_window = 1;
    }
    int state = run_once(context);
    if (state != STILL_RUNNING) {
      run->request_interrupt_window = 0;
      return state;
    }
  }
}

/* Runs the first of the queue: TRAPPED (and no longer queued), PARKED, or -errno. */
static int run_first(void) {
  int context = queue[0];
  int failed = load(context);
  if (failed) return failed;
  double before = thread_cpu();
  int state = run_once(context);
  if (state == STILL_RUNNING) state = park(context);
  double spent = thread_cpu() - before;
  bindings[context].spent += spent;
  spaces[space_of[context]].spent += spent;
  total_spent += spent;
  if (state == TRAPPED) dequeue(context);
  return state;
}

static int bind(int context, int space) {
  space_of[context] = space;
  bindings[context].thread = 0;
  return fpu_owner == context ? 0 : initial_xsave(context);
}

static int resume_context(int context, int space) {
  int failed = bind(context, space);
  if (failed) return failed;
  enqueue(context);
  return 0;
}

static int look(double deadline) { return cordon_poll_watches(deadline) ? NEXT_WATCH : NEXT_NOTHING; }

static int next_event(double deadline) {
  for (;;) {
    if (any_ready()) return pop_ready();
    if (queue_length == 0) {
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
    /* Before the timer can go off, so that it ends the run however early it does. */
    run->immediate_exit = 0;
    arm(limit < 1e18 ? limit : 0);
    if (woken) run->immediate_exit = 1;
    int state = run_first();
    if (state < 0) return -1000 + state;
    if (state == TRAPPED) return context;
    if (queue_length > 1 && cordon_now() >= slice_end) {
      dequeue(context);
      last_run = -1;
      enqueue(context);
    }
  }
}

static int is_running(int thread) {
  (void)thread;
  return 0; /* never while the Sentry does */
}

static void stop_thread(int thread) { (void)thread; }

static void unbind(int context) {
  dequeue(context);
  if (fpu_owner == context) fpu_owner = -1;
  if (last_run == context) last_run = -1;
  bindings[context].thread = -1;
}

static int64_t call(int space, uint64_t number, const uint64_t arguments[6]) {
  (void)space, (void)number, (void)arguments;
  return -ENOSYS; /* page tables are written in JavaScript */
}

/* ---- JavaScript: the machine ---- */

/* reserveArea(): the area as an ArrayBuffer, or -errno. Before the fork. */
static napi_value reserve_area(napi_env env, napi_callback_info info) {
  (void)info;
  if (!area) {
    void *at = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return number(env, -errno);
    area = at;
  }
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, area, AREA_SIZE, NULL, NULL, &buffer) != napi_ok) return number(env, -ENOMEM);
  return buffer;
}

/* open(): the device, which a closed-in process cannot open itself. 0 or -errno. */
static int open_device(void) {
  if (device < 0) device = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  return device < 0 ? -errno : 0;
}

static napi_value open_kvm(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, open_device());
}

/* supportedCpuid(out: Uint32Array): entries of 10 words (struct kvm_cpuid_entry2); their number or -errno. */
static napi_value supported_cpuid(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct bytes out = bytes_of(env, arguments[0]);
  static struct {
    struct kvm_cpuid2 header;
    struct kvm_cpuid_entry2 entries[MAX_CPUID];
  } found;
  found.header.nent = MAX_CPUID;
  if (ioctl(device, KVM_GET_SUPPORTED_CPUID, &found) < 0) return number(env, -errno);
  size_t size = sizeof *found.entries * found.header.nent;
  if (out.length < size) return number(env, -E2BIG);
  memcpy(out.data, found.entries, size);
  return number(env, found.header.nent);
}

static void close_machine(void) {
  if (run) munmap(run, run_size);
  run = NULL;
  if (vcpu >= 0) close(vcpu);
  if (vm >= 0) close(vm);
  vm = vcpu = -1;
}

static void forget_everything(void) {
  start_contexts(&platform);
  memset(spaces, 0, sizeof(struct space) * (size_t)space_top);
  memset(queued, 0, sizeof queued);
  free_space = fpu_owner = last_run = -1;
  space_top = queue_length = 0;
  slice_end = 0;
  loaded_root = 0;
  stale = 1;
  woken = 0;
  total_spent = 0;
  cordon_forget_watches();
  cordon_watch_added = look_again;
}

static int set_slot(unsigned index, uint64_t address, uint64_t size, const void *memory) {
  struct kvm_userspace_memory_region region = {
      .slot = index, .guest_phys_addr = address, .memory_size = size, .userspace_addr = (uintptr_t)memory};
  return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

/* A number of its own, so that the Sentry's filter can name it. */
static int numbered(int fd, int wanted) {
  if (fd < 0) return -errno;
  int moved = dup3(fd, wanted, O_CLOEXEC);
  int error = errno;
  close(fd);
  return moved < 0 ? -error : moved;
}

static int make_machine(void) {
  int failed = open_device();
  if (failed) return failed;
  if (ioctl(device, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) return -ENODEV;
  int sync = ioctl(device, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);
  const int needed = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
  if (sync < 0 || (sync & needed) != needed || ioctl(device, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0) return -ENOSYS;
  int size = ioctl(device, KVM_GET_VCPU_MMAP_SIZE, 0);
  if (size < 0) return -errno;
  run_size = (size_t)size;
  int fd;
  do fd = ioctl(device, KVM_CREATE_VM, 0);
  while (fd < 0 && errno == EINTR);
  vm = numbered(fd, VM_DESCRIPTOR);
  if (vm < 0) return vm;
  ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000ul); /* where Intel's older processors keep state of their own; nobody else cares */
  memcpy(area + TEXT_PAGE * 4096, cordon_kvm_stub, (size_t)(cordon_kvm_stub_end - cordon_kvm_stub));
  size_t capacity;
  uint8_t *memory = cordon_memory_base(&capacity);
  failed = set_slot(0, 0, AREA_SIZE, area);
  if (!failed) failed = set_slot(1, MEMORY_BASE, capacity, memory);
  if (failed) return failed;
  vcpu = numbered(ioctl(vm, KVM_CREATE_VCPU, 0), VCPU_DESCRIPTOR);
  if (vcpu < 0) return vcpu;
  void *at = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
  if (at == MAP_FAILED) return -errno;
  run = at;
  run->kvm_valid_regs = needed;
  return prepare_waiting();
}

/* start(): a machine without state, the area zeroed but for the stub. 0 or -errno. */
static napi_value start(napi_env env, napi_callback_info info) {
  (void)info;
  forget_everything();
  close_machine();
  if (!area || madvise(area, AREA_SIZE, MADV_DONTNEED) < 0) return number(env, -ENOMEM);
  int failed = make_machine();
  if (failed) close_machine();
  /* The machine needs it no more, and neither does a guest that got hold of the Sentry. */
  if (device >= 0) close(device);
  device = -1;
  return number(env, failed);
}

/* setCpuid(entries: Uint32Array, xcr0, xsave size): 0 or -errno. */
static napi_value set_cpuid(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  struct bytes in = bytes_of(env, arguments[0]);
  static struct {
    struct kvm_cpuid2 header;
    struct kvm_cpuid_entry2 entries[MAX_CPUID];
  } wanted;
  size_t count = in.length / sizeof *wanted.entries;
  if (count > MAX_CPUID) return number(env, -E2BIG);
  wanted.header.nent = (uint32_t)count;
  memcpy(wanted.entries, in.data, count * sizeof *wanted.entries);
  if (ioctl(vcpu, KVM_SET_CPUID2, &wanted) < 0) return number(env, -errno);
  supported_features = (uint64_t)int_of(env, arguments[1]);
  size_t size = (size_t)int_of(env, arguments[2]);
  if (size < 576 || size > sizeof(struct kvm_xsave)) return number(env, -EINVAL);
  xsave_size = regset_size = size;
  return number(env, 0);
}

/*
 * setProcessor(values: BigUint64Array): cr3, cr4, gdt base and limit, idt base and limit, tss base and limit, then pairs of MSR and value.
 * The processor starts in the stub's ring 0. -(1000+MSR's place) for an MSR it does not take.
 */
static napi_value set_processor(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct bytes in = bytes_of(env, arguments[0]);
  const uint64_t *value = (const uint64_t *)in.data;
  size_t count = in.length / 8;
  if (count < 8) return number(env, -EINVAL);
  struct kvm_sregs special;
  if (ioctl(vcpu, KVM_GET_SREGS, &special) < 0) return number(env, -errno);
  special.cr0 = 0x80050033; /* PG AM WP NE ET MP PE */
  special.cr3 = value[0];
  special.cr4 = value[1];
  special.efer = 0xd01; /* NXE LMA LME SCE */
  special.gdt = (struct kvm_dtable){.base = value[2], .limit = (uint16_t)value[3]};
  special.idt = (struct kvm_dtable){.base = value[4], .limit = (uint16_t)value[5]};
  special.cs = (struct kvm_segment){.limit = ~0u, .selector = 0x10, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
  special.ss = (struct kvm_segment){.limit = ~0u, .selector = 0x18, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1};
  special.ds = special.es = special.fs = special.gs =
      (struct kvm_segment){.limit = ~0u, .type = 3, .present = 1, .dpl = 3, .db = 1, .s = 1, .g = 1};
  special.tr = (struct kvm_segment){.base = value[6], .limit = (uint32_t)value[7], .selector = 0x40, .type = 11, .present = 1};
  special.ldt = (struct kvm_segment){.type = 2, .unusable = 1};
  if (ioctl(vcpu, KVM_SET_SREGS, &special) < 0) return number(env, -errno);
  run->s.regs.sregs = special;
  loaded_root = 0;
  for (size_t at = 8; at + 1 < count; at += 2) {
    struct {
      struct kvm_msrs header;
      struct kvm_msr_entry entry;
    } msr = {.header = {.nmsrs = 1}, .entry = {.index = (uint32_t)value[at], .data = value[at + 1]}};
    if (ioctl(vcpu, KVM_SET_MSRS, &msr) != 1) return number(env, -1000 - (double)(at / 2));
  }
  if (supported_features) {
    struct kvm_xcrs control = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = supported_features}}};
    /* One that does not virtualise the register leaves the host's. */
    ioctl(vcpu, KVM_SET_XCRS, &control);
  }
  static struct kvm_xsave state;
  if (ioctl(vcpu, KVM_GET_XSAVE, &state) < 0) return number(env, -errno);
  memcpy(pristine_xsave, &state, xsave_size);
  return number(env, 0);
}

/*
 * hostTime(): puts the host's time pages and their code into guest-physical memory, and gives the guest the host's time stamp counter.
 * Bytes of them, or -errno; 0 where there are none.
 */
static napi_value host_time(napi_env env, napi_callback_info info) {
  (void)info;
  void *at;
  size_t size = cordon_host_vdso_range(&at);
  if (!size) return number(env, 0);
  struct kvm_userspace_memory_region region = {.slot = 2,
                                               .flags = KVM_MEM_READONLY,
                                               .guest_phys_addr = HOST_VDSO_BASE,
                                               .memory_size = size,
                                               .userspace_addr = (uintptr_t)at};
  if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) return number(env, -errno);
  uint64_t offset = 0;
  struct kvm_device_attr attribute = {
      .group = 0 /* KVM_VCPU_TSC_CTRL */, .attr = 0 /* KVM_VCPU_TSC_OFFSET */, .addr = (uintptr_t)&offset};
  /* One that cannot be told so may still have it right: the probe reads the time. */
  ioctl(vcpu, KVM_SET_DEVICE_ATTR, &attribute);
  return number(env, (double)size);
}

/* createSpace(root): CR3 of an address space. Its number, or -errno. */
static napi_value create_space(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int space;
  if (free_space >= 0) {
    space = free_space;
    free_space = spaces[space].next_free;
  } else {
    if (space_top == MAX_SPACES) return number(env, -EAGAIN);
    space = space_top++;
  }
  spaces[space] = (struct space){.root = (uint64_t)int_of(env, arguments[0]), .used = 1};
  return number(env, space);
}

static napi_value release_space(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int space = (int)int_of(env, arguments[0]);
  /* Its tables may become another's: nothing of them may stay cached. */
  stale = 1;
  spaces[space] = (struct space){.next_free = free_space};
  free_space = space;
  return number(env, 0);
}

/* flush(): what was translated before is not valid any more. */
static napi_value flush(napi_env env, napi_callback_info info) {
  (void)info;
  stale = 1;
  return number(env, 0);
}

/* drop(offset, length): of the memory file, out of every page table that KVM keeps itself. The contents stay. */
static napi_value drop(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int64_t offset = int_of(env, arguments[0]), length = int_of(env, arguments[1]);
  size_t capacity;
  uint8_t *memory = cordon_memory_base(&capacity);
  if (offset < 0 || length < 0 || (uint64_t)offset + (uint64_t)length > capacity) return number(env, -EINVAL);
  return number(env, madvise(memory + offset, (size_t)length, MADV_DONTNEED) < 0 ? -errno : 0);
}

/* forgetTables(): KVM forgets every page table of the area that it has looked at. */
static napi_value forget_tables(napi_env env, napi_callback_info info) {
  (void)info;
  int failed = set_slot(0, 0, 0, area);
  if (!failed) failed = set_slot(0, 0, AREA_SIZE, area);
  stale = 1;
  return number(env, failed);
}

/* A thread that waits for its turn is where it was stopped last. */
static napi_value interrupt(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int context = (int)int_of(env, arguments[0]);
  if (queued[context]) {
    dequeue(context);
    contexts[context].trap = TRAP_INTERRUPTED;
    push_ready(context);
  }
  return number(env, 0);
}

static napi_value space_time(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  return number(env, spaces[int_of(env, arguments[0])].spent);
}

static napi_value total_time(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, total_spent);
}

/* callsStay(): 1 where system calls come as faults, 0 where they come as they should, -1 before the first. */
static napi_value calls_stay_in_ring3(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, calls_stay);
}

static napi_value last_trouble(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value text;
  napi_create_string_latin1(env, trouble, NAPI_AUTO_LENGTH, &text);
  return text;
}

static napi_value stop(napi_env env, napi_callback_info info) {
  (void)info;
  if (timer_made) timer_delete(timer);
  timer_made = 0;
  armed = 0;
  close_machine();
  if (device >= 0) close(device);
  device = -1;
  if (area) madvise(area, AREA_SIZE, MADV_DONTNEED);
  double spent = total_spent;
  forget_everything();
  total_spent = spent;
  return number(env, 0);
}

static struct stub_platform platform = {
    .call = call,
    .bind = bind,
    .resume = resume_context,
    .next = next_event,
    .save_xsave = save_xsave,
    .refuses_xsave = refuses_xsave,
    .is_running = is_running,
    .stop_thread = stop_thread,
    .unbind = unbind,
};

void cordon_register_kvm(napi_env env, napi_value exports) {
  const struct function functions[] = {
      {"reserveArea", reserve_area}, {"open", open_kvm},          {"supportedCpuid", supported_cpuid},
      {"start", start},              {"setCpuid", set_cpuid},     {"setProcessor", set_processor},
      {"hostTime", host_time},       {"createSpace", create_space}, {"releaseSpace", release_space},
      {"flush", flush},              {"drop", drop},              {"forgetTables", forget_tables},
      {"interrupt", interrupt},      {"spaceTime", space_time},   {"totalTime", total_time},
      {"callsStay", calls_stay_in_ring3}, {"trouble", last_trouble},     {"stop", stop},
  };
  napi_value part;
  napi_create_object(env, &part);
  register_contexts(env, part, &platform);
  register_functions(env, part, functions, sizeof functions / sizeof *functions);
  napi_set_named_property(env, exports, "kvm", part);
}
