// Rules of files: permissions of users that are not root, times, extended attributes, locks, sizes. On tmpfs. Usage: file-rules SECTION.
#include "results.h"
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static char dir[64];
static char buffer[70000];

static void setup(void) {
  umask(022);
  sprintf(dir, "/dev/shm/cordon-%d", getpid());
  mkdir(dir, 0755);
  if (chdir(dir)) _exit(9);
}

static void cleanup(void) {
  chdir("/");
  char command[128];
  sprintf(command, "rm -rf %s", dir);
  system(command);
}

static void make(const char *name, int mode) {
  close(open(name, O_CREAT | O_WRONLY, 0600));
  chmod(name, mode);
}

static pid_t as(int uid, int gid, int group) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid != 0) return pid;
  gid_t groups[1] = {group};
  setgroups(group ? 1 : 0, groups);
  setresgid(gid, gid, gid);
  setresuid(uid, uid, uid);
  return 0;
}

static int mode_of(const char *name) {
  struct stat st;
  return lstat(name, &st) ? -1 : (int)st.st_mode;
}

static void owners(const char *name) {
  struct stat st;
  lstat(name, &st);
  printf("%s: %o %d:%d\n", name, st.st_mode, st.st_uid, st.st_gid);
}

static void users(void) {
  mkdir("sticky", 01777); chmod("sticky", 01777);
  mkdir("setgid", 02775); chown("setgid", 0, 200); chmod("setgid", 02777);
  mkdir("closed", 0700);
  mkdir("noexec", 0744); chmod("noexec", 0744);
  make("noexec/f", 0644);
  make("root-file", 0644); make("secret", 0600); make("group-file", 0640); chown("group-file", 0, 200); make("sticky/roots", 0666);
  make("suid", 04755); make("sgid", 02755); make("script", 0755); make("plain", 0777);
  pid_t pid = as(100, 100, 200);
  if (pid == 0) {
    R(open("secret", O_RDONLY)); OK(open("root-file", O_RDONLY)); R(open("root-file", O_WRONLY)); OK(open("group-file", O_RDONLY)); R(open("group-file", O_RDWR));
    R(open("closed/x", O_RDONLY)); R(mkdir("mine", 0755)); R(open("new", O_CREAT | O_WRONLY, 0644)); R(unlink("root-file")); R(rename("root-file", "x"));
    R(chdir("closed")); R(chdir("noexec")); R(open("noexec/f", O_RDONLY)); OK(open("noexec", O_RDONLY | O_DIRECTORY));
    OK(open("sticky/mine", O_CREAT | O_RDWR, 0666)); R(unlink("sticky/roots")); R(rename("sticky/roots", "sticky/x")); R(rename("sticky/mine", "sticky/roots"));
    R(link("sticky/mine", "sticky/linked")); R(link("secret", "sticky/linked-secret")); R(link("root-file", "sticky/linked-root")); R(symlink("x", "sticky/s"));
    R(rmdir("sticky")); R(mkdir("sticky/d", 0777)); R(mkdir("setgid/d", 0777)); OK(open("setgid/f", O_CREAT | O_RDWR, 02777)); OK(open("setgid/tmp", O_CREAT | O_RDWR, 0666));
    owners("setgid/d"); owners("setgid/f"); owners("sticky/d"); owners("sticky/mine");
    R(chmod("root-file", 0777)); R(chmod("sticky/mine", 0600)); R(chown("sticky/mine", 101, -1)); R(chown("sticky/mine", -1, 200)); R(chown("sticky/mine", -1, 300)); R(chown("root-file", -1, -1)); R(chown("sticky/mine", 100, 100));
    R(chmod("setgid/f", 02755)); owners("setgid/f"); R(chown("setgid/f", -1, 100)); R(chmod("setgid/f", 02755)); owners("setgid/f");
    R(chmod("sticky/mine", 04755)); owners("sticky/mine"); R(write(open("sticky/mine", O_WRONLY), "x", 1)); owners("sticky/mine");
    R(chmod("sticky/mine", 06755)); R(truncate("sticky/mine", 0)); owners("sticky/mine"); R(chmod("sticky/mine", 06755)); R(chown("sticky/mine", -1, -1)); owners("sticky/mine");
    R(access("secret", R_OK)); R(access("secret", F_OK)); R(access("root-file", W_OK)); R(access("script", X_OK)); R(access("root-file", X_OK)); R(access("closed/x", F_OK));
    R(utimensat(AT_FDCWD, "root-file", NULL, 0)); R(utimensat(AT_FDCWD, "plain", NULL, 0)); struct timespec t[2] = {{1, 0}, {2, 0}}; R(utimensat(AT_FDCWD, "plain", t, 0)); t[0].tv_nsec = t[1].tv_nsec = UTIME_OMIT; R(utimensat(AT_FDCWD, "root-file", t, 0));
    R(truncate("root-file", 0)); R(open("root-file", O_RDONLY | O_TRUNC)); R(open("root-file", O_RDONLY | O_NOATIME)); OK(open("secret", O_PATH));
    R(mknod("sticky/dev", S_IFCHR | 0600, 0x103)); R(mkfifo("sticky/fifo", 0600)); R(chroot(".")); R(execl("./secret", "x", NULL)); R(execl("./root-file", "x", NULL)); R(execl("./closed/x", "x", NULL)); R(execl("./sticky", "x", NULL));
    R(setuid(0)); R(setgid(0)); R(setgroups(0, NULL)); R(sethostname("x", 1)); R(setpriority(PRIO_PROCESS, 0, -5)); R(setpriority(PRIO_PROCESS, 0, 19)); R(setpriority(PRIO_PROCESS, 0, 18)); R(getpriority(PRIO_PROCESS, 0));
    struct rlimit limit; getrlimit(RLIMIT_NOFILE, &limit); limit.rlim_cur = 10; limit.rlim_max = 20; R(setrlimit(RLIMIT_NOFILE, &limit)); limit.rlim_max = 21; R(setrlimit(RLIMIT_NOFILE, &limit)); R(kill(1, 0)); R(kill(getppid(), 0));
    fflush(stdout);
    _exit(0);
  }
  wait_for(pid);
  pid = as(101, 101, 0);
  if (pid == 0) {
    R(unlink("sticky/mine")); R(open("group-file", O_RDONLY)); R(rename("sticky/d", "sticky/e")); R(rmdir("sticky/d")); R(open("sticky/mine", O_RDWR | O_CREAT, 0600)); R(open("sticky/mine", O_RDWR));
    fflush(stdout);
    _exit(0);
  }
  wait_for(pid);
  R(open("sticky/mine", O_RDWR | O_CREAT, 0600) >= 0);
  OK(open("secret", O_RDONLY)); R(access("root-file", X_OK)); R(access("closed", X_OK)); OK(open("noexec/f", O_RDONLY));
  int created = open("umasked", O_CREAT | O_WRONLY, 0777); (void)created; owners("umasked");
  umask(0777); open("none", O_CREAT | O_WRONLY, 0777); owners("none"); printf("%o\n", umask(07777)); mkdir("nodir", 01777); owners("nodir"); umask(022);
}

