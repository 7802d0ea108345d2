// Processes and threads that wake each other by system calls while little else happens, so that a platform may run them on a core of
// their own: whoever has been woken gets there, whatever the waker does next.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static _Atomic int *answers;

static void chatter(void) {
  for (int i = 0; i < 2000; i++) syscall(SYS_getppid);
}

static void make_pipe(int ends[2]) {
  if (pipe(ends)) exit(2);
}

static void ring(int members, int rounds) {
  int ends[8][2];
  for (int i = 0; i < members; i++) make_pipe(ends[i]);
  for (int i = 1; i < members; i++) {
    if (fork()) continue;
    int token;
    for (int round = 0; round < rounds; round++) {
      if (read(ends[i][0], &token, sizeof token) != sizeof token) exit(3);
      token++;
      if (write(ends[(i + 1) % members][1], &token, sizeof token) != sizeof token) exit(3);
    }
    _exit(0);
  }
  int token = 0;
  for (int round = 0; round < rounds; round++) {
    if (write(ends[1][1], &token, sizeof token) != sizeof token) exit(3);
    if (read(ends[0][0], &token, sizeof token) != sizeof token) exit(3);
  }
  int failed = 0, status;
  while (wait(&status) > 0) failed += status != 0;
  printf("ring of %d: %d, failed %d\n", members, token, failed);
  for (int i = 0; i < members; i++) close(ends[i][0]), close(ends[i][1]);
}

enum after { CALLS, COMPUTES, SLEEPS };

// The parent wakes the child and then never blocks on it: it goes on calling, or not at all.
static void wake_and_go_on(enum after after, int rounds) {
  int ends[2];
  make_pipe(ends);
  *answers = 0;
  pid_t child = fork();
  if (child == 0) {
    close(ends[1]);
    char byte;
    while (read(ends[0], &byte, 1) == 1) (*answers)++;
    _exit(0);
  }
  for (int round = 0; round < rounds; round++) {
    chatter();
    if (write(ends[1], "x", 1) != 1) exit(4);
    while (*answers == round)
      if (after == CALLS) syscall(SYS_getppid);
      else if (after == SLEEPS) usleep(100);
  }
  close(ends[0]), close(ends[1]);
  int status;
  waitpid(child, &status, 0);
  printf("woken %d times, status %d\n", *answers, status);
}

// The child is killed when it has just been woken, before or after it got there.
static void kill_the_woken(int rounds) {
  int killed = 0;
  for (int round = 0; round < rounds; round++) {
    int ends[2];
    make_pipe(ends);
    pid_t child = fork();
    if (child == 0) {
      char byte;
      for (;;)
        if (read(ends[0], &byte, 1) != 1) _exit(1);
    }
    chatter();
    for (int i = 0; i < round % 5; i++) {
      if (write(ends[1], "x", 1) != 1) exit(5);
    }
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    close(ends[0]), close(ends[1]);
  }
  printf("killed %d\n", killed);
}

static void on_signal(int signal) {
  (void)signal;
  (*answers)++;
}

static void signal_each_other(int rounds) {
  *answers = 0;
  pid_t child = fork();
  if (child == 0) {
    signal(SIGUSR1, on_signal);
    signal(SIGTERM, SIG_DFL);
    (*answers)++;
    for (;;) pause();
  }
  while (*answers == 0) usleep(100);
  for (int round = 1; round <= rounds; round++) {
    kill(child, SIGUSR1);
    while (*answers == round) syscall(SYS_getppid);
  }
  kill(child, SIGTERM);
  int status;
  waitpid(child, &status, 0);
  printf("signalled %d, status %d\n", *answers, status);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int whose, turns;
#define THREADS 3

static void *take_turns(void *argument) {
  int me = (int)(long)argument;
  for (int i = 0; i < 1000; i++) {
    pthread_mutex_lock(&mutex);
    while (whose != me) pthread_cond_wait(&changed, &mutex);
    whose = (me + 1) % THREADS;
    turns++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

static void threads(void) {
  pthread_t all[THREADS];
  for (long i = 0; i < THREADS; i++) pthread_create(&all[i], NULL, take_turns, (void *)i);
  for (int i = 0; i < THREADS; i++) pthread_join(all[i], NULL);
  printf("threads took %d turns\n", turns);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  answers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  chatter();
  ring(2, 5000);
  ring(5, 1000);
  wake_and_go_on(CALLS, 30);
  wake_and_go_on(COMPUTES, 30);
  wake_and_go_on(SLEEPS, 30);
  kill_the_woken(20);
  signal_each_other(300);
  threads();
  return 0;
}
