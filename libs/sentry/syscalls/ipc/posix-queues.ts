import { CAP_SYS_RESOURCE } from '../../abi/capability.js';
import {
  EAGAIN,
  EBADF,
  EBUSY,
  EFAULT,
  EINVAL,
  EMSGSIZE,
  ENOMEM,
  ENOTSOCK,
  ERESTARTSYS,
  ETIMEDOUT,
} from '../../abi/errno.js';
import { O_ACCMODE, O_CREAT, O_NONBLOCK, O_RDONLY, O_WRONLY } from '../../abi/fcntl.js';
import * as IPC from '../../abi/ipc.js';
import { RLIMIT_MSGQUEUE } from '../../abi/resource.js';
import { SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SIGRTMAX } from '../../abi/signal.js';
import { CLOCK_REALTIME } from '../../abi/time.js';
import {
  type CookieSink,
  discardPosixMessage,
  newPosixMessage,
  type PosixMessage,
  type PosixQueue,
  PosixQueueFile,
  PosixReceiver,
  PosixSender,
} from '../../kernel/ipc/posix-queues.js';
import { awaitTurn } from '../../kernel/ipc/waiter.js';
import type { Task } from '../../kernel/task.js';
import { BLOCKED, type SyscallArguments } from '../../kernel/types.js';
import { NetlinkSocket } from '../../net/netlink.js';
import { SocketFile } from '../../net/socket-file.js';
import { installFile } from '../event/support.js';
import { readDeadline } from '../time/support.js';
import { setU64 } from './support.js';

const DEFAULTS = { maxMessages: IPC.MQ_MSG_DEFAULT, messageSize: IPC.MQ_MSGSIZE_DEFAULT };

const read64 = (view: DataView, offset: number): number =>
  view.getInt32(offset + 4, true) * 0x1_0000_0000 + view.getUint32(offset, true);

function readAttributes(task: Task, address: number): { maxMessages: number; messageSize: number } | number {
  if (address === 0) return DEFAULTS;
  const view = task.memory.readStruct(address, IPC.MQ_ATTR_BYTES);
  return view === null ? -EFAULT : { maxMessages: read64(view, 8), messageSize: read64(view, 16) };
}

function attributesFit(task: Task, maxMessages: number, messageSize: number): boolean {
  if (maxMessages <= 0 || messageSize <= 0) return false;
  const privileged = task.capable(CAP_SYS_RESOURCE);
  return (
    maxMessages <= (privileged ? IPC.MQ_HARD_MSG_MAX : IPC.MQ_MSG_MAX) &&
    messageSize <= (privileged ? IPC.MQ_HARD_MSGSIZE_MAX : IPC.MQ_MSGSIZE_MAX)
  );
}

/** mq_open implements Linux syscall mq_open(2). The descriptor is always close-on-exec, as in Linux. */
export function mqOpen(task: Task, args: SyscallArguments): number {
  const flags = args[1] | 0;
  const creates = (flags & O_CREAT) !== 0;
  const attributes = creates ? readAttributes(task, args[3]) : DEFAULTS;
  if (typeof attributes === 'number') return attributes;
  const name = task.pathArgument(0);
  if (typeof name === 'number') return name;
  const { posixQueues } = task.kernel.ipc;
  const { maxMessages, messageSize } = attributes;
  if (creates && !attributesFit(task, maxMessages, messageSize) && !posixQueues.exists(name)) return -EINVAL;
  const file = posixQueues.open(task, name, flags, args[2] | 0, attributes, task.rlimit(RLIMIT_MSGQUEUE), () =>
    task.kernel.nextObjectId(),
  );
  return typeof file === 'number' ? file : installFile(task, file, true);
}

/** mq_unlink implements Linux syscall mq_unlink(2). */
export function mqUnlink(task: Task): number {
  const name = task.pathArgument(0);
  return typeof name === 'number' ? name : task.kernel.ipc.posixQueues.unlink(name, task.credentials);
}

