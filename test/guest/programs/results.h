// What the matrix programs share: printing results by errno name, so that native and guest runs can be compared.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define R(call) (errno = 0, show(#call, (long)(call)))
// Success whatever the number is.
#define OK(call) (errno = 0, show_ok(#call, (long)(call)))

static void *const wild = (void *)0x10;
static void *const noncanonical = (void *)0x8000000000001000;
static void *const kernel_half = (void *)0xffff800000000000;

// Natively we inherit what our callers forgot to close; the answers would depend on it.
__attribute__((constructor)) static void only_standard_descriptors(void) { close_range(3, ~0u, 0); }

static long show(const char *what, long result) {
  if (result == -1) printf("%s = -1 %s\n", what, strerrorname_np(errno));
  else printf("%s = %ld\n", what, result);
  return result;
}

static long show_ok(const char *what, long result) {
  printf("%s: %s\n", what, result == -1 ? strerrorname_np(errno) : "ok");
  return result;
}

static void nap(int ms) {
  struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
  while (nanosleep(&t, &t) < 0 && errno == EINTR) {}
}

static int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  if (WIFEXITED(status)) printf("child exited %d\n", WEXITSTATUS(status));
  else printf("child killed by %d\n", WTERMSIG(status));
  return status;
}

struct section { const char *name; void (*run)(void); };

static int run_section(int argc, char **argv, const struct section *sections, size_t count) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t i = 0; i < count; i++)
    if (argc > 1 && strcmp(argv[1], sections[i].name) == 0) { sections[i].run(); fflush(stdout); return 0; }
  return 2;
}
