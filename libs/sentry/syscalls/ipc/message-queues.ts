import { CAP_SYS_RESOURCE } from '../../abi/capability.js';
import { E2BIG, EAGAIN, EFAULT, EINVAL, ENOMEM, ENOMSG, EPERM, ERESTARTNOHAND } from '../../abi/errno.js';
import * as IPC from '../../abi/ipc.js';
import { obtain } from '../../kernel/ipc/identifiers.js';
import {
  discardMessage,
  type Message,
  type MessageFilter,
  MessageQueue,
  MessageReceiver,
  MessageSender,
  newMessage,
} from '../../kernel/ipc/message-queues.js';
import { awaitTurn } from '../../kernel/ipc/waiter.js';
import type { Task } from '../../kernel/task.js';
import { BLOCKED, type SyscallArguments } from '../../kernel/types.js';
import { readOwner, setU64, writePermissions } from './support.js';

const READ_ALL = 0o444;
const WRITE_ALL = 0o222;
const LONG_MAX = 2 ** 63;

/** msgget implements Linux syscall msgget(2). */
export function msgget(task: Task, args: SyscallArguments): number {
  const key = args[0] | 0;
  const flags = args[1] | 0;
  const { table, environment } = task.kernel.ipc.messageQueues;
  return table.get(
    key,
    flags,
    task.credentials,
    () => 0,
    () => new MessageQueue(key, flags & 0o777, task.credentials, environment),
  );
}

interface SendWait {
  readonly queue: MessageQueue;
  readonly sender: MessageSender;
}

function awaitSend({ queue, sender }: SendWait): number {
  const result = awaitTurn(sender, queue.senders, Number.POSITIVE_INFINITY, 0, -ERESTARTNOHAND);
  if (result !== BLOCKED && result !== 0) discardMessage(sender.message);
  return result;
}

/** msgsnd implements Linux syscall msgsnd(2). */
export function msgsnd(task: Task, args: SyscallArguments): number {
  if (task.state !== null) return awaitSend(task.state as SendWait);
  const id = args[0] | 0;
  const address = args[1];
  const size = args[2];
  const flags = args[3] | 0;
  const type = task.memory.readU64(address);
  if (Number.isNaN(type)) return -EFAULT;
  if (size > IPC.MSGMAX || size < 0 || id < 0) return -EINVAL;
  if (type < 1) return -EINVAL;
  const message = newMessage(type, size);
  if (message === null) return -ENOMEM;
  const result = send(task, id, address + 8, message, flags);
  if (result !== BLOCKED && result !== 0) discardMessage(message);
  return result;
}

function send(task: Task, id: number, text: number, message: Message, flags: number): number {
  const { length } = message.text;
  if (task.memory.copyIn(text, message.text, 0, length) < length) return -EFAULT;
  const queue = obtain(task.kernel.ipc.messageQueues.table, id, WRITE_ALL, task.credentials);
  if (typeof queue === 'number') return queue;
  // Nobody overtakes those who wait.
  if (queue.senders.length === 0 && queue.fits(length)) {
    queue.send(message, task.group.pid);
    return 0;
  }
  if ((flags & IPC.IPC_NOWAIT) !== 0) return -EAGAIN;
  const sender = new MessageSender(task, message);
  const parked = task.park(Number.POSITIVE_INFINITY, -ERESTARTNOHAND);
  if (parked !== BLOCKED) return parked;
  queue.senders.push(sender);
  task.setState({ queue, sender } satisfies SendWait);
  return BLOCKED;
}

interface ReceiveWait {
  readonly queue: MessageQueue;
  readonly receiver: MessageReceiver;
}

function filterOf(type: number, flags: number): MessageFilter {
  if ((flags & IPC.MSG_COPY) !== 0) return { mode: 'number', type };
  if (type === 0) return { mode: 'any', type };
  if (type < 0) return { mode: 'at-most', type: Math.min(-type, LONG_MAX) };
  return { mode: (flags & IPC.MSG_EXCEPT) !== 0 ? 'not-equal' : 'equal', type };
}

/** Copies a message out: its length there, or -EFAULT (it is lost then, as in Linux). */
function deliver(task: Task, address: number, message: Message, size: number): number {
  if (!task.memory.writeU64(address, message.type)) return -EFAULT;
  const length = Math.min(size, message.text.length);
  return task.memory.copyOut(address + 8, message.text, 0, length) === length ? length : -EFAULT;
}

function awaitReceive(task: Task, args: SyscallArguments, { queue, receiver }: ReceiveWait): number {
  const result = awaitTurn(receiver, queue.receivers, Number.POSITIVE_INFINITY, 0, -ERESTARTNOHAND);
  const { message } = receiver;
  if (result === BLOCKED || message === null) return result;
  receiver.message = null;
  discardMessage(message);
  return deliver(task, args[1], message, args[2]);
}

