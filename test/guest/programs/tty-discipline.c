/* What is typed into a pseudoterminal, what it echoes and what a program reads, over many settings. Prints; both worlds must agree. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int master, slave;
static struct termios initial;

static void show(const char *what, const unsigned char *bytes, int length) {
  printf("  %s %d: ", what, length);
  for (int i = 0; i < length; i++) {
    if (bytes[i] == '\\') printf("\\\\");
    else if (bytes[i] >= 32 && bytes[i] < 127) putchar(bytes[i]);
    else printf("\\x%02x", bytes[i]);
  }
  putchar('\n');
}

static void open_pair(void) {
  master = posix_openpt(O_RDWR | O_NOCTTY);
  grantpt(master);
  unlockpt(master);
  slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  if (slave < 0) { perror("slave"); exit(1); }
  tcgetattr(slave, &initial);
}

static void close_pair(void) { close(slave); close(master); }

/* Everything the master gets until nothing more comes. */
static void echoed(const char *what) {
  static unsigned char bytes[65536];
  int length = 0;
  for (;;) {
    struct pollfd p = {master, POLLIN, 0};
    if (poll(&p, 1, 15) <= 0 || !(p.revents & POLLIN)) break;
    int n = read(master, bytes + length, sizeof bytes - length);
    if (n <= 0) break;
    length += n;
  }
  if (length > 300) printf("  %s %d bytes, the last 40:\n", what, length), show("", bytes + length - 40, 40);
  else show(what, bytes, length);
}

static void read_all(int size) {
  unsigned char bytes[8192];
  fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
  int waiting = -1;
  ioctl(slave, FIONREAD, &waiting);
  printf("  waiting %d\n", waiting);
  for (int round = 0; round < 8; round++) {
    int n = read(slave, bytes, size);
    if (n < 0) {
      printf("  read: %s\n", strerrorname_np(errno));
      break;
    }
    if (n > 200) printf("  read %d bytes, the last 20:\n", n), show("", bytes + n - 20, 20);
    else show("read", bytes, n);
    if (n == 0 && !(initial.c_lflag & ICANON)) break;
  }
  fcntl(slave, F_SETFL, O_RDWR);
}

struct change { tcflag_t iclear, iset, oclear, oset, lclear, lset; int index, value; };

static void typed_n(const char *name, struct change c, const char *keys, int length, int size) {
  open_pair();
  struct termios t = initial;
  t.c_iflag = (t.c_iflag & ~c.iclear) | c.iset;
  t.c_oflag = (t.c_oflag & ~c.oclear) | c.oset;
  t.c_lflag = (t.c_lflag & ~c.lclear) | c.lset;
  if (c.index || c.value) t.c_cc[c.index] = c.value;
  tcsetattr(slave, TCSANOW, &t);
  printf("%s\n", name);
  if (write(master, keys, length) != length) printf("  short write\n");
  echoed("echo");
  read_all(size);
  close_pair();
}

static void typed(const char *name, struct change c, const char *keys) { typed_n(name, c, keys, strlen(keys), 4096); }

static void written(const char *name, struct change c, const char *text) {
  open_pair();
  struct termios t = initial;
  t.c_iflag = (t.c_iflag & ~c.iclear) | c.iset;
  t.c_oflag = (t.c_oflag & ~c.oclear) | c.oset;
  tcsetattr(slave, TCSANOW, &t);
  int n = write(slave, text, strlen(text));
  printf("%s: %d\n", name, n);
  echoed("out");
  close_pair();
}

#define NONE (struct change){0}
#define ICLEAR(x) (struct change){.iclear = x}
#define ISET(x) (struct change){.iset = x}
#define LCLEAR(x) (struct change){.lclear = x}
#define LSET(x) (struct change){.lset = x}
#define OSET(x) (struct change){.oset = x}
#define OCLEAR(x) (struct change){.oclear = x}

