// Landlock: rulesets, what they forbid, who inherits them. Only the rights of its first version: same as natively.
#include "results.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#define ALL 0x1fffull
static int ruleset(uint64_t handled) {
  struct { uint64_t fs; } attr = {handled};
  return syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
}
static long rule(int set, const char *path, uint64_t allowed) {
  struct landlock_path_beneath_attr attr = {.allowed_access = allowed, .parent_fd = open(path, O_PATH | O_CLOEXEC)};
  long result = syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &attr, 0);
  int saved = errno;
  close(attr.parent_fd);
  errno = saved;
  return result;
}
static long restrict_self(int set) { return syscall(SYS_landlock_restrict_self, set, 0); }
static void touch(const char *path) { close(open(path, O_WRONLY | O_CREAT, 0644)); }
static void try_open(const char *path, int flags) {
  int fd = open(path, flags, 0644);
  printf("open %s %x: %s\n", path, flags, fd >= 0 ? "ok" : strerrorname_np(errno));
  if (fd >= 0) close(fd);
}

static void refusals(void) {
  struct { uint64_t fs; char more[24]; } attr = {1};
  R(syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0);
  R(syscall(SYS_landlock_create_ruleset, &attr, 8, 1));
  R(syscall(SYS_landlock_create_ruleset, NULL, 0, 1u << 20));
  R(syscall(SYS_landlock_create_ruleset, &attr, 7, 0));
  R(syscall(SYS_landlock_create_ruleset, &attr, 4097, 0));
  R(syscall(SYS_landlock_create_ruleset, wild, 8, 0));
  attr.fs = 1ull << 60;
  R(syscall(SYS_landlock_create_ruleset, &attr, 8, 0));
  attr.fs = 0;
  R(syscall(SYS_landlock_create_ruleset, &attr, 8, 0));
  int set = ruleset(LANDLOCK_ACCESS_FS_READ_FILE);
  printf("closed on exec: %d\n", fcntl(set, F_GETFD));
  char byte;
  R(read(set, &byte, 1));
  R(write(set, &byte, 1));
  R(rule(set, ".", LANDLOCK_ACCESS_FS_READ_FILE));
  R(rule(set, ".", LANDLOCK_ACCESS_FS_WRITE_FILE));
  R(rule(set, ".", 0));
  R(rule(set, "absent", LANDLOCK_ACCESS_FS_READ_FILE));
  R(rule(999, ".", LANDLOCK_ACCESS_FS_READ_FILE));
  R(rule(1, ".", LANDLOCK_ACCESS_FS_READ_FILE));
  R(syscall(SYS_landlock_add_rule, set, 77, &attr, 0));
  R(syscall(SYS_landlock_add_rule, set, 1, wild, 0));
  R(syscall(SYS_landlock_add_rule, set, 1, &attr, 1));
  int ends[2];
  pipe(ends);
  struct landlock_path_beneath_attr odd = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE, .parent_fd = ends[0]};
  R(syscall(SYS_landlock_add_rule, set, 1, &odd, 0));
  touch("file");
  int directories = ruleset(ALL);
  R(rule(directories, "file", LANDLOCK_ACCESS_FS_READ_DIR));
  R(rule(directories, "file", LANDLOCK_ACCESS_FS_READ_FILE));
  if (getuid() == 0 && setresuid(1000, 1000, 1000)) puts("not dropped");
  R(restrict_self(set));
  R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  R(restrict_self(1));
  R(restrict_self(999));
  R(syscall(SYS_landlock_restrict_self, set, 1u << 20));
  int layers = 0;
  while (restrict_self(set) == 0) layers++;
  printf("%d layers, then %s\n", layers, strerrorname_np(errno));
}

