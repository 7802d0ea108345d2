// What IPC objects cost. Usage: ipc-hog shm|msg.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

static void *touched_segment(void) {
  int id = shmget(IPC_PRIVATE, 16 << 20, 0600);
  char *p = shmat(id, NULL, 0);
  if (p == (void *)-1) return NULL;
  for (int i = 0; i < 16 << 20; i += 4096) p[i] = 1;
  shmdt(p);
  return (void *)(long)id;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1 && strcmp(argv[1], "shm") == 0) {
    int rounds = 0;
    for (; rounds < 20; rounds++) shmctl((int)(long)touched_segment(), IPC_RMID, NULL);
    printf("16 MiB segments: %d made and removed\n", rounds);
    for (int i = 0; i < 20; i++) touched_segment();
    printf("not reached\n");
    return 0;
  }
  struct { long type; char text[8192]; } message = {.type = 1};
  int ids[10000], used = 0;
  for (int failed = 0; used < 10000 && !failed; used++) {
    ids[used] = msgget(IPC_PRIVATE, 0600);
    if (ids[used] < 0) break;
    while (msgsnd(ids[used], &message, 8192, IPC_NOWAIT) == 0) {}
    if (errno != EAGAIN) failed = errno;
  }
  printf("queues full: %s\n", strerrorname_np(errno));
  for (int i = 0; i < used; i++) msgctl(ids[i], IPC_RMID, NULL);
  int id = msgget(IPC_PRIVATE, 0600);
  printf("room again after removal: %d\n", msgsnd(id, &message, 8192, IPC_NOWAIT));
  return 0;
}
