/*
 * The zygote's part of the addon: waiting, forking, reaping, and what a fresh child must do before it runs JavaScript.
 * The policy (who is forked when, what a child does) is in TypeScript; see platform/zygote.unsafe.ts.
 *
 * Every function returns a number: a result, or -errno.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "addon.h"

#define NR_CLOSE_RANGE 436

static int32_t int32_argument(napi_env env, napi_value value) {
  int32_t number = -1;
  napi_get_value_int32(env, value, &number);
  return number;
}

static napi_value number_result(napi_env env, int64_t number) {
  napi_value result;
  napi_create_int64(env, number, &result);
  return result;
}

#define ARGUMENTS(count)                                              \
  napi_value argv[count];                                             \
  size_t argc = count;                                                \
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);               \
  if (argc < (count)) return number_result(env, -EINVAL)

/* Bytes of a Uint8Array or elements of an Int32Array; NULL when it is neither. */
static void *array_argument(napi_env env, napi_value value, size_t *bytes) {
  napi_typedarray_type type;
  size_t length;
  void *data;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, NULL, NULL) != napi_ok) return NULL;
  *bytes = type == napi_uint8_array ? length : length * 4;
  return data;
}

/* socketPair(out: Int32Array(2)): two ends of a stream socket, close-on-exec. */
static napi_value socket_pair(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  size_t bytes;
  int32_t *out = array_argument(env, argv[0], &bytes);
  int pair[2];
  if (!out || bytes < 8) return number_result(env, -EINVAL);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return number_result(env, -errno);
  out[0] = pair[0];
  out[1] = pair[1];
  return number_result(env, 0);
}

/* duplicate(fd): another descriptor of the same file, close-on-exec. */
static napi_value duplicate(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int fd = fcntl(int32_argument(env, argv[0]), F_DUPFD_CLOEXEC, 3);
  return number_result(env, fd < 0 ? -errno : fd);
}

/* sendWithDescriptor(socket, bytes, fd or -1): bytes sent. */
static napi_value send_with_descriptor(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  size_t bytes;
  void *data = array_argument(env, argv[1], &bytes);
  int fd = int32_argument(env, argv[2]);
  if (!data) return number_result(env, -EINVAL);
  struct iovec part = {data, bytes};
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
  } control;
  memset(&control, 0, sizeof control);
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  ssize_t sent;
  do sent = sendmsg(int32_argument(env, argv[0]), &message, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return number_result(env, sent < 0 ? -errno : sent);
}

static napi_value close_descriptor(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  return number_result(env, close(int32_argument(env, argv[0])) != 0 ? -errno : 0);
}

/* shimLoaded(): 1 when zygote-shim.so was preloaded, else 0. */
static volatile int *shim_flag(const char *name) { return dlsym(RTLD_DEFAULT, name); }

static napi_value shim_loaded(napi_env env, napi_callback_info info) {
  (void)info;
  return number_result(env, shim_flag("cordon_quiesced") && shim_flag("cordon_forked"));
}

static int child_event = -1;

static void on_child(int signal) {
  (void)signal;
  int saved = errno;
  uint64_t one = 1;
  if (write(child_event, &one, sizeof one) < 0) errno = saved;
  errno = saved;
}

/*
 * quiesced(): from here on condition variables are not signalled and signals have their defaults (SIGPIPE ignored).
 * Returns an eventfd that becomes readable when a child ends. (Not a signalfd: Node's other threads don't block
 * SIGCHLD and would swallow it.)
 */