static long long ns(struct timespec t) { return t.tv_sec * 1000000000ll + t.tv_nsec; }

static void changed(const char *what, const char *name, struct stat *before) {
  struct stat st;
  if (lstat(name, &st)) { printf("%s: gone\n", what); return; }
  printf("%s:%s%s%s\n", what, ns(st.st_atim) != ns(before->st_atim) ? " atime" : "", ns(st.st_mtim) != ns(before->st_mtim) ? " mtime" : "", ns(st.st_ctim) != ns(before->st_ctim) ? " ctime" : "");
  *before = st;
  nap(15);
}

static void stamps(void) {
  struct stat f, d;
  make("f", 0644); mkdir("d", 0755);
  int fd = open("f", O_RDWR);
  write(fd, "content", 7);
  nap(15);
  stat("f", &f); stat("d", &d);
  pread(fd, buffer, 3, 0); changed("read", "f", &f);
  pread(fd, buffer, 3, 0); changed("read again", "f", &f);
  pwrite(fd, "x", 1, 0); changed("write", "f", &f);
  pread(fd, buffer, 3, 0); changed("read after write", "f", &f);
  pread(fd, buffer, 3, 100); changed("read at the end", "f", &f);
  pread(fd, buffer, 0, 0); changed("read nothing", "f", &f);
  pwrite(fd, "x", 0, 0); changed("write nothing", "f", &f);
  ftruncate(fd, 7); changed("ftruncate to the same", "f", &f);
  ftruncate(fd, 9); changed("ftruncate", "f", &f);
  truncate("f", 9); changed("truncate to the same", "f", &f);
  close(open("f", O_WRONLY | O_TRUNC)); changed("O_TRUNC", "f", &f);
  close(open("f", O_WRONLY | O_TRUNC)); changed("O_TRUNC again", "f", &f);
  chmod("f", 0600); changed("chmod", "f", &f);
  chmod("f", 0600); changed("chmod to the same", "f", &f);
  chown("f", -1, -1); changed("chown nothing", "f", &f);
  chown("f", geteuid(), getegid()); changed("chown", "f", &f);
  link("f", "g"); changed("link", "f", &f);
  rename("f", "h"); changed("rename", "h", &f);
  unlink("g"); changed("unlink other", "h", &f);
  rename("h", "f");
  stat("f", &f); nap(15);
  fallocate(fd, 0, 0, 4096); changed("fallocate", "f", &f);
  fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096); changed("punch", "f", &f);
  setxattr("f", "trusted.x", "v", 1, 0); changed("setxattr", "f", &f);
  getxattr("f", "trusted.x", buffer, 10); changed("getxattr", "f", &f);
  utimensat(AT_FDCWD, "f", NULL, 0); changed("utimensat now", "f", &f);
  struct timespec t[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
  utimensat(AT_FDCWD, "f", t, 0); changed("utimensat omit", "f", &f);
  t[0].tv_nsec = UTIME_NOW; utimensat(AT_FDCWD, "f", t, 0); changed("utimensat atime now", "f", &f);
  t[0].tv_nsec = UTIME_OMIT; t[1] = (struct timespec){1234567890, 123456789}; utimensat(AT_FDCWD, "f", t, 0); changed("utimensat mtime", "f", &f);
  printf("%ld.%09ld\n", (long)f.st_mtim.tv_sec, f.st_mtim.tv_nsec);
  t[1] = (struct timespec){-5, 999999999}; R(utimensat(AT_FDCWD, "f", t, 0)); stat("f", &f); printf("%ld.%09ld\n", (long)f.st_mtim.tv_sec, f.st_mtim.tv_nsec);
  t[1] = (struct timespec){1, 1000000000}; R(utimensat(AT_FDCWD, "f", t, 0)); t[1] = (struct timespec){1, -1}; R(utimensat(AT_FDCWD, "f", t, 0));
  R(utimensat(AT_FDCWD, "none", NULL, 0)); R(utimensat(AT_FDCWD, "f", wild, 0)); R(utimensat(AT_FDCWD, wild, NULL, 0)); R(utimensat(AT_FDCWD, "f", NULL, 0x800000)); R(utimensat(AT_FDCWD, "", NULL, AT_EMPTY_PATH)); R(utimensat(fd, "", NULL, 0)); R(syscall(SYS_utimensat, fd, NULL, NULL, 0)); R(syscall(SYS_utimensat, -1, NULL, NULL, 0)); R(syscall(SYS_utimensat, AT_FDCWD, NULL, NULL, 0)); R(futimens(open("f", O_PATH), NULL));
  symlink("f", "s"); struct stat s; lstat("s", &s); nap(15); t[0] = t[1] = (struct timespec){77, 0}; R(utimensat(AT_FDCWD, "s", t, AT_SYMLINK_NOFOLLOW)); lstat("s", &s); printf("%ld\n", (long)s.st_mtim.tv_sec);
  struct timeval tv[2] = {{5, 6}, {7, 8}}; R(utimes("f", tv)); tv[0].tv_usec = 1000000; R(utimes("f", tv)); struct utimbuf u = {9, 10}; R(utime("f", &u)); stat("f", &f); printf("%ld %ld\n", (long)f.st_atim.tv_sec, (long)f.st_mtim.tv_sec);
  nap(15); stat("d", &d);
  make("d/x", 0644); changed("create in directory", "d", &d);
  chmod("d/x", 0600); changed("chmod in directory", "d", &d);
  link("d/x", "d/y"); changed("link in directory", "d", &d);
  rename("d/y", "d/z"); changed("rename in directory", "d", &d);
  unlink("d/z"); changed("unlink in directory", "d", &d);
  mkdir("d/sub", 0755); changed("mkdir", "d", &d); printf("links %d\n", (int)d.st_nlink);
  rmdir("d/sub"); changed("rmdir", "d", &d); printf("links %d\n", (int)d.st_nlink);
  int dd = open("d", O_RDONLY); syscall(SYS_getdents64, dd, buffer, sizeof buffer); changed("getdents", "d", &d);
  char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  stat("f", &f); nap(15); ftruncate(fd, 100); stat("f", &f); nap(15);
  (void)*(volatile char *)p;
  readlink("s", buffer, 10); lstat("s", &s); printf("%ld\n", (long)(s.st_atim.tv_sec == 77));
}

