/*
 * The guest's vdso(7): clocks without a trap. A library of its own, mapped into every guest program; it calls the host's, which
 * the stub has at an address that the Sentry writes into `host` below. A clock that the host's code cannot read without a system call
 * makes one, and that traps. No getcpu here: which of the host's processors it is, is not the guest's business.
 */
#include <stdint.h>

typedef long (*two)(long, void *);

/* Found by its first word; the addresses are written by kernel/loader/vdso.ts. 0: make the system call. */
static const volatile struct {
  uint64_t mark;
  uint64_t clock_gettime, clock_getres, gettimeofday, time;
} host = {.mark = 0x4f534456444f5243ull};

static long call(long number, long first, long second) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "0"(number), "D"(first), "S"(second) : "rcx", "r11", "memory");
  return result;
}

#define ENTRY(name) __attribute__((visibility("default"))) long __vdso_##name

ENTRY(clock_gettime)(int clock, void *out) {
  two function = (two)host.clock_gettime;
  return function ? function(clock, out) : call(228, clock, (long)out);
}

ENTRY(clock_getres)(int clock, void *out) {
  two function = (two)host.clock_getres;
  return function ? function(clock, out) : call(229, clock, (long)out);
}

ENTRY(gettimeofday)(void *time, void *zone) {
  two function = (two)host.gettimeofday;
  return function ? function((long)time, zone) : call(96, (long)time, (long)zone);
}

ENTRY(time)(void *out) {
  long (*function)(void *) = (long (*)(void *))host.time;
  return function ? function(out) : call(201, (long)out, 0);
}
