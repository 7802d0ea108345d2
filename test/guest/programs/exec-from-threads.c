// execve from a thread beside one that spins, many times: every other thread must be stopped, wherever it is.
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void *spins(void *unused) {
  for (;;) __asm__ volatile("pause");
}
static void *execs(void *path) {
  char *argv[] = {path, "x", NULL};
  execv(path, argv);
  _exit(99);
}
int main(int argc, char **argv) {
  if (argc > 1) return 17;
  int status, good = 0;
  for (int i = 0; i < 30; i++) {
    pid_t child = fork();
    if (child == 0) {
      pthread_t thread;
      pthread_create(&thread, NULL, spins, NULL);
      pthread_create(&thread, NULL, execs, argv[0]);
      for (;;) pause();
    }
    waitpid(child, &status, 0);
    good += WIFEXITED(status) && WEXITSTATUS(status) == 17;
  }
  printf("%d of 30\n", good);
  return 0;
}
