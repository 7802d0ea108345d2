// User and system time: getrusage, times, /proc/self/stat, interval timers on CPU time. Prints only what must be the same natively.
#include "results.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>

static volatile int fired;
static void on_signal(int signal) { fired = signal; }

static long micros(struct timeval t) { return t.tv_sec * 1000000 + t.tv_usec; }
static void usage(int who, long *user, long *system) {
  struct rusage r;
  getrusage(who, &r);
  *user = micros(r.ru_utime);
  *system = micros(r.ru_stime);
}

// Until both kinds of time have grown by this many microseconds: it ends only where both are counted.
static void work(long each) {
  long user0, system0, user, system;
  usage(RUSAGE_SELF, &user0, &system0);
  do {
    for (int i = 0; i < 500; i++) syscall(SYS_getppid);
    for (volatile int i = 0; i < 100000; i++);
    usage(RUSAGE_SELF, &user, &system);
  } while (user - user0 < each || system - system0 < each);
}

static void timer(int which, int signal_number) {
  struct itimerval once = {{0}, {0, 30000}}, left;
  long user0, system0, user, system;
  signal(signal_number, on_signal);
  usage(RUSAGE_SELF, &user0, &system0);
  fired = 0;
  setitimer(which, &once, NULL);
  getitimer(which, &left);
  printf("set: %d\n", left.it_value.tv_usec > 0 && left.it_value.tv_usec <= 34000);
  while (!fired)
    for (volatile int i = 0; i < 1000; i++);
  usage(RUSAGE_SELF, &user, &system);
  // Half: natively the two are told apart by ticks.
  if (which == ITIMER_VIRTUAL) printf("user time has passed: %d\n", user - user0 >= 15000);
  else printf("time has passed: %d\n", user - user0 + system - system0 >= 15000);
  getitimer(which, &left);
  printf("over: %d\n", left.it_value.tv_sec == 0 && left.it_value.tv_usec == 0);
}

// Clock ticks between what getrusage said before and after, in microseconds; ticks are rounded down.
static int within(long ticks, long before, long after) { return ticks >= before / 10000 - 1 && ticks <= after / 10000 + 1; }

static void own_stat(long *user, long *system) {
  FILE *file = fopen("/proc/self/stat", "r");
  if (!file || fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", user, system) != 2) puts("no stat");
  fclose(file);
}

static void machine(long *user, long *system) {
  FILE *file = fopen("/proc/stat", "r");
  if (!file || fscanf(file, "cpu %ld %*d %ld", user, system) != 2) puts("no stat");
  fclose(file);
}

// Natively the kernel counts ticks here, which the other times are scaled against.
static void virtual_time(void) {
  struct itimerval long_time = {{0}, {100, 0}}, left;
  long user[4], system[4];
  usage(RUSAGE_SELF, user, system);
  setitimer(ITIMER_VIRTUAL, &long_time, NULL);
  usage(RUSAGE_SELF, user + 1, system + 1);
  work(20000);
  usage(RUSAGE_SELF, user + 2, system + 2);
  getitimer(ITIMER_VIRTUAL, &left);
  usage(RUSAGE_SELF, user + 3, system + 3);
  long counted = 100000000 - micros(left.it_value);
  printf("user time alone: %d\n", counted >= user[2] - user[1] - 10 && counted <= user[3] - user[0] + 10 && system[2] - system[1] >= 20000);
}

static void load(void) {
  struct sysinfo info;
  double text[3];
  int running, all, last;
  work(50000);
  FILE *file = fopen("/proc/loadavg", "r");
  printf("%d fields\n", fscanf(file, "%lf %lf %lf %d/%d %d", text, text + 1, text + 2, &running, &all, &last));
  sysinfo(&info);
  printf("falling %d, above 0 %d, at most one task %d\n", info.loads[0] > info.loads[1] && info.loads[1] > info.loads[2], info.loads[2] > 0,
         info.loads[0] <= 65536);
  int same = 1;
  for (int i = 0; i < 3; i++) same &= (info.loads[i] / 65536.0 - text[i]) * (info.loads[i] / 65536.0 - text[i]) < 0.02 * 0.02;
  printf("same %d, running %d of %d, last %d\n", same, running, all, last == getpid());
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1) {
    virtual_time();
    load();
    return 0;
  }
  long user, system, user2, system2;
  struct tms tms;
  struct timespec cpu;
  long stat_user, stat_system;
  work(40000);
  usage(RUSAGE_SELF, &user, &system);
  times(&tms);
  own_stat(&stat_user, &stat_system);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
  usage(RUSAGE_SELF, &user2, &system2);
  printf("times: %d %d\n", within(tms.tms_utime, user, user2), within(tms.tms_stime, system, system2));
  printf("stat: %d %d\n", within(stat_user, user, user2), within(stat_system, system, system2));
  printf("the clock as both: %d\n", within(cpu.tv_sec * 100 + cpu.tv_nsec / 10000000, user + system, user2 + system2));
  machine(&user2, &system2);
  printf("the machine has used as much: %d\n", user2 + system2 + 2 >= tms.tms_utime + tms.tms_stime);
  timer(ITIMER_VIRTUAL, SIGVTALRM);
  timer(ITIMER_PROF, SIGPROF);
  pid_t pid = fork();
  if (pid == 0) {
    work(30000);
    _exit(0);
  }
  struct rusage child;
  wait4(pid, NULL, 0, &child);
  printf("child: %d %d\n", micros(child.ru_utime) >= 30000, micros(child.ru_stime) >= 30000);
  usage(RUSAGE_CHILDREN, &user, &system);
  times(&tms);
  printf("children: %d %d %d %d\n", user == micros(child.ru_utime), system == micros(child.ru_stime), within(tms.tms_cutime, user, user),
         within(tms.tms_cstime, system, system));
}
