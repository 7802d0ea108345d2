import { EAGAIN } from '../abi/errno.js';
import { SIGCHLD } from '../abi/signal.js';
import type { GuestMemory, MemoryManager } from '../mm/types.js';
import type { Credentials, FdTable, FsContext } from '../vfs/types.js';
import { resetRegisters } from './exec.js';
import type { Kernel } from './kernel.js';
import { RunState } from './run-state.js';
import { ProcessGroup, Session } from './session.js';
import { SignalHandlers } from './signals/action.js';
import { Task } from './task.js';
import { ThreadGroup } from './thread-group.js';
import type { RLimit } from './types.js';

/** A process that no other one has made. */
export interface InitOptions {
  readonly fileName: string;
  readonly argv: readonly string[];
  readonly envp: readonly string[];
  readonly fs: FsContext;
  readonly files: FdTable;
  readonly credentials: Credentials;
  /** RLIMIT_* by number (rlimits.ts makes the defaults). */
  readonly rlimits: RLimit[];
  /** Signals it has no handler for do not reach it, as for pid 1 of a pid namespace; else it is an ordinary process. */
  readonly protected?: boolean;
}

/** Loads the first program and makes its process: the task, or -errno of the load (-ENOENT, -EACCES, -ENOEXEC …). */
export function createInit(kernel: Kernel, options: InitOptions): Task | number {
  const task = createProcess(kernel, options, null);
  if (typeof task === 'number') return task;
  task.group.unkillable = options.protected ?? false;
  kernel.init = task.group;
  return task;
}

/**
 * Makes process 1 the kernel's own, for sandboxes that live on when a program ends: it runs no guest code, no signal
 * reaches it, and what it adopts is reaped as with SIGCHLD ignored (wait(2)). `memory`: an empty address space for it.
 */
export function createIdleInit(
  kernel: Kernel,
  options: Omit<InitOptions, 'fileName' | 'argv' | 'envp'>,
  memory: MemoryManager,
): void {
  const { credentials, fs, files, rlimits } = options;
  const pid = kernel.pids.allocate();
  const now = kernel.clock.monotonic();
  const processGroup = new ProcessGroup(pid, new Session(pid));
  const group = new ThreadGroup(pid, null, processGroup, rlimits, new SignalHandlers(), now, 0);
  const context = kernel.platform.createContext();
  const task = new Task(kernel, pid, group, context, memory, files, fs, credentials, 'init', now);
  task.runState = RunState.Blocked;
  group.leader = task;
  group.tasks.add(task);
  group.unkillable = true;
  group.isKernels = true;
  group.handlers.ignore(SIGCHLD);
  kernel.init = group;
  kernel.addTask(task);
  kernel.groups.set(pid, group);
}

/** A program as a child of the idle init, leader of a session of its own. -errno as `createInit`, -EAGAIN at the limit of tasks. */
export function spawn(kernel: Kernel, options: InitOptions): Task | number {
  if (kernel.liveTasks < kernel.taskLimit) return createProcess(kernel, options, kernel.init);
  kernel.refusedTasks++;
  return -EAGAIN;
}

function createProcess(kernel: Kernel, options: InitOptions, parent: ThreadGroup | null): Task | number {
  const { credentials, fs, files, rlimits } = options;
  const program = kernel.loadProgram({
    kernel,
    // There is no guest memory yet that a loader could look at.
    caller: {
      credentials,
      memory: null as unknown as GuestMemory,
      umask: fs.umask,
      fileSizeLimit: Number.POSITIVE_INFINITY,
    },
    fs,
    start: null,
    fileName: options.fileName,
    displayName: options.fileName,
    followLink: true,
    argv: options.argv,
    envp: options.envp,
    rlimits,
    unsafe: false,
  });
  if (typeof program === 'number') return program;
  const pid = kernel.pids.allocate();
  if (pid === 0) {
    program.memory.release();
    return -EAGAIN;
  }
  const now = kernel.clock.monotonic();
  const processGroup = new ProcessGroup(pid, new Session(pid));
  const group = new ThreadGroup(pid, parent, processGroup, rlimits, new SignalHandlers(), now, parent ? SIGCHLD : 0);
  const context = kernel.platform.createContext();
  const { memory, comm } = program;
  const task = new Task(kernel, pid, group, context, memory, files, fs, program.credentials, comm, now);
  group.leader = task;
  group.tasks.add(task);
  group.executable = program.executable;
  resetRegisters(task, program);
  kernel.addTask(task);
  kernel.groups.set(pid, group);
  kernel.liveTasks++;
  kernel.enqueue(task);
  return task;
}
