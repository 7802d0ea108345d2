/* Guest threads of a stub, and how they go on: see systrap.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>

#include "addon.h"
#include "placement.h"
#include "ptrace-stub.h"
#include "systrap-state.h"
#include "watch.h"

/* The frame by which a thread leaves a patched call site with other registers: a copy of the host's own, with its addresses. */
static void make_frame(int index) {
  uint8_t *base = slots + SLOT_OFFSET(index);
  struct slot *slot = slot_of(index);
  struct frame *frame = (struct frame *)(base + FRAME_OFFSET);
  *frame = *frame_of(index);
  uint64_t fpstate = FRAME_OFFSET + 512;
  memcpy(base + fpstate, base + fpstate_offset, xsave_size + 4);
  frame->regs.fpstate = SLOT_ADDRESS(index) + fpstate;
  slot->fpstate = SLOT_ADDRESS(index) + fpstate;
  slot->leave = SLOT_ADDRESS(index) + FRAME_OFFSET;
}

static int first_report(int index) {
  int failed = systrap_await_report(index);
  if (failed) return failed;
  struct slot *slot = slot_of(index);
  uint64_t at = slot->context - SLOT_ADDRESS(index);
  if (at < ALTSTACK_OFFSET || at + sizeof(struct frame) > SLOT_SIZE) return -EFAULT;
  if (!frame_offset) frame_offset = at;
  if (at != frame_offset) return -EFAULT;
  uint64_t fpstate = frame_of(index)->regs.fpstate - SLOT_ADDRESS(index);
  if (fpstate < ALTSTACK_OFFSET || fpstate + xsave_size > SLOT_SIZE) return -EFAULT;
  if (!fpstate_offset) fpstate_offset = fpstate;
  make_frame(index);
  return 0;
}

/* A new guest thread in the space, stopped. Its index or -errno. */
static int spawn_thread(int space) {
  int index;
  if (free_thread >= 0) {
    index = free_thread;
    free_thread = threads[index].next;
  } else {
    if (thread_top == MAX_SLOTS) return -EAGAIN;
    index = thread_top++;
  }
  struct slot *slot = slot_of(index);
  memset(slot, 0, sizeof *slot);
  slot->self = SLOT_ADDRESS(index);
  slot->word = WORD_ADDRESS(index);
  slot->fast_entry = cordon_systrap_fast_entry();
  slot->altstack.stack = SLOT_ADDRESS(index) + ALTSTACK_OFFSET;
  slot->altstack.flags = 1u << 31; /* SS_AUTODISARM: the frame's place does not depend on the guest's stack pointer */
  slot->altstack.size = ALTSTACK_SIZE;
  const struct order orders[] = {
      {NR_MMAP,
       {SLOT_ADDRESS(index), SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, (uint64_t)slots_fd, SLOT_OFFSET(index)},
       0},
      {SYS_madvise, {SLOT_ADDRESS(index), SLOT_SIZE, MADV_DONTFORK}, 0},
      {NR_CLONE, {SYSTRAP_THREAD_FLAGS}, SLOT_ADDRESS(index)},
  };
  int64_t tid = 0;
  for (int at = 0; at < 3 && tid >= 0; at++) tid = systrap_add_order(space, &orders[at]);
  if (tid >= 0) tid = systrap_flush(space);
  threads[index] = (struct thread){.tid = (pid_t)tid, .space = space, .context = -1, .next = spaces[space].threads};
  int failed = tid < 0 ? (int)tid : first_report(index);
  if (failed) {
    if (tid >= 0) systrap_kill_space(space);
    threads[index] = (struct thread){.space = -1, .context = -1, .next = free_thread};
    free_thread = index;
    return failed;
  }
  spaces[space].threads = index;
  return index;
}

static uint8_t *thread_xsave(int index) {
  return slots + SLOT_OFFSET(index) + (threads[index].fast ? FRAME_OFFSET + 512 : fpstate_offset);
}

/* A thread stopped at a patched call site still has the guest's vector registers: it writes them down. */
static int write_down_xsave(int index) {
  struct thread *thread = &threads[index];
  if (!thread->fast || thread->saved) return 0;
  slot_of(index)->command = COMMAND_SAVE;
  hand_back(index);
  int failed = systrap_await_report(index);
  if (!failed) thread->saved = 1;
  return failed;
}

int systrap_save_xsave(int context, uint8_t *area) {
  int index = bindings[context].thread;
  int failed = write_down_xsave(index);
  if (!failed) memcpy(area, thread_xsave(index), xsave_size);
  return failed;
}

/* By the host's note in the software bytes of a frame it made. */
int systrap_refuses_xsave(int context, const uint8_t *area) {
  uint64_t features, asked;
  memcpy(&features, thread_xsave(bindings[context].thread) + 464 + 8, sizeof features);
  memcpy(&asked, area + 512, sizeof asked);
  return (asked & ~features) != 0;
}

