/* What ptrace.c needs of the stub (ptrace-stub.c). */
#pragma once
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NR_MMAP 9
#define NR_MPROTECT 10
#define NR_MUNMAP 11
#define NR_CLONE 56

#define USER_TOP 0x7ffffffff000ul
/* The stub's page, near the top. The guest's address space ends 64 KiB below. */
#define STUB_PAGE (USER_TOP - 0x1000ul)
#define STUB_TRAP (STUB_PAGE + 3) /* after `syscall; int3` */
#define XSAVE_MAX 16384

#define THREAD_FLAGS                                                                                       \
  (CLONE_VM_ | CLONE_FS_ | CLONE_FILES_ | CLONE_SIGHAND_ | CLONE_THREAD_ | CLONE_SYSVSEM_ | CLONE_PTRACE_)
#define PROCESS_FLAGS (CLONE_FILES_ | CLONE_PTRACE_ | CLONE_PARENT_)
enum {
  CLONE_VM_ = 0x100, CLONE_FS_ = 0x200, CLONE_FILES_ = 0x400, CLONE_SIGHAND_ = 0x800, CLONE_PTRACE_ = 0x2000,
  CLONE_PARENT_ = 0x8000, CLONE_THREAD_ = 0x10000, CLONE_SYSVSEM_ = 0x40000,
};

/* Waits until a thread has stopped or is gone. Returns its wait status, or -errno. */
int cordon_wait_stop(pid_t tid);

struct user_regs_struct;

/*
 * Runs one host call in a stopped stub thread: its result, or -errno. The thread's registers are clobbered: its context keeps
 * the guest's. late_kick (or NULL) hears of SIGURG that came meanwhile.
 */
int64_t cordon_inject(pid_t tid, uint64_t number, const uint64_t arguments[6], void (*late_kick)(pid_t));
/* Runs the stub's code at entry with these registers until its int3 at trap; RAX. */
int64_t cordon_inject_at(pid_t tid, uint64_t entry, uint64_t trap, struct user_regs_struct *regs, void (*late_kick)(pid_t));

enum stub_kind { STUB_PTRACE, STUB_SYSTRAP };

/*
 * Makes the template stub, stopped. Its pid, or -errno; -(1000+n): the stub's own step n failed. Fills the initial xsave
 * area (XSAVE_MAX bytes) and the size it has for ptrace.
 */
pid_t cordon_start_template(enum stub_kind kind, uint8_t *pristine_xsave, size_t *regset_size);
