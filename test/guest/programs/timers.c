// Clocks, interval timers, POSIX timers, CPU time.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>

static volatile int alarms, expirations, value;
static void on_alarm(int s) { alarms++; }
static void on_timer(int s, siginfo_t *i, void *u) {
  expirations += 1 + i->si_overrun;
  value = i->si_value.sival_int;
}
static double now(clockid_t c) {
  struct timespec t;
  clock_gettime(c, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}
int main(void) {
  setbuf(stdout, NULL);
  signal(SIGALRM, on_alarm);
  signal(SIGPROF, on_alarm);
  signal(SIGVTALRM, on_alarm);
  struct itimerval often = {{0, 5000}, {0, 5000}}, off = {0}, old;
  setitimer(ITIMER_REAL, &often, NULL);
  while (alarms < 5) pause();
  setitimer(ITIMER_REAL, &off, &old);
  printf("interval %ld\n", (long)old.it_interval.tv_usec);
  alarm(100);
  printf("alarm left %u\n", alarm(0));
  alarms = 0;
  setitimer(ITIMER_PROF, &often, NULL);
  while (alarms < 3);
  setitimer(ITIMER_PROF, &off, NULL);
  printf("prof %d\n", alarms >= 3);
  setitimer(ITIMER_VIRTUAL, &often, NULL);
  while (alarms < 6);
  setitimer(ITIMER_VIRTUAL, &off, NULL);
  printf("virtual\n");

  struct sigaction sa = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO};
  sigaction(SIGRTMIN, &sa, NULL);
  timer_t t;
  struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 77};
  printf("create %d\n", timer_create(CLOCK_MONOTONIC, &ev, &t));
  struct itimerspec spec = {{0, 2000000}, {0, 2000000}}, cur;
  timer_settime(t, 0, &spec, NULL);
  while (expirations < 5) pause();
  printf("value %d\n", value);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN);
  sigprocmask(SIG_BLOCK, &set, NULL);
  usleep(30000);
  expirations = 0;
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  printf("overrun %d\n", expirations >= 5);
  timer_gettime(t, &cur);
  printf("gettime %d\n", cur.it_value.tv_nsec > 0 && cur.it_interval.tv_nsec == 2000000);
  printf("delete %d\n", timer_delete(t));
  printf("again %d errno %d\n", timer_delete(t), errno);
  struct timespec abs;
  clock_gettime(CLOCK_REALTIME, &abs);
  ev.sigev_value.sival_int = 78;
  expirations = 0;
  timer_create(CLOCK_REALTIME, &ev, &t);
  abs.tv_nsec += 10000000;
  if (abs.tv_nsec >= 1000000000) abs.tv_sec++, abs.tv_nsec -= 1000000000;
  spec.it_interval.tv_nsec = 0;
  spec.it_value = abs;
  timer_settime(t, TIMER_ABSTIME, &spec, NULL);
  while (!expirations) pause();
  printf("absolute %d\n", value);
  timer_delete(t);
  timer_create(CLOCK_PROCESS_CPUTIME_ID, &ev, &t);
  expirations = 0;
  spec.it_value = (struct timespec){0, 20000000};
  timer_settime(t, 0, &spec, NULL);
  while (!expirations);
  printf("cpu timer\n");

  double a = now(CLOCK_MONOTONIC), c = now(CLOCK_PROCESS_CPUTIME_ID);
  struct timespec nap = {0, 30000000};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
  double b = now(CLOCK_MONOTONIC), d = now(CLOCK_PROCESS_CPUTIME_ID);
  printf("slept %d cpu idle %d\n", b - a >= 0.03, d - c < 0.02);
  clock_gettime(CLOCK_MONOTONIC, &abs);
  abs.tv_nsec += 10000000;
  if (abs.tv_nsec >= 1000000000) abs.tv_sec++, abs.tv_nsec -= 1000000000;
  printf("until %d %d\n", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &abs, NULL), now(CLOCK_MONOTONIC) * 1e9 >= abs.tv_nsec);
  c = now(CLOCK_THREAD_CPUTIME_ID);
  while (now(CLOCK_THREAD_CPUTIME_ID) - c < 0.05);
  struct rusage ru;
  getrusage(RUSAGE_SELF, &ru);
  printf("usage %d\n", ru.ru_utime.tv_sec * 1e6 + ru.ru_utime.tv_usec + ru.ru_stime.tv_sec * 1e6 + ru.ru_stime.tv_usec > 50000);
  struct timespec res;
  // 8 and 9 need a real-time clock device
  for (clockid_t k = 0; k < 13; k++)
    if (k != 8 && k != 9) printf("clock %d %d\n", k, clock_getres(k, &res) ? errno : (int)res.tv_nsec);
  clockid_t own;
  clock_getcpuclockid(0, &own);
  printf("own clock %d\n", now(own) > 0);
  printf("settime %ld errno %d\n", syscall(SYS_clock_settime, CLOCK_MONOTONIC, &abs), errno);
  nap.tv_nsec = 2000000000;
  printf("bad nsec %d errno %d\n", nanosleep(&nap, NULL), errno);

  // RLIMIT_CPU
  pid_t p = fork();
  if (p == 0) {
    struct rlimit one = {1, 2};
    setrlimit(RLIMIT_CPU, &one);
    for (;;);
  }
  int st;
  waitpid(p, &st, 0);
  printf("cpu limit %d\n", WTERMSIG(st) == SIGXCPU);
  return 0;
}
