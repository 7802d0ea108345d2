/*
 * A guest of rehearsals (apps/sentry/rehearsal.ts), without any library, so that it runs in every image. It goes where most programs go
 * sooner or later, off the beaten track of each call: names across two pages, holes, short buffers, several threads. Compiled code that
 * meets such a place for the first time is thrown away and made again, which halts a Sentry for up to 5 ms; after a rehearsal no child has to.
 * Nothing is checked: what fails has been somewhere, too. Each call some hundred times, in all rehearsals together: code that is not hot is not
 * compiled. What is rare has to stay rare: what happens in a tenth of all calls is inlined (--min-maglev-inlining-frequency) and takes the place
 * of what happens in all.
 */
#include <stddef.h>
#include <stdint.h>

#define ROUNDS 64
#define RARE(i) ((i) % 16 == 3)
#define PAGE 4096
#define AT_CWD (-100)

enum {
  READ, WRITE, OPEN, CLOSE, STAT, FSTAT, LSTAT, POLL, LSEEK, MMAP, MPROTECT, MUNMAP, BRK, SIGACTION, SIGPROCMASK, IOCTL = 16, PREAD, PWRITE,
  READV, WRITEV, ACCESS, PIPE, SELECT, YIELD, MREMAP, MADVISE = 28, DUP = 32, DUP2, NANOSLEEP = 35, SETITIMER = 38, GETPID, SENDFILE, SOCKET,
  CONNECT, ACCEPT, SENDTO, RECVFROM, SENDMSG, RECVMSG, SHUTDOWN, BIND, LISTEN, GETSOCKNAME, GETPEERNAME, SOCKETPAIR, SETSOCKOPT, GETSOCKOPT,
  FORK = 57, VFORK, EXECVE, EXIT, WAIT4, KILL, UNAME, FCNTL = 72, FLOCK, FSYNC, FTRUNCATE = 77, GETCWD = 79, CHDIR, FCHDIR, RENAME, MKDIR,
  RMDIR, LINK = 86, UNLINK, SYMLINK, READLINK, CHMOD, FCHMOD, UMASK = 95, GETRUSAGE = 98, SYSINFO, TIMES, SIGALTSTACK = 131, STATFS = 137,
  FSTATFS, LGETXATTR = 192, FUTEX = 202, GETDENTS = 217, CLOCK_GETTIME = 228, CLOCK_NANOSLEEP = 230, EXIT_GROUP, EPOLL_WAIT, EPOLL_CTL,
  OPENAT = 257, MKDIRAT, NEWFSTATAT = 262, UNLINKAT, RENAMEAT, READLINKAT = 267, FACCESSAT = 269, PPOLL = 271, SET_ROBUST_LIST = 273,
  UTIMENSAT = 280, FALLOCATE = 285, EVENTFD = 290, EPOLL_CREATE, DUP3, PIPE2, PRLIMIT = 302, RENAMEAT2 = 316, GETRANDOM = 318, COPY_FILE_RANGE = 326,
  STATX = 332, CLONE3 = 435, FACCESSAT2 = 439,
};

__attribute__((always_inline)) static inline long call(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}
#define LONG(x) ((long)(x))
#define call0(n) call(n, 0, 0, 0, 0, 0, 0)
#define call1(n, a) call(n, LONG(a), 0, 0, 0, 0, 0)
#define call2(n, a, b) call(n, LONG(a), LONG(b), 0, 0, 0, 0)
#define call3(n, a, b, c) call(n, LONG(a), LONG(b), LONG(c), 0, 0, 0)
#define call4(n, a, b, c, d) call(n, LONG(a), LONG(b), LONG(c), LONG(d), 0, 0)
#define call5(n, a, b, c, d, e) call(n, LONG(a), LONG(b), LONG(c), LONG(d), LONG(e), 0)
#define call6(n, a, b, c, d, e, f) call(n, LONG(a), LONG(b), LONG(c), LONG(d), LONG(e), LONG(f))

/* Four pages in a row: what begins shortly before the end of one goes on in the next. */
static char *pages;
static char *place(int page, int i) { return pages + page * PAGE + (RARE(i) ? -3 : 512); }

