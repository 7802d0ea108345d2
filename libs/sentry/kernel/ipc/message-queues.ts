import { E2BIG, EIDRM } from '../../abi/errno.js';
import { MSGMNB, MSGMNI } from '../../abi/ipc.js';
import { kernelBuffers } from '../../net/kernel-buffers.js';
import type { Bytes } from '../../platform/platform.js';
import type { Credentials } from '../../vfs/types.js';
import type { Task } from '../task.js';
import type { IpcEnvironment } from './environment.js';
import { IpcObject, IpcTable } from './identifiers.js';
import { IpcWaiter } from './waiter.js';

/** What a queued message costs the Sentry besides its text, against the cap of kernel memory. */
const OVERHEAD: Bytes = 128;

export interface Message {
  readonly type: number;
  readonly text: Uint8Array;
}

/** Which messages msgrcv(2) takes. */
export interface MessageFilter {
  readonly mode: 'any' | 'equal' | 'not-equal' | 'at-most' | 'number';
  /** Type, or for `number` (MSG_COPY) the position in the queue. */
  readonly type: number;
}

function matches({ mode, type }: MessageFilter, message: Message): boolean {
  switch (mode) {
    case 'equal':
      return message.type === type;
    case 'not-equal':
      return message.type !== type;
    case 'at-most':
      return message.type <= type;
    default:
      return true;
  }
}

export class MessageReceiver extends IpcWaiter {
  message: Message | null = null;

  constructor(
    task: Task,
    readonly filter: MessageFilter,
    /** Longer messages answer E2BIG (Infinity with MSG_NOERROR). */
    readonly capacity: Bytes,
  ) {
    super(task);
  }
}

export class MessageSender extends IpcWaiter {
  constructor(
    task: Task,
    readonly message: Message,
  ) {
    super(task);
  }
}

/** Kernel memory for a message of `length` bytes, or null at the cap (ENOMEM). `discardMessage` gives it back. */
export function newMessage(type: number, length: Bytes): Message | null {
  return kernelBuffers.charge(length + OVERHEAD) ? { type, text: new Uint8Array(length) } : null;
}

export function discardMessage(message: Message): void {
  kernelBuffers.uncharge(message.text.length + OVERHEAD);
}

/** A System V message queue (struct msg_queue). */
export class MessageQueue extends IpcObject {
  readonly messages: Message[] = [];
  /** Bytes of text in the queue, and how many it takes. */
  bytes: Bytes = 0;
  capacity: Bytes = MSGMNB;
  sendTime = 0;
  receiveTime = 0;
  changeTime: number;
  lastSender = 0;
  lastReceiver = 0;
  readonly receivers: MessageReceiver[] = [];
  readonly senders: MessageSender[] = [];

  constructor(
    key: number,
    mode: number,
    credentials: Credentials,
    private readonly environment: IpcEnvironment,
  ) {
    super(key, mode, credentials);
    this.changeTime = environment.seconds();
  }

  fits(length: Bytes): boolean {
    return this.bytes + length <= this.capacity && this.messages.length + 1 <= this.capacity;
  }

  /** Puts a message in, or hands it to whoever waits for such a one. Precondition: it fits. */
  send(message: Message, pid: number): void {
    this.lastSender = pid;
    this.sendTime = this.environment.seconds();
    const { receivers } = this;
    for (let at = 0; at < receivers.length; ) {
      const receiver = receivers[at];
      if (!matches(receiver.filter, message)) {
        at++;
        continue;
      }
      receivers.splice(at, 1);
      if (message.text.length > receiver.capacity) {
        receiver.finish(-E2BIG);
        continue;
      }
      this.lastReceiver = receiver.task.group.pid;
      this.receiveTime = this.environment.seconds();
      receiver.message = message;
      receiver.finish(0);
      return;
    }
    this.messages.push(message);
    this.bytes += message.text.length;
  }

  /** The message msgrcv(2) would take: its position, or -1. With `at-most` the lowest type, the first of these. */
  find(filter: MessageFilter): number {
    const { messages } = this;
    if (filter.mode === 'number') return filter.type < messages.length ? filter.type : -1;
    let best = -1;
    for (let at = 0; at < messages.length; at++) {
      if (!matches(filter, messages[at])) continue;
      if (filter.mode !== 'at-most') return at;
      if (best < 0 || messages[at].type < messages[best].type) best = at;
    }
    return best;
  }

  /** Takes a message out; blocked senders get its room. */
  take(position: number, pid: number): Message {
    const [message] = this.messages.splice(position, 1);
    this.bytes -= message.text.length;
    this.lastReceiver = pid;
    this.receiveTime = this.environment.seconds();
    this.admitSenders();
    return message;
  }

  /** Lets blocked senders in, in their order, as far as there is room. */
  admitSenders(): void {
    const { senders } = this;
    while (senders.length > 0 && this.fits(senders[0].message.text.length)) {
      const sender = senders.shift() as MessageSender;
      this.send(sender.message, sender.task.group.pid);
      sender.finish(0);
    }
  }
}

/** All System V message queues of the sandbox. Messages count against the Sentry's cap of kernel memory. */
export class MessageQueues {
  readonly table = new IpcTable<MessageQueue>(MSGMNI);

  constructor(readonly environment: IpcEnvironment) {}

  /** IPC_RMID: messages are lost, whoever waits gets EIDRM. */
  remove(queue: MessageQueue): void {
    this.table.remove(queue);
    for (const message of queue.messages.splice(0)) discardMessage(message);
    for (const receiver of queue.receivers.splice(0)) receiver.finish(-EIDRM);
    for (const sender of queue.senders.splice(0)) sender.finish(-EIDRM);
  }
}
