/*
 * The KVM platform's native half: a virtual machine of one processor, which this thread runs. Guest code runs in its ring 3; whatever
 * stops it ends in the stub (kvm-stub.c), whose `hlt` gives control back. What the machine looks like (page tables, descriptor
 * tables, CPUID) is made in platform/kvm; here are the calls that KVM takes, in kvm-run.c those that run guests. See platform/README.md for the picture.
 *
 * Guest code and the Sentry never run at the same time: between two calls of `next` no guest runs, and all registers are in the contexts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "addon.h"
#include "host-vdso.h"
#include "kvm-state.h"
#include "napi-arguments.h"
#include "watch.h"

#define MAX_CPUID 256

extern INTERNAL const uint8_t cordon_kvm_stub[], cordon_kvm_stub_end[];

struct kvm_space kvm_spaces[MAX_SPACES];
uint8_t *kvm_area;
int kvm_vcpu = -1;
struct kvm_run *kvm_page;
uint64_t kvm_features;
static struct stub_platform platform; /* at the end */
static int free_space, space_top;
static int device = -1, vm = -1;
static size_t run_size;

static int is_running(int thread) {
  (void)thread;
  return 0; /* never while the Sentry does */
}

static void stop_thread(int thread) { (void)thread; }

static int64_t call(int space, uint64_t number, const uint64_t arguments[6]) {
  (void)space, (void)number, (void)arguments;
  return -ENOSYS; /* page tables are written in JavaScript */
}

/* ---- JavaScript ---- */

/* reserveArea(): the area as an ArrayBuffer, or -errno. Before the fork. */
static napi_value reserve_area(napi_env env, napi_callback_info info) {
  (void)info;
  if (!kvm_area) {
    void *at = mmap(NULL, AREA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return number(env, -errno);
    kvm_area = at;
  }
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, kvm_area, AREA_SIZE, NULL, NULL, &buffer) != napi_ok) return number(env, -ENOMEM);
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
  kvm_beside_stop();
  if (kvm_page) munmap(kvm_page, run_size);
  kvm_page = NULL;
  if (kvm_vcpu >= 0) close(kvm_vcpu);
  if (vm >= 0) close(vm);
  vm = kvm_vcpu = -1;
}

static void forget_everything(void) {
  start_contexts(&platform);
  memset(kvm_spaces, 0, sizeof(struct kvm_space) * (size_t)space_top);
  free_space = -1;
  space_top = 0;
  cordon_forget_watches();
  kvm_forget_run();
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
  memcpy(kvm_area + TEXT_PAGE * 4096, cordon_kvm_stub, (size_t)(cordon_kvm_stub_end - cordon_kvm_stub));
  size_t capacity;
  uint8_t *memory = cordon_memory_base(&capacity);
  failed = set_slot(0, 0, AREA_SIZE, kvm_area);
  if (!failed) failed = set_slot(1, MEMORY_BASE, capacity, memory);
  if (failed) return failed;
  kvm_vcpu = numbered(ioctl(vm, KVM_CREATE_VCPU, 0), VCPU_DESCRIPTOR);
  if (kvm_vcpu < 0) return kvm_vcpu;
  void *at = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, kvm_vcpu, 0);
  if (at == MAP_FAILED) return -errno;
  kvm_page = at;
  kvm_page->kvm_valid_regs = needed;
  return kvm_prepare_waiting();
}

/* start(): a machine without state, the area zeroed but for the stub. 0 or -errno. */
static napi_value start(napi_env env, napi_callback_info info) {
  (void)info;
  forget_everything();
  close_machine();
  if (!kvm_area || madvise(kvm_area, AREA_SIZE, MADV_DONTNEED) < 0) return number(env, -ENOMEM);
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
  if (ioctl(kvm_vcpu, KVM_SET_CPUID2, &wanted) < 0) return number(env, -errno);
  kvm_features = (uint64_t)int_of(env, arguments[1]);
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
  if (ioctl(kvm_vcpu, KVM_GET_SREGS, &special) < 0) return number(env, -errno);
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
  if (ioctl(kvm_vcpu, KVM_SET_SREGS, &special) < 0) return number(env, -errno);
  kvm_page->s.regs.sregs = special;
  kvm_table_loaded(0);
  for (size_t at = 8; at + 1 < count; at += 2) {
    struct {
      struct kvm_msrs header;
      struct kvm_msr_entry entry;
    } msr = {.header = {.nmsrs = 1}, .entry = {.index = (uint32_t)value[at], .data = value[at + 1]}};
    if (ioctl(kvm_vcpu, KVM_SET_MSRS, &msr) != 1) return number(env, -1000 - (double)(at / 2));
  }
  if (kvm_features) {
    struct kvm_xcrs control = {.nr_xcrs = 1, .xcrs = {{.xcr = 0, .value = kvm_features}}};
    /* One that does not virtualise the register leaves the host's. */
    ioctl(kvm_vcpu, KVM_SET_XCRS, &control);
  }
  static struct kvm_xsave state;
  if (ioctl(kvm_vcpu, KVM_GET_XSAVE, &state) < 0) return number(env, -errno);
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
  ioctl(kvm_vcpu, KVM_SET_DEVICE_ATTR, &attribute);
  return number(env, (double)size);
}

