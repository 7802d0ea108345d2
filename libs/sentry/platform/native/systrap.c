/*
 * The systrap platform's native half. Guest threads run untraced; a seccomp filter turns each of their system calls into
 * SIGSYS, whose handler (systrap-stub.c) leaves the registers in memory shared with the Sentry and waits there for its turn.
 * One more thread a stub, always stopped under ptrace, maps memory and makes threads: no guest code ever runs in it, and what
 * it is told to do lies in registers that the guest cannot reach. See platform/README.md for the picture, systrap-state.h for the parts.
 *
 * All that lies in a slot can be written by the guest: it is read once, into the context, and only ever says something about
 * that guest's own registers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "addon.h"
#include "napi-arguments.h"
#include "placement.h"
#include "ptrace-stub.h"
#include "systrap-state.h"
#include "watch.h"

struct thread threads[MAX_SLOTS];
struct space spaces[MAX_SPACES];
int free_thread, thread_top, space_top;
int active[MAX_SLOTS], active_count, turn;
int kicked;
struct user_regs_struct stub_regs;
int slots_fd = -1;
uint8_t *slots;
struct doorbell *doorbell;
uint64_t frame_offset, fpstate_offset, secret;
volatile sig_atomic_t woken, child_news;
static int free_space;
static struct stub_platform platform; /* at the end */
static pid_t template_pid;
static double cpu_of_dead;

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
  systrap_forget_orders(-1);
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
  const uint64_t list[6] = {ORDERS, SLOT_SIZE - ORDERS_OFFSET, PROT_READ, MAP_SHARED | MAP_FIXED, (uint64_t)slots_fd, ORDERS_OFFSET};
  int64_t result = cordon_inject(pid, NR_MMAP, bell, NULL);
  if (result >= 0) result = cordon_inject(pid, NR_MMAP, list, NULL);
  if (result != (int64_t)ORDERS) return result < 0 ? (int)result : -EFAULT;
  /* No guest has run yet: the page shows the secret to nobody. */
  size_t written = cordon_systrap_filter(slots + ORDERS_OFFSET, ORDERS, secret);
  const uint64_t close[6] = {SECCOMP_SET_MODE_FILTER, 0, ORDERS};
  result = cordon_inject(pid, SYS_seccomp, close, NULL);
  memset(slots + ORDERS_OFFSET, 0, written);
  if (result < 0) return (int)result;
  systrap_prepare_waiting();
  systrap_start_turns();
  cordon_placement_start(CHATTY, SPIN_TIME);
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
  int64_t pid = original < 0 ? 0 : systrap_add_order(original, &clone);
  if (pid >= 0) pid = original < 0 ? systrap_carry_out(template_pid, &clone, 1) : systrap_flush(original);
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
  systrap_forget_orders(space);
  if (pid) {
    cpu_of_dead += systrap_space_cpu(space);
    kill(pid, SIGKILL);
    int status;
    do status = cordon_wait_stop(pid);
    while (status >= 0 && WIFSTOPPED(status));
  }
  for (int index = spaces[space].threads; index >= 0;) {
    int next = threads[index].next;
    systrap_mark_died(index);
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
  if (!threads[index].kicks) systrap_kick(index);
  return number(env, 0);
}

static napi_value space_time(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  return number(env, systrap_space_cpu((int)int_of(env, arguments[0])));
}

static napi_value total_time(napi_env env, napi_callback_info info) {
  (void)info;
  double total = cpu_of_dead;
  for (int space = 0; space < space_top; space++)
    if (spaces[space].used) total += systrap_space_cpu(space);
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
      cpu_of_dead += systrap_space_cpu(space);
      kill(spaces[space].pid, SIGKILL);
    }
  if (template_pid) kill(template_pid, SIGKILL);
  int status;
  pid_t tid;
  while ((tid = wait4(-1, &status, __WALL, NULL)) > 0 || (tid < 0 && errno == EINTR)) {
  }
  if (template_pid) {
    systrap_end_waiting();
  }
  double spent = cpu_of_dead;
  forget_everything();
  cpu_of_dead = spent;
  return number(env, 0);
}

static struct stub_platform platform = {
    .call = systrap_order,
    .bind = systrap_bind,
    .resume = systrap_resume,
    .next = systrap_next_event,
    .save_xsave = systrap_save_xsave,
    .refuses_xsave = systrap_refuses_xsave,
    .is_running = is_running,
    .stop_thread = systrap_stop_thread,
    .unbind = systrap_unbind,
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
