import { EINTR } from '../abi/errno.js';
import { PTRACE_EVENT_EXEC } from '../abi/ptrace.js';
import { RLIMIT_STACK } from '../abi/resource.js';
import { SI_USER, SIGCHLD, SIGTRAP } from '../abi/signal.js';
import { REGISTER_COUNT, Reg } from '../platform/platform.js';
import { POLLIN } from '../vfs/wait-queue.js';
import { leaveAio } from './aio.js';
import { dropOwnRings } from './keys/process-rings.js';
import type { LoadedProgram, LoadRequest } from './program.js';
import { detach } from './ptrace/link.js';
import { stopForEvent } from './ptrace/stop.js';
import { setRegister, USER_CS, USER_SS } from './registers.js';
import { signalInfo } from './signals/pending.js';
import type { Task } from './task.js';
import { leaveMemory } from './task-exit.js';
import { NO_RETURN } from './types.js';

/** The largest stack limit that a program with new rights takes over (Linux's _STK_LIM), in bytes. */
const SECURE_STACK = 8 * 1024 * 1024;
/** IF and the bit that is always set. */
const INITIAL_EFLAGS = 0x202;

/**
 * execve(2) after its arguments have been copied in. The program is loaded first, beside the old one; then the other threads are
 * killed, and the task parks until it is alone (called again after each wake, with `task.state` holding the program).
 */
export function execute(task: Task, request: LoadRequest | null): number {
  const { group } = task;
  let program = task.state as LoadedProgram | null;
  if (program === null) {
    const loaded = task.kernel.loadProgram(request!);
    if (typeof loaded === 'number') return loaded;
    program = loaded;
    task.setState(program);
    if (!task.killed && !group.execTask) {
      group.execTask = task;
      for (const other of group.tasks) {
        if (other === task || other.killed) continue;
        other.killed = true;
        other.kick();
      }
    }
  }
  // Another thread's execve came first, or the process is being killed.
  if (task.killed || group.execTask !== task) {
    program.memory.release();
    task.setState(null);
    if (group.execTask === task) {
      group.execTask = null;
      group.threadQueue.wake(POLLIN);
    }
    return -EINTR;
  }
  if (group.tasks.size > 1) {
    task.waitOn(group.threadQueue, POLLIN);
    return task.parkKillable(Number.POSITIVE_INFINITY, 0) || execute(task, null);
  }
  group.execTask = null;
  task.setState(null);
  // Who wants to trace it meanwhile waits until it is known what rights it has.
  group.threadQueue.wake(POLLIN);
  const formerTid = task.tid;
  become(task, program);
  reportExec(task, formerTid);
  return NO_RETURN;
}

/** A tracer hears of the new program: by the event, or as of old by a SIGTRAP (Linux's ptrace_event). */
function reportExec(task: Task, formerTid: number): void {
  const { tracing, memory, group } = task;
  if (tracing === null) return;
  memory.callSites.disable();
  if (stopForEvent(task, PTRACE_EVENT_EXEC, formerTid) || tracing.seized || tracing.wants(PTRACE_EVENT_EXEC)) return;
  task.sendSignal(signalInfo(SIGTRAP, SI_USER, group.pid, task.credentials.uid));
}

/** The point of no return: the task is the only thread and takes the new program on. */
function become(task: Task, program: LoadedProgram): void {
  const { group, kernel } = task;
  if (group.leader !== task) {
    // The process keeps its id: the survivor takes it over from the leader, which has exited.
    kernel.tasks.delete(task.tid);
    detach(group.leader);
    task.tid = group.pid;
    group.leader = task;
    kernel.tasks.set(task.tid, task);
  }
  leaveMemory(task);
  leaveAio(kernel, task.memory, task);
  // The context still lives in the old address space until it is resumed in the new one.
  task.oldMemory?.release();
  task.oldMemory = task.memory;
  task.memory = program.memory;
  resetRegisters(task, program);
  setRegister(task.context, Reg.ORIG_RAX, task.number);

  if (group.handlers.references > 1) {
    group.handlers.references--;
    group.handlers = group.handlers.copy();
  }
  group.handlers.resetForExec();
  task.alternateStack.address = 0;
  task.alternateStack.size = 0;
  task.alternateStack.flags = 0;
  task.restartBlock.handler = null;
  task.restartCode = 0;
  group.posixTimers?.deleteAll();

  if (task.files.references > 1) {
    const copy = task.files.copy();
    task.files.release();
    task.files = copy;
  }
  task.files.closeMarked();

  task.comm = program.comm;
  group.executable = program.executable;
  group.exitSignal = group.exitSignal === 0 ? 0 : SIGCHLD;
  group.hasExecuted = true;
  dropOwnRings(task, true);
  task.keepCapabilities = false;
  task.userDispatch = null;
  takeCredentials(task, program);
}

/** Nobody may look into a process with rights of its own, or with a program that its caller could not read (fs.suid_dumpable is 0). */
function takeCredentials(task: Task, program: LoadedProgram): void {
  const { group, credentials: old } = task;
  const { credentials, secure, readable } = program;
  // It may have been set by another thread (seccomp(2), TSYNC) while this one waited.
  if (old.noNewPrivs) credentials.noNewPrivs = true;
  const itself = credentials.euid === credentials.uid && credentials.egid === credentials.gid;
  const changed = credentials.euid !== old.euid || credentials.egid !== old.egid;
  group.dumpable = readable && itself && !changed ? 1 : 0;
  if (secure || changed) task.parentDeathSignal = 0;
  if (secure) {
    const { soft, hard } = group.rlimits[RLIMIT_STACK];
    group.rlimits[RLIMIT_STACK] = { soft: Math.min(soft, SECURE_STACK), hard };
  }
  task.credentials = credentials;
}

/** Registers as a program finds them at its entry (x86-64 psABI: all zero but the stack pointer). */
export function resetRegisters(task: Task, program: LoadedProgram): void {
  const { context } = task;
  for (let register = 0; register < REGISTER_COUNT; register++) setRegister(context, register, 0);
  setRegister(context, Reg.RIP, program.entry);
  setRegister(context, Reg.RSP, program.stackPointer);
  setRegister(context, Reg.EFLAGS, INITIAL_EFLAGS);
  setRegister(context, Reg.CS, USER_CS);
  setRegister(context, Reg.SS, USER_SS);
  setRegister(context, Reg.ORIG_RAX, -1);
  context.resetXsave();
}
