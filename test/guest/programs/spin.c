#include <signal.h>
#include <stddef.h>

int main(int argc, char **argv) {
  (void)argv;
  if (argc > 1) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
  }
  for (volatile unsigned long i = 0;; i++) {
  }
}