static char *name(int page, const char *text, int i) {
  char *at = place(page, i), *to = at;
  do *to++ = *text;
  while (*text++);
  return at;
}

static void *map(size_t size, int protection, int flags, int fd) {
  return (void *)call6(MMAP, 0, size, protection, flags, fd, 0);
}
#define READ_WRITE 3
#define SHARED 1
#define PRIVATE 2
#define ANONYMOUS 0x20
#define O_RDWR 2
#define O_CREAT 0100
#define O_TRUNC 01000
#define O_NONBLOCK 04000
#define O_DIRECTORY 0200000
#define O_CLOEXEC 02000000
#define NOFOLLOW 0x100
#define EMPTY_PATH 0x1000

/* No pointers in what is static: nobody relocates them. */
static const char looked_at[][32] = {"rehearsed/file", "rehearsed/none", "rehearsed/file/", "rehearsed/", "rehearsed/link", "rehearsed/to/",
                                        "rehearsed/../rehearsed/./file", "/etc/passwd", "rehearsed/to/file", "/", "/usr/"};

static void look(void) {
  int names = sizeof looked_at / sizeof *looked_at;
  long directory = call3(OPEN, "rehearsed", O_DIRECTORY | O_CLOEXEC, 0);
  for (int i = 0; i < 4 * ROUNDS; i++) {
    char *path = name(1, looked_at[i % names], i);
    char *out = place(2, i + 7);
    call2(STAT, path, out);
    call2(LSTAT, path, out);
    call4(NEWFSTATAT, AT_CWD, path, out, i & 1 ? NOFOLLOW : 0);
    call4(NEWFSTATAT, directory, i & 1 ? "" : "file", out, EMPTY_PATH);
    call5(STATX, AT_CWD, path, NOFOLLOW, 0x7ff, out);
    call5(STATX, directory, "", EMPTY_PATH, 0x7ff, out);
    call2(ACCESS, path, i % 5);
    call4(FACCESSAT2, AT_CWD, path, 4, 0x200);
    call3(READLINK, path, out, 100);
    call2(STATFS, path, out);
    call4(LGETXATTR, path, "security.selinux", out, 100);
    long fd = call4(OPENAT, AT_CWD, path, O_CLOEXEC, 0);
    call2(FSTAT, fd, out);
    call3(READ, fd, out, 64);
    call3(IOCTL, fd, 0x5401, out);
    call3(LSEEK, fd, 0, i % 3);
    call3(FCNTL, fd, 3, 0);
    call2(FSTATFS, fd, out);
    call1(CLOSE, fd);
    call4(READLINKAT, directory, "link", out, 100);
    call3(FACCESSAT, directory, "file", 4);
  }
  call1(CLOSE, directory);
}

/* Directories, entry by entry and at once. */
static void list(void) {
  for (int i = 0; i < ROUNDS; i++) {
    long fd = call3(OPEN, RARE(i) ? "/proc/self" : "rehearsed", O_DIRECTORY | O_CLOEXEC, 0);
    while (call3(GETDENTS, fd, place(1, i), RARE(i) ? 100 : 2 * PAGE) > 0);
    call3(LSEEK, fd, 0, 0);
    call3(GETDENTS, fd, pages, 4 * PAGE);
    call1(CLOSE, fd);
  }
}

