// Every case prints what the kernel answered; natively and in the guest the output must be the same.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
static sigjmp_buf escape;
static volatile int caught, code;
static void *volatile where;

static void on_fault(int signal, siginfo_t *info, void *context) {
  (void)context;
  caught = signal;
  code = info->si_code;
  where = info->si_addr;
  siglongjmp(escape, 1);
}

static const char *touch(volatile char *at, int write) {
  static char text[64];
  caught = 0;
  if (!sigsetjmp(escape, 1)) {
    if (write) *at = 1;
    else (void)*at;
    return "ok";
  }
  snprintf(text, sizeof text, "signal %d code %d address %s", caught, code, where == (void *)at ? "right" : "wrong");
  return text;
}

static const char *result(long value) {
  static char text[64];
  if (value == -1) snprintf(text, sizeof text, "-1 errno %d", errno);
  else snprintf(text, sizeof text, "ok");
  return text;
}

static char *map(void *at, size_t length, int protection, int flags) {
  return mmap(at, length, protection, flags | MAP_ANONYMOUS, -1, 0);
}

static void rights(void) {
  char *p = map(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  p[0] = p[PAGE] = p[3 * PAGE] = 7;
  printf("mprotect read: %s\n", result(mprotect(p + PAGE, PAGE, PROT_READ)));
  printf("write there: %s\n", touch(p + PAGE, 1));
  printf("read there: %s, value %d\n", touch(p + PAGE, 0), p[PAGE]);
  mprotect(p + PAGE, PAGE, PROT_NONE);
  printf("read nothing: %s\n", touch(p + PAGE, 0));
  mprotect(p, 4 * PAGE, PROT_READ | PROT_WRITE);
  printf("kept: %d %d %d\n", p[0], p[PAGE], p[3 * PAGE]);
  munmap(p + 2 * PAGE, PAGE);
  printf("read a hole: %s\n", touch(p + 2 * PAGE, 0));
  printf("mprotect over a hole: %s\n", result(mprotect(p, 4 * PAGE, PROT_READ)));
  printf("before the hole: %s, after it: %s\n", touch(p, 1), touch(p + 3 * PAGE, 1));
  printf("null: %s\n", touch((char *)8, 0));
  char *code_page = map(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  code_page[0] = (char)0xc3;
  caught = 0;
  if (!sigsetjmp(escape, 1)) ((void (*)(void))code_page)();
  printf("run data: signal %d code %d\n", caught, code);
  mprotect(code_page, PAGE, PROT_READ | PROT_EXEC);
  ((void (*)(void))code_page)();
  printf("run code: ok\n");
}

static void refusals(void) {
  printf("length 0: %s\n", result((long)mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
  printf("no type: %s\n", result((long)mmap(0, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0)));
  printf("bad fd: %s\n", result((long)mmap(0, PAGE, PROT_READ, MAP_PRIVATE, 99, 0)));
  printf("huge: %s\n", result((long)mmap(0, SIZE_MAX - PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)));
  printf("unaligned offset: %s\n", result((long)mmap(0, PAGE, PROT_READ, MAP_PRIVATE, 0, 77)));
  printf("unaligned fixed: %s\n", result((long)map((void *)0x100001, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED)));
  char *p = map(0, PAGE, PROT_READ, MAP_PRIVATE);
  printf("no replace: %s\n", result((long)map(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE)));
  printf("munmap unaligned: %s\n", result(munmap(p + 1, PAGE)));
  printf("munmap nothing: %s\n", result(munmap(p, 0)));
  printf("madvise unknown: %s\n", result(madvise(p, PAGE, 4242)));
  munmap(p, PAGE);
  printf("madvise unmapped: %s\n", result(madvise(p, PAGE, MADV_DONTNEED)));
  printf("munmap of a hole: %s\n", result(munmap(p, PAGE)));
  printf("mincore unmapped: %s\n", result(mincore(p, PAGE, (unsigned char *)&errno)));
  printf("read to nowhere: %s\n", result(read(open("/dev/zero", O_RDONLY), p, 10)));
}

static void files(void) {
  int fd = open("data", O_RDWR | O_CREAT | O_TRUNC, 0644);
  char page[PAGE];
  for (int i = 0; i < 3; i++) {
    memset(page, 'a' + i, PAGE);
    if (write(fd, page, i == 2 ? 100 : PAGE) < 0) perror("write");
  }
  char *shared = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char *private = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  shared[5] = 'S';
  printf("private sees shared: %c\n", private[5]);
  private[6] = 'P';
  printf("shared does not see private: %c\n", shared[6]);
  shared[7] = 'T';
  printf("private is its own now: %c\n", private[7]);
  char byte;
  if (pread(fd, &byte, 1, 5) == 1) printf("file has %c\n", byte);
  if (pwrite(fd, "W", 1, PAGE + 1) == 1) printf("mapping has %c\n", shared[PAGE + 1]);
  printf("after the end in the last page: %d %s\n", shared[2 * PAGE + 200], touch(shared + 2 * PAGE + 200, 0));
  printf("past the end: %s\n", touch(shared + 3 * PAGE, 0));
  printf("truncate: %s\n", result(ftruncate(fd, PAGE)));
  printf("cut shared: %s\n", touch(shared + PAGE, 0));
  printf("cut private: %s\n", touch(private + PAGE, 0));
  printf("left: %s %c\n", touch(shared, 0), private[6]);
  printf("grow: %s\n", result(ftruncate(fd, 4 * PAGE)));
  printf("grown: %s %d\n", touch(shared + 3 * PAGE, 1), shared[PAGE + 1]);
  close(fd);
  fd = open("data", O_RDONLY);
  printf("shared write of a read-only file: %s\n",
         result((long)mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)));
  char *readonly = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
  printf("made writable: %s\n", result(mprotect(readonly, PAGE, PROT_READ | PROT_WRITE)));
  close(fd);
  unlink("data");
  printf("alive without a name: %c\n", shared[5]);
  fd = memfd_create("m", 0);
  printf("memfd: %s\n", result(ftruncate(fd, 2 * PAGE)));
  char *one = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char *two = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
  one[PAGE] = 'm';
  printf("two views: %c\n", two[0]);
  // An image file: mapped privately it can be written, and nobody else sees it.
  fd = open("/bin/sh", O_RDONLY);
  char *image = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  char *other = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
  printf("image: %.3s %.3s\n", image + 1, other + 1);
  image[1] = 'x';
  printf("image: %.3s %.3s\n", image + 1, other + 1);
}

static void forks(void) {
  char *private = map(0, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  char *shared = map(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
  char *wiped = map(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  char *gone = map(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  wiped[0] = gone[0] = 1;
  printf("wipe: %s\n", result(madvise(wiped, PAGE, MADV_WIPEONFORK)));
  printf("dontfork: %s\n", result(madvise(gone, PAGE, MADV_DONTFORK)));
  for (int i = 0; i < 64; i++) private[i * PAGE] = i;
  fflush(stdout);
  int up[2], down[2];
  if (pipe(up) || pipe(down)) perror("pipe");
  pid_t child = fork();
  if (child == 0) {
    char byte;
    private[PAGE] = 100;
    shared[0] = 1;
    printf("child: %d %d %d, wiped %d, gone %s\n", private[0], private[PAGE], private[63 * PAGE], wiped[0], touch(gone, 0));
    fflush(stdout);
    if (write(up[1], "x", 1) != 1 || read(down[0], &byte, 1) != 1) _exit(1);
    printf("child later: %d %d\n", private[2 * PAGE], shared[PAGE]);
    fflush(stdout);
    _exit(0);
  }
  char byte;
  if (read(up[0], &byte, 1) != 1) perror("read");
  private[2 * PAGE] = 101;
  shared[PAGE] = 2;
  if (write(down[1], "x", 1) != 1) perror("write");
  int status;
  waitpid(child, &status, 0);
  printf("parent: %d %d %d, shared %d, status %d\n", private[PAGE], private[2 * PAGE], private[63 * PAGE], shared[0], status);
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 64; i++) private[i * PAGE + 1] = round + i;
    child = fork();
    if (child == 0) {
      int sum = 0;
      for (int i = 0; i < 64; i++) sum += private[i * PAGE + 1] == round + i, private[i * PAGE + 1] = 0;
      _exit(sum);
    }
    for (int i = 0; i < 64; i += 3) private[i * PAGE + 1] = 99;
    waitpid(child, &status, 0);
    if (WEXITSTATUS(status) != 64) printf("round %d: child saw %d right pages\n", round, WEXITSTATUS(status));
  }
}

static void moves(void) {
  char *p = map(0, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  munmap(p + 32 * PAGE, 32 * PAGE);
  for (int i = 0; i < 32; i++) p[i * PAGE] = i + 1;
  char *q = mremap(p, 32 * PAGE, 48 * PAGE, 0);
  printf("grow in place: %s\n", q == p ? "same" : "other");
  printf("content: %d %d %d\n", q[0], q[31 * PAGE], q[47 * PAGE]);
  char *blocker = map(p + 48 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED);
  printf("no room: %s\n", result((long)mremap(p, 48 * PAGE, 100 * PAGE, 0)));
  q = mremap(p, 48 * PAGE, 100 * PAGE, MREMAP_MAYMOVE);
  printf("moved: %s %d %d %d, old %s\n", q == p ? "same" : "other", q[0], q[31 * PAGE], q[99 * PAGE], touch(p, 0));
  munmap(blocker, PAGE);
  char *target = map(0, 8 * PAGE, PROT_READ, MAP_PRIVATE);
  char *r = mremap(q, 8 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target);
  printf("fixed: %d %d %d, after %s, old %s %s\n", r == target, r[0], r[3 * PAGE], touch(r + 4 * PAGE, 0), touch(q, 0),
         touch(q + 7 * PAGE, 0));
  printf("shrink: %d\n", mremap(r, 4 * PAGE, PAGE, 0) == r);
  printf("overlap: %s\n", result((long)mremap(q + 8 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 9 * PAGE)));
  printf("unmapped: %s\n", result((long)mremap(q, PAGE, 2 * PAGE, MREMAP_MAYMOVE)));
  char *s = map(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
  s[0] = 9;
  char *twin = mremap(s, 0, 2 * PAGE, MREMAP_MAYMOVE);
  twin[PAGE] = 8;
  printf("twin: %d %d\n", twin[0], s[PAGE]);
  char *big = malloc(1 << 20);
  memset(big, 5, 1 << 20);
  for (int i = 0; i < 6; i++) big = realloc(big, (size_t)(2 << 20) << i);
  printf("realloc: %d %d\n", big[0], big[(1 << 20) - 1]);
  free(big);
}

static void advice(void) {
  char *p = map(0, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  memset(p, 3, 8 * PAGE);
  printf("dontneed: %s\n", result(madvise(p + PAGE, 2 * PAGE, MADV_DONTNEED)));
  printf("zeroed: %d %d %d %d\n", p[0], p[PAGE], p[2 * PAGE], p[3 * PAGE]);
  int hints[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTDUMP, MADV_DODUMP, MADV_KEEPONFORK};
  for (unsigned i = 0; i < sizeof hints / sizeof *hints; i++) printf("hint %d: %s\n", hints[i], result(madvise(p, 8 * PAGE, hints[i])));
  unsigned char vector[8];
  printf("mincore: %s\n", result(mincore(p, 4 * PAGE, vector)));
  printf("resident: %d\n", vector[0] & 1);
  printf("msync: %s\n", result(msync(p, PAGE, MS_SYNC)));
  printf("msync both: %s\n", result(msync(p, PAGE, MS_SYNC | MS_ASYNC)));
  printf("mlock: %s, munlock: %s\n", result(mlock(p, PAGE)), result(munlock(p, PAGE)));
  char *huge = map(0, 1UL << 36, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
  printf("reserve 64 GiB: %s\n", result((long)huge));
  mprotect(huge + (1UL << 35), PAGE, PROT_READ | PROT_WRITE);
  printf("use a page of it: %s\n", touch(huge + (1UL << 35), 1));
  printf("the next: %s\n", touch(huge + (1UL << 35) + PAGE, 1));
  munmap(huge, 1UL << 36);
  char *low = map(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_32BIT);
  printf("32 bit: %d\n", (uintptr_t)low < 1UL << 31);
}

static void breaks(void) {
  char *start = sbrk(0);
  printf("sbrk: %d\n", sbrk(10 * PAGE) == start);
  start[9 * PAGE] = 4;
  sbrk(-5 * PAGE);
  printf("given back: %s\n", touch(start + 9 * PAGE, 0));
  sbrk(5 * PAGE);
  printf("zero again: %d\n", start[9 * PAGE]);
  printf("brk too far: %s\n", result(brk((void *)0x7fffffffe000)));
}

static int deep(int levels) {
  volatile char space[8192];
  space[0] = (char)levels;
  return levels == 0 ? 0 : deep(levels - 1) + (space[0] == (char)levels);
}

static void overflow(void) {
  struct rlimit limit = {1 << 20, RLIM_INFINITY};
  setrlimit(RLIMIT_STACK, &limit);
  stack_t alternate = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&alternate, 0);
  caught = 0;
  if (!sigsetjmp(escape, 1)) deep(1000);
  printf("stack overflow: signal %d\n", caught);
}

static void vectors(void) {
  char text[16] = {0};
  struct iovec local = {text, 5}, remote = {"hello", 5};
  printf("process_vm_readv: %zd %s\n", process_vm_readv(getpid(), &local, 1, &remote, 1, 0), text);
  struct iovec wild = {(void *)16, 5};
  printf("wild: %s\n", result(process_vm_readv(getpid(), &local, 1, &wild, 1, 0)));
}

static void limits(void) {
  struct rlimit limit = {256 << 20, RLIM_INFINITY};
  setrlimit(RLIMIT_AS, &limit);
  printf("over RLIMIT_AS: %s\n", result((long)map(0, 512 << 20, PROT_READ, MAP_PRIVATE)));
  limit.rlim_cur = RLIM_INFINITY;
  setrlimit(RLIMIT_AS, &limit);
}

static void *toggler(void *page) {
  for (int i = 0; i < 2000; i++) ((volatile char *)page)[i % 64 * PAGE] = (char)i;
  return 0;
}

static void threads(void) {
  for (int round = 0; round < 5; round++) {
    char *p = map(0, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    pthread_t all[4];
    for (int i = 0; i < 4; i++) pthread_create(&all[i], 0, toggler, p);
    for (int i = 0; i < 5; i++) {
      pid_t child = fork();
      if (child == 0) _exit(0);
      waitpid(child, 0, 0);
    }
    for (int i = 0; i < 4; i++) pthread_join(all[i], 0);
    munmap(p, 64 * PAGE);
  }
  printf("threads writing while others fork: ok\n");
}

int main(int argc, char **argv) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGBUS, &action, 0);
  struct {
    const char *name;
    void (*run)(void);
  } cases[] = {{"rights", rights}, {"refusals", refusals}, {"files", files},     {"forks", forks},     {"moves", moves},
               {"advice", advice}, {"breaks", breaks},     {"vectors", vectors}, {"limits", limits},
               {"threads", threads}, {"overflow", overflow}};
  setvbuf(stdout, 0, _IOLBF, 0);
  for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (argc > 1 && strcmp(argv[1], cases[i].name) == 0) cases[i].run();
  }
  return 0;
}
