// Polls that end each other, and contexts that nobody can name any more: the kernel's stack and memory do not grow with them.
#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define POLLS 20000

static aio_context_t setup(unsigned capacity) {
  aio_context_t context = 0;
  if (syscall(SYS_io_setup, capacity, &context) < 0) perror("io_setup"), exit(1);
  return context;
}

static void submit(aio_context_t context, struct iocb *request) {
  if (syscall(SYS_io_submit, context, 1, &request) != 1) perror("io_submit"), exit(1);
}

// Every poll of the counter adds to the counter.
static void cascade(void) {
  static struct iocb requests[POLLS];
  static struct io_event events[POLLS];
  int counter = eventfd(0, EFD_NONBLOCK);
  aio_context_t context = setup(POLLS);
  for (int i = 0; i < POLLS; i++) {
    requests[i] = (struct iocb){.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = counter, .aio_buf = POLLIN, .aio_flags = IOCB_FLAG_RESFD, .aio_resfd = counter};
    submit(context, requests + i);
  }
  uint64_t count = 1;
  write(counter, &count, 8);
  printf("events: %ld\n", syscall(SYS_io_getevents, context, POLLS, POLLS, events, NULL));
  read(counter, &count, 8);
  printf("counted: %lu\n", (unsigned long)count);
}

// A context without its page cannot be named; a new one may come to lie in its place. What it kept goes.
static void unmapped(void) {
  int counter = eventfd(0, 0), reused = 0;
  aio_context_t before = 0;
  static struct iocb request;
  for (int i = 0; i < 200; i++) {
    aio_context_t context = setup(1000);
    reused += context == before;
    request = (struct iocb){.aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = counter, .aio_buf = POLLIN};
    submit(context, &request);
    munmap((void *)context, 4096);
    before = context;
  }
  char text[64] = {0};
  FILE *file = fopen("/proc/sys/fs/aio-nr", "r");
  if (file) fgets(text, sizeof text, file);
  printf("reused: %d reserved: %s", reused, text);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  cascade();
  unmapped();
}
