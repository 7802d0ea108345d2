import { EFAULT, EINVAL } from '../../abi/errno.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';

const GRND_RANDOM = 2;
const GRND_INSECURE = 4;
const KNOWN_FLAGS = 7;
const CHUNK = 4096;
/** Linux cuts every request to this. */
const REQUEST_MAX = 0x1ffffff;
const chunk = new Uint8Array(CHUNK);

/** getrandom implements Linux syscall getrandom(2). Never blocks: the pool is always ready. */
export function getrandom(task: Task, args: SyscallArguments): number {
  const flags = args[2] >>> 0;
  if (flags & ~KNOWN_FLAGS || (flags & (GRND_RANDOM | GRND_INSECURE)) === (GRND_RANDOM | GRND_INSECURE)) return -EINVAL;
  // A length with the top bit set is huge, not negative.
  const wanted = args[1] < 0 ? REQUEST_MAX : Math.min(args[1], REQUEST_MAX);
  let done = 0;
  while (done < wanted) {
    const part = Math.min(CHUNK, wanted - done);
    const bytes = part === CHUNK ? chunk : chunk.subarray(0, part);
    task.kernel.random(bytes);
    const copied = task.memory.copyOut(args[0] + done, bytes, 0, part);
    done += copied;
    if (copied < part) return done > 0 ? done : -EFAULT;
    if (done < wanted && task.signalPending()) return done;
  }
  return done;
}
