import { E2BIG, EFAULT, EINVAL } from '../../abi/errno.js';
import {
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  TMPFILE_BIT,
} from '../../abi/fcntl.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import type { FileDescription } from '../../vfs/types.js';
import { LeaseWait } from './lease.js';
import { doOpen, finishOpen } from './open.js';

/** struct open_how: flags, mode, resolve. */
const OPEN_HOW_SIZE_VER0 = 24;
/** VALID_OPEN_FLAGS of Linux: all O_* there are. */
const VALID_FLAGS = 0x7fffc3;
const VALID_RESOLVE = 0x3f;
const PATH_FLAGS = O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC;

interface OpenHow {
  readonly flags: number;
  readonly mode: number;
  readonly resolve: number;
}

/** Copies struct open_how in and checks it. -EINVAL, -E2BIG, -EFAULT. */
function readHow(task: Task, address: number, size: number): OpenHow | number {
  if (size < OPEN_HOW_SIZE_VER0 && size >= 0) return -EINVAL;
  if (size < 0 || size > 4096) return -E2BIG;
  const view = task.memory.readStruct(address, size);
  if (view === null) return -EFAULT;
  for (let offset = OPEN_HOW_SIZE_VER0; offset < size; offset++) if (view.getUint8(offset) !== 0) return -E2BIG;
  const flags = view.getInt32(0, true);
  const mode = view.getUint32(8, true);
  const resolve = view.getUint32(16, true);
  if (flags & ~VALID_FLAGS || view.getUint32(4, true) !== 0) return -EINVAL;
  if (resolve & ~VALID_RESOLVE || view.getUint32(20, true) !== 0) return -EINVAL;
  if (resolve & RESOLVE_BENEATH && resolve & RESOLVE_IN_ROOT) return -EINVAL;
  const creates = (flags & (O_CREAT | TMPFILE_BIT)) !== 0;
  if (view.getUint32(12, true) !== 0 || mode & ~(creates ? 0o7777 : 0)) return -EINVAL;
  return flags & O_PATH && flags & ~PATH_FLAGS ? -EINVAL : { flags, mode, resolve };
}

/** openat2 implements Linux syscall openat2(2): unknown flags are refused, and RESOLVE_* restrict the walk. */
export function openat2(task: Task, args: SyscallArguments): number {
  const pending = task.state !== null && !(task.state instanceof LeaseWait) ? (task.state as FileDescription) : null;
  const how = readHow(task, args[2], args[3]);
  if (typeof how === 'number') {
    // Changed while the call waited for the other end of a FIFO.
    pending?.release();
    return how;
  }
  if (pending) return finishOpen(task, pending, how.flags);
  return doOpen(task, args[0] | 0, 1, how.flags, how.mode, how.resolve);
}
