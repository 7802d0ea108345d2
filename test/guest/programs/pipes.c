// Pipe capacity, atomicity, end-of-file and error semantics; packet mode; FIFOs. Prints what it sees: same as native.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char block[1 << 20];
static void *volatile bad_address = (void *)8;
static void say(const char *what, long result) { printf("%s: %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : ""); }
static int events(int fd, int wanted) {
  struct pollfd p = {fd, wanted, 0};
  poll(&p, 1, 0);
  return p.revents;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGPIPE, SIG_IGN);
  int p[2];
  say("pipe2 bad flags", pipe2(p, 0x1234));
  pipe2(p, O_NONBLOCK | O_CLOEXEC);
  say("size", fcntl(p[1], F_GETPIPE_SZ));
  long total = 0, n;
  while ((n = write(p[1], block, 4096)) > 0) total += n;
  say("full", total);
  say("write when full", write(p[1], block, 1));
  printf("poll full: r=%x w=%x\n", events(p[0], POLLIN), events(p[1], POLLOUT));
  say("read 4095", read(p[0], block, 4095));
  printf("poll 4095 free: w=%x\n", events(p[1], POLLOUT));
  say("atomic write of 4096 with 4095 free", write(p[1], block, 4096));
  say("read 1", read(p[0], block, 1));
  printf("poll 4096 free: w=%x\n", events(p[1], POLLOUT));
  say("long write is partial", write(p[1], block, 10000));
  int queued = 0;
  ioctl(p[0], FIONREAD, &queued);
  say("FIONREAD", queued);
  say("shrink busy", fcntl(p[1], F_SETPIPE_SZ, 4096));
  say("grow", fcntl(p[1], F_SETPIPE_SZ, 200000));
  say("write after grow", write(p[1], block, 100000));
  while (read(p[0], block, sizeof block) > 0) {}
  say("read empty", read(p[0], block, 1));
  say("shrink", fcntl(p[1], F_SETPIPE_SZ, 1));
  say("lseek", lseek(p[0], 0, SEEK_SET));
  say("pread", pread(p[0], block, 1, 0));
  say("read from write end", read(p[1], block, 1));
  say("write to read end", write(p[0], block, 1));
  say("zero write", write(p[1], block, 0));
  say("efault write", write(p[1], bad_address, 10));
  write(p[1], "x", 1);
  say("efault read", read(p[0], bad_address, 10));
  struct stat st;
  fstat(p[0], &st);
  printf("mode %o size %ld blksize %ld\n", st.st_mode, (long)st.st_size, (long)st.st_blksize);
  close(p[1]);
  printf("poll after close of writer: r=%x\n", events(p[0], POLLIN));
  say("rest", read(p[0], block, 10));
  say("eof", read(p[0], block, 10));
  printf("poll at eof: r=%x\n", events(p[0], POLLIN));
  close(p[0]);
  pipe(p);
  close(p[0]);
  printf("poll without reader: w=%x\n", events(p[1], POLLOUT));
  say("epipe", write(p[1], "x", 1));
  close(p[1]);

  // Packets.
  pipe2(p, O_DIRECT | O_NONBLOCK);
  write(p[1], "hello", 5);
  write(p[1], "world!", 6);
  say("packet", read(p[0], block, 100));
  say("cut packet", read(p[0], block, 3));
  say("rest of packet is lost", read(p[0], block, 100));
  say("big write", write(p[1], block, 10000));
  say("packet 1", read(p[0], block, 20000));
  say("packet 2", read(p[0], block, 20000));
  say("packet 3", read(p[0], block, 20000));
  close(p[0]);
  close(p[1]);

  // A blocking writer of much data, and a slow reader.
  pipe(p);
  if (fork() == 0) {
    close(p[0]);
    for (size_t i = 0; i < sizeof block; i++) block[i] = i * 7;
    long w = write(p[1], block, sizeof block);
    _exit(w == sizeof block ? 0 : 1);
  }
  close(p[1]);
  long got = 0, bad = 0;
  static char piece[3000];
  while ((n = read(p[0], piece, sizeof piece)) > 0) {
    for (long i = 0; i < n; i++) bad += piece[i] != (char)((got + i) * 7);
    got += n;
  }
  int status;
  wait(&status);
  printf("bulk %ld bad %ld status %d\n", got, bad, status);
  close(p[0]);

  // FIFO.
  unlink("fifo");
  say("mkfifo", mkfifo("fifo", 0600));
  say("open write nonblock without reader", open("fifo", O_WRONLY | O_NONBLOCK));
  int r = open("fifo", O_RDONLY | O_NONBLOCK);
  say("read without writer", read(r, block, 1));
  printf("poll fifo never written: %x\n", events(r, POLLIN));
  int w = open("fifo", O_WRONLY | O_NONBLOCK);
  say("write", write(w, "abc", 3));
  close(w);
  printf("poll fifo hup: %x\n", events(r, POLLIN));
  say("read", read(r, block, 10));
  say("read eof", read(r, block, 10));
  close(r);
  if (fork() == 0) {
    usleep(20000);
    int f = open("fifo", O_WRONLY);
    write(f, "from child", 10);
    _exit(0);
  }
  r = open("fifo", O_RDONLY);
  n = 0;
  for (long k; (k = read(r, block + n, 100)) > 0;) n += k;
  block[n] = 0;
  printf("fifo: %s\n", block);
  wait(&status);
  // A reader that came to a writer hears of its end, in whichever order the two opened.
  int first = open("fifo", O_RDONLY | O_NONBLOCK);
  w = open("fifo", O_WRONLY);
  int second = open("fifo", O_RDONLY | O_NONBLOCK);
  close(w);
  printf("poll after the writer: %x %x\n", events(first, POLLIN), events(second, POLLIN));
  close(first);
  close(second);
  // With no reader left the writer waits for ours: nobody can be late.
  close(r);
  if (fork() == 0) {
    int f = open("fifo", O_WRONLY);
    usleep(20000);
    close(f);
    _exit(0);
  }
  usleep(20000);
  r = open("fifo", O_RDONLY);
  struct pollfd end = {r, POLLIN, 0};
  say("poll for the end", poll(&end, 1, 2000));
  printf("events: %x\n", end.revents);
  wait(&status);
  unlink("fifo");
  return 0;
}
