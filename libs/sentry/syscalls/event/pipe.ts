import { EFAULT, EINVAL } from '../../abi/errno.js';
import { O_CLOEXEC, O_DIRECT, O_NONBLOCK } from '../../abi/fcntl.js';
import { createPipe } from '../../fs/pipe/pipe.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import type { FileDescription } from '../../vfs/types.js';
import { installFile } from './support.js';

const ends: FileDescription[] = [];

function makePipe(task: Task, address: number, flags: number): number {
  if (flags & ~(O_CLOEXEC | O_DIRECT | O_NONBLOCK)) return -EINVAL;
  createPipe(flags, task.kernel.nextObjectId(), task, ends);
  const [reader, writer] = ends;
  const closeOnExec = (flags & O_CLOEXEC) !== 0;
  const first = installFile(task, reader, closeOnExec);
  if (first < 0) {
    writer.release();
    return first;
  }
  const second = installFile(task, writer, closeOnExec);
  if (second < 0) {
    task.files.close(first);
    return second;
  }
  if (task.memory.writeU32(address, first) && task.memory.writeU32(address + 4, second)) return 0;
  task.files.close(first);
  task.files.close(second);
  return -EFAULT;
}

/** pipe implements Linux syscall pipe(2). */
export function pipe(task: Task, args: SyscallArguments): number {
  return makePipe(task, args[0], 0);
}

/** pipe2 implements Linux syscall pipe2(2). */
export function pipe2(task: Task, args: SyscallArguments): number {
  return makePipe(task, args[0], args[1] | 0);
}
