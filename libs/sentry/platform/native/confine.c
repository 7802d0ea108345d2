/*
 * Closing a Sentry in: what no library call offers in one step. The order, the lists and the reasons are in TypeScript
 * (platform/confine.unsafe.ts, platform/confine-filter.ts). Every function returns a result or -errno.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addon.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#define NR_OPEN_TREE 428
#define NR_MOUNT_SETATTR 442
#define NR_LANDLOCK_CREATE_RULESET 444
#define NR_LANDLOCK_ADD_RULE 445
#define NR_LANDLOCK_RESTRICT_SELF 446

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

static int path_argument(napi_env env, napi_value value, char *out, size_t room) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, out, room, &length) != napi_ok) return 0;
  return length > 0 && length < room - 1 && strlen(out) == length;
}

#define ARGUMENTS(count)                                \
  napi_value argv[count];                               \
  size_t argc = count;                                  \
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL); \
  if (argc < (count)) return number_result(env, -EINVAL)

struct mount_attributes {
  uint64_t set, clear, propagation, userns_fd;
};

/*
 * openTree(path): a descriptor of a private, detached, read-only copy of the mounts below path. `..` at its root
 * leads nowhere, whatever flags it is opened with. Needs CAP_SYS_ADMIN over a mount namespace of our own.
 */
