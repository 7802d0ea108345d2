// MADV_REMOVE, cachestat, process_mrelease, NUMA policies. Prints only what must be the same natively.
#include "results.h"
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define PAGE 4096L
#define MADV_REMOVE 9
#define SYS_cachestat_ 451
#define SYS_process_mrelease_ 448
#define SYS_home_node 450

struct range { uint64_t off, len; };
struct stats { uint64_t cache, dirty, writeback, evicted, recently; };

static long blocks(int fd) {
  struct stat st;
  fstat(fd, &st);
  return st.st_blocks * 512 / PAGE;
}

static void removal(void) {
  int fd = memfd_create("remove", 0);
  ftruncate(fd, 8 * PAGE);
  char *map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  memset(map, 'x', 8 * PAGE);
  printf("%ld pages\n", blocks(fd));
  R(madvise(map + PAGE, 3 * PAGE, MADV_REMOVE));
  char buffer[2] = {1, 1};
  pread(fd, buffer, 1, PAGE);
  printf("%ld pages, %d %d %d, file %d\n", blocks(fd), map[0], map[PAGE], map[4 * PAGE], buffer[0]);
  map[2 * PAGE] = 'y';
  pread(fd, buffer, 1, 2 * PAGE);
  printf("again %c, %ld pages\n", buffer[0], blocks(fd));
  R(madvise(map + 1, PAGE, MADV_REMOVE));
  R(madvise(map + 8 * PAGE, PAGE, MADV_REMOVE) == -1);
  mprotect(map, PAGE, PROT_READ);
  R(madvise(map, PAGE, MADV_REMOVE));
  printf("%d\n", map[0]);
  char *private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4 * PAGE);
  R(madvise(private, PAGE, MADV_REMOVE));
  char *anonymous = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  R(madvise(anonymous, PAGE, MADV_REMOVE));
  mlock(map + 4 * PAGE, PAGE);
  R(madvise(map + 4 * PAGE, PAGE, MADV_REMOVE));
  munlock(map + 4 * PAGE, PAGE);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int readonly = open(path, O_RDONLY);
  char *reading = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, readonly, 5 * PAGE);
  R(madvise(reading, PAGE, MADV_REMOVE));
  munmap(map, 8 * PAGE);
  fcntl(fd, F_ADD_SEALS, 0);
  // Shared with a child: it sees the hole.
  char *shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  memset(shared, 'x', 4 * PAGE);
  int go[2], back[2];
  char byte;
  pipe(go);
  pipe(back);
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    volatile char *see = shared;
    int before = see[PAGE];
    write(back[1], "x", 1);
    read(go[0], &byte, 1);
    printf("child saw %d, sees %d %d\n", before, see[PAGE], see[2 * PAGE]);
    see[PAGE] = 'z';
    fflush(stdout);
    _exit(0);
  }
  read(back[0], &byte, 1);
  R(madvise(shared + PAGE, PAGE, MADV_REMOVE));
  write(go[1], "x", 1);
  wait_for(pid);
  printf("and wrote %c\n", shared[PAGE]);
  int id = shmget(IPC_PRIVATE, 2 * PAGE, 0600 | IPC_CREAT);
  char *segment = shmat(id, NULL, 0);
  memset(segment, 'x', 2 * PAGE);
  R(madvise(segment, PAGE, MADV_REMOVE));
  printf("segment %d %d\n", segment[0], segment[PAGE]);
  shmctl(id, IPC_RMID, NULL);
}

static void cache(void) {
  struct range all = {0, 0}, some = {PAGE, 2 * PAGE + 1}, beyond = {100 * PAGE, 0};
  struct stats s;
  int fd = memfd_create("cache", 0);
  char page[4096];
  memset(page, 'x', sizeof page);
  for (int i = 0; i < 8; i++) pwrite(fd, page, sizeof page, 2 * i * PAGE);
#define STAT(fd, range) (memset(&s, 9, sizeof s), syscall(SYS_cachestat_, fd, range, &s, 0))
  long first = STAT(fd, &all);
  if (first == -1 && errno == ENOSYS) {
    puts("no cachestat");
    return;
  }
  printf("%ld: %lu %lu %lu\n", first, s.cache, s.dirty, s.writeback);
  printf("%ld: %lu\n", STAT(fd, &some), s.cache);
  printf("%ld: %lu\n", STAT(fd, &beyond), s.cache);
  R(STAT(-1, &all));
  R(STAT(fd, wild));
  R(syscall(SYS_cachestat_, fd, &all, wild, 0));
  R(syscall(SYS_cachestat_, fd, &all, &s, 1));
  R(syscall(SYS_cachestat_, open(".", O_PATH), &all, &s, 0));
  int ends[2];
  pipe(ends);
  printf("%ld: %lu\n", STAT(ends[1], &all), s.cache);
}

static void release(void) {
  R(syscall(SYS_process_mrelease_, -1, 0));
  R(syscall(SYS_process_mrelease_, 0, 0));
  R(syscall(SYS_process_mrelease_, 0, 1));
  int self = syscall(SYS_pidfd_open, getpid(), 0);
  R(syscall(SYS_process_mrelease_, self, 0));
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0)
    for (;;) pause();
  int fd = syscall(SYS_pidfd_open, pid, 0);
  R(syscall(SYS_process_mrelease_, fd, 0));
  kill(pid, SIGKILL);
  long result = syscall(SYS_process_mrelease_, fd, 0);
  printf("killed: %s\n", result == 0 || errno == ESRCH ? "as it should" : strerrorname_np(errno));
  wait_for(pid);
  R(syscall(SYS_process_mrelease_, fd, 0));
}

