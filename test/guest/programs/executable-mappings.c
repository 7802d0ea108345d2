// What is executable in /proc/self/maps after many system calls from one place: the program's own and nothing else.
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
  for (int i = 0; i < 20000; i++) syscall(SYS_getppid);
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  while (fgets(line, sizeof line, maps)) {
    char protection[8], *name = strpbrk(line, "/[");
    sscanf(line, "%*s %7s", protection);
    // [vsyscall] is as the machine's kernel was started.
    if (protection[2] != 'x' || (name && !strncmp(name, "[vsyscall]", 10))) continue;
    printf("%s %s", protection, name ? (strrchr(name, '/') ? strrchr(name, '/') + 1 : name) : "without a name\n");
  }
}
