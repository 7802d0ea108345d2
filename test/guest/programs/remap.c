// mremap, MAP_GROWSDOWN, MAP_NORESERVE, /proc/self/maps and smaps: the same answers and contents as natively.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096ul
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static sigjmp_buf back;
static siginfo_t last;
static void caught(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  last = *info;
  siglongjmp(back, 1);
}
static const char *touch(volatile char *at, int write) {
  if (sigsetjmp(back, 1)) {
    static char text[64];
    snprintf(text, sizeof text, "%s code %d at it %d", last.si_signo == SIGSEGV ? "SEGV" : "BUS", last.si_code, last.si_addr == (void *)at);
    return text;
  }
  if (write) *at = 'w';
  else (void)*at;
  return "fine";
}

static char *fresh(size_t pages) {
  char *at = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < pages; i++) at[i * PAGE] = 'a' + i % 26;
  return at;
}
// An address with so many free pages behind it.
static char *room(size_t pages) {
  char *at = mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  munmap(at, pages * PAGE);
  return at;
}
static void say(const char *what, void *got, void *expected) {
  if (got == MAP_FAILED) printf("%s: %s\n", what, strerrorname_np(errno));
  else printf("%s: %s\n", what, got == expected ? "as expected" : expected ? "elsewhere" : "somewhere");
}
static void remap(const char *what, void *old, size_t from, size_t to, int flags, void *where, void *expected) {
  say(what, (void *)syscall(SYS_mremap, old, from, to, flags, where), expected);
}

