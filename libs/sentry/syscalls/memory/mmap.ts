import { EACCES, EBADF, EPERM } from '../../abi/errno.js';
import { O_ACCMODE, O_PATH, O_RDWR, O_WRONLY } from '../../abi/fcntl.js';
import { MAP_ANONYMOUS, MAP_PRIVATE, MAP_TYPE } from '../../abi/mman.js';
import { MemoryRegularFile } from '../../fs/tmpfs/memory-file.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import type { Mappable } from '../../mm/types.js';
import { PROT_EXEC, PROT_READ, PROT_WRITE } from '../../platform/platform.js';

const PROT_ALL = PROT_READ | PROT_WRITE | PROT_EXEC;

/** mmap implements Linux syscall mmap(2). */
export function mmap(task: Task, args: SyscallArguments): number {
  const [address, length, protection, flags, descriptor, offset] = args;
  let object: Mappable | null = null;
  let maxProtection = PROT_ALL;
  if ((flags & MAP_ANONYMOUS) === 0) {
    const file = task.files.get(descriptor | 0);
    if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
    const access = file.flags & O_ACCMODE;
    // Even a write-only mapping is read when its pages are brought in.
    if (access === O_WRONLY) return -EACCES;
    if ((flags & MAP_TYPE) !== MAP_PRIVATE && access !== O_RDWR) {
      if ((protection & PROT_WRITE) !== 0) return -EACCES;
      maxProtection &= ~PROT_WRITE;
    }
    if (file.path?.mount?.options.split(',').includes('noexec')) {
      if ((protection & PROT_EXEC) !== 0) return -EPERM;
      maxProtection &= ~PROT_EXEC;
    }
    if ((flags & MAP_TYPE) !== MAP_PRIVATE && file.inode instanceof MemoryRegularFile && file.inode.writeSealed) {
      if ((protection & PROT_WRITE) !== 0) return -EPERM;
      maxProtection &= ~PROT_WRITE;
    }
    const mappable = file.mappable();
    if (typeof mappable === 'number') return mappable;
    object = mappable;
  }
  return task.memory.mmap({
    address,
    length,
    protection: protection | 0,
    flags: flags | 0,
    object,
    offset: object === null ? 0 : offset,
    maxProtection,
  });
}