static void attributes(void) {
  make("f", 0644); mkdir("d", 0755); symlink("f", "s"); mkfifo("p", 0600);
  R(setxattr("f", "user.one", "value", 5, 0)); R(getxattr("f", "user.one", buffer, 100)); R(getxattr("f", "user.one", NULL, 0)); R(getxattr("f", "user.one", buffer, 4)); R(getxattr("f", "user.two", buffer, 4));
  R(setxattr("f", "user.one", "other", 5, XATTR_CREATE)); R(setxattr("f", "user.two", "x", 1, XATTR_REPLACE)); R(setxattr("f", "user.one", "", 0, XATTR_REPLACE)); R(getxattr("f", "user.one", buffer, 100)); R(setxattr("f", "user.one", "x", 1, 7));
  R(setxattr("f", "user.", "x", 1, 0)); R(setxattr("f", "user", "x", 1, 0)); R(setxattr("f", "", "x", 1, 0)); R(setxattr("f", "bad.name", "x", 1, 0)); R(setxattr("f", wild, "x", 1, 0)); R(setxattr("f", "user.x", wild, 1, 0)); R(setxattr("f", "user.x", "x", 65537, 0)); R(setxattr("f", "user.x", "x", -1, 0));
  memset(buffer, 'n', 300); memcpy(buffer, "user.", 5); buffer[256] = 0; R(setxattr("f", buffer, "x", 1, 0)); buffer[255] = 0; R(setxattr("f", buffer, "x", 1, 0)); R(removexattr("f", buffer));
  R(setxattr("d", "user.d", "x", 1, 0)); R(setxattr("s", "user.via", "x", 1, 0)); R(lsetxattr("s", "user.link", "x", 1, 0)); R(setxattr("p", "user.pipe", "x", 1, 0)); R(lgetxattr("s", "user.via", buffer, 10)); R(getxattr("p", "user.pipe", buffer, 10));
  R(setxattr("f", "trusted.t", "abc", 3, 0)); R(getxattr("f", "trusted.t", buffer, 10)); R(setxattr("f", "security.s", "abc", 3, 0));
  R(listxattr("f", NULL, 0) > 0); R(listxattr("f", buffer, 3)); R(listxattr("d", buffer, 100)); printf("%s\n", buffer); R(listxattr("p", buffer, 100)); R(listxattr("none", buffer, 100)); R(listxattr("d", wild, 100));
  R(removexattr("f", "user.none")); R(removexattr("f", "user.via")); R(removexattr("f", "bad.name")); R(removexattr("none", "user.x"));
  int fd = open("f", O_RDONLY), path = open("f", O_PATH); R(fsetxattr(fd, "user.fd", "x", 1, 0)); R(fgetxattr(fd, "user.fd", buffer, 10)); R(fremovexattr(fd, "user.fd")); R(fgetxattr(path, "user.one", buffer, 10)); R(fsetxattr(-1, "user.fd", "x", 1, 0)); R(flistxattr(path, buffer, 10));
  make("ro", 0444);
  pid_t pid = as(100, 100, 0);
  if (pid == 0) {
    R(setxattr("f", "user.no", "x", 1, 0)); R(getxattr("f", "user.one", buffer, 10)); R(getxattr("f", "trusted.t", buffer, 10)); R(setxattr("f", "trusted.t", "x", 1, 0)); R(listxattr("f", buffer, 1000) < 30);
    fflush(stdout); _exit(0);
  }
  wait_for(pid);
  R(setxattr("f", "user.big", buffer, 65536, 0));
}