static void policies(void) {
  unsigned long none[16] = {0}, node0[16] = {1}, all[16], mask[16];
  memset(all, 0xff, sizeof all);
  int mode = 9;
  if (syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) == -1 && errno == ENOSYS) {
    puts("no NUMA");
    return;
  }
  printf("default %d\n", mode);
  R(syscall(SYS_set_mempolicy, MPOL_BIND, node0, 65));
  memset(mask, 0xff, sizeof mask);
  R(syscall(SYS_get_mempolicy, &mode, mask, 1024, NULL, 0));
  printf("mode %d mask %lx %lx\n", mode, mask[0], mask[1]);
  R(syscall(SYS_set_mempolicy, MPOL_BIND, none, 65));
  R(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, NULL, 0));
  R(syscall(SYS_set_mempolicy, MPOL_DEFAULT, node0, 65));
  R(syscall(SYS_set_mempolicy, 77, NULL, 0));
  R(syscall(SYS_set_mempolicy, MPOL_BIND, wild, 65));
  R(syscall(SYS_set_mempolicy, MPOL_BIND, node0, 1ul << 40));
  R(syscall(SYS_set_mempolicy, MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES, node0, 65));
  R(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, MPOL_F_NODE));
  R(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, node0, 65));
  R(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, MPOL_F_NODE));
  printf("next node %d\n", mode);
  R(syscall(SYS_set_mempolicy, MPOL_PREFERRED, NULL, 0));
  R(syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0));
  printf("local %d\n", mode);
  R(syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0));
  memset(mask, 0, sizeof mask);
  R(syscall(SYS_get_mempolicy, &mode, mask, 1024, NULL, MPOL_F_MEMS_ALLOWED));
  printf("allowed %d\n", (int)(mask[0] & 1));
  R(syscall(SYS_get_mempolicy, &mode, mask, 1024, NULL, MPOL_F_MEMS_ALLOWED | MPOL_F_NODE));
  R(syscall(SYS_get_mempolicy, &mode, mask, 1024, NULL, 128));
  R(syscall(SYS_get_mempolicy, &mode, mask, 1024, &mode, 0));
  R(syscall(SYS_get_mempolicy, &mode, NULL, 0, wild, MPOL_F_ADDR));
  R(syscall(SYS_get_mempolicy, wild, NULL, 0, NULL, 0));
  char *map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  map[0] = 1;
  R(syscall(SYS_home_node, map, 8 * PAGE, 0, 0));
  R(syscall(SYS_mbind, map + PAGE, 2 * PAGE, MPOL_BIND, node0, 65, 0));
  R(syscall(SYS_home_node, map, 8 * PAGE, 0, 0));
  R(syscall(SYS_home_node, map + 4 * PAGE, PAGE, 0, 0));
  R(syscall(SYS_get_mempolicy, &mode, NULL, 0, map + PAGE, MPOL_F_ADDR));
  printf("bound %d\n", mode);
  R(syscall(SYS_get_mempolicy, &mode, NULL, 0, map + 3 * PAGE, MPOL_F_ADDR));
  printf("not bound %d\n", mode);
  R(syscall(SYS_get_mempolicy, &mode, NULL, 0, map, MPOL_F_ADDR | MPOL_F_NODE));
  printf("on node %d\n", mode);
  R(syscall(SYS_mbind, map + 5 * PAGE, PAGE, MPOL_INTERLEAVE, node0, 65, MPOL_MF_MOVE));
  R(syscall(SYS_home_node, map, 8 * PAGE, 0, 0));
  R(syscall(SYS_home_node, map, 8 * PAGE, 0, 1));
  R(syscall(SYS_home_node, map + 1, PAGE, 0, 0));
  R(syscall(SYS_home_node, map, PAGE, 1000, 0));
  R(syscall(SYS_home_node, map, 0, 0, 0));
  R(syscall(SYS_mbind, map + 1, PAGE, MPOL_DEFAULT, NULL, 0, 0));
  R(syscall(SYS_mbind, map, PAGE, MPOL_DEFAULT, NULL, 0, 64));
  R(syscall(SYS_mbind, NULL, PAGE, MPOL_BIND, node0, 65, 0));
  R(syscall(SYS_mbind, map, 0, MPOL_BIND, node0, 65, 0));
  char *untouched = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  void *pages[] = {map, untouched, wild};
  int status[3] = {7, 7, 7}, nodes[3] = {0, 0, 0}, absent[1] = {1000};
  R(syscall(SYS_move_pages, 0, 3, pages, NULL, status, 0));
  printf("on %d %d %d\n", status[0], status[1], status[2]);
  R(syscall(SYS_move_pages, 0, 1, pages, nodes, status, MPOL_MF_MOVE));
  R(syscall(SYS_move_pages, 0, 1, pages, absent, status, MPOL_MF_MOVE));
  R(syscall(SYS_move_pages, 0, 1, pages, NULL, wild, 0));
  R(syscall(SYS_move_pages, 0, 1, pages, NULL, status, 99));
  R(syscall(SYS_move_pages, 999999, 1, pages, NULL, status, 0));
  R(syscall(SYS_migrate_pages, 0, 65, node0, node0));
  R(syscall(SYS_migrate_pages, 999999, 65, node0, node0));
}

static const struct section sections[] = {{"remove", removal}, {"cache", cache}, {"release", release}, {"policies", policies}};

int main(int argc, char **argv) { return run_section(argc, argv, sections, sizeof sections / sizeof *sections); }
