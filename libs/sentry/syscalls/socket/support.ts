/** What the socket calls share: from descriptors to sockets, addresses in and out, waiting. */
import { EBADF, EFAULT, EINTR, EINVAL, ENOTSOCK, ERESTARTSYS } from '../../abi/errno.js';
import { RLIMIT_NOFILE } from '../../abi/resource.js';
import { MSG_DONTWAIT, SOCKADDR_STORAGE_SIZE } from '../../abi/socket.js';
import type { Kernel, Task } from '../../kernel/types.js';
import { type Socket, SocketAddress } from '../../net/socket.js';
import { SocketFile } from '../../net/socket-file.js';
import { NetworkStack } from '../../net/stack.js';
import type { Nanoseconds } from '../../platform/platform.js';

const stacks = new WeakMap<Kernel, NetworkStack>();

/** The network of this sandbox. */
export function stackOf(kernel: Kernel): NetworkStack {
  let stack = stacks.get(kernel);
  if (!stack) {
    stack = new NetworkStack(kernel.network);
    stacks.set(kernel, stack);
  }
  return stack;
}

/** The socket file behind a descriptor; -EBADF, -ENOTSOCK. */
export function socketFileOf(task: Task, fd: number): SocketFile | number {
  const file = task.files.get(fd | 0);
  if (!file) return -EBADF;
  return file instanceof SocketFile ? file : -ENOTSOCK;
}

/** A new open file of a socket. `flags`: O_NONBLOCK or 0. */
export function newSocketFile(task: Task, socket: Socket, flags: number): SocketFile {
  return new SocketFile(socket, flags, task.kernel.nextObjectId(), task.kernel.network !== 'none');
}

/** Installs the file (taking over its reference in any case); the number or -EMFILE. */
export function installSocket(task: Task, file: SocketFile, closeOnExec: boolean): number {
  const fd = task.files.install(file, closeOnExec, 0, task.rlimit(RLIMIT_NOFILE));
  if (fd < 0) file.release();
  return fd;
}

/** Address given by the guest; one is enough, since no call needs two at a time. */
export const given = new SocketAddress();
/** Address answered to the guest. */
export const answered = new SocketAddress();

/** Copies an address in; 0, -EINVAL (length), -EFAULT. */
export function readAddress(task: Task, address: number, length: number, out: SocketAddress): number {
  out.length = 0;
  if (length < 0 || length > SOCKADDR_STORAGE_SIZE) return -EINVAL;
  if (task.memory.copyIn(address, out.bytes, 0, length) !== length) return -EFAULT;
  out.bytes.fill(0, length);
  out.length = length;
  return 0;
}

/** Stores an address with its real length; what does not fit the guest's `*length` is cut. 0, -EFAULT, -EINVAL. */
export function writeAddress(task: Task, from: SocketAddress, address: number, lengthAddress: number): number {
  const room = task.memory.readI32(lengthAddress);
  if (Number.isNaN(room)) return -EFAULT;
  if (room < 0) return -EINVAL;
  const length = Math.min(room, from.length);
  if (task.memory.copyOut(address, from.bytes, 0, length) !== length) return -EFAULT;
  return task.memory.writeU32(lengthAddress, from.length) ? 0 : -EFAULT;
}

export function mayWait(file: SocketFile, flags: number): boolean {
  return !file.nonBlocking && (flags & MSG_DONTWAIT) === 0;
}

/** Deadline of a wait under a socket timeout, given the one remembered (or null at the first attempt). */
export function deadlineFor(task: Task, remembered: Nanoseconds | null, timeout: Nanoseconds): Nanoseconds {
  if (remembered !== null) return remembered;
  return timeout === Infinity ? Infinity : task.kernel.clock.monotonic() + timeout;
}

export function expired(task: Task, deadline: Nanoseconds): boolean {
  return deadline !== Infinity && task.kernel.clock.monotonic() >= deadline;
}

/** What a signal makes of a wait: restarted, unless the socket has a timeout (signal(7)). */
export function interruption(timeout: Nanoseconds): number {
  return timeout === Infinity ? -ERESTARTSYS : -EINTR;
}
