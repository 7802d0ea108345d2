/*
 * cordon-launch PROGRAM [ARGUMENTS...]: starts the zygote inside namespaces of its own.
 *
 * A user namespace can only be entered by a process with one thread, so this has to happen before Node exists. Each
 * namespace is asked for on its own: what the host refuses is left out, and CORDON_NAMESPACES tells the program which
 * ones it got (comma separated). PROGRAM becomes process 1 of its pid namespace: when it ends, the kernel kills
 * everything below it. The launcher waits, holds no descriptor, dies with its parent, and ends as PROGRAM ended.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t length = (ssize_t)strlen(text);
  ssize_t written = write(fd, text, (size_t)length);
  close(fd);
  return written == length ? 0 : -1;
}

static char got[128];

static void gain(int flag, const char *name) {
  if (unshare(flag) != 0) return;
  if (got[0]) strcat(got, ",");
  strcat(got, name);
}

/* True when a user namespace was made and our ids are mapped in it (as 0, so that exec keeps the capabilities). */
static int enter_user_namespace(void) {
  char map[64];
  uid_t uid = getuid();
  gid_t gid = getgid();
  /* A half-made namespace (unmapped ids) cannot be left again: try it in a child first. */
  pid_t probe = fork();
  if (probe == 0) {
    if (unshare(CLONE_NEWUSER) != 0) _exit(1);
    put("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
    _exit(put("/proc/self/uid_map", map) == 0 ? 0 : 1);
  }
  int status = 1;
  if (probe < 0 || waitpid(probe, &status, 0) != probe || status != 0) return 0;
  if (unshare(CLONE_NEWUSER) != 0) return 0;
  put("/proc/self/setgroups", "deny");
  snprintf(map, sizeof map, "0 %u 1", (unsigned)gid);
  put("/proc/self/gid_map", map);
  snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
  if (put("/proc/self/uid_map", map) != 0) return 0;
  strcpy(got, "user");
  return 1;
}

/* CORDON_SHIM names the library to preload. By descriptor, since LD_PRELOAD cannot hold every path. */
static void preload(void) {
  const char *path = getenv("CORDON_SHIM");
  if (!path) return;
  int fd = open(path, O_RDONLY);
  if (fd < 0) {
    fprintf(stderr, "cordon-launch: %s: %s\n", path, strerror(errno));
    _exit(72);
  }
  char name[64];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  setenv("LD_PRELOAD", name, 1);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: cordon-launch PROGRAM [ARGUMENTS...]\n");
    return 64;
  }
  pid_t parent = getppid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) return 1;
  /* 0 to 3 are for the program; whatever else the worker left open is not. */
  syscall(SYS_close_range, 4u, ~0u, 0u);
  /* Keys of the terminal are for whoever started us; the pool ends the zygote in its own order. */
  setsid();

  const char *wanted = getenv("CORDON_NO_NAMESPACES");
  if (!wanted) {
    if (geteuid() != 0) enter_user_namespace();
    gain(CLONE_NEWNS, "mount");
    gain(CLONE_NEWPID, "pid");
    gain(CLONE_NEWNET, "net");
    gain(CLONE_NEWIPC, "ipc");
    gain(CLONE_NEWUTS, "uts");
    if (strstr(got, "mount")) mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
  }
  setenv("CORDON_NAMESPACES", got, 1);
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);

  pid_t child = fork();
  if (child < 0) {
    perror("cordon-launch: fork");
    return 71;
  }
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    preload();
    execv(argv[1], argv + 1);
    fprintf(stderr, "cordon-launch: %s: %s\n", argv[1], strerror(errno));
    _exit(72);
  }
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; null >= 0 && fd < 3; fd++) dup2(null, fd);
  syscall(SYS_close_range, 3u, ~0u, 0u);
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return 1;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