void systrap_unbind(int context) {
  struct binding *binding = &bindings[context];
  if (binding->thread < 0) return;
  threads[binding->thread].context = -1;
  binding->thread = -1;
}

int systrap_bind(int context, int space) {
  struct binding *binding = &bindings[context];
  if (binding->thread >= 0 && threads[binding->thread].space == space) return 0;
  int failed = leave_thread(context);
  if (failed) return failed;
  int index = -1;
  for (int at = spaces[space].threads; at >= 0 && index < 0; at = threads[at].next)
    if (threads[at].context < 0) index = at;
  if (index < 0) index = spawn_thread(space);
  if (index < 0) return index;
  threads[index].context = context;
  binding->thread = index;
  threads[index].own = 0;
  return initial_xsave(context);
}

/*
 * Only what a system call may change differs from what the thread left: then a patched site returns by itself. A debugger may change more,
 * flags for one. A guest that changes its slot meanwhile gets what it wrote.
 */
static int same_but_result(const struct user_regs_struct *regs, const volatile struct slot *slot) {
  return regs->rip == slot->rip && regs->rcx == regs->rip && regs->r11 == CALL_FLAGS && regs->eflags == CALL_FLAGS &&
         regs->rdi == slot->rdi && regs->rsi == slot->rsi && regs->rdx == slot->rdx && regs->r10 == slot->r10 &&
         regs->r8 == slot->r8 && regs->r9 == slot->r9 && regs->rsp == slot->rsp && regs->rbx == slot->rbx &&
         regs->rbp == slot->rbp && regs->r12 == slot->r12 && regs->r13 == slot->r13 && regs->r14 == slot->r14 &&
         regs->r15 == slot->r15;
}

/* All but the bytes that the host keeps its own notes in (464..511). */
static void load_xsave(int context, int index) {
  uint8_t *to = thread_xsave(index), *from = bindings[context].xsave;
  memcpy(to, from, 464);
  memcpy(to + 512, from + 512, xsave_size - 512);
  bindings[context].load_xsave = 0;
}

/* Writes the registers where the thread will load them from, and says how. Command or -errno. */
static int prepare_return(int context, int index) {
  struct thread *thread = &threads[index];
  struct binding *binding = &bindings[context];
  struct slot *slot = slot_of(index);
  const struct user_regs_struct *regs = &contexts[context].regs;
  int command = 0;
  if (regs->fs_base != thread->fs_base) command |= COMMAND_FS;
  if (regs->gs_base) command |= COMMAND_GS;
  if (thread->fast && thread->own && !binding->load_xsave && same_but_result(regs, slot)) {
    slot->rax = regs->rax;
  } else {
    int failed = binding->load_xsave ? 0 : write_down_xsave(index);
    if (failed) return failed;
    if (binding->load_xsave) load_xsave(context, index);
    struct frame *frame = thread->fast ? (struct frame *)(slots + SLOT_OFFSET(index) + FRAME_OFFSET) : frame_of(index);
    fill_frame(&frame->regs, regs);
    frame->mask = 0;
    if (thread->fast) command |= COMMAND_SIGRETURN;
  }
  if (command & COMMAND_FS) slot->fs_base = regs->fs_base;
  if (command & COMMAND_GS) slot->gs_base = regs->gs_base;
  return command;
}

/* Where the thread runs from now on. */
static void place(int index) {
  struct thread *thread = &threads[index];
  int spins = cordon_placement_spins();
  if (thread->away == spins) return;
  thread->away = (uint8_t)cordon_placement_move(thread->tid, spins);
  slot_of(index)->spin = thread->away ? SPIN_ROUNDS : 0;
}

double systrap_space_cpu(int space) {
  if (!spaces[space].pid) return 0;
  double spent = process_cpu(spaces[space].pid) - spaces[space].spun;
  return spent > 0 ? spent : 0;
}

int systrap_resume(int context, int space) {
  int failed = systrap_bind(context, space);
  if (failed) return failed;
  int index = bindings[context].thread;
  if (spaces[space].dead) return -ESRCH;
  int64_t flushed = systrap_flush(space);
  if (flushed < 0) return (int)flushed;
  int command = prepare_return(context, index);
  if (command < 0) return command;
  slot_of(index)->command = (uint32_t)command;
  struct thread *thread = &threads[index];
  int spun = thread->away && !thread->parked;
  thread->parked = 0;
  place(index);
  systrap_set_running(index);
  uint64_t ticks = __builtin_ia32_rdtsc();
  systrap_give_turn(index);
  /* The guest runs already: the clock is read meanwhile. */
  double trapped = contexts[context].trapped, now = cordon_time_of(ticks, trapped), waited = now - trapped;
  bindings[context].started = contexts[context].resumed = now;
  if (spun) spaces[space].spun += waited < SPIN_TIME ? waited : SPIN_TIME;
  return 0;
}