static void editing(void) {
  typed("plain line", NONE, "hello\r");
  typed("newline", NONE, "hello\n");
  typed("erase", NONE, "abc\x7f\x7fxy\r");
  typed("erase too much", NONE, "ab\x7f\x7f\x7f\x7fz\r");
  typed("kill", NONE, "some words\x15other\r");
  typed("word erase", NONE, "one two_3  \x17X\r");
  typed("word erase punctuation", NONE, "foo.bar,  baz--\x17\x17X\r");
  typed("word erase latin", NONE, "a \xe9t\xe9 \x17X\r");
  typed("tabs erased", NONE, "ab\tc\td\x7f\x7f\x7f\x7f\x7fz\r");
  typed("controls erased", NONE, "a\x01\x02\x7f\x7f\x62\r");
  typed("tab after controls", NONE, "\x01\x02\t\t\x7f\x7f\x7fq\r");
  typed("utf-8 erased", ISET(IUTF8), "a\xc3\xa9\xe2\x82\xac\x7f\x7f" "b\r");
  typed("utf-8 without IUTF8", NONE, "a\xc3\xa9\x7f" "b\r");
  typed("utf-8 tab", ISET(IUTF8), "\xc3\xa9\t\x7f" "b\r");
  typed("literal next", NONE, "a\x16\x03" "b\x16\x7f\x16\x16\r");
  typed("literal newline", NONE, "a\x16\n" "b\r");
  typed("literal return", NONE, "a\x16\r" "b\r");
  typed("reprint", NONE, "abc\x12" "def\x12\r");
  typed("reprint with controls", NONE, "a\x01\t\x12\r");
  typed("line and a half", NONE, "one\rtwo");
  typed("two lines", NONE, "one\rtwo\r");
  typed("eof after text", NONE, "abc\x04" "def\r");
  typed("eof alone", NONE, "\x04");
  typed("eof twice", NONE, "\x04\x04xy\x04");
  typed_n("short reads", NONE, "abcdef\rgh\r", 10, 4);
  typed_n("short read up to an eof", NONE, "abcd\x04zz\r", 8, 4);
  typed_n("short read beyond", NONE, "abcde\x04zz\r", 9, 4);
  typed_n("nul byte", NONE, "a\0b\r", 4, 100);
  typed("eol", (struct change){.index = VEOL, .value = ';'}, "ab;cd\r");
  typed("eol2", (struct change){.index = VEOL2, .value = ';'}, "ab;cd;\r");
  typed("eol2 without iexten", (struct change){.lclear = IEXTEN, .index = VEOL2, .value = ';'}, "ab;cd;\r");
  typed("no iexten", LCLEAR(IEXTEN), "ab cd\x17" "e\x16\x12\r");
  typed("no echo", LCLEAR(ECHO), "secret\x7f\r");
  typed("no echo but newline", (struct change){.lclear = ECHO, .lset = ECHONL}, "secret\r");
  typed("no echoctl", LCLEAR(ECHOCTL), "a\x01\x02\x7f\x7f\x7fz\r");
  typed("no echoe", LCLEAR(ECHOE), "abc\x7f\x7f\r");
  typed("no echoke", LCLEAR(ECHOKE), "abc\x15" "d\r");
  typed("no echok no echoke", LCLEAR(ECHOK | ECHOKE), "abc\x15" "d\r");
  typed("echoprt", LSET(ECHOPRT), "abc\x7f\x7fxy\x17z\r");
  typed("echoprt utf-8", (struct change){.lset = ECHOPRT, .iset = IUTF8}, "a\xc3\xa9\x7fx\r");
  typed("erase disabled", (struct change){.index = VERASE, .value = 0}, "ab\x7f\r");
  typed("erase is h", (struct change){.index = VERASE, .value = 'h'}, "ahbhh\r");
}

static void mapping(void) {
  typed("no icrnl", ICLEAR(ICRNL), "ab\rcd\n");
  typed("igncr", ISET(IGNCR), "ab\rcd\n");
  typed("inlcr", (struct change){.iset = INLCR, .iclear = ICRNL}, "ab\ncd\r");
  typed("inlcr raw", (struct change){.iset = INLCR, .iclear = ICRNL, .lclear = ICANON}, "ab\ncd\r");
  typed("istrip", ISET(ISTRIP), "\xe1\xe2\r");
  typed("iuclc", ISET(IUCLC), "ABCd\r");
  typed("parmrk", ISET(PARMRK), "a\xff" "b\r");
  typed("raw with echo", LCLEAR(ICANON), "ab\x7f\x15\x04\r\n\x01");
  typed("raw", (struct change){.iclear = ICRNL | IXON, .lclear = ICANON | ECHO | ISIG | IEXTEN}, "ab\x7f\x15\x04\r\n\x01\x03\x1a\x11\x13");
  typed("interrupt flushes", NONE, "abc\x03" "def\r");
  typed("quit flushes", NONE, "abc\rabc\x1c" "def\r");
  typed("suspend without flush", LSET(NOFLSH), "abc\x1a" "def\r");
  typed("no isig", LCLEAR(ISIG), "abc\x03\x1a\r");
  typed("stop and start", NONE, "ab\x13" "cd\x11" "ef\r");
  typed("stopped", NONE, "ab\x13" "cd\r");
  typed("any starts", ISET(IXANY), "ab\x13" "cd\r");
  typed("interrupt starts", NONE, "ab\x13" "cd\x03" "e\r");
  typed("no ixon", ICLEAR(IXON), "ab\x13" "cd\x11\r");
  typed("extproc", LSET(EXTPROC), "ab\x7f\x03\r");
  static char many[6000];
  memset(many, 'x', sizeof many);
  typed_n("long line", LCLEAR(ECHO), many, 5000, 8192);
  many[4999] = '\r';
  typed_n("long line with an end", LCLEAR(ECHO), many, 5000, 8192);
  many[4999] = 'x';
  many[4500] = '\x7f';
  typed_n("long line with an erase", LCLEAR(ECHO), many, 4502, 8192);
  many[4500] = 'x';
  typed_n("raw overflow", LCLEAR(ECHO | ICANON), many, 6000, 8192);
}

