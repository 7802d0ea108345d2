// futex(2) with all its commands, futex_waitv(2), robust lists' registration and membarrier(2), with good and bad input.
#include "results.h"
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <dirent.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static uint32_t word, other;
static long futex(uint32_t *w, int op, uint32_t v, void *t, uint32_t *w2, uint32_t v3) { return syscall(SYS_futex, w, op, v, t, w2, v3); }

static void *futex_waiter(void *argument) { long r = futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0); return (void *)(r < 0 ? (long)errno : 0); }
static void *pi_locker(void *argument) { long r = futex(&other, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  if (r == 0) futex(&other, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0); return (void *)(r < 0 ? (long)errno : 0); }
static void *pi_waiter(void *argument) {
  long r = futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, &other, 0);
  long e = errno, owner = (other & FUTEX_TID_MASK) == (uint32_t)syscall(SYS_gettid);
  if (r == 0) futex(&other, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
  return (void *)(r < 0 ? e : 1000 + owner);
}
struct waitv { uint64_t value, address; uint32_t flags, reserved; };
static void *waitv_thread(void *argument) { struct waitv w[2] = {{0, (uintptr_t)&word, 2 | 128, 0}, {0, (uintptr_t)&other, 2 | 128, 0}}; long r = syscall(SYS_futex_waitv, w, 2, 0, NULL, 0); return (void *)(r < 0 ? -(long)errno : r); }

// Until so many other threads sleep: in the calls they were made for.
static void until_asleep(int wanted) {
  for (int asleep = 0; asleep != wanted; nap(1)) {
    DIR *threads = opendir("/proc/self/task");
    asleep = 0;
    for (struct dirent *entry; (entry = readdir(threads));) {
      char path[300], state = 0;
      snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
      FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
      if (!file) continue;
      if (fscanf(file, "%*d (%*[^)]) %c", &state) == 1 && state == 'S') asleep++;
      fclose(file);
    }
    closedir(threads);
  }
}

int main(void) {
  struct timespec soon = {0, 10000000}, bad = {0, 1000000000}, past = {1, 0};
  uint32_t *odd = (uint32_t *)((char *)&word + 1);
  R(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
  R(futex(&word, FUTEX_WAIT, 0, &soon, NULL, 0));
  R(futex(&word, FUTEX_WAIT, 0, &bad, NULL, 0));
  R(futex(&word, FUTEX_WAIT, 0, wild, NULL, 0));
  R(futex(odd, FUTEX_WAIT, 0, NULL, NULL, 0));
  R(futex(wild, FUTEX_WAIT, 0, NULL, NULL, 0));
  R(futex(NULL, FUTEX_WAIT, 0, NULL, NULL, 0));
  R(futex((uint32_t *)((uintptr_t)kernel_half), FUTEX_WAIT, 0, NULL, NULL, 0));
  R(futex(&word, FUTEX_WAIT_BITSET, 0, &past, NULL, 1));
  R(futex(&word, FUTEX_WAIT_BITSET, 0, &past, NULL, 0));
  R(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 1));
  R(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
  R(futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
  R(futex(odd, FUTEX_WAKE, 1, NULL, NULL, 0));
  R(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
  R(futex(&word, 99, 1, NULL, NULL, 0));
  R(futex(&word, FUTEX_FD, 1, NULL, NULL, 0));
  R(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 7));
  R(futex(&word, FUTEX_REQUEUE, -1, (void *)1, &other, 0));
  R(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, wild, 0));
  R(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 0)));
  printf("%u\n", other);
  R(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 0)));
  R(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, wild, 0));
  R(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, 7 << 28));
  R(futex(&other, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  printf("owner %d\n", other == (uint32_t)syscall(SYS_gettid));
  R(futex(&other, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  R(futex(&other, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  pthread_t t[4];
  void *r;
  pthread_create(&t[0], NULL, pi_locker, NULL);
  until_asleep(1);
  printf("waiters %d\n", (other & FUTEX_WAITERS) != 0);
  R(futex(&other, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  pthread_join(t[0], &r);
  printf("locker %ld word %u\n", (long)r, other);
  R(futex(&other, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  other = 999999;
  R(futex(&other, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  R(futex(&other, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
  other = 0;
  for (int i = 0; i < 3; i++) pthread_create(&t[i], NULL, futex_waiter, NULL);
  until_asleep(3);
  R(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &other, 0));
  R(futex(&other, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
  R(futex(&word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
  for (int i = 0; i < 3; i++) {
    pthread_join(t[i], &r);
    printf("waiter %ld\n", (long)r);
  }
  for (int i = 0; i < 2; i++) pthread_create(&t[i], NULL, pi_waiter, NULL);
  until_asleep(2);
  R(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 2, (void *)1, &other, 0));
  R(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &other, 9));
  R(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &word, 0));
  R(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, &past, &word, 0));
  R(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, &past, &other, 0));
  R(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 5, NULL, &other, 0));
  R(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  R(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &other, 0));
  for (int i = 0; i < 2; i++) {
    pthread_join(t[i], &r);
    printf("pi waiter %ld\n", (long)r);
  }
  printf("word %u\n", other);
  pthread_create(&t[0], NULL, waitv_thread, NULL);
  until_asleep(1);
  R(futex(&other, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
  pthread_join(t[0], &r);
  printf("waitv %ld\n", (long)r);
  struct waitv w[2] = {{5, (uintptr_t)&word, 2 | 128, 0}, {0, (uintptr_t)&other, 2, 0}};
  struct timespec later;
  clock_gettime(CLOCK_MONOTONIC, &later);
  later.tv_nsec += 10000000;
  if (later.tv_nsec > 999999999) { later.tv_nsec -= 1000000000;
  later.tv_sec++; } R(syscall(SYS_futex_waitv, w, 2, 0, NULL, 0));
  w[0].value = 0;
  R(syscall(SYS_futex_waitv, w, 2, 0, &later, CLOCK_MONOTONIC));
  R(syscall(SYS_futex_waitv, w, 0, 0, NULL, 0));
  R(syscall(SYS_futex_waitv, w, 129, 0, NULL, 0));
  R(syscall(SYS_futex_waitv, w, 2, 1, NULL, 0));
  w[0].flags = 77;
  R(syscall(SYS_futex_waitv, w, 2, 0, NULL, 0));
  w[0].flags = 2;
  w[0].reserved = 1;
  R(syscall(SYS_futex_waitv, w, 2, 0, NULL, 0));
  w[0].reserved = 0;
  w[0].address = 16;
  R(syscall(SYS_futex_waitv, w, 2, 0, NULL, 0));
  w[0].address = (uintptr_t)odd;
  R(syscall(SYS_futex_waitv, w, 2, 0, NULL, 0));
  R(syscall(SYS_futex_waitv, wild, 2, 0, NULL, 0));
  w[0].address = (uintptr_t)&word;
  R(syscall(SYS_futex_waitv, w, 2, 0, &later, 99));
  R(syscall(SYS_futex_waitv, w, 2, 0, wild, CLOCK_MONOTONIC));
  void *head; size_t len;
  R(syscall(SYS_get_robust_list, 0, &head, &len));
  printf("%zu\n", len);
  R(syscall(SYS_set_robust_list, head, 23));
  R(syscall(SYS_get_robust_list, 999999, &head, &len));
  R(syscall(SYS_get_robust_list, 0, wild, &len));

  puts("membarrier");
  R(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) & 0x7f);
  R(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 1, 0));
  R(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
  R(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
  R(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
  R(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
  R(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
  R(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
  R(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
  R(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
  R(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0));
  R(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0));
  R(syscall(SYS_membarrier, 1 << 20, 0, 0));
  R(syscall(SYS_membarrier, -1, 0, 0));
  puts("scheduling and clocks");
  struct sched_param param = {0};
  struct timespec interval;
  R(sched_setparam(-1, &param));
  R(sched_getparam(-1, &param));
  R(sched_rr_get_interval(-1, &interval));
  for (int clock = 4; clock <= 6; clock++) {
    R(syscall(SYS_clock_nanosleep, clock, 0, &past, NULL));
    timer_t timer;
    R(syscall(SYS_timer_create, clock, NULL, &timer));
  }
  R(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &past, NULL));
  R(syscall(SYS_clock_nanosleep, 77, 0, &past, NULL));
  return 0;
}
