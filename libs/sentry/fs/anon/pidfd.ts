import { EINVAL, ESPIPE } from '../../abi/errno.js';
import { O_RDWR } from '../../abi/fcntl.js';
import type { ThreadGroup } from '../../kernel/types.js';
import { AnonymousFile, anonymousPath } from '../../vfs/anonymous-file.js';
import { POLLIN, POLLRDNORM, type WaitQueue } from '../../vfs/wait-queue.js';

/** pidfd_open(2), CLONE_PIDFD: names a process for good. Readable once it has ended. */
export class PidFile extends AnonymousFile {
  readonly displayName = 'anon_inode:[pidfd]';
  /** Set at once by pidfd_open, and by clone as soon as the process exists. */
  group: ThreadGroup | null = null;

  /** `queue` is the process's exitQueue. */
  constructor(queue: WaitQueue, flags: number) {
    super(O_RDWR | flags, anonymousPath(), queue);
  }

  poll(): number {
    const state = this.group?.state;
    return state === 'zombie' || state === 'dead' ? POLLIN | POLLRDNORM : 0;
  }

  override seek(): number {
    return -ESPIPE;
  }

  override pread(): number {
    return -EINVAL;
  }

  protected override close(): void {
    this.group = null;
  }
}
