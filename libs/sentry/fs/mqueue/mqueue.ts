import { EINVAL, ENOENT, EPERM } from '../../abi/errno.js';
import { MQ_MSG_DEFAULT, MQ_MSGSIZE_DEFAULT } from '../../abi/ipc.js';
import { RLIMIT_MSGQUEUE } from '../../abi/resource.js';
import { MQUEUE_MAGIC, S_IFMT, S_IFREG } from '../../abi/stat.js';
import { CLOCK_REALTIME } from '../../abi/time.js';
import type { Kernel } from '../../kernel/kernel.js';
import type { Task } from '../../kernel/task.js';
import { PSEUDO_FILE_SYSTEMS } from '../../vfs/anonymous-file.js';
import type { AttributeChange, Caller, Inode } from '../../vfs/types.js';
import { treeChanged } from '../../vfs/walk-cache.js';
import { type ListedEntry, SyntheticDirectory, SyntheticFileSystem } from '../synthetic/file-system.js';

const DEFAULTS = { maxMessages: MQ_MSG_DEFAULT, messageSize: MQ_MSGSIZE_DEFAULT };
const REGULAR = S_IFREG >> 12;

/** The one directory of message queues (mq_overview(7), "Mounting the message queue filesystem"). */
class QueueDirectory extends SyntheticDirectory {
  constructor(
    fileSystem: SyntheticFileSystem,
    private readonly kernel: Kernel,
  ) {
    super(fileSystem, 0o1777);
  }

  /** Queues come and go by mq_open(2) and mq_unlink(2), too. */
  override get volatileEntries(): boolean {
    return true;
  }

  lookup(name: string): Inode | number {
    return this.kernel.ipc.posixQueues.find(name) ?? -ENOENT;
  }

  list(): ListedEntry[] {
    const queues = [...this.kernel.ipc.posixQueues.all()];
    return queues.map(({ name, number }) => ({ name, number, type: REGULAR }));
  }

  /** open(2) with O_CREAT makes a queue with the default attributes. */
  override create(name: string, mode: number, caller: Caller): Inode | number {
    // The file layer's callers are tasks, but for those from outside the sandbox, which have no business here.
    if (!('rlimit' in caller)) return -EPERM;
    const { kernel } = this;
    const limit = (caller as Task).rlimit(RLIMIT_MSGQUEUE);
    return kernel.ipc.posixQueues.create(caller, name, mode & ~S_IFMT, DEFAULTS, limit, () => kernel.nextObjectId());
  }

  /** Permission was checked by the caller, as for all directories. */
  override unlink(name: string): number {
    return this.kernel.ipc.posixQueues.remove(name);
  }

  override setAttributes(change: AttributeChange, _caller: Caller): number {
    if (change.size !== undefined) return -EINVAL;
    if (change.mode !== undefined) {
      treeChanged();
      this.mode = (this.mode & S_IFMT) | (change.mode & ~S_IFMT);
    }
    return change.uid === undefined && change.gid === undefined ? 0 : -EPERM;
  }
}

/** The file system for /dev/mqueue. Its queues are those of the system calls. */
export function createQueueFileSystem(kernel: Kernel): SyntheticFileSystem {
  const now = { seconds: 0, nanoseconds: 0 };
  kernel.clock.read(CLOCK_REALTIME, now);
  const fileSystem = new SyntheticFileSystem('mqueue', PSEUDO_FILE_SYSTEMS.mqueue.device, MQUEUE_MAGIC, now);
  fileSystem.root = new QueueDirectory(fileSystem, kernel);
  return fileSystem;
}
