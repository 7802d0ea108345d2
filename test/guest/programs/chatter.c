// Does nothing but call, for a while; then computes, then calls again.
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static int calls(int count) {
  int answered = 0;
  for (int i = 0; i < count; i++) answered += syscall(SYS_getppid) >= 0;
  return answered;
}

int main(void) {
  printf("%d\n", calls(4000));
  volatile unsigned sum = 0;
  for (unsigned i = 0; i < 30000000; i++) sum += i;
  printf("%u\n", sum);
  printf("%d\n", calls(4000));
  return 0;
}
