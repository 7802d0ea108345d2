/* Controlling terminals, process groups and job control signals on pseudoterminals. Prints; both worlds must agree. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int report[2];

#define SAY(...) dprintf(report[1], __VA_ARGS__)
static const char *err(int result) { return result < 0 ? strerrorname_np(errno) : "ok"; }

/* Runs a scene in a child of its own and prints what it says, in order. */
static void scene(const char *name, void (*play)(void)) {
  pipe(report);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    close(report[0]);
    alarm(20);
    play();
    _exit(0);
  }
  close(report[1]);
  printf("%s\n", name);
  FILE *in = fdopen(report[0], "r");
  char line[512];
  while (fgets(line, sizeof line, in)) printf("  %s", line);
  fclose(in);
  int status;
  waitpid(pid, &status, 0);
  if (status) printf("  scene ended with %x\n", status);
}

static int pair(int *slave, int flags) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  grantpt(master);
  unlockpt(master);
  *slave = open(ptsname(master), O_RDWR | flags);
  return master;
}

static int has_tty(void) {
  int fd = open("/dev/tty", O_RDWR);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

static void show_stat(const char *who) {
  char text[1024];
  FILE *f = fopen("/proc/self/stat", "r");
  fgets(text, sizeof text, f);
  fclose(f);
  int pgrp, session, tty, tpgid;
  sscanf(strrchr(text, ')') + 2, "%*c %*d %d %d %d %d", &pgrp, &session, &tty, &tpgid);
  SAY("%s: leader of group %d, of session %d; tty major %d; in the foreground %d, tpgid %s\n", who, pgrp == getpid(), session == getpid(),
      tty ? (int)major(tty) : 0, tpgid == pgrp, tpgid > 0 ? "positive" : tpgid == 0 ? "0" : "-1");
}

static void getting(void) {
  setsid();
  show_stat("new session");
  int s, m = pair(&s, O_NOCTTY);
  SAY("O_NOCTTY: %d\n", has_tty());
  SAY("tcgetpgrp %s\n", err(tcgetpgrp(s)));
  SAY("tcgetsid %s\n", err(tcgetsid(s)));
  int group = -1;
  SAY("of the master %s", err(ioctl(m, TIOCGPGRP, &group)));
  SAY(" %d\n", group);
  pid_t before = fork();
  if (before == 0) {
    usleep(60000);
    SAY("forked before: %d\n", has_tty());
    _exit(0);
  }
  SAY("sctty %s\n", err(ioctl(s, TIOCSCTTY, 0)));
  SAY("again %s\n", err(ioctl(s, TIOCSCTTY, 0)));
  show_stat("with a terminal");
  SAY("tty %d, foreground %d, session %d\n", has_tty(), tcgetpgrp(s) == getpid(), tcgetsid(s) == getpid());
  SAY("master sees %d\n", tcgetpgrp(m) == getpid());
  int t = open("/dev/tty", O_RDWR);
  struct stat st;
  fstat(t, &st);
  SAY("/dev/tty is %d:%d, its name %s\n", major(st.st_rdev), minor(st.st_rdev), strncmp(ttyname(s), "/dev/pts/", 9) == 0 ? "in pts" : ttyname(s));
  if (fork() == 0) {
    SAY("child: tty %d sctty %s\n", has_tty(), err(ioctl(s, TIOCSCTTY, 0)));
    SAY("child notty %s, tty %d\n", err(ioctl(t, TIOCNOTTY)), has_tty());
    SAY("child again %s\n", err(ioctl(t, TIOCNOTTY)));
    _exit(0);
  }
  wait(NULL);
  wait(NULL);
  if (fork() == 0) {
    setsid();
    SAY("other session: tty %d\n", has_tty());
    SAY("steals %s\n", err(ioctl(s, TIOCSCTTY, 0)));
    int s2, m2 = pair(&s2, 0);
    (void)m2;
    SAY("opened without O_NOCTTY: %d\n", has_tty());
    SAY("a second one %s\n", err(ioctl(s, TIOCSCTTY, 0)));
    SAY("tcsetpgrp elsewhere %s\n", err(tcsetpgrp(s, getpid())));
    _exit(0);
  }
  wait(NULL);
  SAY("tcsetpgrp none %s\n", err(tcsetpgrp(s, 999999)));
  SAY("tcsetpgrp negative %s\n", err(tcsetpgrp(s, -5)));
  SAY("tcsetpgrp init %s\n", err(tcsetpgrp(s, getppid())));
  signal(SIGHUP, SIG_IGN);
  SAY("notty %s, tty %d\n", err(ioctl(s, TIOCNOTTY)), has_tty());
  SAY("after %s\n", err(tcgetpgrp(s)));
  show_stat("without again");
}

static volatile sig_atomic_t got;
static char order[64];
static void note(int sig) {
  got = sig;
  strcat(order, " ");
  strcat(order, sigabbrev_np(sig));
}

static void background(void) {
  int s, m;
  setsid();
  m = pair(&s, 0);
  struct termios t;
  tcgetattr(s, &t);
  int status;
  char b[16];
  /* Reading in the background: stopped, then continued in the foreground. */
  pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    int n = read(s, b, sizeof b);
    SAY("reader got %d %s\n", n, err(n));
    _exit(n);
  }
  setpgid(child, child);
  waitpid(child, &status, WUNTRACED);
  SAY("reader stopped by %s\n", WIFSTOPPED(status) ? sigabbrev_np(WSTOPSIG(status)) : "nothing");
  tcsetpgrp(s, child);
  kill(child, SIGCONT);
  waitpid(child, &status, WCONTINUED);
  SAY("continued %d\n", WIFCONTINUED(status));
  write(m, "ab\n", 3);
  waitpid(child, &status, 0);
  SAY("exit %d\n", WEXITSTATUS(status));
  signal(SIGTTOU, SIG_IGN);
  SAY("shell takes it back %s\n", err(tcsetpgrp(s, getpid())));
  signal(SIGTTOU, SIG_DFL);
  /* What writes and changes do. */
  for (int mode = 0; mode < 8; mode++) {
    child = fork();
    if (child == 0) {
      setpgid(0, 0);
      order[0] = 0;
      if (mode & 1) signal(SIGTTOU, SIG_IGN), signal(SIGTTIN, SIG_IGN);
      if (mode == 2) {
        struct sigaction a = {.sa_handler = note};
        sigaction(SIGTTOU, &a, NULL);
      }
      int r = 0;
      switch (mode) {
        case 0: case 1: case 2: r = tcsetattr(s, TCSANOW, &t); break;
        case 3: r = read(s, b, 1); break;
        case 4: r = tcsetpgrp(s, getpgrp()); break;
        case 5: r = tcsetpgrp(s, getpgrp()); break;
        case 6: r = write(s, "x", 1); break;
        case 7: r = tcflush(s, TCIFLUSH); break;
      }
      SAY("mode %d: %s%s\n", mode, err(r), order);
      _exit(0);
    }
    setpgid(child, child);
    waitpid(child, &status, WUNTRACED);
    if (WIFSTOPPED(status)) {
      SAY("mode %d stopped by %s\n", mode, sigabbrev_np(WSTOPSIG(status)));
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      SAY("killed by %s\n", sigabbrev_np(WTERMSIG(status)));
    }
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(s, getpid());
    signal(SIGTTOU, SIG_DFL);
  }
  /* TOSTOP. */
  t.c_lflag |= TOSTOP;
  tcsetattr(s, TCSANOW, &t);
  child = fork();
  if (child == 0) {
    setpgid(0, 0);
    int n = write(s, "x", 1);
    SAY("wrote %d\n", n);
    _exit(0);
  }
  setpgid(child, child);
  waitpid(child, &status, WUNTRACED);
  SAY("tostop: %s\n", WIFSTOPPED(status) ? sigabbrev_np(WSTOPSIG(status)) : "wrote");
  tcsetpgrp(s, child);
  kill(child, SIGCONT);
  waitpid(child, &status, 0);
}

