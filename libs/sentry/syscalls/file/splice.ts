/**
 * splice, tee and vmsplice: bytes between a pipe and something else without passing through the guest. Linux moves pages;
 * here bytes are copied. Nothing is taken from a source before there is room for it, so that no byte is lost when the other
 * side would block.
 */
import { EAGAIN, EBADF, EFAULT, EFBIG, EINVAL, EPIPE, ERESTARTSYS, ESPIPE } from '../../abi/errno.js';
import { O_APPEND, O_NONBLOCK } from '../../abi/fcntl.js';
import { AF_UNIX } from '../../abi/socket.js';
import { S_IFDIR, S_IFMT } from '../../abi/stat.js';
import { PipeFile } from '../../fs/pipe/pipe.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { BufferIo, Direction, releaseIo, vectorIo } from '../../mm/io.js';
import { SocketFile } from '../../net/socket-file.js';
import type { FileDescription } from '../../vfs/types.js';
import { POLLIN, POLLOUT } from '../../vfs/wait-queue.js';
import { fileOf, readable, SIGPIPE, SIGXFSZ, writable } from './common.js';
import { offsetAt, storeOffset } from './copy-between.js';

const SPLICE_F_NONBLOCK = 2;
const SPLICE_F_ALL = 15;
const CHUNK = 65536;
const chunk = new Uint8Array(CHUNK);
const io = new BufferIo();

/** Waits for `events` of `file`, or answers -EAGAIN when the caller must not wait. */
function wait(task: Task, file: FileDescription, events: number, nonBlocking: boolean): number {
  if (nonBlocking) return -EAGAIN;
  task.waitOn(file.waitQueue, events);
  return task.park(Number.POSITIVE_INFINITY, -ERESTARTSYS);
}

function brokenPipe(task: Task): number {
  task.raise(SIGPIPE);
  return -EPIPE;
}

/** From a pipe to a file or socket at `offset` (-1: its own position). Ends when the pipe is empty. */
function fromPipe(
  task: Task,
  input: PipeFile,
  output: FileDescription,
  offset: number,
  count: number,
  nonBlocking: boolean,
): number {
  let done = 0;
  while (done < count) {
    io.reset(chunk, 0, Math.min(CHUNK, count - done));
    const got = input.pipe.peek(io, count - done);
    if (got === -EAGAIN && done === 0) return wait(task, input, POLLIN, nonBlocking);
    if (got <= 0) break;
    io.reset(chunk, 0, got);
    const put = offset < 0 ? output.write(io, task) : output.pwrite(io, offset + done, task);
    if (put > 0) {
      input.pipe.consume(put);
      done += put;
      continue;
    }
    if (done > 0) break;
    if (put === -EAGAIN) return wait(task, output, POLLOUT, (output.flags & O_NONBLOCK) !== 0);
    if (put === -EFBIG) task.raise(SIGXFSZ);
    return put === -EPIPE ? brokenPipe(task) : put;
  }
  return done;
}

/** Whether reading must not wait. TCP looks at O_NONBLOCK alone, unix sockets at the call's flag too (unix_stream_splice_read). */
function readsWithoutWaiting(input: FileDescription, flags: number): boolean {
  if (input.flags & O_NONBLOCK) return true;
  return (flags & SPLICE_F_NONBLOCK) !== 0 && input instanceof SocketFile && input.socket.family === AF_UNIX;
}

/** From a file or socket at `offset` (-1: its own position) to a pipe, as much as the pipe has room for. */
function toPipe(
  task: Task,
  input: FileDescription,
  offset: number,
  output: PipeFile,
  count: number,
  flags: number,
): number {
  const { pipe } = output;
  let done = 0;
  while (done < count) {
    if (pipe.readers === 0) return done > 0 ? done : brokenPipe(task);
    const room = pipe.reserve(Math.min(CHUNK, count - done));
    if (room <= 0) {
      if (done > 0 || room < 0) return done > 0 ? done : room;
      return wait(task, output, POLLOUT, ((flags & SPLICE_F_NONBLOCK) | (output.flags & O_NONBLOCK)) !== 0);
    }
    io.reset(chunk, 0, room);
    const got = offset < 0 ? input.read(io, task) : input.pread(io, offset + done, task);
    if (got <= 0) {
      pipe.release();
      if (done > 0 || got !== -EAGAIN) return done > 0 ? done : got;
      return wait(task, input, POLLIN, readsWithoutWaiting(input, flags));
    }
    io.reset(chunk, 0, got);
    done += pipe.write(io, false);
    if (got < room) break;
  }
  return done;
}

