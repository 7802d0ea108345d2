// What a sandbox tells of its memory, processors and tasks, by every way that programs ask. Prints "name value" lines; the test compares.
#include "results.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>

static const char *const files[] = {
    "/proc/meminfo", "/proc/stat", "/proc/cpuinfo", "/proc/loadavg", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current",
    "/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory.stat", "/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/cpu.max",
    "/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids.current", "/sys/fs/cgroup/pids.peak",
    "/sys/fs/cgroup/pids.events", "/sys/fs/cgroup/cgroup.procs", "/sys/devices/system/cpu/online", "/sys/devices/system/node/node0/meminfo"};
#define COUNT (int)(sizeof files / sizeof *files)
static char text[COUNT][8192];
static struct sysinfo info;
static struct statfs tmp;
static long pages, available;

// All at one moment: nothing here touches memory that was not touched before.
static void look(void) {
  for (int i = 0; i < COUNT; i++) {
    int fd = open(files[i], O_RDONLY);
    ssize_t got = fd < 0 ? 0 : read(fd, text[i], sizeof text[i] - 1);
    text[i][got > 0 ? got : 0] = 0;
    close(fd);
  }
  sysinfo(&info);
  statfs("/tmp", &tmp);
  pages = sysconf(_SC_PHYS_PAGES);
  available = sysconf(_SC_AVPHYS_PAGES);
}

static void tell(const char *moment) {
  look();
  look();
  printf("== %s\n", moment);
  for (int i = 0; i < COUNT; i++) printf("-- %s\n%s", files[i], text[i]);
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  printf("-- calls\n");
  printf("totalram %lu\nfreeram %lu\nsharedram %lu\nprocs %d\n", info.totalram * info.mem_unit, info.freeram * info.mem_unit,
         info.sharedram * info.mem_unit, info.procs);
  printf("phys_pages %ld\navphys_pages %ld\nnproc_onln %ld\nnproc_conf %ld\naffinity %d\n", pages, available, sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_NPROCESSORS_CONF), CPU_COUNT(&set));
  printf("blocks %ld\nbfree %ld\nbsize %ld\n", (long)tmp.f_blocks, (long)tmp.f_bfree, (long)tmp.f_bsize);
  fflush(stdout);
}

static void use(void) {
  tell("start");
  char *anonymous = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(anonymous, 1, 8 << 20);
  tell("anonymous");
  int fd = open("/tmp/file", O_RDWR | O_CREAT, 0600);
  for (int i = 0; i < 4; i++) write(fd, anonymous, 1 << 20);
  char *shared = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memset(shared, 1, 2 << 20);
  tell("shared");
  munmap(anonymous, 8 << 20);
  munmap(shared, 2 << 20);
  unlink("/tmp/file");
  close(fd);
  tell("freed");
}

int main(void) {
  static char output[1 << 16];
  setvbuf(stdout, output, _IOFBF, sizeof output);
  memset(output, 1, sizeof output);
  memset(text, 1, sizeof text);
  // The first time brings in the pages of the program itself.
  use();
  use();
  int children = 0;
  pid_t pid;
  while ((pid = fork()) > 0) children++;
  if (pid == 0)
    for (;;) pause();
  printf("forked %d, then %s\n", children, strerrorname_np(errno));
  tell("tasks");
  kill(0, SIGKILL);
}
