import type { Kernel } from '../../kernel/kernel.js';
import { RunState } from '../../kernel/run-state.js';
import type { Task } from '../../kernel/task.js';
import type { ThreadGroup } from '../../kernel/thread-group.js';
import type { MemoryManager } from '../../mm/types.js';
import type { FdTable, FsContext } from '../../vfs/types.js';

/**
 * What a directory /proc/N or /proc/N/task/M shows. It holds ids, not objects: whoever keeps such a directory open after the
 * process is gone gets ESRCH, as in Linux.
 */
export class Subject {
  constructor(
    readonly kernel: Kernel,
    readonly pid: number,
    /** Thread id, or 0 for the process as a whole. */
    readonly tid: number,
    private readonly startTime: number,
  ) {}

  /** The process, or null when it is gone (and its id perhaps taken by another). */
  get group(): ThreadGroup | null {
    const group = this.kernel.groups.get(this.pid);
    return group && group.startTime === this.startTime ? group : null;
  }

  /** The thread that is shown: the leader (which may be dead) for a whole process. */
  get task(): Task | null {
    const group = this.group;
    if (!group) return null;
    if (this.tid === 0) return group.leader;
    for (const task of group.tasks) if (task.tid === this.tid) return task;
    return this.tid === group.leader.tid ? group.leader : null;
  }

  /** A thread that still has memory and files: the one shown, or another of the process. */
  get live(): Task | null {
    const { task } = this;
    if (task && task.runState !== RunState.Dead) return task;
    if (this.tid !== 0) return null;
    for (const other of this.group?.tasks ?? []) if (other.runState !== RunState.Dead) return other;
    return null;
  }

  get memory(): MemoryManager | null {
    return this.live?.memory ?? null;
  }

  get files(): FdTable | null {
    return this.live?.files ?? null;
  }

  get fs(): FsContext | null {
    return this.live?.fs ?? null;
  }

  /** First inode number of this subject's block of 512: the same for the same process, file by file. */
  get inodeBase(): number {
    return 0x1000000 + (this.tid !== 0 ? 0x8000 + this.tid : this.pid) * 512;
  }
}
