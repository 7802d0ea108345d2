import { EAGAIN, EINPROGRESS, EINVAL } from '../../abi/errno.js';
import { AF_UNSPEC, SOCK_CLOEXEC, SOCK_NONBLOCK } from '../../abi/socket.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { isUnixSocket } from '../../net/unix/unix-socket.js';
import { POLLIN, POLLOUT } from '../../vfs/wait-queue.js';
import {
  answered,
  deadlineFor,
  expired,
  given,
  installSocket,
  interruption,
  newSocketFile,
  readAddress,
  socketFileOf,
  writeAddress,
} from './support.js';
import { bindUnix, findUnix } from './unix-path.js';

/** bind implements Linux syscall bind(2). */
export function bind(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  if (typeof file === 'number') return file;
  const read = readAddress(task, args[1], args[2] | 0, given);
  if (read < 0) return read;
  const { socket } = file;
  return isUnixSocket(socket) ? bindUnix(task, socket, given) : socket.bind(given, task);
}

/** connect implements Linux syscall connect(2). A blocking connect waits at most SO_SNDTIMEO. */
export function connect(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  if (typeof file === 'number') return file;
  const read = readAddress(task, args[1], args[2] | 0, given);
  if (read < 0) return read;
  const { socket } = file;
  let result: number;
  if (isUnixSocket(socket)) {
    if (given.length < 2) return -EINVAL;
    if (given.family === AF_UNSPEC) return socket.connectTo(null, task);
    const target = findUnix(task, socket, given);
    if (typeof target === 'number') return target;
    result = socket.connectTo(target, task);
  } else result = socket.connect(given, file.nonBlocking, task);
  if ((result !== -EAGAIN && result !== -EINPROGRESS) || file.nonBlocking) return result;
  const deadline = deadlineFor(task, task.state as number | null, socket.sendTimeout);
  if (expired(task, deadline)) return result;
  task.setState(deadline);
  task.waitOn(socket.waitQueue, POLLOUT);
  return task.park(deadline, interruption(socket.sendTimeout));
}

/** listen implements Linux syscall listen(2). */
export function listen(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  return typeof file === 'number' ? file : file.socket.listen(args[1] | 0, task);
}

function doAccept(task: Task, args: SyscallArguments, flags: number): number {
  if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) return -EINVAL;
  const file = socketFileOf(task, args[0]);
  if (typeof file === 'number') return file;
  const { socket } = file;
  const accepted = socket.accept();
  if (accepted === -EAGAIN && !file.nonBlocking) {
    const deadline = deadlineFor(task, task.state as number | null, socket.receiveTimeout);
    if (expired(task, deadline)) return -EAGAIN;
    task.setState(deadline);
    task.waitOn(socket.waitQueue, POLLIN);
    return task.park(deadline, interruption(socket.receiveTimeout));
  }
  if (typeof accepted === 'number') return accepted;
  const fd = installSocket(task, newSocketFile(task, accepted, flags & SOCK_NONBLOCK), (flags & SOCK_CLOEXEC) !== 0);
  if (fd < 0 || args[1] === 0) return fd;
  // A peer that is gone already has no address any more.
  if (accepted.peerName(answered) < 0) answered.length = 0;
  const written = writeAddress(task, answered, args[1], args[2]);
  if (written === 0) return fd;
  task.files.close(fd);
  return written;
}

/** accept implements Linux syscall accept(2). */
export function accept(task: Task, args: SyscallArguments): number {
  return doAccept(task, args, 0);
}

/** accept4 implements Linux syscall accept4(2). */
export function accept4(task: Task, args: SyscallArguments): number {
  return doAccept(task, args, args[3] | 0);
}

/** getsockname implements Linux syscall getsockname(2). */
export function getsockname(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  if (typeof file === 'number') return file;
  const result = file.socket.name(answered);
  return result < 0 ? result : writeAddress(task, answered, args[1], args[2]);
}

/** getpeername implements Linux syscall getpeername(2). */
export function getpeername(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  if (typeof file === 'number') return file;
  const result = file.socket.peerName(answered);
  return result < 0 ? result : writeAddress(task, answered, args[1], args[2]);
}

/** shutdown implements Linux syscall shutdown(2). */
export function shutdown(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  return typeof file === 'number' ? file : file.socket.shutdown(args[1] | 0);
}
