// ptrace(2): processes that trace each other, and one that stops the sandbox's first. Not for a native run: nobody else would end it.
#include "ptrace.h"

int main(int argc, char **argv) {
  (void)argc;
  bool first = argv[1][0] == 'f';
  int ready[2];
  if (pipe(ready)) return 1;
  pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) {
    long seized = ptrace(PTRACE_SEIZE, parent, 0, 0);
    if (first) ptrace(PTRACE_INTERRUPT, parent, 0, 0);
    if (write(ready[1], seized == 0 ? "y" : "n", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char byte;
  if (read(ready[0], &byte, 1) != 1) return 1;
  printf("the child traces its parent %c\n", byte);
  printf("the parent its child %ld\n", ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_EXITKILL));
  printf("and itself %ld\n", ptrace(PTRACE_SEIZE, parent, 0, 0));
  fflush(stdout);
  return 7;
}