static int lock(int fd, int command, int type, long start, long length) {
  struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  return fcntl(fd, command, &fl);
}

static void ask(int fd, int command, int type, long start, long length) {
  struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
  if (fcntl(fd, command, &fl)) printf("ask: %s\n", strerrorname_np(errno));
  else printf("ask: type %d start %ld len %ld pid %s\n", fl.l_type, (long)fl.l_start, (long)fl.l_len, fl.l_type == F_UNLCK ? "none" : fl.l_pid == -1 ? "-1" : fl.l_pid == getppid() ? "parent" : "other");
}

static void on_alarm(int signal) { (void)signal; }

static void locks(void) {
  make("f", 0644);
  int fd = open("f", O_RDWR), again = open("f", O_RDWR), ro = open("f", O_RDONLY), wo = open("f", O_WRONLY);
  R(lock(fd, F_SETLK, F_WRLCK, 0, 100)); R(lock(again, F_SETLK, F_WRLCK, 50, 100)); R(lock(fd, F_SETLK, F_UNLCK, 20, 10)); R(lock(ro, F_SETLK, F_WRLCK, 0, 1)); R(lock(wo, F_SETLK, F_RDLCK, 0, 1)); R(lock(fd, F_SETLK, 7, 0, 1)); R(lock(fd, F_SETLK, F_RDLCK, -5, 1)); R(lock(fd, F_SETLK, F_RDLCK, 5, -10)); R(lock(fd, F_SETLK, F_RDLCK, 200, -10)); R(fcntl(fd, F_SETLK, wild)); R(lock(-1, F_SETLK, F_WRLCK, 0, 1)); R(lock(fd, F_SETLK, F_WRLCK, 0x7fffffffffffffff, 2));
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    int mine = open("f", O_RDWR);
    ask(mine, F_GETLK, F_WRLCK, 0, 0); ask(mine, F_GETLK, F_RDLCK, 20, 10); ask(mine, F_GETLK, F_RDLCK, 20, 11); ask(mine, F_GETLK, F_RDLCK, 195, 1); ask(mine, F_GETLK, F_WRLCK, 195, 1); ask(mine, F_GETLK, F_UNLCK, 0, 1);
    R(lock(mine, F_SETLK, F_WRLCK, 10, 1)); R(lock(mine, F_SETLK, F_WRLCK, 25, 1)); R(lock(mine, F_SETLK, F_RDLCK, 190, 5));
    R(lock(fd, F_OFD_SETLK, F_WRLCK, 10, 1)); R(lock(mine, F_OFD_SETLK, F_WRLCK, 300, 10)); ask(fd, F_OFD_GETLK, F_WRLCK, 300, 1); ask(mine, F_GETLK, F_WRLCK, 300, 1);
    struct flock fl = {.l_type = F_WRLCK, .l_pid = 5}; R(fcntl(mine, F_OFD_SETLK, &fl));
    alarm(0); signal(SIGALRM, on_alarm); siginterrupt(SIGALRM, 1); struct itimerval soon = {{0, 0}, {0, 20000}}; setitimer(ITIMER_REAL, &soon, NULL);
    R(lock(mine, F_SETLKW, F_WRLCK, 0, 1));
    fflush(stdout); _exit(0);
  }
  wait_for(pid);
  close(dup(again));
  pid = fork();
  if (pid == 0) { R(lock(open("f", O_RDWR), F_SETLK, F_WRLCK, 0, 0)); fflush(stdout); _exit(0); }
  wait_for(pid);
  // A circle of two waiters: one of them hears of it.
  int pipes[2]; pipe(pipes);
  lock(fd, F_SETLK, F_WRLCK, 0, 1);
  pid = fork();
  if (pid == 0) {
    int mine = open("f", O_RDWR);
    lock(mine, F_SETLK, F_WRLCK, 1, 1);
    write(pipes[1], "x", 1);
    int r = lock(mine, F_SETLKW, F_WRLCK, 0, 1);
    _exit(r == 0 ? 0 : errno);
  }
  read(pipes[0], buffer, 1); nap(30);
  R(lock(fd, F_SETLKW, F_WRLCK, 1, 1));
  R(lock(fd, F_SETLK, F_UNLCK, 0, 0));
  wait_for(pid);
  R(flock(fd, LOCK_EX)); R(flock(again, LOCK_EX | LOCK_NB)); R(flock(again, LOCK_SH | LOCK_NB)); R(flock(fd, LOCK_SH)); R(flock(again, LOCK_SH | LOCK_NB)); R(flock(fd, LOCK_EX | LOCK_NB)); R(flock(again, LOCK_SH | LOCK_NB)); R(flock(fd, LOCK_UN)); R(flock(again, LOCK_EX | LOCK_NB)); R(flock(ro, LOCK_EX | LOCK_NB)); R(flock(fd, 0)); R(flock(fd, LOCK_NB)); R(flock(-1, LOCK_EX)); R(flock(open("f", O_PATH), LOCK_EX)); R(flock(pipes[0], LOCK_EX));
  pid = fork();
  if (pid == 0) { R(flock(again, LOCK_EX | LOCK_NB)); close(again); R(flock(fd, LOCK_EX | LOCK_NB)); fflush(stdout); _exit(0); }
  wait_for(pid);
  close(again); R(flock(fd, LOCK_EX | LOCK_NB)); int d = dup(fd); R(flock(d, LOCK_UN)); R(flock(ro, LOCK_EX | LOCK_NB));
  R(lock(fd, F_SETLK, F_WRLCK, 0, 1));
  R(lockf(fd, F_TEST, 10)); lseek(fd, 5, SEEK_SET); R(lockf(fd, F_TLOCK, -3)); R(lockf(fd, F_ULOCK, 0));
}

