// File leases: who gets one, who is told of what, who waits for whom. Same as natively.
#include "results.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

static volatile int told, told_fd, told_code, told_band;
static void on_break(int signal, siginfo_t *info, void *unused) {
  (void)unused;
  told = signal;
  told_fd = info->si_fd;
  told_code = info->si_code;
  told_band = info->si_band;
}
static const char *kind(int type) { return type == F_RDLCK ? "read" : type == F_WRLCK ? "write" : type == F_UNLCK ? "none" : "error"; }
static void show_lease(int fd) { printf("lease: %s\n", kind(fcntl(fd, F_GETLEASE))); }

static void rules(void) {
  int fd = open("file", O_RDWR | O_CREAT, 0600);
  show_lease(fd);
  R(fcntl(fd, F_SETLEASE, 77));
  R(fcntl(fd, F_SETLEASE, F_UNLCK));
  R(fcntl(fd, F_SETLEASE, F_RDLCK)); // it is open for writing: by us
  R(fcntl(fd, F_SETLEASE, F_WRLCK));
  show_lease(fd);
  int copy = dup(fd);
  show_lease(copy);
  close(copy);
  show_lease(fd);
  R(fcntl(fd, F_SETLEASE, F_UNLCK));
  show_lease(fd);
  int reader = open("file", O_RDONLY);
  R(fcntl(fd, F_SETLEASE, F_WRLCK));
  R(fcntl(reader, F_SETLEASE, F_RDLCK));
  close(fd);
  R(fcntl(reader, F_SETLEASE, F_RDLCK));
  int other = open("file", O_RDONLY);
  R(fcntl(other, F_SETLEASE, F_RDLCK));
  R(fcntl(other, F_SETLEASE, F_WRLCK));
  show_lease(other);
  close(other);
  R(fcntl(reader, F_SETLEASE, F_WRLCK));
  show_lease(reader);
  close(reader);
  int ends[2];
  pipe(ends);
  R(fcntl(ends[0], F_SETLEASE, F_RDLCK));
  int directory = open(".", O_RDONLY | O_DIRECTORY);
  R(fcntl(directory, F_SETLEASE, F_WRLCK));
  int path = open("file", O_PATH);
  R(fcntl(path, F_SETLEASE, F_RDLCK));
  R(fcntl(path, F_GETLEASE));
}

static void breaks(void) {
  struct sigaction action = {.sa_sigaction = on_break, .sa_flags = SA_SIGINFO};
  sigaction(SIGIO, &action, NULL);
  sigaction(SIGRTMIN, &action, NULL);
  int fd = open("file", O_RDWR | O_CREAT, 0600);
  write(fd, "hello", 5);
  R(fcntl(fd, F_SETLEASE, F_WRLCK));
  printf("owner %d\n", fcntl(fd, F_GETOWN) == getpid());
  R(open("file", O_RDONLY | O_NONBLOCK));
  printf("told by %s\n", strsignal(told));
  show_lease(fd);
  told = 0;
  R(open("file", O_RDONLY | O_NONBLOCK));
  printf("told once: %d\n", told == 0);
  R(open("file", O_WRONLY | O_NONBLOCK));
  printf("told again, for more: %d\n", told != 0);
  show_lease(fd);
  R(fcntl(fd, F_SETLEASE, F_UNLCK));
  show_lease(fd);
  told = 0;
  int reader = open("file", O_RDONLY | O_NONBLOCK);
  printf("open: %d, told %d\n", reader >= 0, told);
  close(fd);
  R(fcntl(reader, F_SETLEASE, F_RDLCK));
  R(fcntl(reader, F_SETSIG, SIGRTMIN));
  int other = open("file", O_RDONLY | O_NONBLOCK);
  printf("readers are welcome: %d, told %d\n", other >= 0, told);
  close(other);
  R(open("file", O_WRONLY | O_NONBLOCK));
  printf("signal %d fd %d code %d band %x\n", told == SIGRTMIN, told_fd == reader, told_code, told_band);
  told = 0;
  R(open("file", O_RDWR | O_CREAT | O_TRUNC | O_NONBLOCK, 0600));
  struct stat st;
  fstat(reader, &st);
  printf("not truncated: %ld\n", (long)st.st_size);
  R(fcntl(reader, F_SETLEASE, F_UNLCK));
}