/** The open queue behind a descriptor, if it is open for what `refused` does not name; null = EBADF. */
function queueFile(task: Task, fd: number, refused: number): PosixQueueFile | null {
  const file = task.files.get(fd | 0);
  return file instanceof PosixQueueFile && (file.flags & O_ACCMODE) !== refused ? file : null;
}

function deadlineAt(task: Task, address: number): number {
  return address === 0 ? Number.POSITIVE_INFINITY : readDeadline(task, address, CLOCK_REALTIME);
}

interface SendWait {
  readonly queue: PosixQueue;
  readonly sender: PosixSender;
  readonly deadline: number;
}

function awaitSend({ queue, sender, deadline }: SendWait): number {
  const result = awaitTurn(sender, queue.senders, deadline, -ETIMEDOUT, -ERESTARTSYS);
  if (result !== BLOCKED && result !== 0) discardPosixMessage(sender.message);
  return result;
}

/** mq_timedsend implements Linux syscall mq_timedsend(2). */
export function mqTimedsend(task: Task, args: SyscallArguments): number {
  if (task.state !== null) return awaitSend(task.state as SendWait);
  const deadline = deadlineAt(task, args[4]);
  if (deadline < 0) return deadline;
  const priority = args[3] >>> 0;
  if (priority >= IPC.MQ_PRIO_MAX) return -EINVAL;
  const file = queueFile(task, args[0], O_RDONLY);
  if (file === null) return -EBADF;
  const length = args[2];
  if (length < 0 || length > file.mq.messageSize) return -EMSGSIZE;
  const message = newPosixMessage(priority, length);
  if (message === null) return -ENOMEM;
  const result = send(task, file, args[1], message, deadline);
  if (result !== BLOCKED && result !== 0) discardPosixMessage(message);
  return result;
}

function send(task: Task, file: PosixQueueFile, address: number, message: PosixMessage, deadline: number): number {
  const queue = file.mq;
  const { length } = message.text;
  if (task.memory.copyIn(address, message.text, 0, length) < length) return -EFAULT;
  if (!queue.isFull) {
    queue.send(message, task);
    return 0;
  }
  if ((file.flags & O_NONBLOCK) !== 0) return -EAGAIN;
  if (task.kernel.clock.monotonic() >= deadline) return -ETIMEDOUT;
  const parked = task.park(deadline, -ERESTARTSYS);
  if (parked !== BLOCKED) return parked;
  const sender = new PosixSender(task, message);
  queue.senders.push(sender);
  task.setState({ queue, sender, deadline } satisfies SendWait);
  return BLOCKED;
}

interface ReceiveWait {
  readonly queue: PosixQueue;
  readonly receiver: PosixReceiver;
  readonly deadline: number;
}

/** Copies a message out and gives its memory back: its length, or -EFAULT (it is lost then, as in Linux). */
function deliver(task: Task, args: SyscallArguments, message: PosixMessage): number {
  discardPosixMessage(message);
  const { length } = message.text;
  if (args[3] !== 0 && !task.memory.writeU32(args[3], message.priority)) return -EFAULT;
  return task.memory.copyOut(args[1], message.text, 0, length) === length ? length : -EFAULT;
}

function awaitReceive(task: Task, args: SyscallArguments, { queue, receiver, deadline }: ReceiveWait): number {
  const result = awaitTurn(receiver, queue.receivers, deadline, -ETIMEDOUT, -ERESTARTSYS);
  const { message } = receiver;
  if (result === BLOCKED || message === null) return result;
  receiver.message = null;
  return deliver(task, args, message);
}

