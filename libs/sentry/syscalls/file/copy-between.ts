/** sendfile and copy_file_range: bytes from one file to another without passing through the guest. */
import { EAGAIN, EBADF, EFAULT, EFBIG, EINVAL, EISDIR, EOVERFLOW, EPIPE, ERESTARTSYS } from '../../abi/errno.js';
import { O_APPEND, O_NONBLOCK } from '../../abi/fcntl.js';
import { S_IFDIR, S_IFMT, S_IFREG } from '../../abi/stat.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { BufferIo } from '../../mm/io.js';
import type { FileDescription } from '../../vfs/types.js';
import { POLLIN, POLLOUT } from '../../vfs/wait-queue.js';
import { fileOf, readable, SIGPIPE, SIGXFSZ, setU64, writable } from './common.js';

const CHUNK = 65536;
const MAX = 0x7ffff000;
const chunk = new Uint8Array(CHUNK);
const io = new BufferIo();

/** Progress of a transfer that waits: bytes done, and bytes read but not yet written (sockets and pipes cannot be unread). */
interface Progress {
  done: number;
  left: Uint8Array | null;
}

/**
 * Moves up to `count` bytes. Offsets of -1 mean the file's own position. Waits for the output (and a pipe as input) unless
 * nonblocking. Bytes moved, -errno, or BLOCKED.
 */
function move(
  task: Task,
  input: FileDescription,
  inOffset: number,
  output: FileDescription,
  outOffset: number,
  count: number,
): number {
  const progress = (task.state as Progress | null) ?? { done: 0, left: null };
  while (progress.done < count || progress.left) {
    let bytes = progress.left;
    if (!bytes) {
      io.reset(chunk, 0, Math.min(CHUNK, count - progress.done));
      const got = inOffset < 0 ? input.read(io, task) : input.pread(io, inOffset + progress.done, task);
      if (got === -EAGAIN && progress.done === 0 && !(input.flags & O_NONBLOCK))
        return wait(task, progress, input, POLLIN);
      if (got <= 0) return progress.done > 0 ? progress.done : got;
      bytes = chunk.subarray(0, got);
    }
    io.reset(bytes, 0, bytes.length);
    const put = outOffset < 0 ? output.write(io, task) : output.pwrite(io, outOffset + progress.done, task);
    if (put === -EPIPE) task.raise(SIGPIPE);
    if (put === -EFBIG && progress.done === 0) task.raise(SIGXFSZ);
    const written = Math.max(0, put);
    progress.done += written;
    if (written === bytes.length) {
      progress.left = null;
      continue;
    }
    if (inOffset < 0 && input.seek(written - bytes.length, 1) < 0) progress.left = bytes.slice(written);
    if (put < 0 && put !== -EAGAIN) return progress.done > 0 ? progress.done : put;
    // A file that takes less is at its limit: nothing to wait for.
    if (!output.pollable) return progress.done;
    if (output.flags & O_NONBLOCK) return progress.done > 0 ? progress.done : -EAGAIN;
    return wait(task, progress, output, POLLOUT);
  }
  return progress.done;
}

function wait(task: Task, progress: Progress, file: FileDescription, events: number): number {
  task.setState(progress);
  task.waitOn(file.waitQueue, events);
  return task.park(Number.POSITIVE_INFINITY, progress.done > 0 ? progress.done : -ERESTARTSYS);
}

/** An optional loff_t* argument: -1 when null, NaN on a fault. */
export function offsetAt(task: Task, address: number): number {
  return address === 0 ? -1 : task.memory.readU64(address);
}

export function storeOffset(task: Task, address: number, offset: number, moved: number): boolean {
  if (address === 0 || moved <= 0) return true;
  setU64(task.memory.scratch(8), 0, offset + moved);
  return task.memory.writeStruct(address, 8);
}

/** sendfile implements Linux syscall sendfile(2). */
export function sendfile(task: Task, args: SyscallArguments): number {
  const output = fileOf(task, args[0]);
  const input = fileOf(task, args[1]);
  if (!writable(output) || !readable(input)) return -EBADF;
  if (output.flags & O_APPEND || (input.inode.mode & S_IFMT) !== S_IFREG) return -EINVAL;
  const offset = offsetAt(task, args[2]);
  if (Number.isNaN(offset)) return -EFAULT;
  if (args[2] !== 0 && offset < 0) return -EINVAL;
  if (args[3] < 0) return -EINVAL;
  const moved = move(task, input, offset, output, -1, Math.min(args[3], MAX));
  return storeOffset(task, args[2], offset, moved) ? moved : -EFAULT;
}

/** copy_file_range implements Linux syscall copy_file_range(2) between regular files. */
export function copyFileRange(task: Task, args: SyscallArguments): number {
  const input = fileOf(task, args[0]);
  const output = fileOf(task, args[2]);
  if (!readable(input) || !writable(output) || output.flags & O_APPEND) return -EBADF;
  if (args[5] !== 0) return -EINVAL;
  for (const { inode } of [input, output]) {
    if ((inode.mode & S_IFMT) === S_IFDIR) return -EISDIR;
    if ((inode.mode & S_IFMT) !== S_IFREG) return -EINVAL;
  }
  const from = offsetAt(task, args[1]);
  const to = offsetAt(task, args[3]);
  if (Number.isNaN(from) || Number.isNaN(to)) return -EFAULT;
  const count = Math.min(args[4], MAX);
  if (count < 0 || (args[1] !== 0 && from < 0) || (args[3] !== 0 && to < 0)) return -EOVERFLOW;
  if (input.inode === output.inode) {
    const start = from < 0 ? input.seek(0, 1) : from;
    const target = to < 0 ? output.seek(0, 1) : to;
    if (start < target + count && target < start + count) return -EINVAL;
  }
  const moved = move(task, input, from, output, to, count);
  if (!storeOffset(task, args[1], from, moved) || !storeOffset(task, args[3], to, moved)) return -EFAULT;
  return moved;
}
