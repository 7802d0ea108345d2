import { EAGAIN, EFAULT, EINVAL } from '../../abi/errno.js';
import {
  AF_UNIX,
  MMSGHDR_SIZE,
  MSG_CMSG_CLOEXEC,
  MSG_DONTWAIT,
  MSG_PEEK,
  MSG_WAITALL,
  MSG_WAITFORONE,
  MSGHDR_SIZE,
  SO_PASSCRED,
} from '../../abi/socket.js';
import { BLOCKED, type SyscallArguments, type Task } from '../../kernel/types.js';
import { Direction, guestIo, IOV_MAX, releaseIo } from '../../mm/io.js';
import type { IoBuffer } from '../../mm/types.js';
import { Received } from '../../net/socket.js';
import type { SocketFile } from '../../net/socket-file.js';
import type { Nanoseconds } from '../../platform/platform.js';
import { POLLIN } from '../../vfs/wait-queue.js';
import { writeControl } from './control.js';
import { header, headerIo, readHeader } from './message.js';
import { deadlineFor, expired, interruption, mayWait, socketFileOf, writeAddress } from './support.js';

/** What the receive under way found besides its bytes. */
const received = new Received();

/** A receive that waits. */
interface Waiting {
  /** MSG_WAITALL: the buffer as far as it is filled. */
  io: IoBuffer | null;
  deadline: Nanoseconds;
  /** recvmmsg(2): messages that are complete. */
  count: number;
}

function waitingOf(task: Task): Waiting | null {
  return task.state as Waiting | null;
}

/**
 * Receives into `io` (released here unless the task waits with it). BLOCKED when it waits: the caller must return it at
 * once. `count`: messages that recvmmsg has complete, which an interruption returns.
 */
function receiveInto(task: Task, file: SocketFile, io: IoBuffer, flags: number, count: number): number {
  const { socket } = file;
  const whole = (flags & (MSG_WAITALL | MSG_PEEK)) === MSG_WAITALL && socket.isStream;
  for (;;) {
    received.reset();
    const result = io.faulted && io.done === 0 ? -EFAULT : socket.receive(io, flags, received);
    if (result > 0 && whole && io.remaining > 0 && !io.faulted && !received.rights) continue;
    if (result === -EAGAIN && mayWait(file, flags)) return waitToReceive(task, file, io, whole, count);
    const { done } = io;
    releaseIo(io);
    return whole && done > 0 ? done : result;
  }
}

function waitToReceive(task: Task, file: SocketFile, io: IoBuffer, whole: boolean, count: number): number {
  const { socket } = file;
  const waiting = waitingOf(task);
  const deadline = deadlineFor(task, waiting ? waiting.deadline : null, socket.receiveTimeout);
  const kept = whole && io.done > 0 ? io : null;
  const done = kept ? io.done : 0;
  const late = expired(task, deadline);
  if (late || task.signalPending()) {
    releaseIo(io);
    if (count > 0) return -EAGAIN;
    if (done > 0) return done;
    return late ? -EAGAIN : interruption(socket.receiveTimeout);
  }
  if (!kept) releaseIo(io);
  if (waiting) {
    waiting.io = kept;
    waiting.count = count;
  } else task.setState({ io: kept, deadline, count } satisfies Waiting);
  task.waitOn(socket.waitQueue, POLLIN);
  return task.park(deadline, interruption(socket.receiveTimeout));
}

function dropRights(): void {
  if (received.rights) for (const file of received.rights) file.release();
  received.rights = null;
}

/** recvfrom implements Linux syscall recvfrom(2). */
export function recvfrom(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  if (typeof file === 'number') return file;
  const rest = waitingOf(task)?.io ?? null;
  const io = rest ?? guestIo(task.memory, args, 1, args[2], Direction.ToGuest);
  const result = receiveInto(task, file, io, args[3] | 0, 0);
  if (result < 0) return result;
  dropRights();
  if (args[4] === 0) return result;
  const written = writeAddress(task, received.address, args[4], args[5]);
  return written < 0 ? written : result;
}

/** One message of recvmsg(2) or recvmmsg(2), stored in the struct msghdr at `address`. */
function receiveMessage(task: Task, file: SocketFile, address: number, flags: number, count: number): number {
  const { memory } = task;
  const read = readHeader(task, address);
  if (read < 0) return read;
  const { name, nameLength, control, controlLength } = header;
  const rest = waitingOf(task)?.io ?? null;
  const io = rest ?? headerIo(task, Direction.ToGuest);
  if (typeof io === 'number') return io;
  const result = receiveInto(task, file, io, flags, count);
  if (result < 0) return result;
  const { socket } = file;
  const used = writeControl(
    task,
    received,
    socket.family === AF_UNIX && socket.option(SO_PASSCRED) !== 0,
    control,
    control === 0 ? 0 : controlLength,
    (flags & MSG_CMSG_CLOEXEC) !== 0,
  );
  dropRights();
  if (name !== 0) {
    const stored = Math.min(nameLength, received.address.length);
    if (memory.copyOut(name, received.address.bytes, 0, stored) !== stored) return -EFAULT;
    if (!memory.writeU32(address + 8, received.address.length)) return -EFAULT;
  }
  if (!memory.writeU32(address + 48, received.flags | (flags & MSG_CMSG_CLOEXEC))) return -EFAULT;
  return memory.writeU64(address + 40, used) ? result : -EFAULT;
}

/** recvmsg implements Linux syscall recvmsg(2). */
export function recvmsg(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  return typeof file === 'number' ? file : receiveMessage(task, file, args[1], args[2] | 0, 0);
}

/** recvmmsg implements Linux syscall recvmmsg(2). As in Linux the timeout is looked at only after each message. */
export function recvmmsg(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  if (typeof file === 'number') return file;
  const { memory } = task;
  const wanted = Math.min(args[2] >>> 0, IOV_MAX);
  let flags = args[3] | 0;
  let timeout = Infinity;
  if (args[4] !== 0) {
    const seconds = memory.readU64(args[4]);
    const nanoseconds = memory.readU64(args[4] + 8);
    if (Number.isNaN(seconds) || Number.isNaN(nanoseconds)) return -EFAULT;
    if (seconds < 0 || nanoseconds < 0 || nanoseconds >= 1e9) return -EINVAL;
    timeout = seconds * 1e9 + nanoseconds;
  }
  const start = task.kernel.clock.monotonic();
  let count = waitingOf(task)?.count ?? 0;
  while (count < wanted) {
    if (count > 0 && flags & MSG_WAITFORONE) flags |= MSG_DONTWAIT;
    const address = args[1] + count * MMSGHDR_SIZE;
    const result = receiveMessage(task, file, address, flags & ~MSG_WAITFORONE, count);
    if (result === BLOCKED) return result;
    if (result < 0) return count > 0 ? count : result;
    if (!memory.writeU32(address + MSGHDR_SIZE, result)) return count > 0 ? count : -EFAULT;
    count++;
    const waiting = waitingOf(task);
    if (waiting) waiting.io = null;
    if (timeout !== Infinity && task.kernel.clock.monotonic() - start >= timeout) break;
  }
  return count;
}
