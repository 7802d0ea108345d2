import { CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from '../abi/capability.js';
import {
  CLONE_CHILD_CLEARTID,
  CLONE_CHILD_SETTID,
  CLONE_CLEAR_SIGHAND_HIGH,
  CLONE_FILES,
  CLONE_FS,
  CLONE_INTO_CGROUP_HIGH,
  CLONE_NAMESPACES,
  CLONE_NEWTIME,
  CLONE_PARENT,
  CLONE_PARENT_SETTID,
  CLONE_SETTLS,
  CLONE_SIGHAND,
  CLONE_SYSVSEM,
  CLONE_THREAD,
  CLONE_VFORK,
  CLONE_VM,
} from '../abi/clone.js';
import { EAGAIN, EINVAL, EPERM } from '../abi/errno.js';
import { RLIMIT_NPROC } from '../abi/resource.js';
import { Reg } from '../platform/platform.js';
import type { FsContext } from '../vfs/types.js';
import { WaitQueue } from '../vfs/wait-queue.js';
import { copyCredentials } from './credentials.js';
import { UndoList } from './ipc/semaphores.js';
import { bearTracee } from './ptrace/birth.js';
import { setRegister } from './registers.js';
import { RunState } from './run-state.js';
import { Task } from './task.js';
import { ThreadGroup } from './thread-group.js';

export interface CloneRequest {
  /** CLONE_* of the low half, without CSIGNAL, unsigned or signed. */
  flags: number;
  /** Bits 32 and up (clone3). */
  flagsHigh: number;
  /** Top of the child's stack; 0 = the parent's. */
  stack: number;
  tls: number;
  parentTid: number;
  childTid: number;
  exitSignal: number;
  /** The new process's exit queue, when a pidfd waits on it already; null = a new one. */
  exitQueue: WaitQueue | null;
}

/** -EINVAL or -EPERM for flags that do not go together or are not for guests (clone(2), "ERRORS"). */
function checkFlags(parent: Task, request: CloneRequest): number {
  const { flags, flagsHigh } = request;
  if (flags & CLONE_THREAD && !(flags & CLONE_SIGHAND)) return -EINVAL;
  if (flags & CLONE_SIGHAND && !(flags & CLONE_VM)) return -EINVAL;
  if (flagsHigh & CLONE_CLEAR_SIGHAND_HIGH && flags & CLONE_SIGHAND) return -EINVAL;
  if (flagsHigh & CLONE_INTO_CGROUP_HIGH) return -EINVAL;
  if (flags & CLONE_PARENT && parent.group === parent.kernel.init) return -EINVAL;
  // No namespaces in the sandbox: what unprivileged processes get, and what root gets where they are not built in.
  if (flags & (CLONE_NAMESPACES | CLONE_NEWTIME)) return parent.capable(CAP_SYS_ADMIN) ? -EINVAL : -EPERM;
  return 0;
}

function checkLimits(parent: Task): number {
  const { kernel } = parent;
  if (kernel.liveTasks >= kernel.taskLimit) {
    kernel.refusedTasks++;
    return -EAGAIN;
  }
  const limit = parent.rlimit(RLIMIT_NPROC);
  if (limit < kernel.taskLimit && !parent.capable(CAP_SYS_RESOURCE)) {
    let own = 0;
    for (const task of kernel.tasks.values()) if (task.credentials.uid === parent.credentials.uid) own++;
    if (own >= limit) return -EAGAIN;
  }
  return 0;
}

function copyFs(fs: FsContext): FsContext {
  return { root: fs.root, cwd: fs.cwd, umask: fs.umask, references: 1 };
}

/** Takes a copy of the working directory, root and umask when they are shared (unshare(CLONE_FS), clone without CLONE_FS). */
export function unshareFs(task: Task): void {
  if (task.fs.references === 1) return;
  const copy = copyFs(task.fs);
  task.fs.references--;
  task.fs = copy;
}

/**
 * A new thread or process as clone(2): the new task, ready to run, or -EINVAL, -EPERM, -EAGAIN.
 * With CLONE_VFORK `child.vforkQueue` is woken once the child has left its parent's memory.
 */
export function clone(parent: Task, request: CloneRequest): Task | number {
  const { flags } = request;
  const refused = checkFlags(parent, request) || checkLimits(parent);
  if (refused) return refused;
  const { kernel } = parent;
  const tid = kernel.pids.allocate();
  if (tid === 0) return -EAGAIN;

  const memory = flags & CLONE_VM ? parent.memory : parent.memory.fork();
  if (memory === null) return -EAGAIN;
  if (flags & CLONE_VM) memory.retain();
  const context = kernel.platform.createContext();
  if (!kernel.platform.prepare(context, memory.space)) {
    context.release();
    memory.release();
    return -EAGAIN;
  }
  context.copyFrom(parent.context);
  let files = parent.files;
  if (flags & CLONE_FILES) files.references++;
  else files = files.copy();
  let fs = parent.fs;
  if (flags & CLONE_FS) fs.references++;
  else fs = copyFs(fs);

  const group = flags & CLONE_THREAD ? parent.group : newGroup(parent, request, tid);
  const now = kernel.clock.monotonic();
  const child = new Task(
    kernel,
    tid,
    group,
    context,
    memory,
    files,
    fs,
    copyCredentials(parent.credentials),
    parent.comm,
    now,
  );
  child.signalMask.set(parent.savedMaskActive ? parent.savedMask : parent.signalMask);
  child.nice = parent.nice;
  child.schedulingPolicy = parent.schedulingPolicy;
  child.schedulingPriority = parent.schedulingPriority;
  child.affinity = parent.affinity;
  child.personality = parent.personality;
  child.timerSlack = parent.timerSlack;
  child.keepCapabilities = parent.keepCapabilities;
  child.ioPriority = parent.ioPriority;
  child.sessionKeyring = parent.sessionKeyring?.retain() ?? null;
  child.requestKeyring = parent.requestKeyring;
  child.memoryPolicy = parent.memoryPolicy;
  child.seccomp = parent.seccomp;
  if (flags & CLONE_SYSVSEM) {
    parent.semaphoreUndo ??= new UndoList();
    parent.semaphoreUndo.references++;
    child.semaphoreUndo = parent.semaphoreUndo;
  }
  // A thread (or vfork child) that shares memory has no alternate stack: two would run on it at once.
  if (!(flags & CLONE_VM) || flags & CLONE_VFORK) Object.assign(child.alternateStack, parent.alternateStack);
  if (!(flags & CLONE_THREAD)) {
    group.leader = child;
    kernel.groups.set(tid, group);
  }
  group.tasks.add(child);
  kernel.addTask(child);
  kernel.liveTasks++;

  setRegister(context, Reg.RAX, 0);
  if (request.stack !== 0) setRegister(context, Reg.RSP, request.stack);
  if (flags & CLONE_SETTLS) setRegister(context, Reg.FS_BASE, request.tls);
  if (flags & CLONE_PARENT_SETTID) parent.memory.writeU32(request.parentTid, tid);
  if (flags & CLONE_CHILD_SETTID) child.memory.writeU32(request.childTid, tid);
  if (flags & CLONE_CHILD_CLEARTID) child.clearChildTid = request.childTid;
  if (flags & CLONE_VFORK) child.vforkQueue = new WaitQueue();

  if (group !== parent.group) group.creator = flags & CLONE_PARENT ? parent.group.creator : parent;
  if (parent.tracing !== null) bearTracee(parent, parent.tracing, child, request);
  // Signals for all threads (a kill, a stop) reach the newcomer too.
  if (parent.killed) child.killed = true;
  const isStopping = parent.tracing === null ? parent.stopRequested : parent.tracing.groupStop;
  if (isStopping && group === parent.group) {
    child.stopRequested = true;
    if (child.tracing !== null) child.tracing.groupStop = true;
  }
  child.runState = RunState.Ready;
  kernel.enqueue(child);
  return child;
}

function newGroup(parent: Task, request: CloneRequest, pid: number): ThreadGroup {
  const { flags } = request;
  const from = parent.group;
  let handlers = from.handlers;
  if (flags & CLONE_SIGHAND) handlers.references++;
  else {
    handlers = handlers.copy();
    if (request.flagsHigh & CLONE_CLEAR_SIGHAND_HIGH) handlers.resetForExec();
  }
  const group = new ThreadGroup(
    pid,
    flags & CLONE_PARENT ? from.parent : from,
    from.processGroup,
    from.rlimits.slice(),
    handlers,
    parent.kernel.clock.monotonic(),
    flags & CLONE_PARENT ? from.exitSignal : request.exitSignal,
    request.exitQueue ?? new WaitQueue(),
  );
  group.executable = from.executable;
  group.dumpable = from.dumpable;
  group.terminal = from.terminal;
  return group;
}