static void orphans(void) {
  int s, m;
  setsid();
  m = pair(&s, 0);
  (void)m;
  int ready[2];
  pipe(ready);
  /* A middle process leaves its child in a group of its own: orphaned. */
  pid_t middle = fork();
  if (middle == 0) {
    if (fork() == 0) {
      setpgid(0, 0);
      char c;
      close(ready[1]);
      read(ready[0], &c, 1);
      usleep(30000);
      char b[4];
      int n = read(s, b, 4);
      SAY("orphaned reader: %d %s\n", n, err(n));
      struct termios t;
      tcgetattr(s, &t);
      n = tcsetattr(s, TCSANOW, &t);
      SAY("orphaned tcsetattr: %s\n", err(n));
      n = tcsetpgrp(s, getpgrp());
      SAY("orphaned tcsetpgrp: %s\n", err(n));
      raise(SIGTSTP);
      SAY("not stopped by TSTP\n");
      _exit(0);
    }
    setpgid(0, 0);
    usleep(20000);
    _exit(0);
  }
  close(ready[0]);
  waitpid(middle, NULL, 0);
  close(ready[1]);
  usleep(150000);
}

static void stopped_orphans(void) {
  setsid();
  pid_t middle = fork();
  if (middle == 0) {
    pid_t child = fork();
    if (child == 0) {
      setpgid(0, 0);
      struct sigaction a = {.sa_handler = note};
      sigaction(SIGHUP, &a, NULL);
      sigaction(SIGCONT, &a, NULL);
      raise(SIGSTOP);
      usleep(1000);
      SAY("continued with%s\n", order);
      _exit(0);
    }
    setpgid(child, child);
    int status;
    waitpid(child, &status, WUNTRACED);
    SAY("stopped %d\n", WIFSTOPPED(status));
    _exit(0);
  }
  waitpid(middle, NULL, 0);
  usleep(100000);
}

