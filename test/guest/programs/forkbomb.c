#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  int told = 0;
  for (;;) {
    if (fork() < 0 && !told) {
      printf("fork: %s\n", strerror(errno));
      fflush(stdout);
      told = 1;
    }
  }
}