/** mq_timedreceive implements Linux syscall mq_timedreceive(2). */
export function mqTimedreceive(task: Task, args: SyscallArguments): number {
  if (task.state !== null) return awaitReceive(task, args, task.state as ReceiveWait);
  const deadline = deadlineAt(task, args[4]);
  if (deadline < 0) return deadline;
  const file = queueFile(task, args[0], O_WRONLY);
  if (file === null) return -EBADF;
  const queue = file.mq;
  if (args[2] >= 0 && args[2] < queue.messageSize) return -EMSGSIZE;
  if (queue.messages.length > 0) return deliver(task, args, queue.take());
  if ((file.flags & O_NONBLOCK) !== 0) return -EAGAIN;
  if (task.kernel.clock.monotonic() >= deadline) return -ETIMEDOUT;
  const parked = task.park(deadline, -ERESTARTSYS);
  if (parked !== BLOCKED) return parked;
  const receiver = new PosixReceiver(task);
  queue.receivers.push(receiver);
  task.setState({ queue, receiver, deadline } satisfies ReceiveWait);
  return BLOCKED;
}

/** SIGEV_THREAD: the C library's netlink socket, kept open by a reference of its own. -EBADF, -ENOTSOCK, -EINVAL. */
function cookieSink(task: Task, fd: number): CookieSink | number {
  const file = task.files.get(fd);
  if (file === null) return -EBADF;
  if (!(file instanceof SocketFile)) return -ENOTSOCK;
  if (!(file.socket instanceof NetlinkSocket)) return -EINVAL;
  const { socket } = file;
  file.retain();
  return { deliver: (cookie) => socket.deliver(cookie), release: () => file.release() };
}

/** mq_notify implements Linux syscall mq_notify(2). */
export function mqNotify(task: Task, args: SyscallArguments): number {
  if (args[1] === 0) {
    const file = queueFile(task, args[0], -1);
    if (file === null) return -EBADF;
    if (file.mq.notification?.group === task.group) file.mq.removeNotification();
    return 0;
  }
  const view = task.memory.readStruct(args[1], 64);
  if (view === null) return -EFAULT;
  const value = read64(view, 0);
  const signal = view.getInt32(8, true);
  const notify = view.getInt32(12, true);
  if (notify !== SIGEV_NONE && notify !== SIGEV_SIGNAL && notify !== SIGEV_THREAD) return -EINVAL;
  if (notify === SIGEV_SIGNAL && (signal < 0 || signal > SIGRTMAX)) return -EINVAL;
  let cookie: Uint8Array | null = null;
  let sink: CookieSink | null = null;
  if (notify === SIGEV_THREAD) {
    cookie = new Uint8Array(IPC.NOTIFY_COOKIE_BYTES);
    if (task.memory.copyIn(value, cookie, 0, cookie.length) < cookie.length) return -EFAULT;
    const found = cookieSink(task, signal);
    if (typeof found === 'number') return found;
    sink = found;
  }
  const file = queueFile(task, args[0], -1);
  if (file === null || file.mq.notification !== null) {
    sink?.release();
    return file === null ? -EBADF : -EBUSY;
  }
  file.mq.notification = { group: task.group, table: task.files, notify, signal, value, cookie, sink };
  return 0;
}

/** mq_getsetattr implements Linux syscall mq_getsetattr(2): only O_NONBLOCK can be changed. */
export function mqGetsetattr(task: Task, args: SyscallArguments): number {
  let flags: number | null = null;
  if (args[1] !== 0) {
    const view = task.memory.readStruct(args[1], IPC.MQ_ATTR_BYTES);
    if (view === null) return -EFAULT;
    flags = read64(view, 0);
    if (flags !== 0 && flags !== O_NONBLOCK) return -EINVAL;
  }
  const file = queueFile(task, args[0], -1);
  if (file === null) return -EBADF;
  const queue = file.mq;
  const old = file.flags & O_NONBLOCK;
  if (flags !== null) file.flags = (file.flags & ~O_NONBLOCK) | flags;
  if (args[2] === 0) return 0;
  const view = task.memory.scratch(IPC.MQ_ATTR_BYTES);
  setU64(view, 0, old);
  setU64(view, 8, queue.maxMessages);
  setU64(view, 16, queue.messageSize);
  setU64(view, 24, queue.messages.length);
  return task.memory.writeStruct(args[2], IPC.MQ_ATTR_BYTES) ? 0 : -EFAULT;
}