static void typed_signals(void) {
  int s, m, status;
  setsid();
  m = pair(&s, 0);
  const char keys[] = {3, 28, 26};
  for (int i = 0; i < 3; i++) {
    pid_t child = fork();
    if (child == 0) {
      setpgid(0, 0);
      signal(SIGTTOU, SIG_IGN);
      tcsetpgrp(s, getpid());
      write(s, "go", 2);
      for (;;) pause();
    }
    char b[8];
    int n = 0;
    while (n < 2) n += read(m, b, 8);
    write(m, &keys[i], 1);
    waitpid(child, &status, WUNTRACED);
    SAY("key %d: %s %s\n", keys[i], WIFSTOPPED(status) ? "stopped" : "killed", sigabbrev_np(WIFSTOPPED(status) ? WSTOPSIG(status) : WTERMSIG(status)));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    usleep(5000);
    n = read(m, b, 8);
    SAY("echo %.*s\n", n, b);
  }
  /* SIGWINCH by the master, only on a change. */
  struct sigaction a = {.sa_handler = note};
  sigaction(SIGWINCH, &a, NULL);
  signal(SIGTTOU, SIG_IGN);
  tcsetpgrp(s, getpid());
  struct winsize w = {10, 20, 0, 0};
  got = 0;
  ioctl(m, TIOCSWINSZ, &w);
  SAY("winch %d\n", got == SIGWINCH);
  got = 0;
  ioctl(m, TIOCSWINSZ, &w);
  SAY("same size %d\n", got);
  ioctl(s, TIOCGWINSZ, &w);
  SAY("%d %d\n", w.ws_row, w.ws_col);
  sigaction(SIGINT, &a, NULL);
  SAY("TIOCSIG %s", err(ioctl(m, TIOCSIG, SIGINT)));
  SAY(" got %s\n", sigabbrev_np(got));
  SAY("TIOCSIG HUP %s\n", err(ioctl(m, TIOCSIG, SIGHUP)));
}

static void hangup(void) {
  int s, m;
  setsid();
  m = pair(&s, 0);
  struct sigaction a = {.sa_handler = note};
  sigaction(SIGHUP, &a, NULL);
  sigaction(SIGCONT, &a, NULL);
  pid_t reader = fork();
  if (reader == 0) {
    signal(SIGHUP, SIG_DFL);
    close(m);
    char b;
    int n = read(s, &b, 1);
    SAY("blocked reader: %d %s\n", n, err(n));
    _exit(0);
  }
  pid_t group = fork();
  if (group == 0) {
    close(m);
    setpgid(0, 0);
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(s, getpid());
    strcpy(order, "");
    usleep(120000);
    SAY("foreground group got:%s, tty %d\n", order, has_tty());
    usleep(120000);
    SAY("after the leader's end:%s\n", order);
    _exit(0);
  }
  usleep(60000);
  close(m);
  usleep(20000);
  SAY("leader got:%s\n", order);
  char b[4];
  int n = read(s, b, 4);
  SAY("read %d %s\n", n, err(n));
  n = write(s, b, 1);
  SAY("write %s\n", err(n));
  struct termios t;
  SAY("tcgetattr %s\n", err(tcgetattr(s, &t)));
  SAY("tcsetpgrp %s\n", err(tcsetpgrp(s, getpid())));
  SAY("winsize %s\n", err(ioctl(s, TIOCGWINSZ, &t)));
  struct pollfd p = {s, POLLIN | POLLOUT, 0};
  poll(&p, 1, 0);
  SAY("poll %x\n", p.revents);
  SAY("tty %d\n", has_tty());
  waitpid(reader, NULL, 0);
  usleep(100000);
}