static void output(void) {
  written("onlcr", NONE, "a\nb\r\n");
  written("no opost", OCLEAR(OPOST), "a\nb\tc");
  written("no onlcr", OCLEAR(ONLCR), "a\nb");
  written("ocrnl", OSET(OCRNL), "a\rb\n");
  written("onocr", OSET(ONOCR), "\ra\r\rb");
  written("onlret", (struct change){.oset = ONLRET | ONOCR, .oclear = ONLCR}, "a\n\rb\r");
  written("olcuc", OSET(OLCUC), "abc\xe9Z");
  written("xtabs", OSET(XTABS), "a\tbcdefgh\ti\b\tz\n\t!");
  written("xtabs utf-8", (struct change){.oset = XTABS, .iset = IUTF8}, "\xc3\xa9\tz");
  written("empty", NONE, "");
}

// At least so many tenths of a second pass in read(2); how many more, the machine's load decides.
static void timing(const char *name, int vmin, int vtime, const char *first, int pause_ms, const char *second, int size, int tenths) {
  open_pair();
  struct termios t = initial;
  cfmakeraw(&t);
  t.c_cc[VMIN] = vmin;
  t.c_cc[VTIME] = vtime;
  tcsetattr(slave, TCSANOW, &t);
  if (first) write(master, first, strlen(first));
  pid_t child = 0;
  int go[2], there = 0;
  pipe(go);
  if (second) {
    child = fork();
    if (child == 0) {
      read(go[0], &there, 1);
      usleep(pause_ms * 1000);
      write(master, second, strlen(second));
      _exit(0);
    }
  }
  struct timespec a, b;
  unsigned char bytes[64];
  while (first && ioctl(slave, FIONREAD, &there) == 0 && there < (int)strlen(first)) usleep(1000);
  struct pollfd p = {slave, POLLIN, 0};
  int ready = poll(&p, 1, 0);
  write(go[1], "", 1);
  clock_gettime(CLOCK_MONOTONIC, &a);
  int n = read(slave, bytes, size);
  clock_gettime(CLOCK_MONOTONIC, &b);
  double ms = (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6;
  printf("%s: poll %d, after %d tenths: %d\n", name, ready, tenths, ms + 50 >= tenths * 100);
  show("read", bytes, n < 0 ? 0 : n);
  if (child) { int s; while (waitpid(child, &s, 0) < 0) {} }
  close(go[0]);
  close(go[1]);
  close_pair();
}

static void modes(void) {
  open_pair();
  struct termios t = initial, raw = initial;
  raw.c_lflag &= ~ICANON;
  write(master, "half", 4);
  usleep(5000);
  tcsetattr(slave, TCSANOW, &raw);
  printf("half a line becomes raw\n");
  read_all(100);
  write(master, "raw", 3);
  usleep(5000);
  tcsetattr(slave, TCSANOW, &t);
  printf("raw bytes become a line\n");
  read_all(100);
  write(master, "one\rtwo\rthree", 13);
  usleep(5000);
  tcsetattr(slave, TCSANOW, &raw);
  tcsetattr(slave, TCSANOW, &t);
  printf("there and back\n");
  read_all(100);
  write(master, "lost\r", 5);
  usleep(5000);
  tcsetattr(slave, TCSAFLUSH, &t);
  printf("tcsaflush\n");
  read_all(100);
  write(master, "lost\r", 5);
  usleep(5000);
  printf("tcflush %d\n", tcflush(slave, TCIFLUSH));
  read_all(100);
  printf("tcflush 7: %d %s\n", tcflush(slave, 7), strerrorname_np(errno));
  echoed("echo so far");
  write(slave, "pending", 7);
  tcflow(slave, TCOOFF);
  fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
  int n = write(slave, "held", 4);
  printf("write while held: %d %s\n", n, n < 0 ? strerrorname_np(errno) : "");
  write(master, "\x11", 1);
  echoed("out before");
  struct pollfd p = {slave, POLLOUT, 0};
  printf("pollout held %d\n", poll(&p, 1, 0));
  tcflow(slave, TCOON);
  printf("pollout released %d\n", poll(&p, 1, 0));
  printf("write released %d\n", (int)write(slave, "free", 4));
  tcflow(slave, TCIOFF);
  tcflow(slave, TCION);
  echoed("out after");
  printf("tcdrain %d, tcsendbreak %d\n", tcdrain(slave), tcsendbreak(slave, 0));
  close_pair();
}

static void settings(void) {
  open_pair();
  struct termios t = initial;
  printf("initial %o %o %o %o speeds %u %u\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag, cfgetispeed(&t), cfgetospeed(&t));
  for (int i = 0; i < 19; i++) printf("%d ", t.c_cc[i]);
  printf("\n");
  tcgetattr(master, &t);
  printf("by the master %o %o %o %o\n", t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag);
  t.c_cflag = (t.c_cflag & ~CSIZE) | CS5 | PARENB | CSTOPB;
  cfsetspeed(&t, B9600);
  tcsetattr(master, TCSANOW, &t);
  tcgetattr(slave, &t);
  printf("five bits and parity: %o, speed %o\n", t.c_cflag, cfgetospeed(&t));
  struct winsize w = {0};
  printf("size %d: %d %d\n", ioctl(slave, TIOCGWINSZ, &w), w.ws_row, w.ws_col);
  w = (struct winsize){30, 90, 5, 6};
  ioctl(master, TIOCSWINSZ, &w);
  memset(&w, 0, sizeof w);
  ioctl(slave, TIOCGWINSZ, &w);
  printf("size %d %d %d %d\n", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
  int value = -1;
  printf("getd %d %d\n", ioctl(slave, TIOCGETD, &value), value);
  value = 5;
  printf("outq %d %d\n", ioctl(slave, TIOCOUTQ, &value), value);
  printf("excl %d, get %d", ioctl(slave, TIOCEXCL), ioctl(slave, TIOCGEXCL, &value));
  printf(" %d\n", value);
  ioctl(slave, TIOCNXCL);
  printf("mget %d %s\n", ioctl(slave, TIOCMGET, &value), strerrorname_np(errno));
  printf("gptn of the slave %d %s\n", ioctl(slave, TIOCGPTN, &value), strerrorname_np(errno));
  printf("nonsense %d %s\n", ioctl(slave, 0x54ff, &value), strerrorname_np(errno));
  printf("bad pointer %d %s\n", ioctl(slave, TCGETS, (void *)8), strerrorname_np(errno));
  printf("bad pointer %d %s\n", ioctl(slave, TIOCSWINSZ, (void *)8), strerrorname_np(errno));
  printf("seek %ld %s\n", (long)lseek(slave, 0, SEEK_SET), strerrorname_np(errno));
  char b;
  printf("pread %d %s\n", (int)pread(slave, &b, 1, 0), strerrorname_np(errno));
  close_pair();
}

int main(void) {
  setvbuf(stdout, NULL, _IOFBF, 1 << 20);
  editing();
  mapping();
  output();
  timing("min 0 time 0, nothing", 0, 0, NULL, 0, NULL, 10, 0);
  timing("min 0 time 0, something", 0, 0, "ab", 0, NULL, 10, 0);
  timing("min 0 time 2, nothing", 0, 2, NULL, 0, NULL, 10, 2);
  timing("min 0 time 100, later", 0, 100, NULL, 110, "cd", 10, 1);
  timing("min 3 time 0", 3, 0, "ab", 110, "cd", 10, 1);
  timing("min 3 time 0, two wanted", 3, 0, "ab", 0, NULL, 2, 0);
  timing("min 5 time 2, pause", 5, 2, "ab", 0, NULL, 10, 2);
  timing("min 5 time 20, one more", 5, 20, "ab", 110, "c", 10, 20);
  timing("min 1 time 2, nothing until later", 1, 2, NULL, 310, "z", 10, 3);
  modes();
  settings();
  return 0;
}
