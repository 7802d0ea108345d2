// Synchronisation in files that each process opens and maps on its own. Prints what it sees: same as native.
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 200 };
struct shared {
  pthread_mutex_t mutex;
  pthread_cond_t condition;
  int turn;
};

static sem_t *named(const char *name) { return sem_open(name, O_CREAT, 0600, 0); }

static struct shared *map(void) {
  int fd = open("shared", O_RDWR | O_CREAT, 0600);
  struct shared *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return shared;
}

static void take_turns(int me) {
  struct shared *shared = map();
  for (int i = 0; i < ROUNDS; i++) {
    pthread_mutex_lock(&shared->mutex);
    while (shared->turn != me) pthread_cond_wait(&shared->condition, &shared->mutex);
    shared->turn = !me;
    pthread_cond_signal(&shared->condition);
    pthread_mutex_unlock(&shared->mutex);
  }
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  int child = fork();
  if (child == 0) {
    sem_t *there = named("/cordon-there"), *back = named("/cordon-back");
    for (int i = 0; i < ROUNDS; i++) {
      sem_wait(there);
      sem_post(back);
    }
    _exit(0);
  }
  sem_t *there = named("/cordon-there"), *back = named("/cordon-back");
  for (int i = 0; i < ROUNDS; i++) {
    sem_post(there);
    sem_wait(back);
  }
  waitpid(child, NULL, 0);
  sem_unlink("/cordon-there");
  sem_unlink("/cordon-back");
  printf("%d rounds with semaphores\n", ROUNDS);

  truncate("shared", 0);
  int fd = open("shared", O_RDWR | O_CREAT, 0600);
  ftruncate(fd, 4096);
  struct shared *shared = map();
  pthread_mutexattr_t mutex;
  pthread_condattr_t condition;
  pthread_mutexattr_init(&mutex);
  pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
  pthread_condattr_init(&condition);
  pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&shared->mutex, &mutex);
  pthread_cond_init(&shared->condition, &condition);
  child = fork();
  if (child == 0) {
    take_turns(1);
    _exit(0);
  }
  take_turns(0);
  waitpid(child, NULL, 0);
  printf("%d rounds with a condition\n", ROUNDS);
}