// The holder is asked, gives in (or up), and the other goes on.
static void waits(void (*give)(int), int first, int mine, int flags) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGIO);
  sigprocmask(SIG_BLOCK, &set, NULL);
  int fd = open("file", mine);
  R(fcntl(fd, F_SETLEASE, first));
  int gone[2];
  pipe(gone);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    close(fd);
    long result = flags == -1 ? truncate("file", 3) : open("file", flags);
    char byte;
    // Only once the lease is given up.
    fcntl(gone[0], F_SETFL, O_NONBLOCK);
    _exit(result < 0 ? 1 : read(gone[0], &byte, 1) == 1 ? 0 : 2);
  }
  int signal;
  sigwait(&set, &signal);
  show_lease(fd);
  write(gone[1], "x", 1);
  give(fd);
  show_lease(fd);
  wait_for(pid);
  close(fd);
}
static void unlock(int fd) { R(fcntl(fd, F_SETLEASE, F_UNLCK)); }
static void downgrade(int fd) { R(fcntl(fd, F_SETLEASE, F_RDLCK)); }
static void give_up(int fd) { close(fd); }

static void waiting(void) {
  int fd = open("file", O_RDWR | O_CREAT, 0600);
  write(fd, "hello", 5);
  close(fd);
  waits(unlock, F_WRLCK, O_RDWR, O_RDONLY);
  waits(unlock, F_WRLCK, O_RDWR, O_WRONLY);
  waits(unlock, F_RDLCK, O_RDONLY, O_WRONLY);
  waits(give_up, F_RDLCK, O_RDONLY, O_RDWR);
  waits(downgrade, F_WRLCK, O_RDONLY, O_RDONLY);
  waits(unlock, F_WRLCK, O_RDWR, -1);
  waits(unlock, F_RDLCK, O_RDONLY, -1);
  struct stat st;
  stat("file", &st);
  printf("truncated: %ld\n", (long)st.st_size);
}

static void on_alarm(int signal) { (void)signal; }
// A waiting open is interrupted by a signal.
static void interrupted(void) {
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGUSR1, &action, NULL);
  signal(SIGIO, SIG_IGN);
  int fd = open("file", O_RDWR | O_CREAT, 0600), started[2];
  char byte;
  pipe(started);
  R(fcntl(fd, F_SETLEASE, F_WRLCK));
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    write(started[1], "x", 1);
    R(open("file", O_RDONLY));
    fflush(stdout);
    _exit(0);
  }
  read(started[0], &byte, 1);
  // Until it has been asked for, the child may not have come so far.
  while (fcntl(fd, F_GETLEASE) == F_WRLCK) nap(1);
  kill(pid, SIGUSR1);
  wait_for(pid);
  show_lease(fd);
}

// The holder does nothing: after the time that the system gives it (one second here) the lease is taken.
static void taken(void) {
  int setting = open("/proc/sys/fs/lease-break-time", O_RDWR);
  char text[16] = "";
  read(setting, text, 15);
  printf("time %s", text);
  R(pwrite(setting, "1", 1, 0));
  int fd = open("file", O_RDWR | O_CREAT, 0600);
  signal(SIGIO, SIG_IGN);
  R(fcntl(fd, F_SETLEASE, F_WRLCK));
  OK(open("file", O_RDONLY));
  show_lease(fd);
  OK(open("file", O_WRONLY));
  show_lease(fd);
}

static const struct section sections[] = {{"rules", rules}, {"breaks", breaks}, {"waiting", waiting}, {"interrupted", interrupted}, {"taken", taken}};
int main(int argc, char **argv) { return run_section(argc, argv, sections, sizeof sections / sizeof *sections); }