static napi_value quiesced(napi_env env, napi_callback_info info) {
  (void)info;
  volatile int *flag = shim_flag("cordon_quiesced");
  if (!flag) return number_result(env, -ENOSYS);
  *flag = 1;
  for (int signal = 1; signal < 65; signal++) {
    if (signal == SIGKILL || signal == SIGSTOP || signal == 32 || signal == 33) continue;
    struct sigaction action = {.sa_handler = signal == SIGPIPE ? SIG_IGN : SIG_DFL};
    sigaction(signal, &action, NULL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  child_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (child_event < 0) return number_result(env, -errno);
  struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
  sigaction(SIGCHLD, &action, NULL);
  return number_result(env, child_event);
}

/*
 * zygoteWait(control, signals, out: Int32Array(8)): waits for the next thing to do.
 * 1: a request, out = [operation, id, argument, descriptor or -1]
 * 2: a child ended, out = [pid, wait status, user+system CPU in ms, peak resident KiB]
 * 0: the supervisor hung up
 */
static napi_value zygote_wait(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  int control = int32_argument(env, argv[0]);
  int signals = int32_argument(env, argv[1]);
  size_t bytes;
  int32_t *out = array_argument(env, argv[2], &bytes);
  if (!out || bytes < 16) return number_result(env, -EINVAL);
  for (;;) {
    int status;
    struct rusage usage;
    pid_t pid = wait4(-1, &status, WNOHANG | __WALL, &usage);
    if (pid > 0) {
      out[0] = pid;
      out[1] = status;
      out[2] = (int32_t)((usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000);
      out[3] = (int32_t)usage.ru_maxrss;
      return number_result(env, 2);
    }
    struct pollfd watched[2] = {{control, POLLIN, 0}, {signals, POLLIN, 0}};
    if (poll(watched, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return number_result(env, -errno);
    }
    if (watched[1].revents) {
      uint64_t drained;
      if (read(signals, &drained, sizeof drained) < 0 && errno != EAGAIN) return number_result(env, -errno);
      continue;
    }
    int32_t request[3];
    struct iovec part = {request, sizeof request};
    union {
      struct cmsghdr header;
      char room[CMSG_SPACE(sizeof(int))];
    } ancillary;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof ancillary};
    ssize_t got = recvmsg(control, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);
    if (got < 0 && errno == EINTR) continue;
    if (got != sizeof request) return number_result(env, 0);
    out[3] = -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
      memcpy(&out[3], CMSG_DATA(header), sizeof(int));
    memcpy(out, request, sizeof request);
    return number_result(env, 1);
  }
}

/*
 * forkChild(ownPidNamespace: descriptor of /proc/self/ns/pid or -1): pid in the parent, 0 in the child.
 * With a descriptor the child becomes process 1 of a pid namespace of its own: whatever it started dies with it.
 */
static napi_value fork_child(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int own = int32_argument(env, argv[0]);
  int separate = own >= 0 && unshare(CLONE_NEWPID) == 0;
  pid_t pid = fork();
  int error = errno;
  if (pid == 0) {
    volatile int *flag = shim_flag("cordon_forked");
    if (flag) *flag = 1;
    return number_result(env, 0);
  }
  if (separate) setns(own, CLONE_NEWPID);
  return number_result(env, pid < 0 ? -error : pid);
}

static void close_descriptors(unsigned first, unsigned last) {
  if (syscall(NR_CLOSE_RANGE, first, last, 0) == 0) return;
  if (last > 65535) last = 65535;
  for (unsigned fd = first; fd <= last; fd++) close((int)fd);
}

/*
 * childStart(null, stale: Int32Array, keep: Int32Array, channel, errors): first thing in a child. The descriptors of
 * `stale` (Node's own) become /dev/null. They are not closed: V8 still writes to libuv's eventfd, and a reused number
 * would be a guest's file. (Not done once in the zygote: its helper threads still wait on them.) Standard input and
 * output become /dev/null, 2 becomes `errors`, 3 becomes `channel`. Of the rest only `keep` (ascending; stale and null
 * included) stays open. SIGCHLD goes back to its default.
 */
static napi_value child_start(napi_env env, napi_callback_info info) {
  ARGUMENTS(5);
  int null = int32_argument(env, argv[0]);
  size_t stale_bytes = 0, bytes = 0;
  int32_t *stale = array_argument(env, argv[1], &stale_bytes);
  int32_t *keep = array_argument(env, argv[2], &bytes);
  int channel = int32_argument(env, argv[3]);
  int errors = int32_argument(env, argv[4]);
  if (!stale || !keep) return number_result(env, -EINVAL);
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigaction(SIGCHLD, &action, NULL);
  if (dup3(errors, 2, 0) < 0 || dup3(channel, 3, O_CLOEXEC) < 0) return number_result(env, -errno);
  dup2(null, 0);
  dup2(null, 1);
  for (size_t index = 0; index < stale_bytes / 4; index++)
    if (stale[index] > 3) dup3(null, stale[index], O_CLOEXEC);
  unsigned from = 4;
  for (size_t index = 0; index <= bytes / 4; index++) {
    unsigned next = index < bytes / 4 ? (unsigned)keep[index] : ~0u;
    if (next < from) continue;
    if (next > from) close_descriptors(from, next == ~0u ? next : next - 1);
    from = next + 1;
  }
  return number_result(env, 0);
}

/* errorFile(bytes): a memory file of that fixed size: a child's standard error, read by the zygote when it ended. */
static napi_value error_file(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  int fd = memfd_create("sentry-stderr", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return number_result(env, -errno);
  if (ftruncate(fd, int32_argument(env, argv[0])) != 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
    int error = errno;
    close(fd);
    return number_result(env, -error);
  }
  return number_result(env, fd);
}

/* readAt(fd, bytes, offset): bytes read. */
static napi_value read_at(napi_env env, napi_callback_info info) {
  ARGUMENTS(3);
  size_t bytes;
  void *data = array_argument(env, argv[1], &bytes);
  if (!data) return number_result(env, -EINVAL);
  ssize_t got = pread(int32_argument(env, argv[0]), data, bytes, int32_argument(env, argv[2]));
  return number_result(env, got < 0 ? -errno : got);
}

/* writeAll(fd, bytes): bytes written; blocks. */
static napi_value write_all(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int fd = int32_argument(env, argv[0]);
  size_t bytes, done = 0;
  char *data = array_argument(env, argv[1], &bytes);
  if (!data) return number_result(env, -EINVAL);
  while (done < bytes) {
    ssize_t wrote = write(fd, data + done, bytes - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return number_result(env, -errno);
    done += (size_t)wrote;
  }
  return number_result(env, (int64_t)done);
}

static napi_value kill_process(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int pid = int32_argument(env, argv[0]);
  if (pid <= 1) return number_result(env, -EINVAL);
  return number_result(env, kill(pid, int32_argument(env, argv[1])) != 0 ? -errno : 0);
}

/* limitCpu(pid, seconds): RLIMIT_CPU of a child, from outside. */
static napi_value limit_cpu(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int seconds = int32_argument(env, argv[1]);
  struct rlimit limit = {(rlim_t)seconds, (rlim_t)seconds + 1};
  return number_result(env, prlimit(int32_argument(env, argv[0]), RLIMIT_CPU, &limit, NULL) != 0 ? -errno : 0);
}

/* exitGroup(code): ends the process at once; Node's own exit would wait for threads that are not there. */
static napi_value exit_group_now(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  syscall(SYS_exit_group, int32_argument(env, argv[0]));
  return NULL;
}

static napi_value get_pid(napi_env env, napi_callback_info info) {
  (void)info;
  return number_result(env, getpid());
}

/* randomBytes(bytes): filled from getrandom. */
static napi_value random_bytes(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  size_t bytes;
  void *data = array_argument(env, argv[0], &bytes);
  if (!data || bytes > 256) return number_result(env, -EINVAL);
  long got = syscall(SYS_getrandom, data, bytes, 0);
  return number_result(env, got < 0 ? -errno : got);
}

/* becomeSubreaper(): orphans below this process are reparented to it. */
static napi_value become_subreaper(napi_env env, napi_callback_info info) {
  (void)info;
  return number_result(env, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 ? -errno : 0);
}

static cpu_set_t affinity;

/* keepAffinity() and restoreAffinity(): the cores of this thread, around something that pins it to one. */
static napi_value keep_affinity(napi_env env, napi_callback_info info) {
  (void)info;
  return number_result(env, sched_getaffinity(0, sizeof affinity, &affinity) != 0 ? -errno : 0);
}

static napi_value current_cpu(napi_env env, napi_callback_info info) {
  (void)info;
  return number_result(env, sched_getcpu());
}

static napi_value restore_affinity(napi_env env, napi_callback_info info) {
  (void)info;
  return number_result(env, sched_setaffinity(0, sizeof affinity, &affinity) != 0 ? -errno : 0);
}

void cordon_register_zygote(napi_env env, napi_value exports) {
  static const struct {
    const char *name;
    napi_callback function;
  } functions[] = {
      {"socketPair", socket_pair},
      {"duplicate", duplicate},
      {"sendWithDescriptor", send_with_descriptor},
      {"closeDescriptor", close_descriptor},
      {"shimLoaded", shim_loaded},
      {"quiesced", quiesced},
      {"zygoteWait", zygote_wait},
      {"forkChild", fork_child},
      {"childStart", child_start},
      {"errorFile", error_file},
      {"readAt", read_at},
      {"writeAll", write_all},
      {"killProcess", kill_process},
      {"limitCpu", limit_cpu},
      {"exitGroup", exit_group_now},
      {"getPid", get_pid},
      {"randomBytes", random_bytes},
      {"keepAffinity", keep_affinity},
      {"currentCpu", current_cpu},
      {"restoreAffinity", restore_affinity},
      {"becomeSubreaper", become_subreaper},
  };
  for (size_t index = 0; index < sizeof functions / sizeof *functions; index++) {
    napi_value function;
    napi_create_function(env, functions[index].name, NAPI_AUTO_LENGTH, functions[index].function, NULL, &function);
    napi_set_named_property(env, exports, functions[index].name, function);
  }
}