static napi_value clone_mount_tree(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  char path[4096];
  if (!path_argument(env, argv[0], path, sizeof path)) return number_result(env, -EINVAL);
  int fd = (int)syscall(NR_OPEN_TREE, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  if (fd < 0) return number_result(env, -errno);
  struct mount_attributes attributes = {.set = 1 | 2 | 4}; /* MOUNT_ATTR_RDONLY, NOSUID, NODEV */
  if (syscall(NR_MOUNT_SETATTR, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0) {
    int error = errno;
    close(fd);
    return number_result(env, -error);
  }
  return number_result(env, fd);
}

/* openPath(path, flags): plain open(2) with O_CLOEXEC. */
static napi_value open_path(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  char path[4096];
  if (!path_argument(env, argv[0], path, sizeof path)) return number_result(env, -EINVAL);
  int fd = open(path, int32_argument(env, argv[1]) | O_CLOEXEC);
  return number_result(env, fd < 0 ? -errno : fd);
}

/*
 * emptyRoot(): this process (all threads) sees an empty read-only directory as its root; the old root is unmounted.
 * Needs a mount namespace of our own.
 */
static napi_value empty_root(napi_env env, napi_callback_info info) {
  (void)info;
  const char *place = "/tmp";
  if (mount("none", place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=2,mode=0555") != 0) {
    place = "/proc"; /* exists wherever Node ran */
    if (mount("none", place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=2,mode=0555") != 0)
      return number_result(env, -errno);
  }
  if (chdir(place) != 0) return number_result(env, -errno);
  if (syscall(SYS_pivot_root, ".", ".") != 0) return number_result(env, -errno);
  /* The old root now lies on top of the new one. */
  if (umount2(".", MNT_DETACH) != 0) return number_result(env, -errno);
  if (chdir("/") != 0) return number_result(env, -errno);
  if (mount("none", "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
    return number_result(env, -errno);
  return number_result(env, 0);
}

/*
 * changeIdentity(uid, gid): real, effective and saved ids of this thread, no supplementary groups. -1, -1: keep.
 * Raw calls: glibc's wrappers would signal threads that a forked child does not have.
 */
static napi_value change_identity(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int32_t uid = int32_argument(env, argv[0]);
  int32_t gid = int32_argument(env, argv[1]);
  if (uid < 0) return number_result(env, 0);
  if (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, gid, gid, gid) != 0 ||
      syscall(SYS_setresuid, uid, uid, uid) != 0)
    return number_result(env, -errno);
  return number_result(env, 0);
}

/*
 * dropCapabilities(): all of them, and what a change of ids has reset: the process dies with its parent, and stays
 * traceable for its own tests (dumpable; it cannot be reached from other namespaces or by other uids).
 */
static napi_value drop_capabilities(napi_env env, napi_callback_info info) {
  (void)info;
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2];
  memset(none, 0, sizeof none);
  int error = 0;
  if (syscall(SYS_capset, &header, none) != 0) error = errno;
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) error = errno;
  if (prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0) != 0) error = errno;
  return number_result(env, -error);
}

static napi_value no_new_privileges(napi_env env, napi_callback_info info) {
  (void)info;
  return number_result(env, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ? -errno : 0);
}

/* limitResource(resource, value): soft and hard; lowered only, a limit that is tighter already stays. */
static napi_value limit_resource(napi_env env, napi_callback_info info) {
  ARGUMENTS(2);
  int resource = int32_argument(env, argv[0]);
  int64_t value = -1;
  napi_get_value_int64(env, argv[1], &value);
  struct rlimit limit;
  if (value < 0 || getrlimit((__rlimit_resource_t)resource, &limit) != 0) return number_result(env, -EINVAL);
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < (rlim_t)value) value = (int64_t)limit.rlim_max;
  limit.rlim_cur = limit.rlim_max = (rlim_t)value;
  return number_result(env, setrlimit((__rlimit_resource_t)resource, &limit) != 0 ? -errno : 0);
}

/* landlockVersion(): ABI version, or -errno where there is none. */
static napi_value landlock_version(napi_env env, napi_callback_info info) {
  (void)info;
  long version = syscall(NR_LANDLOCK_CREATE_RULESET, NULL, 0, 1);
  return number_result(env, version < 0 ? -errno : version);
}

/* Newer than the headers this may be built with. */
struct ruleset_attributes {
  uint64_t handled_fs, handled_net, scoped;
};
struct __attribute__((packed)) beneath_attributes {
  uint64_t allowed;
  int32_t parent;
};

/*
 * landlockRestrict(roots: Int32Array): from now on only files below these descriptors can be opened, and only to
 * read; no TCP port can be used, and nothing outside the domain signalled (by ABI version).
 * Precondition: no_new_privs.
 */
static napi_value landlock_restrict(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  napi_typedarray_type type;
  size_t count;
  int32_t *roots;
  if (napi_get_typedarray_info(env, argv[0], &type, &count, (void **)&roots, NULL, NULL) != napi_ok ||
      type != napi_int32_array)
    return number_result(env, -EINVAL);
  long version = syscall(NR_LANDLOCK_CREATE_RULESET, NULL, 0, 1);
  if (version < 1) return number_result(env, version < 0 ? -errno : -ENOSYS);
  /* Rights per version: 13 in the first, then refer, truncate, (4: network), ioctl. */
  uint64_t rights = (1u << 13) - 1;
  if (version >= 2) rights |= 1u << 13;
  if (version >= 3) rights |= 1u << 14;
  if (version >= 5) rights |= 1u << 15;
  struct ruleset_attributes ruleset = {.handled_fs = rights, .handled_net = 3, .scoped = 3};
  size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
  int fd = (int)syscall(NR_LANDLOCK_CREATE_RULESET, &ruleset, size, 0);
  if (fd < 0) return number_result(env, -errno);
  int error = 0;
  for (size_t index = 0; index < count && error == 0; index++) {
    struct stat status;
    if (fstat(roots[index], &status) != 0) {
      error = errno;
      break;
    }
    /* read file; read directory only where it is one. Not execute: guest programs are mapped, never exec'ed. */
    struct beneath_attributes rule = {.allowed = S_ISDIR(status.st_mode) ? 4 | 8 : 4, .parent = roots[index]};
    if (syscall(NR_LANDLOCK_ADD_RULE, fd, 1, &rule, 0) != 0) error = errno;
  }
  if (error == 0 && syscall(NR_LANDLOCK_RESTRICT_SELF, fd, 0) != 0) error = errno;
  close(fd);
  return number_result(env, -error);
}

/* installFilter(program: Uint8Array of struct sock_filter): for this thread and what it starts. Precondition: no_new_privs. */
static napi_value install_filter(napi_env env, napi_callback_info info) {
  ARGUMENTS(1);
  napi_typedarray_type type;
  size_t bytes;
  void *data;
  if (napi_get_typedarray_info(env, argv[0], &type, &bytes, &data, NULL, NULL) != napi_ok ||
      type != napi_uint8_array || bytes % sizeof(struct sock_filter) != 0)
    return number_result(env, -EINVAL);
  struct sock_fprog program = {.len = (unsigned short)(bytes / sizeof(struct sock_filter)), .filter = data};
  return number_result(env, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0 ? -errno : 0);
}

/* filterSupported(): 1 when SECCOMP_RET_KILL_PROCESS exists. */
static napi_value filter_supported(napi_env env, napi_callback_info info) {
  (void)info;
  uint32_t action = SECCOMP_RET_KILL_PROCESS;
  return number_result(env, syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0);
}

static napi_value effective_uid(napi_env env, napi_callback_info info) {
  (void)info;
  return number_result(env, geteuid());
}

void cordon_register_confine(napi_env env, napi_value exports) {
  static const struct {
    const char *name;
    napi_callback function;
  } functions[] = {
      {"openTree", clone_mount_tree},
      {"openPath", open_path},
      {"emptyRoot", empty_root},
      {"changeIdentity", change_identity},
      {"dropCapabilities", drop_capabilities},
      {"noNewPrivileges", no_new_privileges},
      {"limitResource", limit_resource},
      {"landlockVersion", landlock_version},
      {"landlockRestrict", landlock_restrict},
      {"installFilter", install_filter},
      {"filterSupported", filter_supported},
      {"effectiveUid", effective_uid},
  };
  for (size_t index = 0; index < sizeof functions / sizeof *functions; index++) {
    napi_value function;
    napi_create_function(env, functions[index].name, NAPI_AUTO_LENGTH, functions[index].function, NULL, &function);
    napi_set_named_property(env, exports, functions[index].name, function);
  }
}
