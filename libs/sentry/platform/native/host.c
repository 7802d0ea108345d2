/*
 * Raw host system calls for the Sentry: what node:fs would do with libuv, without libuv. All return a count, a descriptor
 * or -errno; none throws. Buffers are typed arrays; paths are byte strings (latin1).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "addon.h"
#include "napi-arguments.h"
#include "placement.h"

static napi_value answer(napi_env env, long result) {
  napi_value value;
  napi_create_int64(env, result < 0 ? -errno : result, &value);
  return value;
}

static napi_value raw_answer(napi_env env, int64_t result) {
  napi_value value;
  napi_create_int64(env, result, &value);
  return value;
}

/* openBeneath(dirFd, path, flags): never leaves dirFd, never follows a link. */
static napi_value open_beneath(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  char path[4097];
  if (!string_of(env, arguments[1], path, sizeof path)) return raw_answer(env, -ENAMETOOLONG);
  struct open_how how = {
      .flags = (uint64_t)int_of(env, arguments[2]) | O_CLOEXEC,
      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
  };
  return answer(env, syscall(SYS_openat2, (int)int_of(env, arguments[0]), path, &how, sizeof how));
}

static napi_value close_fd(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  return answer(env, close((int)int_of(env, arguments[0])));
}

/* (fd, bytes, offset, length) */
#define BUFFER_CALL(name, call)                                                              \
  static napi_value name(napi_env env, napi_callback_info info) {                            \
    ARGUMENTS(5);                                                                            \
    struct bytes buffer = bytes_of(env, arguments[1]);                                       \
    int64_t offset = int_of(env, arguments[2]), length = int_of(env, arguments[3]);          \
    int fd = (int)int_of(env, arguments[0]);                                                 \
    if (offset < 0 || length < 0 || (uint64_t)offset + (uint64_t)length > buffer.length)     \
      return raw_answer(env, -EINVAL);                                                       \
    uint8_t *at = buffer.data + offset;                                                      \
    return answer(env, call);                                                                \
  }

BUFFER_CALL(read_fd, read(fd, at, (size_t)length))
BUFFER_CALL(write_fd, write(fd, at, (size_t)length))
BUFFER_CALL(pread_fd, pread(fd, at, (size_t)length, int_of(env, arguments[4])))
BUFFER_CALL(getdents_fd, syscall(SYS_getdents64, fd, at, (size_t)length))