/* Names that come and go. */
static void change(void) {
  for (int i = 0; i < ROUNDS; i++) {
    char *path = name(1, "rehearsed/a", i);
    char *other = name(2, "rehearsed/b", i);
    long fd = call3(OPEN, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    call3(WRITE, fd, pages, 100);
    call1(CLOSE, fd);
    call1(CLOSE, call4(OPENAT, AT_CWD, path, O_RDWR | O_CREAT | 0200, 0600));
    call2(LINK, path, other);
    call2(LINK, path, other);
    call1(UNLINK, other);
    call1(UNLINK, other);
    call2(RENAME, path, other);
    call4(RENAMEAT, AT_CWD, other, AT_CWD, path);
    call1(CLOSE, call3(OPEN, other, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    call5(RENAMEAT2, AT_CWD, path, AT_CWD, other, i & 1);
    call5(RENAMEAT2, AT_CWD, other, AT_CWD, path, i & 2);
    call1(UNLINK, other);
    call2(CHMOD, path, 0644);
    call4(UTIMENSAT, AT_CWD, path, 0, 0);
    call3(UNLINKAT, AT_CWD, path, 0);
    call2(MKDIR, path, 0700);
    call2(MKDIR, "rehearsed/a/c/", 0700);
    call3(MKDIRAT, AT_CWD, path, 0700);
    call3(MKDIRAT, AT_CWD, other, 0700);
    call2(RENAME, other, path);
    call1(RMDIR, other);
    call2(RENAME, "rehearsed/a/c", "rehearsed/d");
    call2(RENAME, "rehearsed/d", path);
    call1(RMDIR, path);
    call3(UNLINKAT, AT_CWD, name(2, "rehearsed/a/c", i), 0x200);
    call1(UNLINK, path);
    call1(RMDIR, path);
    call2(SYMLINK, "file", path);
    call3(READLINK, path, pages, 100);
    call1(UNLINK, path);
    fd = call3(OPEN, "rehearsed", O_DIRECTORY, 0);
    call1(FCHDIR, fd);
    call2(FCHMOD, fd, 0700);
    call1(CLOSE, fd);
    call1(UMASK, call1(UMASK, 077));
    call1(CHDIR, ".");
    call2(GETCWD, pages, PAGE);
    call1(CHDIR, "..");
    call2(GETCWD, place(1, i), 100);
  }
}

/* A file with holes, in pieces of all sizes. */
static void transfer(void) {
  long fd = call3(OPEN, "rehearsed/sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  long copy = call3(OPEN, "rehearsed/copy", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct { void *base; size_t length; } parts[3] = {{pages, 10}, {pages, 10}, {pages + PAGE, 2 * PAGE}};
  for (int i = 0; i < ROUNDS; i++) {
    parts[1].base = place(1, i);
    call4(PWRITE, fd, pages, 100, (RARE(i) ? 5 : 1) * (long)i * PAGE + 50);
    call3(WRITE, fd, pages, 3 * PAGE);
    call3(WRITE, copy, place(1, i), 20);
    call3(LSEEK, fd, PAGE, 1);
    call3(WRITEV, fd, parts, 3);
    call2(FSTAT, fd, pages);
    call3(LSEEK, fd, 0, 0);
    call3(READ, fd, pages, 4 * PAGE);
    call3(READ, fd, place(2, i), 20);
    call4(PREAD, fd, pages, 4 * PAGE, (long)i * PAGE - 100);
    call3(READV, fd, parts, 3);
    call3(LSEEK, fd, -5, 2);
    call3(READ, fd, pages, 100);
    call3(READ, fd, pages, 100);
    call3(LSEEK, fd, 0, 3);
    call2(FTRUNCATE, fd, (long)(i + 3) * PAGE);
    call4(FALLOCATE, fd, 0, 0, PAGE);
    call4(SENDFILE, copy, fd, 0, 5000);
    call6(COPY_FILE_RANGE, fd, 0, copy, 0, 100, 0);
    call1(FSYNC, fd);
    call2(FLOCK, fd, i & 1 ? 8 : 2);
    call3(FCNTL, fd, 1030, 10);
    call1(CLOSE, call1(DUP, fd));
    call1(CLOSE, call2(DUP2, fd, 20));
    call1(CLOSE, call3(DUP3, fd, 21, O_CLOEXEC));
    call3(FCNTL, fd, 4, i & 1 ? O_NONBLOCK : 0);
    call3(FCNTL, fd, 2, 1);
    char *seen = map(3 * PAGE, READ_WRITE, i & 1 ? SHARED : PRIVATE, (int)fd);
    if ((long)seen > 0) {
      seen[0]++;
      pages[0] += seen[PAGE];
      seen[2 * PAGE]++;
    }
    call2(MUNMAP, seen, 3 * PAGE);
  }
  call1(CLOSE, fd);
  call1(CLOSE, copy);
}

/* Much address space, few pages: as the C library's threads have it. */
static void use_stack(void) {
  size_t size = 8 << 20;
  char *stack = map(size, 0, PRIVATE | ANONYMOUS, -1);
  call3(MPROTECT, stack + PAGE, size - PAGE, READ_WRITE);
  stack[size - 1]++;
  stack[size / 2]++;
  call3(MADVISE, stack, size - 4 * PAGE, 4);
  call2(MUNMAP, stack, size);
}

static void use_memory(void) {
  char *top = (char *)call1(BRK, 0);
  for (int i = 0; i < 2 * ROUNDS; i++) {
    call1(BRK, top + 20 * PAGE);
    top[PAGE * (i % 5)] = 1;
    call1(BRK, top + 5 * PAGE);
    char *area = map(64 * PAGE, i & 1 ? READ_WRITE : 0, PRIVATE | ANONYMOUS, -1);
    call3(MPROTECT, area, 16 * PAGE, READ_WRITE);
    for (int page = 0; page < 8; page++) area[page * PAGE]++;
    call3(MPROTECT, area + 2 * PAGE, PAGE, 1);
    pages[0] += area[2 * PAGE] + area[10 * PAGE];
    call3(MPROTECT, area + 2 * PAGE, PAGE, READ_WRITE);
    area[2 * PAGE]++;
    area[10 * PAGE]++;
    call3(MADVISE, area, 4 * PAGE, 4);
    area[0]++;
    call2(MUNMAP, area + 4 * PAGE, PAGE);
    area = (char *)call5(MREMAP, area + 8 * PAGE, 8 * PAGE, 80 * PAGE, 1, 0);
    area[79 * PAGE] = 1;
    call2(MUNMAP, area - 8 * PAGE, 8 * PAGE);
    call2(MUNMAP, area, 80 * PAGE);
    call2(MUNMAP, area, PAGE);
    if (i % 4 == 1) use_stack();
  }
  call1(BRK, top);
}

/* ---- threads */

struct clone_args { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup; };
static volatile int counter, sleepers;

static void work(void) {
  struct { long seconds, nanoseconds; } soon = {0, 50000}, late = {0, 200000};
  call2(SET_ROBUST_LIST, 0, 24);
  for (int i = 0; i < ROUNDS / 2; i++) {
    int seen = counter;
    __atomic_add_fetch(&sleepers, 1, __ATOMIC_SEQ_CST);
    call4(FUTEX, &counter, 128, seen, i & 1 ? &soon : &late);
    __atomic_add_fetch(&sleepers, -1, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
    call3(FUTEX, &counter, 129, 1);
    call6(FUTEX, &counter, 128 | 9, counter, &soon, 0, -1);
    call0(GETPID);
    call0(YIELD);
  }
}

#define STACK (4 * PAGE)
static void start_thread(char *stack, int *tid) {
  struct clone_args args = {.flags = 0x350f00, .child_tid = LONG(tid), .parent_tid = LONG(tid), .stack = LONG(stack), .stack_size = STACK};
  long result;
  __asm__ volatile(
      "syscall\n\ttest %%eax, %%eax\n\tjnz 1f\n\txor %%ebp, %%ebp\n\tcall *%%rbx\n\tmov %[exit], %%eax\n\txor %%edi, %%edi\n\tsyscall\n1:"
      : "=a"(result)
      : "0"(CLONE3), "D"(&args), "S"(sizeof args), "b"(work), [exit] "i"(EXIT)
      : "rcx", "r11", "memory");
}

static void run_threads(void) {
  static int tids[4];
  for (int i = 0; i < ROUNDS / 16; i++) {
    char *stacks = map(4 * STACK, READ_WRITE, PRIVATE | ANONYMOUS, -1);
    for (int k = 0; k < 4; k++) start_thread(stacks + k * STACK, &tids[k]);
    while (sleepers > 0) {
      __atomic_add_fetch(&counter, 1, __ATOMIC_SEQ_CST);
      call3(FUTEX, &counter, 129, sleepers > 2 ? 1 : INT32_MAX);
      call0(YIELD);
    }
    for (int k = 0; k < 4; k++) {
      for (int tid; (tid = __atomic_load_n(&tids[k], __ATOMIC_SEQ_CST)) != 0;) call4(FUTEX, &tids[k], 0, tid, 0);
    }
    call2(MUNMAP, stacks, 4 * STACK);
  }
}

/* ---- pipes and sockets */

static void exchange(int in, int out, int i) {
  struct { void *base; size_t length; } parts[2] = {{pages, 10}, {place(1, i), 10}};
  struct { void *name; long length; void *parts; long count; void *control; long size; int flags; } message = {0, 0, parts, 2, 0, 0, 0};
  struct { int fd; short events, revents; } polled = {in, 1, 0};
  struct { long seconds, microseconds; } now = {0, 0};
  uint64_t readable[16] = {1ull << in};
  int length = 4;
  call3(WRITE, out, "x", 1);
  call3(POLL, &polled, 1, -1);
  call3(READ, in, pages, 100);
  call3(WRITE, out, pages, 2 * PAGE);
  call3(READ, in, place(1, i), 2 * PAGE);
  call6(SENDTO, out, place(1, i), 100, 0x4000, 0, 0);
  call6(RECVFROM, in, pages, 200, 0x40, 0, 0);
  call3(SENDMSG, out, &message, 0x4000);
  call3(RECVMSG, in, &message, 0x40);
  call3(WRITEV, out, parts, 2);
  call3(READV, in, parts, 2);
  call3(POLL, &polled, 1, 0);
  call3(FCNTL, in, 3, 0);
  call3(FCNTL, in, 4, O_NONBLOCK | O_RDWR);
  call3(READ, in, pages, 100);
  call3(LSEEK, in, 0, 1);
  call3(IOCTL, in, 0x541b, pages);
  call3(IOCTL, in, 0x5401, pages);
  call3(IOCTL, in, 0x5451, 0);
  call3(IOCTL, in, 0x5421, pages + 3 * PAGE);
  call2(FSTAT, in, pages);
  call3(GETPEERNAME, in, pages, pages + 200);
  call5(GETSOCKOPT, out, 1, 4, pages, &length);
  call5(SELECT, in + 1, readable, 0, 0, &now);
  call2(SHUTDOWN, out, 1);
  call1(CLOSE, out);
  call3(READ, in, pages, 100);
  call1(CLOSE, in);
}

static void communicate(void) {
  struct { uint16_t family, port; uint32_t address; uint64_t zero; } address = {.family = 2, .address = 0x0100007f};
  int length = sizeof address, one = 1, pair[2];
  long listener = call3(SOCKET, 2, 1 | O_CLOEXEC, 0);
  long epoll = call1(EPOLL_CREATE, O_CLOEXEC);
  struct __attribute__((packed)) { uint32_t events; uint64_t data; } interest = {1, 0};
  call5(SETSOCKOPT, listener, 1, 2, &one, 4);
  call3(BIND, listener, &address, sizeof address);
  call2(LISTEN, listener, 5);
  call3(GETSOCKNAME, listener, &address, &length);
  call4(EPOLL_CTL, epoll, 1, listener, &interest);
  for (int i = 0; i < ROUNDS; i++) {
    if ((RARE(i) ? call1(PIPE, pair) : call2(PIPE2, pair, O_CLOEXEC)) == 0) exchange(pair[0], pair[1], i);
    if (call4(SOCKETPAIR, 1, 1, 0, pair) == 0) exchange(pair[0], pair[1], i);
    long client = call3(SOCKET, 2, 1 | O_CLOEXEC, 0);
    call3(CONNECT, client, &address, sizeof address);
    call4(EPOLL_CTL, epoll, 1, client, &interest);
    call4(EPOLL_WAIT, epoll, pages, 8, 0);
    long server = call3(ACCEPT, listener, 0, 0);
    if (server >= 0) exchange((int)server, (int)client, i);
  }
  call1(CLOSE, epoll);
  call1(CLOSE, listener);
}

/* ---- processes, signals, clocks */

static volatile int signals;
static void count_signal(int signal) { signals += signal; }
__asm__("restore:\n\tmov $15, %eax\n\tsyscall\n");
void restore(void) __attribute__((visibility("hidden")));

static void be_signalled(void) {
  struct { void (*handler)(int); uint64_t flags; void (*restorer)(void); uint64_t mask; } action = {count_signal, 0x14000000, restore, 0}, old;
  struct { long every[2], next[2]; } timer = {{0, 0}, {0, 300}};
  struct { long seconds, nanoseconds; } pause = {0, 20000};
  uint64_t mask = 1 << 9, all = ~0ull, before;
  for (int i = 0; i < ROUNDS / 2; i++) {
    call4(SIGACTION, 10, &action, &old, 8);
    call4(SIGACTION, 14, &action, 0, 8);
    call4(SIGPROCMASK, 0, &mask, &before, 8);
    call2(KILL, call0(GETPID), 10);
    call4(SIGPROCMASK, 0, &all, 0, 8);
    call4(SIGPROCMASK, 1, &mask, 0, 8);
    call4(SIGPROCMASK, 2, &before, 0, 8);
    call2(SIGALTSTACK, 0, pages);
    call2(NANOSLEEP, &pause, 0);
    call3(SETITIMER, 0, &timer, 0);
    call4(CLOCK_NANOSLEEP, 1, 0, &pause, 0);
    call5(PPOLL, 0, 0, &pause, 0, 8);
    call2(CLOCK_GETTIME, 2 + i % 2, pages);
    call2(GETRUSAGE, i % 2 ? -1 : 0, pages);
    call1(TIMES, pages);
    call1(SYSINFO, pages);
    call1(UNAME, pages);
    call4(PRLIMIT, 0, i % 8, 0, pages);
    call4(PRLIMIT, 0, i % 8, pages, 0);
    call3(GETRANDOM, pages, 100, 0);
    call1(CLOSE, call2(EVENTFD, 0, 0));
  }
}

/* A child that borrows the stack: in a function of its own, which has not returned when the child is gone. */
__attribute__((noinline)) static long spawn(void) {
  long child = call0(VFORK);
  if (child == 0) call1(EXIT_GROUP, 1);
  return child;
}

static void have_children(void) {
  char *const argv[] = {"rehearsal", "child", 0};
  for (int i = 0; i < ROUNDS / 16; i++) {
    long child = i == 0 ? spawn() : call0(FORK);
    if (child == 0) {
      pages[i * 100]++;
      if (i & 1) call3(EXECVE, "/proc/self/exe", argv, argv + 2);
      call1(EXIT_GROUP, i);
    }
    call4(WAIT4, -1, 0, 1, 0);
    call4(WAIT4, child, pages, 0, pages + 200);
  }
}

static void make_tree(void) {
  call1(CHDIR, "/tmp");
  call2(MKDIR, "rehearsed", 0755);
  call2(SYMLINK, "file", "rehearsed/link");
  call2(SYMLINK, ".", "rehearsed/to");
  long fd = call3(OPEN, "rehearsed/file", O_RDWR | O_CREAT | O_TRUNC, 0644);
  call3(WRITE, fd, "some text", 9);
  call1(CLOSE, fd);
}

static void remove_tree(void) {
  static const char names[][8] = {"file", "link", "to", "sparse", "copy"};
  call1(CHDIR, "/tmp/rehearsed");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) call1(UNLINK, names[i]);
  call1(RMDIR, "/tmp/rehearsed");
}

__attribute__((used)) static void begin(long *stack) {
  if (stack[0] > 1) call1(EXIT_GROUP, 0);
  pages = map(4 * PAGE, READ_WRITE, PRIVATE | ANONYMOUS, -1);
  make_tree();
  look();
  list();
  change();
  transfer();
  use_memory();
  run_threads();
  communicate();
  be_signalled();
  have_children();
  remove_tree();
  call1(EXIT_GROUP, 0);
}
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n\thlt\n");
