/* See stub-contexts.h. All state is static: one Sentry a process, one platform started in it. */
#define _GNU_SOURCE
#include "stub-contexts.h"

#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "addon.h"
#include "host-vdso.h"
#include "napi-arguments.h"
#include "ptrace-stub.h"
#include "watch.h"

struct context *contexts;
struct binding bindings[MAX_CONTEXTS];
uint8_t pristine_xsave[XSAVE_MAX];
size_t xsave_size, regset_size;

static struct stub_platform *current;
static struct turn *turn;
static int free_context, context_top;
static int ready[MAX_CONTEXTS], ready_head, ready_tail;

void start_contexts(struct stub_platform *platform) {
  current = platform;
  contexts = platform->slab;
  turn = (struct turn *)(contexts + MAX_CONTEXTS);
  cordon_time_of(0, 0); /* the first use only begins to measure */
  memset(bindings, 0, sizeof(struct binding) * (size_t)context_top);
  free_context = -1;
  context_top = ready_head = ready_tail = 0;
}

/* ---- the ready queue ---- */

void push_ready(int context) {
  if (bindings[context].pending) return;
  bindings[context].pending = 1;
  ready[ready_tail] = context;
  ready_tail = (ready_tail + 1) % MAX_CONTEXTS;
}

int any_ready(void) { return ready_head != ready_tail; }

int pop_ready(void) {
  int context = ready[ready_head];
  ready_head = (ready_head + 1) % MAX_CONTEXTS;
  bindings[context].pending = 0;
  return context;
}

static void drop_ready(int context) {
  if (!bindings[context].pending) return;
  int kept = ready_head;
  for (int at = ready_head; at != ready_tail; at = (at + 1) % MAX_CONTEXTS)
    if (ready[at] != context) {
      ready[kept] = ready[at];
      kept = (kept + 1) % MAX_CONTEXTS;
    }
  ready_tail = kept;
  bindings[context].pending = 0;
}

/* ---- vector registers ---- */

uint8_t *xsave_area(int context) {
  struct binding *binding = &bindings[context];
  if (!binding->xsave && (binding->xsave = aligned_alloc(64, XSAVE_MAX))) memset(binding->xsave, 0, XSAVE_MAX);
  return binding->xsave;
}

/*
 * Size of an xsave area, in the standard format, with the components that this process may use. Some have to be asked for (AMX:
 * arch_prctl(2), ARCH_REQ_XCOMP_PERM) and are in no signal frame before; guests cannot ask. 0 on a host that does not know of that.
 */
static size_t permitted_size;

static void find_permitted_size(void) {
  uint64_t permitted;
  if (syscall(SYS_arch_prctl, 0x1022 /* ARCH_GET_XCOMP_PERM */, &permitted) < 0) return;
  permitted_size = 576; /* the legacy part and the header */
  for (unsigned component = 2; component < 63; component++) {
    unsigned size, offset, flags, unused;
    if (!(permitted >> component & 1) || !__get_cpuid_count(0xd, component, &size, &offset, &flags, &unused)) continue;
    if (offset + size > permitted_size) permitted_size = offset + size;
  }
}

void set_xsave_sizes(size_t regset) {
  regset_size = regset;
  xsave_size = permitted_size && permitted_size < regset ? permitted_size : regset;
}

int initial_xsave(int context) {
  if (bindings[context].load_xsave) return 0;
  uint8_t *area = xsave_area(context);
  if (!area) return -ENOMEM;
  memcpy(area, pristine_xsave, xsave_size);
  bindings[context].load_xsave = 1;
  return 0;
}

int fetch_xsave(int context) {
  uint8_t *area = xsave_area(context);
  if (!area) return -ENOMEM;
  if (bindings[context].load_xsave) return 0;
  return bindings[context].thread < 0 ? initial_xsave(context) : current->save_xsave(context, area);
}

int leave_thread(int context) {
  if (bindings[context].thread < 0) return 0;
  int failed = fetch_xsave(context);
  if (failed) return failed;
  bindings[context].load_xsave = 1;
  current->unbind(context);
  return 0;
}

