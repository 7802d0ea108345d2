/*
 * Preloaded (LD_PRELOAD) into the zygote, and only there: makes a Node process fit to be forked.
 *
 * 1. V8 marks its heap and code MADV_DONTFORK; a child without them dies at its first instruction of JavaScript.
 *    The advice is dropped.
 * 2. V8's jobs signal worker threads through condition variables. A forked child has no such threads, and glibc's
 *    condition variables hang when their waiters vanished. Once the zygote is quiesced, signalling is a no-op,
 *    and anything that needs another thread fails loudly instead of hanging.
 *
 * 3. V8 scatters its 256 KiB chunks over the whole address space: each costs three page tables of its own, which every
 *    fork copies and every exit frees. They are placed side by side instead, from a random start.
 *
 * The addon finds `cordon_quiesced` with dlsym; its absence means the shim is not loaded.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) volatile int cordon_quiesced = 0;
/* Set in the child: there threads cannot exist; in the zygote itself they still may. */
__attribute__((visibility("default"))) volatile int cordon_forked = 0;

static int (*real_signal)(pthread_cond_t *);
static int (*real_broadcast)(pthread_cond_t *);
static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *);
static int (*real_timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
static int (*real_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
static int (*real_join)(pthread_t, void **);

static void *next(const char *name, const char *version) {
  void *found = dlvsym(RTLD_NEXT, name, version);
  return found ? found : dlsym(RTLD_NEXT, name);
}

/* Other constructors may signal before ours has run, so each wrapper resolves on first use as well. */
__attribute__((constructor)) static void resolve(void) {
  real_signal = next("pthread_cond_signal", "GLIBC_2.3.2");
  real_broadcast = next("pthread_cond_broadcast", "GLIBC_2.3.2");
  real_wait = next("pthread_cond_wait", "GLIBC_2.3.2");
  real_timedwait = next("pthread_cond_timedwait", "GLIBC_2.3.2");
  real_create = next("pthread_create", "GLIBC_2.34");
  real_join = next("pthread_join", "GLIBC_2.34");
}

static void refuse(const char *what) {
  static const char tail[] = " called in a forked Sentry, which has no threads\n";
  syscall(SYS_write, 2, what, strlen(what));
  syscall(SYS_write, 2, tail, sizeof tail - 1);
  syscall(SYS_exit_group, 70);
}

__attribute__((visibility("default"))) int madvise(void *address, size_t length, int advice) {
  if (advice == MADV_DONTFORK) return 0;
  return (int)syscall(SYS_madvise, address, length, advice);
}

#define CHUNK (256ul << 10)
#define CLUSTERED_MAX (16ul << 20)

static uintptr_t cluster;

/* Where the next chunk goes. Only a hint: the kernel looks elsewhere when the place is taken. */
static void *clustered(size_t length) {
  if (!cluster) {
    uint64_t random = 0;
    syscall(SYS_getrandom, &random, sizeof random, 0);
    cluster = 0x100000000000ul + (random & 0x3fffffff0000ul) / (1ul << 30) * (1ul << 30);
  }
  return (void *)__atomic_fetch_add(&cluster, (length + CHUNK - 1) & ~(CHUNK - 1), __ATOMIC_RELAXED);
}

__attribute__((visibility("default"))) void *mmap(void *address, size_t length, int protection, int flags, int fd,
                                                  off_t offset) {
  /* A hint that is no demand: only V8 gives those. */
  if (address && fd == -1 && length <= CLUSTERED_MAX && !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
    address = clustered(length);
  return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

__attribute__((visibility("default"))) void *mmap64(void *address, size_t length, int protection, int flags, int fd,
                                                    off_t offset) {
  return mmap(address, length, protection, flags, fd, offset);
}

__attribute__((visibility("default"))) int pthread_cond_signal(pthread_cond_t *condition) {
  if (cordon_quiesced) return 0;
  if (!real_signal) resolve();
  return real_signal(condition);
}

__attribute__((visibility("default"))) int pthread_cond_broadcast(pthread_cond_t *condition) {
  if (cordon_quiesced) return 0;
  if (!real_broadcast) resolve();
  return real_broadcast(condition);
}

__attribute__((visibility("default"))) int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
  if (cordon_forked) refuse("pthread_cond_wait");
  if (!real_wait) resolve();
  return real_wait(condition, mutex);
}

__attribute__((visibility("default"))) int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                                                  const struct timespec *until) {
  if (cordon_forked) refuse("pthread_cond_timedwait");
  if (!real_timedwait) resolve();
  return real_timedwait(condition, mutex, until);
}

__attribute__((visibility("default"))) int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                                          void *(*start)(void *), void *argument) {
  if (cordon_forked) refuse("pthread_create");
  if (!real_create) resolve();
  return real_create(thread, attributes, start, argument);
}

__attribute__((visibility("default"))) int pthread_join(pthread_t thread, void **result) {
  if (cordon_forked) refuse("pthread_join");
  if (!real_join) resolve();
  return real_join(thread, result);
}
