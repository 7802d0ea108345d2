// What the programs about ptrace(2) share.
#pragma once
#include "results.h"
#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#ifndef PTRACE_EVENTMSG_SYSCALL_ENTRY
#define PTRACE_EVENTMSG_SYSCALL_ENTRY 1
#define PTRACE_EVENTMSG_SYSCALL_EXIT 2
#endif

static const char *event_name(int event) {
  static const char *const names[] = {"", "fork", "vfork", "clone", "exec", "vfork-done", "exit", "seccomp"};
  return event == 128 ? "stop" : event < 8 ? names[event] : "?";
}

// Prints what a wait status says.
static int tell(const char *what, int status) {
  if (WIFEXITED(status)) printf("%s: exited %d\n", what, WEXITSTATUS(status));
  else if (WIFSIGNALED(status)) printf("%s: killed by %d\n", what, WTERMSIG(status));
  else if (WIFCONTINUED(status)) printf("%s: continued\n", what);
  else if (status >> 16) printf("%s: event %s, signal %d\n", what, event_name(status >> 16), WSTOPSIG(status));
  else if (WSTOPSIG(status) & 0x80) printf("%s: at a call, signal %d\n", what, WSTOPSIG(status) & 0x7f);
  else printf("%s: stopped by %d\n", what, WSTOPSIG(status));
  return status;
}

// Waits for a tracee and prints what happened.
static int next(const char *what, pid_t pid) {
  int status = 0;
  pid_t got;
  while ((got = waitpid(pid, &status, __WALL)) < 0 && errno == EINTR) {}
  if (got < 0) return printf("%s: waitpid %s\n", what, strerrorname_np(errno)), -1;
  return tell(what, status);
}

static int quiet_next(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR) {}
  return status;
}

// A field of /proc/PID/status.
static void show_status(const char *what, pid_t pid, const char *field, pid_t tracer) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, field, strlen(field)) == 0) {
      long number = strtol(line + strlen(field) + 1, NULL, 10);
      if (tracer) printf("%s: %s %s\n", what, field, number == tracer ? "the tracer" : number ? "another" : "none");
      else printf("%s: %s", what, line);
    }
  if (file) fclose(file);
}

static void show_siginfo(const char *what, pid_t pid) {
  siginfo_t info;
  memset(&info, 0xee, sizeof info);
  if (ptrace(PTRACE_GETSIGINFO, pid, 0, &info) < 0) printf("%s: no siginfo, %s\n", what, strerrorname_np(errno));
  else printf("%s: signal %d, code %d, own pid %d\n", what, info.si_signo, info.si_code, info.si_pid == pid);
}

static long message(pid_t pid) {
  unsigned long value = 0;
  if (ptrace(PTRACE_GETEVENTMSG, pid, 0, &value) < 0) return -errno;
  return (long)value;
}

static pid_t self_traced(void (*run)(void)) {
  pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    run();
    _exit(0);
  }
  return pid;
}

// Until a process is where it can only be in a wait of its own making.
static void await_state(pid_t pid, char state) {
  for (;;) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0) return;
    text[length] = 0;
    char *after = strrchr(text, ')');
    if (after && after[2] == state) return;
    sched_yield();
  }
}