double process_cpu(pid_t pid) {
  struct timespec t;
  clockid_t clock = (clockid_t)((~(unsigned)pid << 3) | 2u);
  return clock_gettime(clock, &t) == 0 ? (double)t.tv_sec * 1e9 + (double)t.tv_nsec : 0;
}

/* ---- JavaScript ---- */

napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

/* reserveContexts(): the slab as an ArrayBuffer, or -errno. Before the fork; `start` comes after it. */
static napi_value reserve_contexts(napi_env env, napi_callback_info info) {
  void *platform;
  napi_get_cb_info(env, info, NULL, NULL, NULL, &platform);
  cordon_find_host_vdso();
  find_permitted_size();
  size_t size = sizeof(struct context) * MAX_CONTEXTS + TURN_ROOM;
  void *slab = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (slab == MAP_FAILED) return number(env, -errno);
  ((struct stub_platform *)platform)->slab = slab;
  napi_value buffer;
  napi_create_external_arraybuffer(env, slab, size, NULL, NULL, &buffer);
  return buffer;
}

static napi_value xsave_bytes(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, (double)xsave_size);
}

static napi_value create_context(napi_env env, napi_callback_info info) {
  (void)info;
  int context;
  if (free_context >= 0) {
    context = free_context;
    free_context = bindings[context].next_free;
  } else {
    if (context_top == MAX_CONTEXTS) return number(env, -EAGAIN);
    context = context_top++;
  }
  uint8_t *area = bindings[context].xsave;
  bindings[context] = (struct binding){.thread = -1, .used = 1, .xsave = area};
  memset(&contexts[context], 0, sizeof contexts[context]);
  contexts[context].regs.cs = 0x33;
  contexts[context].regs.ss = 0x2b;
  contexts[context].regs.eflags = 0x202;
  return number(env, context);
}

static napi_value release_context(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int context = (int)int_of(env, arguments[0]);
  struct binding *binding = &bindings[context];
  if (!binding->used) return number(env, 0);
  if (binding->thread >= 0 && current->is_running(binding->thread)) current->stop_thread(binding->thread);
  drop_ready(context);
  current->unbind(context);
  binding->used = 0;
  binding->next_free = free_context;
  free_context = context;
  return number(env, 0);
}

/* map(space, address, length, fd (-1: memory file), offset, protection, populate) */
static napi_value map(napi_env env, napi_callback_info info) {
  ARGUMENTS(7);
  int64_t fd = int_of(env, arguments[3]);
  const uint64_t values[6] = {
      (uint64_t)int_of(env, arguments[1]),
      (uint64_t)int_of(env, arguments[2]),
      (uint64_t)int_of(env, arguments[5]),
      MAP_SHARED | MAP_FIXED | (int_of(env, arguments[6]) ? MAP_POPULATE : 0),
      (uint64_t)(fd < 0 ? cordon_memory_fd() : fd),
      (uint64_t)int_of(env, arguments[4]),
  };
  int64_t result = current->call((int)int_of(env, arguments[0]), NR_MMAP, values);
  return number(env, result < 0 ? (double)result : 0);
}

static napi_value unmap(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  const uint64_t values[6] = {(uint64_t)int_of(env, arguments[1]), (uint64_t)int_of(env, arguments[2])};
  return number(env, (double)current->call((int)int_of(env, arguments[0]), NR_MUNMAP, values));
}

/* protect(space, address, length, protection): the range has no holes. */
static napi_value protect(napi_env env, napi_callback_info info) {
  ARGUMENTS(4);
  const uint64_t values[6] = {(uint64_t)int_of(env, arguments[1]), (uint64_t)int_of(env, arguments[2]),
                              (uint64_t)int_of(env, arguments[3])};
  return number(env, (double)current->call((int)int_of(env, arguments[0]), NR_MPROTECT, values));
}

/* prepare(context, space): makes what the context needs to run there. 0 or -errno of the host. */
static napi_value prepare(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  return number(env, current->bind((int)int_of(env, arguments[0]), (int)int_of(env, arguments[1])));
}

