// A semaphore in a file that two unrelated processes open each for itself.
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc > 1) {
    sem_t *semaphore = sem_open(argv[1], 0);
    usleep(100000);
    return sem_post(semaphore);
  }
  char name[64];
  snprintf(name, sizeof name, "/cordon-test-%d", getpid());
  sem_t *semaphore = sem_open(name, O_CREAT | O_EXCL, 0600, 0);
  if (fork() == 0) {
    execl("/proc/self/exe", "poster", name, (char *)0);
    _exit(9);
  }
  struct timespec limit;
  clock_gettime(CLOCK_REALTIME, &limit);
  limit.tv_sec += 5;
  printf("woken %d\n", sem_timedwait(semaphore, &limit));
  int status;
  wait(&status);
  sem_unlink(name);
  printf("poster %d\n", WEXITSTATUS(status));
  return 0;
}
