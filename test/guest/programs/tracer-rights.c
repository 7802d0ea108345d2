// Who may trace and look into whom: set-user-ID programs under a tracer, capabilities that the looker lacks. Starts as root.
#include "ptrace.h"
#include <grp.h>
#include <linux/capability.h>
#include <sys/stat.h>

static void look(void) {
  uid_t r, e, s;
  getresuid(&r, &e, &s);
  printf("uid %d %d %d\n", r, e, s);
}

static void drop(void) {
  if (setgroups(0, NULL) || setresgid(1234, 1234, 1234) || setresuid(1234, 1234, 1234)) puts("not dropped");
}

static void copy_self(const char *name) {
  char buffer[65536];
  int from = open("/proc/self/exe", O_RDONLY), to = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);
  for (ssize_t got; (got = read(from, buffer, sizeof buffer)) > 0;)
    if (write(to, buffer, got) != got) puts("short");
  close(from), close(to);
  if (chown(name, 0, 0) || chmod(name, 04755)) puts("no owner");
}

// A tracer that is root or not, and its child, which never is, runs a set-user-ID program.
static void traced_exec(const char *what, bool tracer_is_root, bool traced) {
  printf("%s: ", what);
  fflush(stdout);
  pid_t tracer = fork();
  if (tracer == 0) {
    if (!tracer_is_root) drop();
    // Changing ids has taken it away.
    prctl(PR_SET_DUMPABLE, 1);
    pid_t pid = fork();
    if (pid == 0) {
      if (tracer_is_root) drop();
      raise(SIGSTOP);
      execl("./set-user-id", "./set-user-id", "look", (char *)NULL);
      _exit(1);
    }
    int status;
    waitpid(pid, &status, WUNTRACED);
    if (traced && ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXEC)) puts("not seized");
    kill(pid, SIGCONT);
    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) {
      int signal = status >> 16 || WSTOPSIG(status) == SIGCONT || WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status);
      ptrace(PTRACE_CONT, pid, 0, signal);
    }
    _exit(0);
  }
  waitpid(tracer, NULL, 0);
}

static void inspect(const char *what, pid_t pid) {
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  const char *link = readlink(path, text, sizeof text) < 0 ? strerrorname_np(errno) : "read";
  snprintf(path, sizeof path, "/proc/%d/environ", pid);
  int fd = open(path, O_RDONLY);
  const char *file = fd < 0 || read(fd, text, sizeof text) < 0 ? strerrorname_np(errno) : "read";
  if (fd >= 0) close(fd);
  printf("%s: link %s, file %s\n", what, link, file);
  fflush(stdout);
}

// One with the same ids, that has kept a capability, let itself be dumped, and in the end has none.
static void more_capable(void) {
  int up[2], down[2];
  if (pipe(up) || pipe(down)) return;
  pid_t target = fork();
  if (target == 0) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct one[2] = {{.permitted = 1u << CAP_NET_RAW}}, none[2] = {0};
    prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
    drop();
    char byte;
    if (syscall(SYS_capset, &header, one) || prctl(PR_SET_DUMPABLE, 1)) puts("not kept");
    if (write(up[1], "a", 1) != 1 || read(down[0], &byte, 1) != 1) _exit(1);
    if (syscall(SYS_capset, &header, none)) puts("not given up");
    if (write(up[1], "b", 1) != 1 || read(down[0], &byte, 1) != 1) _exit(1);
    prctl(PR_SET_DUMPABLE, 0);
    if (write(up[1], "c", 1) != 1 || read(down[0], &byte, 1) != 1) _exit(1);
    _exit(0);
  }
  pid_t looker = fork();
  if (looker == 0) {
    drop();
    char byte;
    if (read(up[0], &byte, 1) != 1) _exit(1);
    inspect("has a capability more", target);
    R(ptrace(PTRACE_SEIZE, target, 0, 0));
    if (write(down[1], "x", 1) != 1 || read(up[0], &byte, 1) != 1) _exit(1);
    inspect("has none", target);
    if (write(down[1], "x", 1) != 1 || read(up[0], &byte, 1) != 1) _exit(1);
    inspect("is not dumpable", target);
    R(ptrace(PTRACE_SEIZE, target, 0, 0));
    if (write(down[1], "x", 1) != 1) _exit(1);
    _exit(0);
  }
  waitpid(looker, NULL, 0);
  waitpid(target, NULL, 0);
}

int main(int argc, char **argv) {
  (void)argv;
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1) return look(), 0;
  alarm(30);
  chmod(".", 0755);
  copy_self("set-user-id");
  traced_exec("untraced", false, false);
  traced_exec("traced by one without rights", false, true);
  traced_exec("traced by root", true, true);
  more_capable();
  return 0;
}