/* createSpace(root): CR3 of an address space. Its number, or -errno. */
static napi_value create_space(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int space;
  if (free_space >= 0) {
    space = free_space;
    free_space = kvm_spaces[space].next_free;
  } else {
    if (space_top == MAX_SPACES) return number(env, -EAGAIN);
    space = space_top++;
  }
  kvm_spaces[space] = (struct kvm_space){.root = (uint64_t)int_of(env, arguments[0]), .used = 1};
  return number(env, space);
}

static napi_value release_space(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int space = (int)int_of(env, arguments[0]);
  /* Its tables may become another's: nothing of them may stay cached. */
  kvm_translations_stale();
  kvm_spaces[space] = (struct kvm_space){.next_free = free_space};
  free_space = space;
  return number(env, 0);
}

/* flush(): what was translated before is not valid any more. */
static napi_value flush(napi_env env, napi_callback_info info) {
  (void)info;
  kvm_translations_stale();
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
  kvm_pull_out();
  int failed = set_slot(0, 0, 0, kvm_area);
  if (!failed) failed = set_slot(0, 0, AREA_SIZE, kvm_area);
  kvm_translations_stale();
  return number(env, failed);
}

/* A thread that waits for its turn is where it was stopped last. */
static napi_value interrupt(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int context = (int)int_of(env, arguments[0]);
  if (kvm_give_up_turn(context)) {
    contexts[context].trap = TRAP_INTERRUPTED;
    push_ready(context);
  }
  return number(env, 0);
}

static napi_value space_time(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  return number(env, kvm_spaces[int_of(env, arguments[0])].spent);
}

static napi_value total_time(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, kvm_spent);
}

/* callsStay(): 1 where system calls come as faults, 0 where they come as they should, -1 before the first. */
static napi_value calls_stay_in_ring3(napi_env env, napi_callback_info info) {
  (void)info;
  return number(env, kvm_calls_stay);
}

/* beside(on, guests have FSGSBASE): whether another core may run the machine (kvm-beside.c). Before start. */
static napi_value beside(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  kvm_beside_enable((int)int_of(env, arguments[0]), (int)int_of(env, arguments[1]));
  return number(env, 0);
}

static napi_value last_trouble(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value text;
  napi_create_string_latin1(env, kvm_trouble, NAPI_AUTO_LENGTH, &text);
  return text;
}

static napi_value stop(napi_env env, napi_callback_info info) {
  (void)info;
  kvm_end_waiting();
  close_machine();
  if (device >= 0) close(device);
  device = -1;
  if (kvm_area) madvise(kvm_area, AREA_SIZE, MADV_DONTNEED);
  double spent = kvm_spent;
  forget_everything();
  kvm_spent = spent;
  return number(env, 0);
}

static struct stub_platform platform = {
    .call = call,
    .bind = kvm_bind,
    .resume = kvm_resume,
    .next = kvm_next_event,
    .save_xsave = kvm_save_xsave,
    .refuses_xsave = kvm_refuses_xsave,
    .is_running = is_running,
    .stop_thread = stop_thread,
    .unbind = kvm_unbind,
};

void cordon_register_kvm(napi_env env, napi_value exports) {
  const struct function functions[] = {
      {"reserveArea", reserve_area}, {"open", open_kvm},          {"supportedCpuid", supported_cpuid},
      {"start", start},              {"setCpuid", set_cpuid},     {"setProcessor", set_processor},
      {"hostTime", host_time},       {"createSpace", create_space}, {"releaseSpace", release_space},
      {"flush", flush},              {"drop", drop},              {"forgetTables", forget_tables},
      {"interrupt", interrupt},      {"spaceTime", space_time},   {"totalTime", total_time},
      {"callsStay", calls_stay_in_ring3}, {"trouble", last_trouble},     {"beside", beside},
      {"stop", stop},
  };
  napi_value part;
  napi_create_object(env, &part);
  register_contexts(env, part, &platform);
  register_functions(env, part, functions, sizeof functions / sizeof *functions);
  napi_set_named_property(env, exports, "kvm", part);
}