static void leader_exit(void) {
  int s, m = posix_openpt(O_RDWR | O_NOCTTY);
  grantpt(m);
  unlockpt(m);
  pid_t leader = fork();
  if (leader == 0) {
    setsid();
    s = open(ptsname(m), O_RDWR);
    close(m);
    struct sigaction a = {.sa_handler = note};
    sigaction(SIGHUP, &a, NULL);
    sigaction(SIGCONT, &a, NULL);
    if (fork() == 0) {
      usleep(60000);
      SAY("member got:%s, tty %d\n", order, has_tty());
      int n = write(s, "still", 5);
      SAY("writes %d\n", n);
      show_stat("member");
      SAY("tcgetpgrp %s\n", err(tcgetpgrp(s)));
      _exit(0);
    }
    usleep(10000);
    _exit(0);
  }
  waitpid(leader, NULL, 0);
  usleep(150000);
  char b[16];
  int n = read(m, b, 16);
  SAY("master read %d\n", n);
  n = read(m, b, 16);
  SAY("then %s\n", err(n));
}

static void masters(void) {
  char b[64];
  int m = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
  int n = read(m, b, 8);
  SAY("nobody yet: %s\n", err(n));
  struct pollfd p = {m, POLLIN | POLLOUT, 0};
  poll(&p, 1, 0);
  SAY("poll %x\n", p.revents);
  int s = open(ptsname(m), O_RDWR | O_NOCTTY);
  SAY("locked: %s\n", err(s));
  int lock = -1;
  ioctl(m, TIOCGPTLCK, &lock);
  SAY("lock %d\n", lock);
  n = write(m, "early\n", 6);
  SAY("early %d\n", n);
  unlockpt(m);
  struct stat st;
  stat(ptsname(m), &st);
  SAY("node: mode %o, own %d, rdev major %d\n", st.st_mode & 0170600, st.st_uid == getuid(), major(st.st_rdev));
  s = open(ptsname(m), O_RDWR | O_NOCTTY);
  n = read(s, b, 16);
  SAY("read %d\n", n);
  usleep(5000);
  n = read(m, b, 16);
  SAY("echo %d\n", n);
  write(s, "bye", 3);
  close(s);
  usleep(5000);
  poll(&p, 1, 0);
  SAY("poll closed %x\n", p.revents);
  n = read(m, b, 16);
  SAY("rest %d\n", n);
  n = read(m, b, 16);
  SAY("end %s\n", err(n));
  poll(&p, 1, 0);
  SAY("poll %x\n", p.revents);
  s = ioctl(m, TIOCGPTPEER, O_RDWR | O_NOCTTY);
  SAY("peer %s, tty %d\n", err(s), isatty(s));
  char link[64], path[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", s);
  int length = readlink(link, path, sizeof path - 1);
  path[length < 0 ? 0 : length] = 0;
  SAY("named %d\n", strcmp(path, ptsname(m)) == 0);
  poll(&p, 1, 0);
  SAY("poll reopened %x\n", p.revents);
  int ep = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN};
  epoll_ctl(ep, EPOLL_CTL_ADD, s, &e);
  SAY("epoll %d\n", epoll_wait(ep, &e, 1, 0));
  write(m, "half", 4);
  usleep(5000);
  SAY("half a line %d\n", epoll_wait(ep, &e, 1, 0));
  write(m, "\n", 1);
  SAY("a line %d\n", epoll_wait(ep, &e, 1, 1000));
  strcpy(path, ptsname(m));
  SAY("mode of the name %s\n", access(path, F_OK) == 0 ? "there" : "gone");
  close(m);
  SAY("closed: %s\n", access(path, F_OK) == 0 ? "there" : "gone");
  SAY("isatty %d %s\n", isatty(s), strerrorname_np(errno));
}

