// What processes leave in the kernel by restricting themselves: all that they can, until there is no memory for it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHILDREN 40

struct outcome {
  long done;
  int error;
};
static int ruleset;

static struct outcome filters(void) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {1, &allow};
  long done = 0;
  while (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0) done++;
  return (struct outcome){done, errno};
}

static struct outcome layers(void) {
  long done = 0;
  while (syscall(446, ruleset, 0) == 0) done++;
  return (struct outcome){done, errno};
}

// landlock_create_ruleset, landlock_add_rule: a rule for each of a thousand files.
static void prepare(void) {
  uint64_t handled = 1 << 2;
  ruleset = syscall(444, &handled, sizeof handled, 0);
  for (int i = 0; i < 1000; i++) {
    char name[32];
    snprintf(name, sizeof name, "file-%d", i);
    struct __attribute__((packed)) {
      uint64_t allowed;
      int32_t fd;
    } rule = {handled, open(name, O_RDWR | O_CREAT, 0600)};
    if (syscall(445, ruleset, 1, &rule, 0) < 0) perror("landlock_add_rule");
    close(rule.fd);
  }
}

int main(int argc, char **argv) {
  int landlock = !strcmp(argv[1], "landlock"), zombies = argc > 2, ends[2], refused = 0;
  long total = 0;
  pid_t children[CHILDREN];
  pipe(ends);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (landlock) prepare();
  for (int i = 0; i < CHILDREN; i++) {
    if ((children[i] = fork()) == 0) {
      struct outcome outcome = landlock ? layers() : filters();
      write(ends[1], &outcome, sizeof outcome);
      // Nobody reaps it.
      if (zombies) _exit(0);
      pause();
    }
    struct outcome outcome;
    read(ends[0], &outcome, sizeof outcome);
    total += outcome.done;
    // The last ones find nothing left.
    if (outcome.done == 0) refused++;
    if (i == CHILDREN - 1) printf("last: %s\n", strerrorname_np(outcome.error));
  }
  printf("refused: %d total: %ld\n", refused > 0, total);
  for (int i = 0; i < CHILDREN; i++) kill(children[i], SIGKILL);
}
