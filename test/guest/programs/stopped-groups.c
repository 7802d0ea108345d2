// Who is hung up when a process group is orphaned with stopped members: only groups that lose their last link.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t hangups;
static void count(int signal) { hangups += signal == SIGHUP; }

static int stopped_child(int group) {
  int child = fork();
  if (child == 0) {
    signal(SIGHUP, SIG_DFL);
    if (group) setpgid(0, 0);
    raise(SIGSTOP);
    pause();
  }
  int status;
  waitpid(child, &status, WUNTRACED);
  printf("stopped: %d\n", WIFSTOPPED(status) != 0);
  return child;
}

static void end(int child) {
  int status;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  printf("ended by %d\n", WTERMSIG(status));
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  // In a session of its own, so that whoever adopts orphans is no link to it.
  int session = fork();
  if (session > 0) {
    waitpid(session, NULL, 0);
    return 0;
  }
  setsid();
  signal(SIGHUP, count);
  // Another member of an orphaned group ends: that changes nothing for the stopped one.
  int child = stopped_child(0);
  if (fork() == 0) _exit(0);
  int status;
  wait(&status);
  kill(child, SIGCONT);
  printf("hangups here: %d\n", hangups);
  end(child);
  // A child group whose parent ends is orphaned: its stopped member is hung up and continued.
  int out[2];
  pipe(out);
  if (fork() == 0) {
    setpgid(0, 0);
    child = stopped_child(1);
    write(out[1], &child, sizeof child);
    _exit(0);
  }
  close(out[1]);
  read(out[0], &child, sizeof child);
  wait(&status);
  // The orphan held the pipe: its end tells that the hang-up reached it.
  char byte;
  printf("pipe: %zd\n", read(out[0], &byte, 1));
  printf("hangups here: %d\n", hangups);
}
