import { ENOENT } from '../../abi/errno.js';
import { makedev, PROC_SUPER_MAGIC, S_IFDIR } from '../../abi/stat.js';
import { CLOCK_REALTIME } from '../../abi/time.js';
import type { Kernel } from '../../kernel/kernel.js';
import type { Task } from '../../kernel/task.js';
import type { Caller, Inode } from '../../vfs/types.js';
import {
  type ListedEntry,
  StaticDirectory,
  SyntheticDirectory,
  SyntheticFile,
  SyntheticFileSystem,
  SyntheticLink,
} from '../synthetic/file-system.js';
import { sysvipcDirectory } from './ipc-files.js';
import { netDirectory } from './net-files.js';
import { Subject } from './subject.js';
import { sysctlDirectory } from './sysctl.js';
import { SYSTEM_FILES } from './system-files.js';
import { TaskDirectory } from './task-directory.js';

/** The root of /proc: fixed files, and a directory per process. */
class ProcRoot extends SyntheticDirectory {
  private fixedFiles: StaticDirectory | null = null;

  constructor(
    fileSystem: SyntheticFileSystem,
    private readonly kernel: Kernel,
  ) {
    super(fileSystem, 0o555, 1);
  }

  /** Made when first asked for: most guests never look, and making it takes a third of their start. */
  private get fixed(): StaticDirectory {
    this.fixedFiles ??= fixedFiles(this.fileSystem, this.kernel);
    return this.fixedFiles;
  }

  /** Processes come and go: their directories are never kept. Fixed names answer with the same inode each time. */
  override get volatileEntries(): boolean {
    return true;
  }

  lookup(name: string): Inode | number {
    const first = name.charCodeAt(0);
    if (first < 49 || first > 57) return this.fixed.lookup(name);
    if (!/^\d{1,7}$/.test(name)) return -ENOENT;
    const id = Number(name);
    // A thread's id leads to its process, though listings do not show it.
    const group = this.kernel.groups.get(id) ?? this.kernel.tasks.get(id)?.group;
    if (!group) return -ENOENT;
    return new TaskDirectory(this.fileSystem, new Subject(this.kernel, group.pid, 0, group.startTime));
  }

  list(): ListedEntry[] {
    const processes = [...this.kernel.groups.values()]
      .sort((one, other) => one.pid - other.pid)
      .map((group) => ({
        name: String(group.pid),
        number: new Subject(this.kernel, group.pid, 0, group.startTime).inodeBase,
        type: S_IFDIR >> 12,
      }));
    return [...this.fixed.list(), ...processes];
  }
}

function fixedFiles(fileSystem: SyntheticFileSystem, kernel: Kernel): StaticDirectory {
  const fixed = new StaticDirectory(fileSystem);
  for (const [name, generate] of SYSTEM_FILES) fixed.add(name, new SyntheticFile(fileSystem, () => generate(kernel)));
  const asked = (show: (task: Task) => string) => (caller: Caller) =>
    'group' in caller ? show(caller as Task) : -ENOENT;
  const self = asked((task) => String(task.group.pid));
  const threadSelf = asked((task) => `${task.group.pid}/task/${task.tid}`);
  return fixed
    .add('self', new SyntheticLink(fileSystem, self))
    .add('thread-self', new SyntheticLink(fileSystem, threadSelf))
    .add('mounts', new SyntheticLink(fileSystem, () => 'self/mounts'))
    .add('net', netDirectory(fileSystem, kernel))
    .add('sysvipc', sysvipcDirectory(fileSystem, kernel))
    .add('sys', sysctlDirectory(fileSystem, kernel));
}

/** /proc of a sandbox. */
export function createProcFileSystem(kernel: Kernel): SyntheticFileSystem {
  const now = { seconds: 0, nanoseconds: 0 };
  kernel.clock.read(CLOCK_REALTIME, now);
  const fileSystem = new SyntheticFileSystem('proc', makedev(0, 20), PROC_SUPER_MAGIC, now);
  fileSystem.root = new ProcRoot(fileSystem, kernel);
  return fileSystem;
}
