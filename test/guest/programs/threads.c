// pthreads on clone and futex: joins, mutexes, condition variables, robust and PI mutexes, exit and exec from threads.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long total, turn;
static __thread int local = 5;
static void *adder(void *arg) {
  for (int i = 0; i < 2000; i++) {
    pthread_mutex_lock(&lock);
    total++;
    pthread_mutex_unlock(&lock);
  }
  local += (int)(long)arg;
  return (void *)(long)local;
}
static void *player(void *arg) {
  long me = (long)arg;
  for (int i = 0; i < 100; i++) {
    pthread_mutex_lock(&lock);
    while (turn % 3 != me) pthread_cond_wait(&cond, &lock);
    turn++;
    pthread_cond_broadcast(&cond);
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}
static void *spinner(void *arg) {
  for (;;) __asm__ volatile("pause");
}
static void *sleeper(void *arg) {
  for (;;) pause();
}
static pthread_mutex_t *shared_mutex;
static void *dies_holding(void *arg) {
  pthread_mutex_lock(shared_mutex);
  return NULL;
}
static volatile int hits;
static pthread_t target;
static void on_usr(int s) {
  if (pthread_equal(pthread_self(), target)) hits++;
}
static void *waits(void *arg) {
  while (!hits) usleep(1000);
  return NULL;
}
static void *execs(void *arg) {
  char *argv[] = {(char *)arg, "after-exec", NULL};
  execv(arg, argv);
  _exit(99);
}

int main(int argc, char **argv) {
  setbuf(stdout, NULL);
  if (argc > 1) {
    printf("exec from thread: leader again %d\n", getpid() == syscall(SYS_gettid));
    return 17;
  }
  pthread_t t[8];
  for (long i = 0; i < 8; i++) pthread_create(&t[i], NULL, adder, (void *)i);
  long sum = 0;
  for (int i = 0; i < 8; i++) {
    void *r;
    pthread_join(t[i], &r);
    sum += (long)r;
  }
  printf("total %ld sum %ld\n", total, sum);
  for (long i = 0; i < 3; i++) pthread_create(&t[i], NULL, player, (void *)i);
  for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
  printf("turns %ld\n", turn);

  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 20000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  pthread_mutex_lock(&lock);
  printf("timedwait %d\n", pthread_cond_timedwait(&cond, &lock, &until) == ETIMEDOUT);
  pthread_mutex_unlock(&lock);
  struct timespec rel = {0, 5000000};
  uint32_t word = 1;
  printf("futex timeout %ld", syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, &rel, NULL, 0));
  printf(" errno %d\n", errno);
  printf("futex value %ld", syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0));
  printf(" errno %d\n", errno);
  printf("futex misaligned %ld", syscall(SYS_futex, (char *)&word + 1, FUTEX_WAKE, 1, NULL, NULL, 0));
  printf(" errno %d\n", errno);

  // across processes
  sem_t *sem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  sem_init(sem, 1, 0);
  pid_t p = fork();
  if (p == 0) {
    usleep(10000);
    sem_post(sem);
    _exit(0);
  }
  printf("sem_wait %d\n", sem_wait(sem));
  wait(NULL);

  // robust mutexes: a thread's and a process's death
  shared_mutex = (pthread_mutex_t *)(sem + 8);
  pthread_mutexattr_t attr;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(shared_mutex, &attr);
  pthread_create(&t[0], NULL, dies_holding, NULL);
  pthread_join(t[0], NULL);
  int r = pthread_mutex_lock(shared_mutex);
  printf("owner died %d\n", r == EOWNERDEAD);
  pthread_mutex_consistent(shared_mutex);
  pthread_mutex_unlock(shared_mutex);
  p = fork();
  if (p == 0) {
    pthread_mutex_lock(shared_mutex);
    usleep(20000);
    raise(SIGKILL);
  }
  usleep(10000);
  r = pthread_mutex_lock(shared_mutex);
  printf("owner process died %d\n", r == EOWNERDEAD);
  pthread_mutex_consistent(shared_mutex);
  pthread_mutex_unlock(shared_mutex);
  wait(NULL);

  // PI mutex
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(&lock, &attr);
  total = 0;
  for (long i = 0; i < 4; i++) pthread_create(&t[i], NULL, adder, (void *)i);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  printf("pi total %ld\n", total);

  // thread-directed signal
  signal(SIGUSR1, on_usr);
  pthread_create(&target, NULL, waits, NULL);
  pthread_kill(target, SIGUSR1);
  pthread_join(target, NULL);
  printf("directed %d\n", hits);

  // exit_group ends threads that spin and that sleep
  p = fork();
  if (p == 0) {
    pthread_create(&t[0], NULL, spinner, NULL);
    pthread_create(&t[1], NULL, sleeper, NULL);
    usleep(10000);
    exit(11);
  }
  int st;
  waitpid(p, &st, 0);
  printf("exit with threads %d\n", WEXITSTATUS(st));
  // a signal kills all threads
  p = fork();
  if (p == 0) {
    pthread_create(&t[0], NULL, spinner, NULL);
    spinner(NULL);
  }
  usleep(10000);
  kill(p, SIGTERM);
  waitpid(p, &st, 0);
  printf("threads killed %d\n", WTERMSIG(st));
  // the leader may leave first
  p = fork();
  if (p == 0) {
    pthread_create(&t[0], NULL, (void *(*)(void *))(void *)usleep, (void *)20000);
    pthread_exit(NULL);
  }
  waitpid(p, &st, 0);
  printf("leader left first %d\n", st);
  // stop and continue with threads
  p = fork();
  if (p == 0) {
    pthread_create(&t[0], NULL, spinner, NULL);
    pthread_create(&t[1], NULL, sleeper, NULL);
    for (;;) pause();
  }
  usleep(10000);
  kill(p, SIGSTOP);
  waitpid(p, &st, WUNTRACED);
  printf("all stopped %d\n", WIFSTOPPED(st));
  kill(p, SIGCONT);
  waitpid(p, &st, WCONTINUED);
  kill(p, SIGKILL);
  waitpid(p, &st, 0);
  printf("and killed %d\n", WTERMSIG(st));
  // exec from a thread
  p = fork();
  if (p == 0) {
    pthread_create(&t[0], NULL, spinner, NULL);
    pthread_create(&t[1], NULL, execs, argv[0]);
    for (;;) pause();
  }
  waitpid(p, &st, 0);
  printf("exec status %d\n", WEXITSTATUS(st));
  return 0;
}
