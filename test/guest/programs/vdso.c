// The vdso: there, mapped, and telling the same time as the system calls. Same as native.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long ns(struct timespec t) { return t.tv_sec * 1000000000ll + t.tv_nsec; }
static volatile int ticks;
static void tick(int signal) {
  (void)signal;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  ticks++;
}

static int agrees(clockid_t clock) {
  struct timespec before, by_call, after;
  int right = 0;
  for (int i = 0; i < 2000; i++) {
    clock_gettime(clock, &before);
    syscall(SYS_clock_gettime, clock, &by_call);
    clock_gettime(clock, &after);
    right += ns(before) <= ns(by_call) && ns(by_call) <= ns(after);
  }
  return right;
}

int main(void) {
  unsigned long base = getauxval(AT_SYSINFO_EHDR);
  printf("there %d, an ELF %d\n", base != 0, base && memcmp((void *)base, "\177ELF", 4) == 0);
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  int shown = 0;
  while (fgets(line, sizeof line, maps)) shown += strstr(line, "[vdso]") && strstr(line, "r-xp");
  printf("shown %d\n", shown);
  const clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_TAI};
  for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) printf("clock %d agrees %d\n", clocks[i], agrees(clocks[i]));
  struct timespec t, fine, resolution;
  clock_gettime(CLOCK_REALTIME_COARSE, &t);
  clock_gettime(CLOCK_REALTIME, &fine);
  printf("coarse not ahead %d\n", ns(t) <= ns(fine));
  printf("cpu clock %d\n", clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0 && ns(t) > 0);
  printf("bad clock %d, bad pointer %ld\n", clock_gettime(77, &t), syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 8L));
  clock_getres(CLOCK_MONOTONIC, &resolution);
  printf("resolution %lld\n", ns(resolution));
  struct timeval tv;
  gettimeofday(&tv, NULL);
  time_t now = time(NULL);
  // time(2) goes by the clock's last tick: at the turn of a second it is behind.
  printf("time %d\n", now - tv.tv_sec >= -1 && now - tv.tv_sec <= 1);
  // A sleep until a time is over when the clock says so.
  int early = 0;
  for (int i = 0; i < 50; i++) {
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += 200000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    clock_gettime(CLOCK_MONOTONIC, &fine);
    early += ns(fine) < ns(t);
  }
  printf("early %d\n", early);
  // Interrupted in the middle of reading, and in a child.
  signal(SIGALRM, tick);
  struct itimerval timer = {{0, 300}, {0, 300}};
  setitimer(ITIMER_REAL, &timer, NULL);
  long long last = 0;
  int backwards = 0;
  while (ticks < 100) {
    clock_gettime(CLOCK_MONOTONIC, &t);
    backwards += ns(t) < last;
    last = ns(t);
  }
  memset(&timer, 0, sizeof timer);
  setitimer(ITIMER_REAL, &timer, NULL);
  printf("backwards %d\n", backwards);
  fflush(stdout);
  if (fork() == 0) _exit(agrees(CLOCK_MONOTONIC) == 2000 ? 5 : 6);
  int status;
  wait(&status);
  printf("child %d\n", WEXITSTATUS(status));
  return 0;
}
