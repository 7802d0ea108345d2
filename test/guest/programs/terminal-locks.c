// TIOCGLCKTRMIOS and TIOCSLCKTRMIOS: locked settings of a terminal do not change. Run as root. Same as native.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static void say(const char *what, long result) { printf("%s: %ld %s\n", what, result, result < 0 ? strerrorname_np(errno) : ""); }

int main(void) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  grantpt(master);
  unlockpt(master);
  int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
  struct termios locks, settings;
  memset(&locks, 0xff, sizeof locks);
  say("fresh", ioctl(terminal, TIOCGLCKTRMIOS, &locks));
  printf("%x %x %x %x %d\n", locks.c_iflag, locks.c_oflag, locks.c_cflag, locks.c_lflag, locks.c_cc[VINTR]);
  locks.c_lflag = ECHO;
  locks.c_cc[VINTR] = 1;
  say("lock", ioctl(terminal, TIOCSLCKTRMIOS, &locks));
  tcgetattr(terminal, &settings);
  settings.c_lflag &= ~(ECHO | ICANON);
  settings.c_cc[VINTR] = 5;
  settings.c_cc[VQUIT] = 6;
  say("set", tcsetattr(terminal, TCSANOW, &settings));
  tcgetattr(terminal, &settings);
  printf("echo %d, canonical %d, interrupt %d, quit %d\n", (settings.c_lflag & ECHO) != 0, (settings.c_lflag & ICANON) != 0, settings.c_cc[VINTR], settings.c_cc[VQUIT]);
  memset(&locks, 0, sizeof locks);
  ioctl(terminal, TIOCSLCKTRMIOS, &locks);
  settings.c_lflag &= ~ECHO;
  tcsetattr(terminal, TCSANOW, &settings);
  tcgetattr(terminal, &settings);
  printf("echo %d\n", (settings.c_lflag & ECHO) != 0);
  setresuid(1000, 1000, 1000);
  say("as a user", ioctl(terminal, TIOCSLCKTRMIOS, &locks));
  say("and read", ioctl(terminal, TIOCGLCKTRMIOS, &locks));
}