/** msgrcv implements Linux syscall msgrcv(2). */
export function msgrcv(task: Task, args: SyscallArguments): number {
  if (task.state !== null) return awaitReceive(task, args, task.state as ReceiveWait);
  const id = args[0] | 0;
  const address = args[1];
  const size = args[2];
  const flags = args[4] | 0;
  if (id < 0 || size < 0) return -EINVAL;
  const copy = (flags & IPC.MSG_COPY) !== 0;
  if (copy && ((flags & IPC.MSG_EXCEPT) !== 0 || (flags & IPC.IPC_NOWAIT) === 0)) return -EINVAL;
  const queue = obtain(task.kernel.ipc.messageQueues.table, id, READ_ALL, task.credentials);
  if (typeof queue === 'number') return queue;
  const filter = filterOf(args[3], flags);
  const position = queue.find(filter);
  if (position >= 0) {
    if (size < queue.messages[position].text.length && (flags & IPC.MSG_NOERROR) === 0) return -E2BIG;
    if (copy) return deliver(task, address, queue.messages[position], size);
    const message = queue.take(position, task.group.pid);
    discardMessage(message);
    return deliver(task, address, message, size);
  }
  if ((flags & IPC.IPC_NOWAIT) !== 0) return -ENOMSG;
  const parked = task.park(Number.POSITIVE_INFINITY, -ERESTARTNOHAND);
  if (parked !== BLOCKED) return parked;
  const capacity = (flags & IPC.MSG_NOERROR) !== 0 ? Number.POSITIVE_INFINITY : size;
  const receiver = new MessageReceiver(task, filter, capacity);
  queue.receivers.push(receiver);
  task.setState({ queue, receiver } satisfies ReceiveWait);
  return BLOCKED;
}

function writeStatus(task: Task, address: number, queue: MessageQueue): boolean {
  const view = task.memory.scratch(IPC.MSQID_DS_BYTES);
  writePermissions(view, queue);
  setU64(view, 48, queue.sendTime);
  setU64(view, 56, queue.receiveTime);
  setU64(view, 64, queue.changeTime);
  setU64(view, 72, queue.bytes);
  setU64(view, 80, queue.messages.length);
  setU64(view, 88, queue.capacity);
  view.setInt32(96, queue.lastSender, true);
  view.setInt32(100, queue.lastReceiver, true);
  return task.memory.writeStruct(address, IPC.MSQID_DS_BYTES);
}

function writeInfo(task: Task, address: number, usage: boolean): number {
  const { table } = task.kernel.ipc.messageQueues;
  let messages = 0;
  let bytes = 0;
  for (const queue of table) {
    messages += queue.messages.length;
    bytes += queue.bytes;
  }
  const view = task.memory.scratch(IPC.MSGINFO_BYTES);
  const fields = [
    usage ? table.inUse : (IPC.MSGMNI * IPC.MSGMNB) / 1024, // msgpool
    usage ? messages : IPC.MSGMNB, // msgmap
    IPC.MSGMAX,
    IPC.MSGMNB,
    IPC.MSGMNI,
    16, // msgssz
    usage ? bytes : IPC.MSGMNB, // msgtql
  ];
  for (const [index, value] of fields.entries()) view.setInt32(index * 4, value, true);
  view.setUint16(28, 0xffff, true); // msgseg
  return task.memory.writeStruct(address, IPC.MSGINFO_BYTES) ? table.highest() : -EFAULT;
}

function change(task: Task, id: number, address: number): number {
  const view = task.memory.readStruct(address, IPC.MSQID_DS_BYTES);
  if (view === null) return -EFAULT;
  const { uid, gid, mode } = readOwner(view);
  const capacity = view.getUint32(92, true) * 0x1_0000_0000 + view.getUint32(88, true);
  const queue = task.kernel.ipc.messageQueues.table.find(id);
  if (!queue) return -EINVAL;
  const refused = queue.mayControl(task.credentials);
  if (refused) return refused;
  if (capacity > IPC.MSGMNB && !task.capable(CAP_SYS_RESOURCE)) return -EPERM;
  queue.setOwner(uid, gid, mode);
  queue.capacity = capacity;
  queue.changeTime = task.kernel.clock.realtimeSeconds();
  queue.admitSenders();
  return 0;
}

/** msgctl implements Linux syscall msgctl(2). */
export function msgctl(task: Task, args: SyscallArguments): number {
  const id = args[0] | 0;
  const command = args[1] | 0;
  const address = args[2];
  if (id < 0 || command < 0) return -EINVAL;
  const { messageQueues } = task.kernel.ipc;
  const { table } = messageQueues;
  switch (command) {
    case IPC.IPC_INFO:
    case IPC.MSG_INFO:
      return writeInfo(task, address, command === IPC.MSG_INFO);
    case IPC.IPC_STAT:
    case IPC.MSG_STAT:
    case IPC.MSG_STAT_ANY: {
      const queue = command === IPC.IPC_STAT ? table.find(id) : table.at(id);
      if (!queue) return -EINVAL;
      const refused = command === IPC.MSG_STAT_ANY ? 0 : queue.access(READ_ALL, task.credentials);
      if (refused) return refused;
      if (!writeStatus(task, address, queue)) return -EFAULT;
      return command === IPC.IPC_STAT ? 0 : queue.id;
    }
    case IPC.IPC_SET:
      return change(task, id, address);
    case IPC.IPC_RMID: {
      const queue = table.find(id);
      if (!queue) return -EINVAL;
      const refused = queue.mayControl(task.credentials);
      if (refused) return refused;
      messageQueues.remove(queue);
      return 0;
    }
    default:
      return -EINVAL;
  }
}
