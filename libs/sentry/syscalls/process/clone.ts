import {
  CLONE_ARGS_SIZE_VER0,
  CLONE_ARGS_SIZE_VER2,
  CLONE_CLEAR_SIGHAND_HIGH,
  CLONE_DETACHED,
  CLONE_INTO_CGROUP_HIGH,
  CLONE_NEWTIME,
  CLONE_PARENT,
  CLONE_PARENT_SETTID,
  CLONE_PIDFD,
  CLONE_THREAD,
  CLONE_VFORK,
  CLONE_VM,
  CSIGNAL,
} from '../../abi/clone.js';
import { E2BIG, EFAULT, EINTR, EINVAL, EPERM } from '../../abi/errno.js';
import { PTRACE_EVENT_VFORK_DONE } from '../../abi/ptrace.js';
import { RLIMIT_NOFILE } from '../../abi/resource.js';
import { SIGCHLD, SIGRTMAX } from '../../abi/signal.js';
import { PidFile } from '../../fs/anon/pidfd.js';
import { type CloneRequest, clone as cloneTask } from '../../kernel/clone.js';
import { birthEvent } from '../../kernel/ptrace/birth.js';
import { stopForEvent } from '../../kernel/ptrace/stop.js';
import type { Task } from '../../kernel/task.js';
import { BLOCKED, type SyscallArguments } from '../../kernel/types.js';
import { POLLIN, WaitQueue } from '../../vfs/wait-queue.js';

/** Filled by each call; clone copies what it keeps. */
const request: CloneRequest = {
  flags: 0,
  flagsHigh: 0,
  stack: 0,
  tls: 0,
  parentTid: 0,
  childTid: 0,
  exitSignal: 0,
  exitQueue: null,
};

/** What a parent has still to do once it has a child: tell its tracer, wait until the child has left its memory. */
interface Birth {
  readonly child: Task;
  readonly tid: number;
  readonly vfork: boolean;
  /** PTRACE_EVENT_* to stop with; 0 once that is done. */
  event: number;
}

function fill(flags: number, exitSignal: number): CloneRequest {
  request.flags = flags;
  request.flagsHigh = 0;
  request.stack = 0;
  request.tls = 0;
  request.parentTid = 0;
  request.childTid = 0;
  request.exitSignal = exitSignal;
  request.exitQueue = null;
  return request;
}

/** Makes the child; with CLONE_PIDFD stores its descriptor at `pidfdAddress`; with CLONE_VFORK waits until it execs or exits. */
function run(task: Task, pidfdAddress: number): number {
  if (!(request.flags & CLONE_PIDFD)) return started(task, cloneTask(task, request));
  // The descriptor comes first, so that nothing can fail once the child exists.
  request.exitQueue = new WaitQueue();
  const file = new PidFile(request.exitQueue, 0);
  const fd = task.files.install(file, true, 0, task.rlimit(RLIMIT_NOFILE));
  if (fd < 0) {
    file.release();
    return fd;
  }
  if (!task.memory.writeU32(pidfdAddress, fd)) {
    task.files.close(fd);
    return -EFAULT;
  }
  const child = cloneTask(task, request);
  if (typeof child === 'number') task.files.close(fd);
  else file.group = child.group;
  return started(task, child);
}

function started(task: Task, child: Task | number): number {
  if (typeof child === 'number') return child;
  const event = birthEvent(task, request);
  const vfork = child.vforkQueue !== null;
  if (!vfork && event === 0) return child.tid;
  task.setState({ child, tid: child.tid, vfork, event } satisfies Birth);
  return finishBirth(task);
}

function finishBirth(task: Task): number {
  const birth = task.state as Birth;
  const { event, tid } = birth;
  birth.event = 0;
  if (event !== 0 && stopForEvent(task, event, tid)) return BLOCKED;
  if (!birth.vfork) return tid;
  if (birth.child.vforkQueue !== null) {
    task.waitOn(birth.child.vforkQueue, POLLIN);
    return task.parkKillable(Number.POSITIVE_INFINITY, -EINTR);
  }
  task.setState({ ...birth, vfork: false });
  return stopForEvent(task, PTRACE_EVENT_VFORK_DONE, tid) ? BLOCKED : tid;
}

/** fork implements Linux syscall fork(2). */
export function fork(task: Task): number {
  if (task.state !== null) return finishBirth(task);
  fill(0, SIGCHLD);
  return run(task, 0);
}

/** vfork implements Linux syscall vfork(2): the parent waits until the child has left its memory. */
export function vfork(task: Task): number {
  if (task.state !== null) return finishBirth(task);
  fill(CLONE_VM | CLONE_VFORK, SIGCHLD);
  return run(task, 0);
}

/** clone implements Linux syscall clone(2): flags, stack, parent_tid, child_tid, tls. */
export function clone(task: Task, args: SyscallArguments): number {
  if (task.state !== null) return finishBirth(task);
  const all = args[0] | 0;
  fill(all & ~CSIGNAL, all & CSIGNAL);
  request.stack = args[1];
  request.parentTid = args[2];
  request.childTid = args[3];
  request.tls = args[4];
  // The pidfd goes where the parent's tid would.
  if (all & CLONE_PIDFD && all & (CLONE_PARENT_SETTID | CLONE_THREAD | CLONE_DETACHED)) return -EINVAL;
  return run(task, args[2]);
}

/** clone3 implements Linux syscall clone3(2). */
export function clone3(task: Task, args: SyscallArguments): number {
  if (task.state !== null) return finishBirth(task);
  const size = args[1];
  if (size < CLONE_ARGS_SIZE_VER0) return -EINVAL;
  if (size > 4096) return -E2BIG;
  const view = task.memory.readStruct(args[0], size);
  if (view === null) return -EFAULT;
  for (let offset = CLONE_ARGS_SIZE_VER2; offset < size; offset++) if (view.getUint8(offset) !== 0) return -E2BIG;
  const u64 = (offset: number): number =>
    offset < size ? view.getInt32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true) : 0;
  const flags = view.getInt32(0, true);
  const flagsHigh = view.getInt32(4, true);
  const pidfd = u64(8);
  const exitSignal = u64(32);
  const stack = u64(40);
  const stackSize = u64(48);
  if (flagsHigh & ~(CLONE_CLEAR_SIGHAND_HIGH | CLONE_INTO_CGROUP_HIGH)) return -EINVAL;
  if (flags & (CLONE_DETACHED | (CSIGNAL & ~CLONE_NEWTIME))) return -EINVAL;
  if (exitSignal < 0 || exitSignal > SIGRTMAX) return -EINVAL;
  if (flags & (CLONE_THREAD | CLONE_PARENT) && exitSignal !== 0) return -EINVAL;
  if ((stack === 0) !== (stackSize === 0)) return -EINVAL;
  if (flags & CLONE_PIDFD && flags & CLONE_THREAD) return -EINVAL;
  if (u64(72) !== 0) return -EPERM;
  fill(flags, exitSignal);
  request.flagsHigh = flagsHigh;
  request.stack = stack === 0 ? 0 : stack + stackSize;
  request.childTid = u64(16);
  request.parentTid = u64(24);
  request.tls = u64(56);
  return run(task, pidfd);
}
