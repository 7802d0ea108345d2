import { EBADF, EINVAL, EOPNOTSUPP } from '../../abi/errno.js';
import { RWF_NOWAIT, RWF_SUPPORTED } from '../../abi/fcntl.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { Direction, guestIo, vectorIo } from '../../mm/io.js';
import { fileOf, INTEGER_MAX, isRegular, readable, readInto } from './common.js';

/** read implements Linux syscall read(2). */
export function read(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  if (!readable(file)) return -EBADF;
  return readInto(task, file, guestIo(task.memory, args, 1, args[2], Direction.ToGuest), -1);
}

/** pread64 implements Linux syscall pread64(2). */
export function pread64(task: Task, args: SyscallArguments): number {
  if (args[3] < 0) return -EINVAL;
  const file = fileOf(task, args[0]);
  if (!readable(file)) return -EBADF;
  const io = guestIo(task.memory, args, 1, args[2], Direction.ToGuest);
  return args[3] <= INTEGER_MAX ? readInto(task, file, io, args[3] | 0) : readInto(task, file, io, args[3]);
}

function readVector(task: Task, args: SyscallArguments, offset: number, noWait = false): number {
  const file = fileOf(task, args[0]);
  if (!readable(file)) return -EBADF;
  const io = vectorIo(task.memory, args[1], args[2] | 0, Direction.ToGuest);
  return typeof io === 'number' ? io : readInto(task, file, io, offset, noWait);
}

/** readv implements Linux syscall readv(2). */
export function readv(task: Task, args: SyscallArguments): number {
  return readVector(task, args, -1);
}

/** preadv implements Linux syscall preadv(2). */
export function preadv(task: Task, args: SyscallArguments): number {
  return args[3] < 0 ? -EINVAL : readVector(task, args, args[3]);
}

/** preadv2 implements Linux syscall preadv2(2): offset -1 means the file's own position. */
export function preadv2(task: Task, args: SyscallArguments): number {
  const flags = args[5] | 0;
  if (args[3] < -1) return -EINVAL;
  if (flags & ~RWF_SUPPORTED || (flags & RWF_NOWAIT && isRegular(fileOf(task, args[0])))) return -EOPNOTSUPP;
  return readVector(task, args, args[3], (flags & RWF_NOWAIT) !== 0);
}
