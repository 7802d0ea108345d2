/*
 * What platforms with stub processes (ptrace.c, systrap.c) have in common: contexts, which JavaScript sees, the queue of those
 * whose traps wait to be told, and the functions JavaScript calls. How a thread of a stub is driven is the platform's.
 */
#pragma once
#include <node_api.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#define MAX_CONTEXTS 8192
#define MAX_SPACES 8192

/* Stops a guest thread for the Sentry; the guest's own signals never reach the stub. */
#define KICK SIGURG

enum trap { TRAP_SYSCALL = 1, TRAP_FAULT, TRAP_EXCEPTION, TRAP_INTERRUPTED, TRAP_LEGACY, TRAP_DIED };
enum access { ACCESS_UNKNOWN, ACCESS_READ, ACCESS_WRITE, ACCESS_EXECUTE };
enum { NEXT_NOTHING = -1, NEXT_WATCH = -2 };

/* Shared with JavaScript: 32 u64 a context. */
struct context {
  struct user_regs_struct regs; /* 27 words */
  uint32_t trap;
  uint16_t access;    /* where the platform knows it */
  uint16_t patchable; /* a system call that came by a signal: its call site may be patched */
  uint64_t fault_address;
  uint32_t signal;
  int32_t signal_code;
  double trapped; /* the last trap, ns; 0 where the platform does not keep it */
  double resumed; /* the last time it went on, ns; likewise */
};
_Static_assert(sizeof(struct context) == 32 * 8, "context layout is shared with stub-context.ts");

/*
 * Shared with JavaScript, behind the contexts: what `resume` and `next` are about, in place of arguments and a result, whose passing costs
 * more than they do.
 */
struct turn {
  int32_t context; /* to resume, or -1 */
  int32_t space;   /* it runs in */
  int32_t result;
  int32_t unused;
  double deadline; /* until when to wait, ns */
};
#define TURN_ROOM 64 /* bytes */

/* Not shared: per context. */
struct binding {
  int thread; /* index, or -1 */
  int next_free;
  uint8_t used;
  uint8_t pending;    /* in the ready queue */
  uint8_t load_xsave; /* xsave below is newer than the thread's */
  uint8_t *xsave;
  double started; /* of the present run, ns */
  double spent;   /* in guest code, ns */
};

/* What a platform does itself. All return 0 (or what they say), or -errno. */
struct stub_platform {
  /* Runs a host call in the space's stub; its result where the platform has it at once, 0 where it only has to be done in time. */
  int64_t (*call)(int space, uint64_t number, const uint64_t arguments[6]);
  int (*bind)(int context, int space);
  int (*resume)(int context, int space);
  /* A context, or NEXT_*. */
  int (*next)(double deadline);
  /* Copies the state of the context's thread to its xsave area. */
  int (*save_xsave)(int context, uint8_t *area);
  /* Whether the host would refuse the area, which is well-formed, for the context's thread. */
  int (*refuses_xsave)(int context, const uint8_t *area);
  int (*is_running)(int thread);
  /* Makes the context's thread, which runs, stop for good, and be its no more. */
  void (*stop_thread)(int thread);
  void (*unbind)(int context);
  struct context *slab; /* survives the fork with its JavaScript views */
};

#define INTERNAL __attribute__((visibility("hidden")))

extern INTERNAL struct context *contexts; /* of the platform that has been started */
extern INTERNAL struct binding bindings[MAX_CONTEXTS];
extern INTERNAL uint8_t pristine_xsave[];
extern INTERNAL size_t xsave_size;  /* of what a guest may use: what its signal frames hold */
extern INTERNAL size_t regset_size; /* of what the processor has: what ptrace(2) takes */
/* From the size that ptrace(2) knows. After reserveContexts. */
INTERNAL void set_xsave_sizes(size_t regset);

/* Forgets all contexts; those of `platform` are used from now on. */
INTERNAL void start_contexts(struct stub_platform *platform);

/* A trap waits to be told. Once a context. */
INTERNAL void push_ready(int context);
INTERNAL int any_ready(void);
/* The oldest. Precondition: there is one. */
INTERNAL int pop_ready(void);

/* The context's own copy of the vector registers; NULL without memory. */
INTERNAL uint8_t *xsave_area(int context);
/* Brings that copy up to date. 0 or -errno. */
INTERNAL int fetch_xsave(int context);
/* The context takes its vector registers along from the thread it is bound to, if any, and is bound to none. 0 or -errno. */
INTERNAL int leave_thread(int context);
/* Gives a context that never ran the initial state. 0 or -errno. */
INTERNAL int initial_xsave(int context);

/* CPU time of a process, ns; 0 if it is gone. */
INTERNAL double process_cpu(pid_t pid);

INTERNAL napi_value number(napi_env env, double value);
/* Puts the functions of all such platforms on its object. */
INTERNAL void register_contexts(napi_env env, napi_value part, struct stub_platform *platform);