static volatile int xfsz;
static void on_xfsz(int signal) { (void)signal; xfsz++; }

static void sizes(void) {
  signal(SIGXFSZ, on_xfsz);
  make("f", 0644);
  int fd = open("f", O_RDWR);
  struct rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = 10000;
  R(setrlimit(RLIMIT_FSIZE, &limit));
  memset(buffer, 'x', sizeof buffer);
  R(write(fd, buffer, 8000)); R(write(fd, buffer, 8000)); R(write(fd, buffer, 1)); printf("signals %d\n", xfsz);
  R(pwrite(fd, buffer, 10, 9999)); R(pwrite(fd, buffer, 10, 10000)); R(pwrite(fd, buffer, 0, 10000)); R(ftruncate(fd, 10001)); R(ftruncate(fd, 10000)); R(truncate("f", 20000)); R(fallocate(fd, 0, 0, 10001)); R(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000)); printf("signals %d\n", xfsz);
  int out = open("out", O_CREAT | O_RDWR, 0644); lseek(fd, 0, SEEK_SET); ftruncate(out, 9000); lseek(out, 9000, SEEK_SET); R(copy_file_range(fd, NULL, out, NULL, 5000, 0)); R(copy_file_range(fd, NULL, out, NULL, 5000, 0)); printf("signals %d\n", xfsz);
  int pipes[2]; pipe(pipes); R(write(pipes[1], buffer, 20000)); limit.rlim_cur = 0; setrlimit(RLIMIT_FSIZE, &limit); R(write(fd, buffer, 1)); R(write(pipes[1], buffer, 10)); int m = memfd_create("m", 0); R(ftruncate(m, 1)); R(write(m, "x", 1)); printf("signals %d\n", xfsz);
  limit.rlim_cur = limit.rlim_max; setrlimit(RLIMIT_FSIZE, &limit);
  int seal = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC), plain = memfd_create("plain", 0);
  R(fcntl(plain, F_GET_SEALS)); R(fcntl(plain, F_ADD_SEALS, F_SEAL_GROW)); R(fcntl(seal, F_GET_SEALS)); R(write(seal, buffer, 5000)); char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, seal, 0); R(fcntl(seal, F_ADD_SEALS, F_SEAL_WRITE)); R(fcntl(seal, F_ADD_SEALS, F_SEAL_FUTURE_WRITE)); p[0] = 'y'; R(write(seal, "x", 1)); R((long)mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, seal, 0)); munmap(p, 4096); R(fcntl(seal, F_ADD_SEALS, F_SEAL_WRITE)); R(fcntl(seal, F_GET_SEALS)); R(fcntl(seal, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK)); R(ftruncate(seal, 6000)); R(ftruncate(seal, 4000)); R(fallocate(seal, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096)); OK((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, seal, 0)); p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, seal, 0); R(mprotect(p, 4096, PROT_READ | PROT_WRITE)); OK((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, seal, 0)); R(fcntl(seal, F_ADD_SEALS, F_SEAL_SEAL)); R(fcntl(seal, F_ADD_SEALS, 0)); R(fcntl(seal, F_ADD_SEALS, 0x1000)); char path[64]; sprintf(path, "/proc/self/fd/%d", seal); int ro = open(path, O_RDONLY); R(fcntl(ro, F_ADD_SEALS, 0)); R(readlink(path, buffer, 100)); printf("%.25s\n", buffer);
  R(memfd_create(wild, 0)); R(memfd_create("x", 0x100000)); memset(buffer, 'n', 300); buffer[250] = 0; R(memfd_create(buffer, 0)); buffer[249] = 0; OK(memfd_create(buffer, 0)); OK(memfd_create("", 0)); OK(memfd_create("noexec", 8)); OK(memfd_create("exec", 16)); R(memfd_create("both", 24));
}