static void files(void) {
  mkdir("read", 0755);
  mkdir("write", 0755);
  mkdir("write/below", 0755);
  mkdir("none", 0755);
  touch("read/file");
  touch("read/other");
  touch("write/file");
  touch("write/below/file");
  touch("none/file");
  int before = open("none/file", O_RDWR);
  symlink("../none/file", "read/link");
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  int set = ruleset(ALL);
  rule(set, "read", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR);
  rule(set, "read/other", LANDLOCK_ACCESS_FS_WRITE_FILE);
  rule(set, "write", ALL & ~(LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_EXECUTE));
  R(restrict_self(set));
  try_open("read/file", O_RDONLY);
  try_open("read/file", O_RDWR);
  try_open("read/other", O_RDWR);
  try_open("read/link", O_RDONLY);
  try_open("read/file", O_PATH);
  try_open("read", O_RDONLY | O_DIRECTORY);
  try_open("read/new", O_WRONLY | O_CREAT);
  try_open("none/file", O_RDONLY);
  try_open("none", O_RDONLY | O_DIRECTORY);
  try_open("none/file", O_PATH);
  try_open("none/new", O_WRONLY | O_CREAT);
  try_open(".", O_RDONLY | O_DIRECTORY);
  try_open("write/new", O_RDWR | O_CREAT | O_EXCL);
  try_open("write/below/new", O_RDWR | O_CREAT);
  try_open("write/file", O_RDWR | O_TRUNC);
  try_open("/proc/self/status", O_RDONLY);
  printf("what was open stays so: %zd %zd\n", write(before, "x", 1), pread(before, (char[1]){0}, 1, 0));
  struct stat st;
  R(stat("none/file", &st));
  R(chmod("none/file", 0600));
  R(truncate("none/file", 0));
  R(chdir("none"));
  R(chdir(".."));
  R(mkdir("write/made", 0755));
  R(rmdir("write/made"));
  R(unlink("write/new"));
  R(mkfifo("write/fifo", 0644));
  R(symlink("x", "write/link"));
  R(mkdir("none/made", 0755));
  R(unlink("none/file"));
  R(unlink("read/file"));
  R(symlink("x", "none/link"));
  R(rename("write/file", "write/renamed"));
  R(rename("write/renamed", "write/below/renamed"));
  R(rename("write/renamed", "none/renamed"));
  R(rename("none/file", "write/stolen"));
  R(rename("none/file", "none/renamed"));
  R(rename("write/below", "write/above"));
  R(link("write/renamed", "write/linked"));
  R(link("write/renamed", "write/above/linked"));
  R(link("none/file", "write/linked2"));
  struct sockaddr_un address = {AF_UNIX, "none/socket"};
  R(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof address));
  strcpy(address.sun_path, "write/socket");
  R(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof address));
  R(execl("write/above/file", "file", NULL));
  R(execl("/bin/true", "true", NULL));
  int ends[2];
  pipe(ends);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
  R(execl("none/file", "file", NULL));
}

static void *in_thread(void *unused) {
  (void)unused;
  try_open("none/file", O_RDONLY);
  return NULL;
}
static void *restricts_itself(void *unused) {
  (void)unused;
  int set = ruleset(LANDLOCK_ACCESS_FS_READ_FILE);
  R(restrict_self(set));
  try_open("none/file", O_RDONLY);
  return NULL;
}

static void layers(void) {
  mkdir("none", 0755);
  mkdir("some", 0755);
  touch("none/file");
  touch("some/file");
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  pthread_t thread;
  pthread_create(&thread, NULL, restricts_itself, NULL);
  pthread_join(thread, NULL);
  try_open("none/file", O_RDONLY);
  int first = ruleset(LANDLOCK_ACCESS_FS_READ_FILE), second = ruleset(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
  rule(first, ".", LANDLOCK_ACCESS_FS_READ_FILE);
  rule(second, "some", LANDLOCK_ACCESS_FS_READ_FILE);
  R(restrict_self(first));
  try_open("none/file", O_RDWR);
  R(restrict_self(second));
  // The ruleset is copied: what it is given later changes nothing.
  R(rule(second, "none", LANDLOCK_ACCESS_FS_READ_FILE));
  try_open("some/file", O_RDONLY);
  try_open("some/file", O_RDWR);
  try_open("none/file", O_RDONLY);
  try_open("none", O_RDONLY | O_DIRECTORY);
  pthread_create(&thread, NULL, in_thread, NULL);
  pthread_join(thread, NULL);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    try_open("some/file", O_RDONLY);
    try_open("none/file", O_RDONLY);
    fflush(stdout);
    _exit(0);
  }
  wait_for(pid);
}

static const struct section sections[] = {{"refusals", refusals}, {"files", files}, {"layers", layers}};
int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 0) {
    puts("no landlock");
    return 0;
  }
  return run_section(argc, argv, sections, sizeof sections / sizeof *sections);
}
