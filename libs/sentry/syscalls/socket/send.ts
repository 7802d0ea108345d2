import { EAGAIN, EFAULT, EPIPE } from '../../abi/errno.js';
import { AF_INET, AF_INET6, MMSGHDR_SIZE, MSG_DONTWAIT, MSG_NOSIGNAL, MSGHDR_SIZE } from '../../abi/socket.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { Direction, guestIo, IOV_MAX, releaseIo } from '../../mm/io.js';
import type { IoBuffer } from '../../mm/types.js';
import type { Ancillary } from '../../net/ancillary.js';
import { SocketAddress } from '../../net/socket.js';
import type { SocketFile } from '../../net/socket-file.js';
import { UnixDatagramSocket } from '../../net/unix/unix-datagram.js';
import type { Nanoseconds } from '../../platform/platform.js';
import { POLLOUT } from '../../vfs/wait-queue.js';
import { readControl } from './control.js';
import { header, headerIo, readHeader } from './message.js';
import { deadlineFor, expired, given, interruption, mayWait, readAddress, socketFileOf } from './support.js';
import { findUnix } from './unix-path.js';

const SIGPIPE = 13;
const noAddress = new SocketAddress();

/** A send that waits. */
interface Waiting {
  /** What is left of a stream's bytes, once some were sent; null: begin anew. */
  io: IoBuffer | null;
  deadline: Nanoseconds;
}

/** One attempt; takes the ancillary over in any case. `to.length` 0 = no address. */
function attempt(
  task: Task,
  file: SocketFile,
  io: IoBuffer,
  flags: number,
  to: SocketAddress,
  ancillary: Ancillary | null,
): number {
  const { socket } = file;
  let result: number;
  if (socket instanceof UnixDatagramSocket && to.length > 0) {
    const target = findUnix(task, socket, to);
    result = typeof target === 'number' ? target : socket.sendTo(io, flags, target, ancillary, task);
  } else result = socket.send(io, flags, to, ancillary, task);
  if (result < 0) ancillary?.discard();
  return result;
}

/** Sends what `io` holds (released here), waiting as send(2) does. */
function sendAll(
  task: Task,
  file: SocketFile,
  io: IoBuffer,
  flags: number,
  to: SocketAddress,
  ancillary: Ancillary | null,
): number {
  const { socket } = file;
  const wait = mayWait(file, flags);
  let control = ancillary;
  for (;;) {
    const result =
      io.faulted && io.done === 0 ? discardWith(control, -EFAULT) : attempt(task, file, io, flags, to, control);
    if (result >= 0) control = null;
    if (result === -EAGAIN && wait) return waitToSend(task, file, io);
    if (result > 0 && wait && socket.isStream && io.remaining > 0 && !io.faulted) continue;
    const sent = io.done;
    releaseIo(io);
    if (result < 0 && sent > 0 && socket.isStream) return sent;
    if (result === -EPIPE && socket.isStream && !(flags & MSG_NOSIGNAL)) task.raise(SIGPIPE);
    return socket.isStream && result >= 0 ? Math.max(result, sent) : result;
  }
}

function discardWith(ancillary: Ancillary | null, result: number): number {
  ancillary?.discard();
  return result;
}

function waitToSend(task: Task, file: SocketFile, io: IoBuffer): number {
  const { socket } = file;
  const waiting = task.state as Waiting | null;
  const deadline = deadlineFor(task, waiting ? waiting.deadline : null, socket.sendTimeout);
  const sent = io.done;
  // Only a stream that has sent a part goes on where it stands; all else begins anew from the guest's memory.
  const kept = socket.isStream && sent > 0 ? io : null;
  const unfinished = kept ? sent : 0;
  if (expired(task, deadline) || task.signalPending()) {
    const timedOut = expired(task, deadline);
    releaseIo(io);
    if (unfinished > 0) return unfinished;
    return timedOut ? -EAGAIN : interruption(socket.sendTimeout);
  }
  if (!kept) releaseIo(io);
  if (waiting) {
    waiting.io = kept;
  } else task.setState({ io: kept, deadline } satisfies Waiting);
  task.waitOn(socket.waitQueue, POLLOUT);
  return task.park(deadline, interruption(socket.sendTimeout));
}

/** A stream that has sent a part already and was woken. */
function unfinished(task: Task): IoBuffer | null {
  return (task.state as Waiting | null)?.io ?? null;
}

/** sendto implements Linux syscall sendto(2). */
export function sendto(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  if (typeof file === 'number') return file;
  const flags = args[3] | 0;
  const rest = unfinished(task);
  if (rest) return sendAll(task, file, rest, flags, noAddress, null);
  given.length = 0;
  if (args[4] !== 0) {
    const read = readAddress(task, args[4], args[5] | 0, given);
    if (read < 0) return read;
  }
  return sendAll(task, file, guestIo(task.memory, args, 1, args[2], Direction.FromGuest), flags, given, null);
}

/** One message of sendmsg(2) or sendmmsg(2). */
function sendMessage(task: Task, file: SocketFile, address: number, flags: number): number {
  const rest = unfinished(task);
  if (rest) return sendAll(task, file, rest, flags, noAddress, null);
  const read = readHeader(task, address);
  if (read < 0) return read;
  given.length = 0;
  if (header.nameLength > 0) {
    const named = readAddress(task, header.name, header.nameLength, given);
    if (named < 0) return named;
  }
  const ancillary = readControl(
    task,
    file.socket.family === AF_INET || file.socket.family === AF_INET6,
    header.control,
    header.control === 0 ? 0 : header.controlLength,
  );
  if (typeof ancillary === 'number') return ancillary;
  const io = headerIo(task, Direction.FromGuest);
  if (typeof io === 'number') return discardWith(ancillary, io);
  return sendAll(task, file, io, flags, given, ancillary);
}

/** sendmsg implements Linux syscall sendmsg(2). */
export function sendmsg(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  return typeof file === 'number' ? file : sendMessage(task, file, args[1], args[2] | 0);
}

/**
 * sendmmsg implements Linux syscall sendmmsg(2). Waits for room for the first message only; what follows is sent as far
 * as there is room, and the count says how far.
 */
export function sendmmsg(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  if (typeof file === 'number') return file;
  const count = Math.min(args[2] >>> 0, IOV_MAX);
  const flags = args[3] | 0;
  let sent = 0;
  for (; sent < count; sent++) {
    const address = args[1] + sent * MMSGHDR_SIZE;
    const result = sendMessage(task, file, address, sent > 0 ? flags | MSG_DONTWAIT : flags);
    if (result < 0) return sent > 0 ? sent : result;
    if (!task.memory.writeU32(address + MSGHDR_SIZE, result)) return sent > 0 ? sent : -EFAULT;
  }
  return sent;
}