static void events(int in, const char *what) {
  char buf[4096] __attribute__((aligned(8)));
  long n = read(in, buf, sizeof buf);
  printf("%s:", what);
  for (char *p = buf; n > 0 && p < buf + n; p += sizeof(struct inotify_event) + ((struct inotify_event *)p)->len) {
    struct inotify_event *e = (void *)p;
    printf(" %d:%x%s%s", e->wd, e->mask, e->len ? ":" : "", e->len ? e->name : "");
  }
  printf("\n");
}

static void watching(void) {
  int in = inotify_init1(IN_NONBLOCK);
  mkdir("d", 0755); make("d/f", 0644); make("d/keep", 0644);
  R(inotify_add_watch(in, "d", IN_ALL_EVENTS)); R(inotify_add_watch(in, "d/f", IN_ALL_EVENTS)); R(inotify_add_watch(in, "d/keep", IN_ALL_EVENTS));
  R(inotify_add_watch(in, "d", IN_ALL_EVENTS)); R(inotify_add_watch(in, "none", IN_ALL_EVENTS)); R(inotify_add_watch(in, "d", 0)); R(inotify_add_watch(0, "d", IN_ALL_EVENTS)); R(inotify_add_watch(in, wild, IN_ALL_EVENTS)); R(inotify_add_watch(in, "d/f", IN_ALL_EVENTS | IN_ONLYDIR)); R(inotify_add_watch(in, "d", IN_MASK_CREATE | IN_MODIFY)); R(inotify_rm_watch(in, 99)); R(inotify_init1(1)); R(read(in, buffer, 5));
  int fd = open("d/f", O_RDWR); events(in, "open");
  write(fd, "x", 1); read(fd, buffer, 1); pread(fd, buffer, 1, 0); events(in, "write, read");
  ftruncate(fd, 0); fchmod(fd, 0600); events(in, "truncate, chmod");
  link("d/f", "d/g"); events(in, "link");
  unlink("d/f"); events(in, "unlink with another name");
  unlink("d/g"); events(in, "unlink the last, still open");
  close(fd); events(in, "close: now it is gone");
  rename("d/keep", "d/kept"); events(in, "rename");
  close(open("d/kept", O_WRONLY | O_TRUNC)); events(in, "O_TRUNC");
  close(open("d/kept", O_WRONLY | O_TRUNC)); events(in, "O_TRUNC of an empty one");
  close(open("d/new", O_CREAT | O_WRONLY, 0644)); mkdir("d/sub", 0755); symlink("x", "d/s"); events(in, "create");
  make("over", 0644); rename("over", "d/kept"); events(in, "rename over");
  int w = inotify_add_watch(in, "d/new", IN_ONESHOT | IN_MODIFY); truncate("d/new", 5); truncate("d/new", 6); events(in, "oneshot"); R(inotify_rm_watch(in, w));
  w = inotify_add_watch(in, "d/new", IN_ATTRIB); R(inotify_rm_watch(in, w)); events(in, "rm_watch");
  unlink("d/new"); unlink("d/kept"); unlink("d/s"); rmdir("d/sub"); rmdir("d"); events(in, "all gone");
}

int main(int argc, char **argv) {
  setup();
  static const struct section sections[] = {{"users", users}, {"stamps", stamps}, {"attributes", attributes}, {"locks", locks}, {"sizes", sizes}, {"watching", watching}};
  int result = run_section(argc, argv, sections, sizeof sections / sizeof *sections);
  cleanup();
  return result;
}