/** From one pipe to another; tee(2) leaves the bytes where they are. */
function betweenPipes(
  task: Task,
  input: PipeFile,
  output: PipeFile,
  count: number,
  flags: number,
  consume: boolean,
): number {
  const nonBlocking = ((flags & SPLICE_F_NONBLOCK) | ((input.flags | output.flags) & O_NONBLOCK)) !== 0;
  if (input.pipe.ring.length === 0) {
    return input.pipe.writers === 0 ? 0 : wait(task, input, POLLIN, nonBlocking);
  }
  if (output.pipe.readers === 0) return brokenPipe(task);
  const room = output.pipe.reserve(Math.min(CHUNK, count, input.pipe.ring.length));
  if (room <= 0) return room < 0 ? room : wait(task, output, POLLOUT, nonBlocking);
  io.reset(chunk, 0, room);
  const got = input.pipe.peek(io, room);
  io.reset(chunk, 0, got);
  const put = output.pipe.write(io, false);
  if (consume && put > 0) input.pipe.consume(put);
  return put;
}

/** Positions exist in files only, and an appending file has no other place to write to than its end. */
function checkPlaces(input: FileDescription, inAddress: number, output: FileDescription, outAddress: number): number {
  const inputIsPipe = input instanceof PipeFile;
  const outputIsPipe = output instanceof PipeFile;
  if (!inputIsPipe && (!outputIsPipe || (input.inode.mode & S_IFMT) === S_IFDIR)) return -EINVAL;
  if ((inputIsPipe && inAddress !== 0) || (outputIsPipe && outAddress !== 0)) return -ESPIPE;
  if (inputIsPipe && outputIsPipe) return input.pipe === output.pipe ? -EINVAL : 0;
  return !outputIsPipe && output.flags & O_APPEND ? -EINVAL : 0;
}

/** splice implements Linux syscall splice(2). */
export function splice(task: Task, args: SyscallArguments): number {
  const flags = args[5];
  if (args[4] === 0) return 0;
  if (args[4] < 0 || flags & ~SPLICE_F_ALL) return -EINVAL;
  const input = fileOf(task, args[0]);
  const output = fileOf(task, args[2]);
  if (!readable(input) || !writable(output)) return -EBADF;
  const allowed = checkPlaces(input, args[1], output, args[3]);
  if (allowed < 0) return allowed;
  const from = offsetAt(task, args[1]);
  const to = offsetAt(task, args[3]);
  if (Number.isNaN(from) || Number.isNaN(to)) return -EFAULT;
  const count = args[4];
  let moved: number;
  if (!(input instanceof PipeFile)) moved = toPipe(task, input, from, output as PipeFile, count, flags);
  else if (output instanceof PipeFile) moved = betweenPipes(task, input, output, count, flags, true);
  else {
    const nonBlocking = ((flags & SPLICE_F_NONBLOCK) | (input.flags & O_NONBLOCK)) !== 0;
    moved = fromPipe(task, input, output, to, count, nonBlocking);
  }
  if (!storeOffset(task, args[1], from, moved) || !storeOffset(task, args[3], to, moved)) return -EFAULT;
  return moved;
}

/** tee implements Linux syscall tee(2). */
export function tee(task: Task, args: SyscallArguments): number {
  const count = args[2];
  if (args[3] & ~SPLICE_F_ALL) return -EINVAL;
  if (count === 0) return 0;
  const input = fileOf(task, args[0]);
  const output = fileOf(task, args[1]);
  if (!readable(input) || !writable(output)) return -EBADF;
  if (!(input instanceof PipeFile) || !(output instanceof PipeFile) || input.pipe === output.pipe) return -EINVAL;
  // A length beyond 2^63 is as good as any that is larger than the pipe.
  return betweenPipes(task, input, output, count < 0 ? CHUNK : count, args[3], false);
}

/** vmsplice implements Linux syscall vmsplice(2): memory is copied into the pipe, or out of it for a read end. */
export function vmsplice(task: Task, args: SyscallArguments): number {
  const file = fileOf(task, args[0]);
  if (args[3] & ~SPLICE_F_ALL) return -EINVAL;
  if (!(file instanceof PipeFile)) return -EBADF;
  const intoPipe = writable(file);
  const vector = vectorIo(task.memory, args[1], args[2] | 0, intoPipe ? Direction.FromGuest : Direction.ToGuest);
  if (typeof vector === 'number') return vector;
  const { pipe } = file;
  const moved = vector.faulted ? -EFAULT : intoPipe ? pipe.write(vector, false) : pipe.read(vector);
  releaseIo(vector);
  if (moved === -EPIPE) return brokenPipe(task);
  if (moved !== -EAGAIN) return moved;
  return wait(
    task,
    file,
    intoPipe ? POLLOUT : POLLIN,
    ((args[3] & SPLICE_F_NONBLOCK) | (file.flags & O_NONBLOCK)) !== 0,
  );
}