/* statAt(dirFd, path, out: Float64Array): mode nlink uid gid size blksize blocks ino dev rdev, then a m c b times as s, ns. */
static napi_value stat_at(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  char path[4097];
  if (!string_of(env, arguments[1], path, sizeof path)) return raw_answer(env, -ENAMETOOLONG);
  struct bytes out = bytes_of(env, arguments[2]);
  if (out.length < 18 * sizeof(double)) return raw_answer(env, -EINVAL);
  struct statx st;
  int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT;
  if (syscall(SYS_statx, (int)int_of(env, arguments[0]), path, flags, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
    return answer(env, -1);
  double values[18] = {
      st.stx_mode, st.stx_nlink, st.stx_uid, st.stx_gid, (double)st.stx_size, st.stx_blksize, (double)st.stx_blocks,
      (double)st.stx_ino, (double)makedev(st.stx_dev_major, st.stx_dev_minor),
      (double)makedev(st.stx_rdev_major, st.stx_rdev_minor), (double)st.stx_atime.tv_sec, st.stx_atime.tv_nsec,
      (double)st.stx_mtime.tv_sec, st.stx_mtime.tv_nsec, (double)st.stx_ctime.tv_sec, st.stx_ctime.tv_nsec,
      (double)st.stx_btime.tv_sec, st.stx_btime.tv_nsec,
  };
  memcpy(out.data, values, sizeof values);
  return raw_answer(env, 0);
}

/* readlinkAt(dirFd, path): the target as a byte string, or -errno. */
static napi_value readlink_at(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  char path[4097], target[4096];
  if (!string_of(env, arguments[1], path, sizeof path)) return raw_answer(env, -ENAMETOOLONG);
  ssize_t length = readlinkat((int)int_of(env, arguments[0]), path, target, sizeof target);
  if (length < 0) return answer(env, -1);
  napi_value value;
  napi_create_string_latin1(env, target, (size_t)length, &value);
  return value;
}

static double nanoseconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static napi_value now(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value value;
  napi_create_double(env, nanoseconds(CLOCK_MONOTONIC), &value);
  return value;
}

static double *ticks;

/* useTicks(cell: Float64Array): where tick() puts the time from now on. Its memory must not move; it is kept for ever. */
static napi_value use_ticks(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct bytes cell = bytes_of(env, arguments[0]);
  ticks = cell.length >= sizeof *ticks ? (double *)(void *)cell.data : NULL;
  napi_ref kept;
  napi_create_reference(env, arguments[0], 1, &kept);
  return raw_answer(env, 0);
}

static napi_value tick(napi_env env, napi_callback_info info) {
  (void)env;
  (void)info;
  if (ticks) *ticks = nanoseconds(CLOCK_MONOTONIC);
  return NULL;
}

/* clockTime(clock, out: Float64Array): seconds, nanoseconds. */
static napi_value clock_time(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  struct bytes out = bytes_of(env, arguments[1]);
  struct timespec t;
  if (clock_gettime((clockid_t)int_of(env, arguments[0]), &t) < 0) return answer(env, -1);
  double values[2] = {(double)t.tv_sec, (double)t.tv_nsec};
  if (out.length >= sizeof values) memcpy(out.data, values, sizeof values);
  return raw_answer(env, 0);
}

static napi_value random_bytes(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  struct bytes out = bytes_of(env, arguments[0]);
  size_t done = 0;
  while (done < out.length) {
    ssize_t count = getrandom(out.data + done, out.length - done, 0);
    if (count < 0 && errno != EINTR) return answer(env, -1);
    if (count > 0) done += (size_t)count;
  }
  return raw_answer(env, (int64_t)done);
}

/* poll(fd, events, milliseconds): ready events, 0 on time-out. */
static napi_value poll_fd(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  struct pollfd one = {.fd = (int)int_of(env, arguments[0]), .events = (short)int_of(env, arguments[1])};
  int64_t ms = int_of(env, arguments[2]);
  struct timespec limit = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
  int count = ppoll(&one, 1, ms < 0 ? NULL : &limit, NULL);
  if (count < 0) return answer(env, -1);
  return raw_answer(env, count > 0 ? one.revents : 0);
}

static napi_value set_nonblocking(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int fd = (int)int_of(env, arguments[0]);
  int flags = fcntl(fd, F_GETFL);
  return answer(env, flags < 0 ? flags : fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

/* pin(cpu): this process, and what it starts later, to one core. */
static napi_value pin(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  cordon_placement_remember();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((int)int_of(env, arguments[0]), &set);
  return answer(env, sched_setaffinity(0, sizeof set, &set));
}

/*
 * The memory file: its address range is reserved once (zygote), the memfd is mapped into it later (child). One buffer for all kernels of
 * this process, one after the other: V8 would take each for so much memory of its own and collect garbage, and code compiled for
 * one buffer would not fit the next.
 */
static uint8_t *memory_base;
static napi_ref memory_buffer;
static size_t memory_capacity;
static int memory_fd = -1;

int cordon_memory_fd(void) { return memory_fd; }

uint8_t *cordon_memory_base(size_t *capacity) {
  *capacity = memory_capacity;
  return memory_base;
}

static napi_value memory_reserve(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  napi_value buffer;
  if (memory_buffer && napi_get_reference_value(env, memory_buffer, &buffer) == napi_ok) return buffer;
  memory_capacity = (size_t)int_of(env, arguments[0]);
  void *base = mmap(NULL, memory_capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return answer(env, -1);
  if (napi_create_external_arraybuffer(env, base, memory_capacity, NULL, NULL, &buffer) != napi_ok ||
      napi_create_reference(env, buffer, 1, &memory_buffer) != napi_ok) {
    munmap(base, memory_capacity);
    return raw_answer(env, -ENOMEM);
  }
  memory_base = base;
  return buffer;
}

/* memoryAttach(): a fresh memfd behind the reserved range. Memory of an earlier one is gone. */
static napi_value memory_attach(napi_env env, napi_callback_info info) {
  (void)info;
  if (memory_fd >= 0) close(memory_fd);
  memory_fd = (int)syscall(SYS_memfd_create, "guest", 1u /* MFD_CLOEXEC */);
  if (memory_fd < 0) return answer(env, -1);
  if (ftruncate(memory_fd, (off_t)memory_capacity) < 0) return answer(env, -1);
  void *base = mmap(memory_base, memory_capacity, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
                    memory_fd, 0);
  return answer(env, base == MAP_FAILED ? -1 : memory_fd);
}

static napi_value memory_detach(napi_env env, napi_callback_info info) {
  (void)info;
  if (memory_fd < 0) return raw_answer(env, 0);
  close(memory_fd);
  memory_fd = -1;
  void *base = mmap(memory_base, memory_capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
                    -1, 0);
  return answer(env, base == MAP_FAILED ? -1 : 0);
}

static napi_value memory_discard(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  return answer(env, fallocate(memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, int_of(env, arguments[0]),
                               int_of(env, arguments[1])));
}

/* memoryCopy(to, from, length): within the memory file, by the file: nothing is touched through the mapping at `to`. */
static napi_value memory_copy(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  int64_t to = int_of(env, arguments[0]), from = int_of(env, arguments[1]), length = int_of(env, arguments[2]);
  if (from < 0 || length < 0 || (uint64_t)from + (uint64_t)length > memory_capacity) return raw_answer(env, -EINVAL);
  return answer(env, pwrite(memory_fd, memory_base + from, (size_t)length, to));
}

/* preadMemory(fd, memoryOffset, length, fileOffset): file bytes straight into guest memory. */
static napi_value pread_memory(napi_env env, napi_callback_info info) {
  ARGUMENTS(4);
  int64_t offset = int_of(env, arguments[1]), length = int_of(env, arguments[2]);
  if (offset < 0 || length < 0 || (uint64_t)offset + (uint64_t)length > memory_capacity)
    return raw_answer(env, -EINVAL);
  return answer(env, pread((int)int_of(env, arguments[0]), memory_base + offset, (size_t)length,
                           int_of(env, arguments[3])));
}

/* compareExchange(memoryOffset, expected, replacement): the old u32, atomically against running guest threads. */
static napi_value compare_exchange(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  int64_t offset = int_of(env, arguments[0]);
  if (offset < 0 || (uint64_t)offset + 4 > memory_capacity || (offset & 3)) return raw_answer(env, -EINVAL);
  uint32_t expected = (uint32_t)int_of(env, arguments[1]);
  __atomic_compare_exchange_n((uint32_t *)(memory_base + offset), &expected, (uint32_t)int_of(env, arguments[2]), 0,
                              __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  return raw_answer(env, expected);
}

void cordon_register_host(napi_env env, napi_value exports) {
  const struct function functions[] = {
      {"openBeneath", open_beneath},   {"close", close_fd},           {"read", read_fd},
      {"write", write_fd},             {"pread", pread_fd},           {"getdents", getdents_fd},
      {"statAt", stat_at},             {"readlinkAt", readlink_at},   {"now", now},
      {"clockTime", clock_time},          {"random", random_bytes},      {"poll", poll_fd},
      {"setNonBlocking", set_nonblocking}, {"pin", pin},              {"memoryReserve", memory_reserve},
      {"memoryCopy", memory_copy},     {"useTicks", use_ticks},       {"tick", tick},
      {"memoryAttach", memory_attach}, {"memoryDetach", memory_detach}, {"memoryDiscard", memory_discard},
      {"preadMemory", pread_memory},   {"compareExchange", compare_exchange},
  };
  register_functions(env, exports, functions, sizeof functions / sizeof *functions);
}