static void growing(void) {
  char *at = room(16);
  mmap(at, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  at[3 * PAGE] = 'd';
  remap("grow in place", at, 4 * PAGE, 8 * PAGE, 0, NULL, at);
  printf("kept %c, new zero %d\n", at[3 * PAGE], at[7 * PAGE]);
  mmap(at + 8 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  remap("no room", at, 8 * PAGE, 10 * PAGE, 0, NULL, NULL);
  char *moved = mremap(at, 8 * PAGE, 10 * PAGE, MREMAP_MAYMOVE);
  printf("moved %d kept %c; old: ", moved != MAP_FAILED && moved != at, moved[3 * PAGE]);
  puts(touch(at, 0));
  remap("shrink", moved, 10 * PAGE, 2 * PAGE, 0, NULL, moved);
  printf("behind the end: %s\n", touch(moved + 2 * PAGE, 0));
  remap("same size", moved, 2 * PAGE, 2 * PAGE, 0, NULL, moved);
  remap("to nothing", moved, 2 * PAGE, 0, 0, NULL, NULL);
  remap("of nothing, private", moved, 0, PAGE, MREMAP_MAYMOVE, NULL, NULL);
  remap("unaligned", moved + 1, PAGE, PAGE, 0, NULL, NULL);
  remap("odd length rounds up", moved, PAGE + 1, 2 * PAGE, 0, NULL, moved);
  remap("unknown flag", moved, PAGE, PAGE, 8, NULL, NULL);
  remap("fixed without maymove", moved, PAGE, PAGE, MREMAP_FIXED, at, NULL);
  remap("not mapped", at, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL, NULL);
  remap("huge", moved, PAGE, 1ul << 47, MREMAP_MAYMOVE, NULL, NULL);
  char *two = room(4);
  mmap(two, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  mmap(two + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  remap("two mappings at once, growing", two, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE, NULL, NULL);
  remap("shrink over two mappings", two, 2 * PAGE, PAGE, 0, NULL, two);
}

static void fixed(void) {
  char *from = fresh(4), *to = fresh(6);
  remap("fixed over another", from, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to, to);
  printf("contents %c %c, behind %c\n", to[0], to[3 * PAGE], to[4 * PAGE]);
  remap("onto itself", to, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to, NULL);
  remap("overlapping", to, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE, NULL);
  remap("fixed unaligned", to, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 7, NULL);
  from = fresh(4);
  to = room(8);
  remap("fixed and smaller", from, 4 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to, to);
  printf("contents %c; tail of the old: %s\n", to[PAGE], touch(from + 3 * PAGE, 0));
  from = fresh(4);
  remap("only the middle", from + PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 2 * PAGE, to + 2 * PAGE);
  printf("contents %c%c, left %c%c\n", to[2 * PAGE], to[3 * PAGE], from[0], from[3 * PAGE]);
  printf("hole: %s\n", touch(from + PAGE, 1));
}

static void dontunmap(void) {
  char *from = fresh(3);
  remap("dontunmap without maymove", from, 3 * PAGE, 3 * PAGE, MREMAP_DONTUNMAP, NULL, NULL);
  remap("dontunmap and resize", from, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL, NULL);
  char *to = mremap(from, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
  printf("dontunmap: moved %c%c%c, old reads %d: %s\n", to[0], to[PAGE], to[2 * PAGE], from[PAGE], touch(from, 1));
}

static void shared(void) {
  int file = memfd_create("m", 0);
  ftruncate(file, 8 * PAGE);
  char *one = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  for (int i = 0; i < 8; i++) pwrite(file, "01234567" + i, 1, i * (long)PAGE);
  char *grown = mremap(one, 2 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
  printf("shared grows: %c%c\n", grown[PAGE], grown[5 * PAGE]);
  char *twin = mremap(grown, 0, 6 * PAGE, MREMAP_MAYMOVE);
  if (twin == MAP_FAILED) printf("twin %s\n", strerrorname_np(errno));
  else {
    twin[PAGE] = 'T';
    printf("twin of a shared mapping: %c\n", grown[PAGE]);
  }
  grown = mremap(grown, 6 * PAGE, 10 * PAGE, MREMAP_MAYMOVE);
  printf("past the end of the file: %s\n", touch(grown + 9 * PAGE, 0));
}

static void limits(void) {
  struct rlimit old;
  getrlimit(RLIMIT_AS, &old);
  struct rlimit little = {1ul << 30, old.rlim_max};
  setrlimit(RLIMIT_AS, &little);
  char *at = fresh(1);
  remap("past RLIMIT_AS", at, PAGE, 2ul << 30, MREMAP_MAYMOVE, NULL, NULL);
  say("mmap past it", mmap(NULL, 2ul << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), NULL);
  setrlimit(RLIMIT_AS, &old);
  char *vast = mmap(NULL, 400ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  say("400 GiB without reserve", vast, NULL);
  if (vast == MAP_FAILED) return;
  vast[399ul << 30] = 1;
  printf("its far end %d, beside it %d\n", vast[399ul << 30], vast[(399ul << 30) - PAGE]);
  munmap(vast, 400ul << 30);
}

static void growsdown(void) {
  char *base = room(64);
  char *stack = mmap(base + 60 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
  say("growsdown", stack, base + 60 * PAGE);
  printf("below: %s", touch(stack - 1, 1));
  printf(", further: %s", touch(stack - 5 * PAGE, 1));
  printf(", kept %c\n", stack[-1]);
  mmap(stack - 12 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  printf("above a mapping with no gap left: %s\n", touch(stack - 11 * PAGE, 1));
}

// The line of maps and the values of smaps for the mapping at an address. A kernel may have given more pages than were touched.
static void smaps(const char *what, char *at, unsigned long touched) {
  FILE *file = fopen("/proc/self/smaps", "r");
  char line[512];
  int in = 0;
  unsigned long from, to;
  printf("%s:", what);
  while (fgets(line, sizeof line, file)) {
    char mode[8];
    if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) == 3 && strchr(line, '-') && strspn(line, "0123456789abcdef") >= 8) {
      in = (unsigned long)at >= from && (unsigned long)at < to;
      if (in) printf(" %lu pages %s", (to - from) / PAGE, mode);
      continue;
    }
    char key[64];
    unsigned long value;
    if (!in || sscanf(line, "%63[^:]: %lu", key, &value) != 2) continue;
    if (!strcmp(key, "Size") || !strcmp(key, "Locked") || !strcmp(key, "Private_Clean")) printf(" %s %lu", key, value);
    else if (!strcmp(key, "Rss")) printf(" Rss %d", value >= 4 * touched && value <= (to - from) / 1024 && (touched || !value));
    else if (!strcmp(key, "Private_Dirty") || !strcmp(key, "Anonymous")) printf(" %s %d", key, value >= 4 * touched);
  }
  puts("");
  fclose(file);
}

static void reports(void) {
  char *at = room(32);
  mmap(at + 4 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  madvise(at + 4 * PAGE, 8 * PAGE, MADV_NOHUGEPAGE);
  smaps("untouched", at + 4 * PAGE, 0);
  at[4 * PAGE] = at[6 * PAGE] = 1;
  smaps("two pages written", at + 4 * PAGE, 2);
  mprotect(at + 6 * PAGE, PAGE, PROT_READ);
  smaps("split, left", at + 4 * PAGE, 1);
  smaps("split, middle", at + 6 * PAGE, 1);
  mprotect(at + 6 * PAGE, PAGE, PROT_READ | PROT_WRITE);
  smaps("joined again", at + 8 * PAGE, 2);
  madvise(at + 4 * PAGE, PAGE, MADV_DONTNEED);
  smaps("one page given back", at + 4 * PAGE, 1);
  munmap(at + 5 * PAGE, PAGE);
  smaps("left of a hole", at + 4 * PAGE, 0);
  smaps("right of a hole", at + 6 * PAGE, 1);
}

int main(void) {
  struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  growing();
  fixed();
  dontunmap();
  shared();
  limits();
  growsdown();
  reports();
  return 0;
}