static void packets(void) {
  int s, m = pair(&s, O_NOCTTY);
  unsigned char b[64];
  int on = 1;
  SAY("pkt %s\n", err(ioctl(m, TIOCPKT, &on)));
  on = 7;
  ioctl(m, TIOCGPKT, &on);
  SAY("is %d\n", on);
  write(s, "data", 4);
  usleep(5000);
  int n = read(m, b, 64);
  SAY("data %d: %d %.4s\n", n, b[0], b + 1);
  struct pollfd p = {m, POLLIN | POLLPRI, 0};
  tcflush(s, TCIOFLUSH);
  poll(&p, 1, 0);
  SAY("flush: poll %x\n", p.revents);
  n = read(m, b, 64);
  SAY("%d: %x\n", n, b[0]);
  tcflow(s, TCOOFF);
  n = read(m, b, 64);
  SAY("stop %d: %x\n", n, b[0]);
  tcflow(s, TCOON);
  n = read(m, b, 64);
  SAY("start %d: %x\n", n, b[0]);
  struct termios t;
  tcgetattr(s, &t);
  t.c_iflag &= ~IXON;
  tcsetattr(s, TCSANOW, &t);
  n = read(m, b, 64);
  SAY("nostop %d: %x\n", n, b[0]);
  t.c_iflag |= IXON;
  tcsetattr(s, TCSANOW, &t);
  n = read(m, b, 64);
  SAY("dostop %d: %x\n", n, b[0]);
  t.c_lflag |= EXTPROC;
  tcsetattr(s, TCSANOW, &t);
  n = read(m, b, 64);
  SAY("extproc %d: %x\n", n, b[0]);
  write(m, "x\003y", 3);
  usleep(5000);
  poll(&p, 1, 0);
  SAY("poll %x\n", p.revents);
}

static void flow(void) {
  int s, m = pair(&s, O_NOCTTY);
  struct termios t;
  tcgetattr(s, &t);
  cfmakeraw(&t);
  tcsetattr(s, TCSANOW, &t);
  fcntl(s, F_SETFL, O_RDWR | O_NONBLOCK);
  fcntl(m, F_SETFL, O_RDWR | O_NONBLOCK);
  static char bytes[100000], back[100000];
  for (int i = 0; i < (int)sizeof bytes; i++) bytes[i] = i * 7 + i / 251;
  /* Bounded both ways, and nothing lost or changed. */
  int n = write(s, bytes, sizeof bytes);
  SAY("slave holds some %d, less than all %d\n", n > 4000, n < (int)sizeof bytes);
  int k = 0, r;
  usleep(20000);
  while ((r = read(m, back + k, sizeof back - k)) > 0) k += r, usleep(1000);
  SAY("all there %d, same %d\n", k == n, memcmp(bytes, back, n) == 0);
  n = write(m, bytes, sizeof bytes);
  SAY("master holds some %d, less than all %d\n", n > 4000, n < (int)sizeof bytes);
  k = 0;
  usleep(20000);
  while ((r = read(s, back + k, sizeof back - k)) > 0) k += r, usleep(1000);
  SAY("all there %d, same %d\n", k == n, memcmp(bytes, back, n) == 0);
  fcntl(s, F_SETFL, O_RDWR);
  fcntl(m, F_SETFL, O_RDWR);
  if (fork() == 0) {
    close(m);
    SAY("wrote all %d\n", (int)write(s, bytes, sizeof bytes) == (int)sizeof bytes);
    _exit(0);
  }
  close(s);
  k = 0;
  memset(back, 0, sizeof back);
  while ((r = read(m, back + k, sizeof back - k)) > 0) k += r;
  SAY("read all %d, same %d, then %s\n", k == (int)sizeof back, memcmp(bytes, back, sizeof back) == 0, err(r));
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  scene("getting a terminal", getting);
  scene("in the background", background);
  scene("orphaned groups", orphans);
  scene("stopped orphans", stopped_orphans);
  scene("typed signals", typed_signals);
  scene("hang-up", hangup);
  scene("the leader's exit", leader_exit);
  scene("masters", masters);
  scene("packet mode", packets);
  scene("flow", flow);
  return 0;
}