static napi_value resume(napi_env env, napi_callback_info info) {
  (void)env;
  (void)info;
  turn->result = current->resume(turn->context, turn->space);
  return NULL;
}

/* next(): resumes the turn's context, if there is one, then waits. Result: a context, -1 nothing, -2 watched descriptor, <= -1000: -(1000+errno) of resume. */
static napi_value next(napi_env env, napi_callback_info info) {
  (void)env;
  (void)info;
  int failed = turn->context >= 0 ? current->resume(turn->context, turn->space) : 0;
  turn->result = failed ? -1000 + failed : current->next(turn->deadline);
  return NULL;
}

/* readXsave(context, bytes): bytes copied or -errno. */
static napi_value read_xsave(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int context = (int)int_of(env, arguments[0]);
  struct bytes out = bytes_of(env, arguments[1]);
  int failed = fetch_xsave(context);
  if (failed) return number(env, failed);
  size_t size = out.length < xsave_size ? out.length : xsave_size;
  memcpy(out.data, bindings[context].xsave, size);
  return number(env, (double)size);
}

/* writeXsave(context, bytes or null for the initial state): 0, or -EINVAL for what the processor or the host would refuse. */
static napi_value write_xsave(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int context = (int)int_of(env, arguments[0]);
  struct bytes in = bytes_of(env, arguments[1]);
  uint8_t *area = xsave_area(context);
  if (!area) return number(env, -ENOMEM);
  if (!in.data) {
    memcpy(area, pristine_xsave, xsave_size);
  } else {
    if (in.length < 576 || in.length > xsave_size) return number(env, -EINVAL);
    memset(area, 0, xsave_size);
    memcpy(area, in.data, in.length);
    /* MXCSR: reserved bits would fault; XCOMP_BV and the rest of the header must be zero in the standard format. */
    *(uint32_t *)(area + 24) &= 0xffffu;
    uint8_t header = 0;
    for (int i = 520; i < 576; i++) header |= area[i];
    if (header || (bindings[context].thread >= 0 && current->refuses_xsave(context, area))) { /* nothing of it may be loaded later */
      memcpy(area, pristine_xsave, xsave_size);
      bindings[context].load_xsave = 1;
      return number(env, -EINVAL);
    }
  }
  bindings[context].load_xsave = 1;
  return number(env, 0);
}

/* copyXsave(from, to) */
static napi_value copy_xsave(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int from = (int)int_of(env, arguments[0]), to = (int)int_of(env, arguments[1]);
  int failed = fetch_xsave(from);
  uint8_t *area = xsave_area(to);
  if (failed || !area) return number(env, failed ? failed : -ENOMEM);
  memcpy(area, bindings[from].xsave, xsave_size);
  bindings[to].load_xsave = 1;
  return number(env, 0);
}

/* contextTime(context): ns in guest code. */
static napi_value context_time(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct binding *binding = &bindings[int_of(env, arguments[0])];
  double spent = binding->spent;
  if (binding->thread >= 0 && current->is_running(binding->thread)) spent += cordon_now() - binding->started;
  return number(env, spent);
}

void register_contexts(napi_env env, napi_value part, struct stub_platform *platform) {
  const struct function functions[] = {
      {"xsaveBytes", xsave_bytes},         {"createContext", create_context}, {"releaseContext", release_context},
      {"map", map},                        {"unmap", unmap},                  {"protect", protect},
      {"prepare", prepare},                {"resume", resume},
                      {"next", next},                    {"readXsave", read_xsave},
      {"writeXsave", write_xsave},         {"copyXsave", copy_xsave},         {"contextTime", context_time},
      {"watch", cordon_watch},             {"watched", cordon_watched},       {"hostVdso", cordon_host_vdso},
  };
  register_functions(env, part, functions, sizeof functions / sizeof *functions);
  napi_value reserve;
  napi_create_function(env, "reserveContexts", NAPI_AUTO_LENGTH, reserve_contexts, platform, &reserve);
  napi_set_named_property(env, part, "reserveContexts", reserve);
}
