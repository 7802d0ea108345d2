import { EBADF, EINVAL, EOPNOTSUPP } from '../../abi/errno.js';
import { O_APPEND, O_NONBLOCK, RWF_APPEND, RWF_NOAPPEND, RWF_NOWAIT, RWF_SUPPORTED } from '../../abi/fcntl.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { Direction, guestIo, vectorIo } from '../../mm/io.js';
import { fileOf, INTEGER_MAX, isRegular, writable, writeFrom } from './common.js';

const APPENDS = RWF_APPEND | RWF_NOAPPEND;

function writeRange(task: Task, args: SyscallArguments, offset: number): number {
  const file = fileOf(task, args[0]);
  if (!writable(file)) return -EBADF;
  return writeFrom(task, file, task.state ? null : guestIo(task.memory, args, 1, args[2], Direction.FromGuest), offset);
}

/** write implements Linux syscall write(2). */
export function write(task: Task, args: SyscallArguments): number {
  return writeRange(task, args, -1);
}

/** pwrite64 implements Linux syscall pwrite64(2). */
export function pwrite64(task: Task, args: SyscallArguments): number {
  if (args[3] < 0) return -EINVAL;
  return args[3] <= INTEGER_MAX ? writeRange(task, args, args[3] | 0) : writeRange(task, args, args[3]);
}

function writeVector(task: Task, args: SyscallArguments, offset: number): number {
  const file = fileOf(task, args[0]);
  if (!writable(file)) return -EBADF;
  if (task.state) return writeFrom(task, file, null, offset);
  const io = vectorIo(task.memory, args[1], args[2] | 0, Direction.FromGuest);
  return typeof io === 'number' ? io : writeFrom(task, file, io, offset);
}

/** writev implements Linux syscall writev(2). */
export function writev(task: Task, args: SyscallArguments): number {
  return writeVector(task, args, -1);
}

/** pwritev implements Linux syscall pwritev(2). */
export function pwritev(task: Task, args: SyscallArguments): number {
  return args[3] < 0 ? -EINVAL : writeVector(task, args, args[3]);
}

/** pwritev2 implements Linux syscall pwritev2(2): offset -1 means the file's own position. */
export function pwritev2(task: Task, args: SyscallArguments): number {
  const flags = args[5] | 0;
  if (args[3] < -1) return -EINVAL;
  if (flags & ~RWF_SUPPORTED || (flags & APPENDS) === APPENDS) return flags & ~RWF_SUPPORTED ? -EOPNOTSUPP : -EINVAL;
  const file = fileOf(task, args[0]);
  if (flags === 0 || !writable(file)) return writeVector(task, args, args[3]);
  // The flags of one call stand for those of the description while it runs: nothing else runs meanwhile.
  if (flags & RWF_NOWAIT && isRegular(file)) return -EOPNOTSUPP;
  const kept = file.flags;
  if (flags & RWF_APPEND) file.flags |= O_APPEND;
  if (flags & RWF_NOAPPEND) file.flags &= ~O_APPEND;
  if (flags & RWF_NOWAIT) file.flags |= O_NONBLOCK;
  const result = writeVector(task, args, args[3]);
  file.flags = kept;
  return result;
}
