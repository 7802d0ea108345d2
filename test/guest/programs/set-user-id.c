// Set-user-ID and set-group-ID programs: ids, AT_SECURE, capabilities, dumpable, no_new_privs, nosuid. Starts as root.
#include "results.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

// What a program sees of itself.
static int look(int argc, char **argv) {
  uid_t r, e, s;
  gid_t rg, eg, sg;
  getresuid(&r, &e, &s);
  getresgid(&rg, &eg, &sg);
  int death = 0;
  struct rlimit stack;
  prctl(PR_GET_PDEATHSIG, &death);
  getrlimit(RLIMIT_STACK, &stack);
  printf("uid %d %d %d gid %d %d %d secure %ld auxv %ld %ld %ld %ld dumpable %d death %d stack %s\n", r, e, s, rg, eg, sg, getauxval(AT_SECURE),
         getauxval(AT_UID), getauxval(AT_EUID), getauxval(AT_GID), getauxval(AT_EGID), prctl(PR_GET_DUMPABLE), death,
         stack.rlim_cur > 8 << 20 ? "large" : "small");
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  while (file && fgets(line, sizeof line, file))
    // All capabilities look different from kernel to kernel.
    if (strncmp(line, "CapPrm", 6) == 0 || strncmp(line, "CapEff", 6) == 0) printf("%.6s %s; ", line, strtoull(line + 8, NULL, 16) ? "some" : "none");
  printf("environment %s\n", getenv("LD_PRELOAD") ? "kept" : "cleaned");
  return 0;
}

static void drop(void) {
  if (setgid(1234) || setresuid(1234, 1234, 1234)) puts("not dropped");
}
static void nothing(void) {}
static void no_new_privileges(void) {
  drop();
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
static void death_signal(void) {
  struct rlimit stack = {64 << 20, 64 << 20};
  setrlimit(RLIMIT_STACK, &stack);
  drop();
  prctl(PR_SET_PDEATHSIG, SIGTERM);
}
static void effective_only(void) {
  if (setresuid(1234, 4321, 4321)) puts("not dropped");
}
static void effective_no_new_privileges(void) {
  effective_only();
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void run(const char *what, const char *path, void (*before)(void)) {
  printf("%s: ", what);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    before();
    fflush(stdout);
    char *argv[] = {(char *)path, "look", NULL}, *envp[] = {"LD_PRELOAD=/nonexistent.so", NULL};
    execve(path, argv, envp);
    printf("%s\n", strerrorname_np(errno));
    fflush(stdout);
    _exit(1);
  }
  wait_for(pid);
}

static void copy(const char *name, uid_t uid, gid_t gid, mode_t mode) {
  char buffer[65536];
  int from = open("/proc/self/exe", O_RDONLY), to = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0700);
  for (ssize_t got; (got = read(from, buffer, sizeof buffer)) > 0;)
    if (write(to, buffer, got) != got) puts("short");
  close(from);
  close(to);
  if (chown(name, uid, gid) || chmod(name, mode)) puts("no such owner");
}

static int shared(void *path) {
  drop();
  char *argv[] = {path, "look", NULL}, *envp[] = {"LD_PRELOAD=/nonexistent.so", NULL};
  execve(path, argv, envp);
  return 1;
}

int main(int argc, char **argv) {
  if (argc > 1) return look(argc, argv);
  setvbuf(stdout, NULL, _IOLBF, 0);
  chmod(".", 0755);
  copy("plain", 0, 0, 0755);
  copy("root", 0, 0, 04755);
  copy("user", 4321, 0, 04755);
  copy("group", 0, 4321, 02755);
  copy("both", 4321, 4321, 06755);
  copy("no-group-execution", 0, 4321, 02745);
  copy("secret", 0, 0, 0711);
  run("plain as root", "./plain", nothing);
  run("plain as user", "./plain", drop);
  run("root by user", "./root", drop);
  run("root by root", "./root", nothing);
  run("user by root", "./user", nothing);
  run("user by user", "./user", drop);
  run("group by user", "./group", drop);
  run("both by user", "./both", drop);
  run("group without execution", "./no-group-execution", nothing);
  run("unreadable", "./secret", drop);
  run("no_new_privs", "./root", no_new_privileges);
  run("death signal and stack", "./root", death_signal);
  run("death signal, plain", "./plain", death_signal);
  run("effective id only", "./plain", effective_only);
  run("effective id only, no_new_privs", "./plain", effective_no_new_privileges);
  // Here for the sandbox, where it is a mount of its own.
  if (getenv("NOSUID")) {
    copy("/dev/shm/root", 0, 0, 04755);
    run("nosuid", "/dev/shm/root", drop);
  }
  static char stack[65536];
  printf("shared directory: ");
  fflush(stdout);
  wait_for(clone(shared, stack + sizeof stack, CLONE_FS | SIGCHLD, "./root"));
  // Changed by somebody else, a file keeps no such bits.
  chmod("root", 04777);
  pid_t pid = fork();
  if (pid == 0) {
    drop();
    int fd = open("root", O_WRONLY);
    write(fd, "\177", 1);
    _exit(0);
  }
  wait_for(pid);
  struct stat st;
  stat("root", &st);
  printf("mode after a write %o\n", st.st_mode & 07777);
}
