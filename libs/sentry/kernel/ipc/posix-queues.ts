import { EACCES, EEXIST, EINVAL, EMFILE, ENAMETOOLONG, ENOENT, ENOSPC, EPERM } from '../../abi/errno.js';
import { O_ACCMODE, O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_WRONLY, R_OK, W_OK } from '../../abi/fcntl.js';
import { MQ_PRIO_MAX, MQ_QUEUES_MAX } from '../../abi/ipc.js';
import { SI_MESGQ, SIGEV_SIGNAL, SIGEV_THREAD } from '../../abi/signal.js';
import { S_IFREG } from '../../abi/stat.js';
import type { IoBuffer } from '../../mm/types.js';
import { kernelBuffers } from '../../net/kernel-buffers.js';
import type { Bytes } from '../../platform/platform.js';
import { AnonymousFile, AnonymousInode, PSEUDO_FILE_SYSTEMS } from '../../vfs/anonymous-file.js';
import { CAP_FOWNER, checkAccess, hasCapability } from '../../vfs/permissions.js';
import type { Caller, Credentials, FileDescription, Path, Stat } from '../../vfs/types.js';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, WaitQueue } from '../../vfs/wait-queue.js';
import { signalInfo } from '../signals/pending.js';
import type { Task } from '../task.js';
import type { ThreadGroup } from '../thread-group.js';
import { IpcWaiter } from './waiter.js';

/** sizeof struct msg_msg and struct posix_msg_tree_node: what Linux counts for a message against RLIMIT_MSGQUEUE. */
const MESSAGE_HEADER: Bytes = 48;
const NAME_MAX = 255;
/** What stat(2) shows as a queue's size (FILENT_SIZE). */
const STATUS_BYTES: Bytes = 80;

export interface PosixMessage {
  readonly priority: number;
  readonly text: Uint8Array;
}

/** Where SIGEV_THREAD's cookie goes: a netlink socket of the C library. */
export interface CookieSink {
  deliver(cookie: Uint8Array): void;
  /** Gives the reference to the socket's file back. */
  release(): void;
}

/** mq_notify(3): who is told of a message that arrives at the empty queue, once. */
export interface QueueNotification {
  readonly group: ThreadGroup;
  /** Descriptor table of the process: closing any descriptor of the queue ends the notification. */
  readonly table: object;
  readonly notify: number;
  readonly signal: number;
  readonly value: number;
  readonly cookie: Uint8Array | null;
  readonly sink: CookieSink | null;
}

export class PosixReceiver extends IpcWaiter {
  message: PosixMessage | null = null;
}

export class PosixSender extends IpcWaiter {
  constructor(
    task: Task,
    readonly message: PosixMessage,
  ) {
    super(task);
  }
}

/** Bytes a queue counts for against RLIMIT_MSGQUEUE. */
export function queueCost(maxMessages: number, messageSize: Bytes): Bytes {
  const nodes = Math.min(maxMessages, MQ_PRIO_MAX) * MESSAGE_HEADER;
  return maxMessages * MESSAGE_HEADER + nodes + maxMessages * messageSize;
}

/** A POSIX message queue: an inode of the mqueue file system. */
export class PosixQueue extends AnonymousInode {
  /** Highest priority first, in order of arrival within one. */
  readonly messages: PosixMessage[] = [];
  bytes: Bytes = 0;
  readonly receivers: PosixReceiver[] = [];
  readonly senders: PosixSender[] = [];
  /** Of all open files of the queue. */
  readonly waitQueue = new WaitQueue();
  notification: QueueNotification | null = null;
  /** Open files; an unlinked queue lives until the last is closed. */
  opened = 0;
  linked = true;
  private readonly accountedUid: number;

  constructor(
    readonly name: string,
    number: number,
    mode: number,
    caller: Caller,
    readonly maxMessages: number,
    readonly messageSize: Bytes,
    private readonly queues: PosixQueues,
  ) {
    super(PSEUDO_FILE_SYSTEMS.mqueue, number, S_IFREG | mode);
    this.uid = caller.credentials.fsuid;
    this.gid = caller.credentials.fsgid;
    this.accountedUid = caller.credentials.uid;
    queues.account(this.accountedUid, queueCost(maxMessages, messageSize));
  }

  /** By its name in /dev/mqueue: what comes of it can be used as a descriptor of mq_open(2), too. */
  override open(_path: Path, flags: number, _caller: Caller): FileDescription | number {
    return new PosixQueueFile(this, flags & (O_ACCMODE | O_NONBLOCK));
  }

  override stat(out: Stat): void {
    super.stat(out);
    out.size = STATUS_BYTES;
    out.links = this.linked ? 1 : 0;
  }

  get isFull(): boolean {
    return this.messages.length >= this.maxMessages;
  }

  /** Hands the message to the first receiver, or keeps it. Precondition: the queue is not full. */
  send(message: PosixMessage, sender: Task): void {
    const receiver = this.receivers.shift();
    if (receiver) {
      receiver.message = message;
      receiver.finish(0);
      return;
    }
    this.insert(message);
    if (this.messages.length === 1) this.notify(sender);
    this.waitQueue.wake(POLLIN | POLLRDNORM);
  }

  private insert(message: PosixMessage): void {
    const { messages } = this;
    let at = messages.length;
    while (at > 0 && messages[at - 1].priority < message.priority) at--;
    messages.splice(at, 0, message);
    this.bytes += message.text.length;
  }

  /** Takes the first message; a waiting sender's takes its room. Precondition: there is one. */
  take(): PosixMessage {
    const message = this.messages.shift() as PosixMessage;
    this.bytes -= message.text.length;
    const sender = this.senders.shift();
    if (sender) {
      this.insert(sender.message);
      sender.finish(0);
    } else {
      this.waitQueue.wake(POLLOUT | POLLWRNORM);
    }
    return message;
  }

  private notify(sender: Task): void {
    const { notification } = this;
    if (notification === null) return;
    this.notification = null;
    const { group, notify, signal, value, cookie, sink } = notification;
    if (notify === SIGEV_SIGNAL && group.state !== 'dead' && group.state !== 'zombie') {
      const info = signalInfo(signal, SI_MESGQ, sender.group.pid, sender.credentials.uid);
      info.value = value;
      group.sendSignal(info);
    } else if (notify === SIGEV_THREAD && cookie !== null) {
      cookie[31] = 1; // NOTIFY_WOKENUP
      sink?.deliver(cookie);
    }
    sink?.release();
  }

  /** mq_notify(NULL), close, exit: SIGEV_THREAD's helper is told. */
  removeNotification(): void {
    const { notification } = this;
    if (notification === null) return;
    this.notification = null;
    if (notification.cookie !== null) {
      notification.cookie[31] = 2; // NOTIFY_REMOVED
      notification.sink?.deliver(notification.cookie);
    }
    notification.sink?.release();
  }

  /** Frees the queue once nothing names it. */
  releaseIfUnused(): void {
    if (this.linked || this.opened > 0) return;
    for (const message of this.messages.splice(0)) discardPosixMessage(message);
    this.queues.account(this.accountedUid, -queueCost(this.maxMessages, this.messageSize));
  }

  /** What read(2) answers. */
  status(): string {
    const n = this.notification;
    const field = (value: number, width: number): string => String(value).padEnd(width);
    return `QSIZE:${field(this.bytes, 10)} NOTIFY:${field(n?.notify ?? 0, 5)} SIGNO:${field(
      n?.notify === SIGEV_SIGNAL ? n.signal : 0,
      5,
    )} NOTIFY_PID:${field(n?.group.pid ?? 0, 6)}\n`;
  }
}

/** Kernel memory for a message, or null at the Sentry's cap (ENOMEM). */
export function newPosixMessage(priority: number, length: Bytes): PosixMessage | null {
  return kernelBuffers.charge(length + MESSAGE_HEADER) ? { priority, text: new Uint8Array(length) } : null;
}

export function discardPosixMessage(message: PosixMessage): void {
  kernelBuffers.uncharge(message.text.length + MESSAGE_HEADER);
}

/** An open message queue. */
export class PosixQueueFile extends AnonymousFile {
  private position = 0;

  constructor(
    readonly mq: PosixQueue,
    flags: number,
  ) {
    super(flags, mq.path(PSEUDO_FILE_SYSTEMS.mqueue.mount), mq.waitQueue);
    mq.opened++;
  }

  get displayName(): string {
    return `/${this.mq.name}${this.mq.linked ? '' : ' (deleted)'}`;
  }

  override read(io: IoBuffer, _caller: Caller): number {
    const text = Buffer.from(this.mq.status(), 'latin1');
    const left = text.length - this.position;
    if (left <= 0) return 0;
    const copied = io.put(text, this.position, Math.min(left, io.remaining));
    this.position += copied;
    return copied;
  }

  poll(): number {
    const { mq } = this;
    return (mq.messages.length > 0 ? POLLIN | POLLRDNORM : 0) | (mq.isFull ? 0 : POLLOUT | POLLWRNORM);
  }

  /** A process closes one of its descriptors. */
  flush(table: object): void {
    if (this.mq.notification?.table === table) this.mq.removeNotification();
  }

  protected override close(): void {
    this.mq.opened--;
    this.mq.releaseIfUnused();
  }
}

/** Names of the mqueue file system: a directory of mode 1777 that belongs to root. */
export class PosixQueues {
  private readonly byName = new Map<string, PosixQueue>();
  /** Bytes by real user, against RLIMIT_MSGQUEUE. */
  private readonly used = new Map<number, Bytes>();

  account(uid: number, bytes: Bytes): void {
    this.used.set(uid, this.usedBy(uid) + bytes);
  }

  usedBy(uid: number): Bytes {
    return this.used.get(uid) ?? 0;
  }

  exists(name: string): boolean {
    return this.byName.has(name);
  }

  /**
   * mq_open(2), the name without its slash. `attributes` null: the defaults. -EACCES, -ENOENT, -EEXIST, -ENAMETOOLONG,
   * -ENOSPC (too many queues), -EMFILE (RLIMIT_MSGQUEUE), -EINVAL.
   */
  open(
    caller: Caller,
    name: string,
    flags: number,
    mode: number,
    attributes: { maxMessages: number; messageSize: Bytes },
    limit: Bytes,
    number: () => number,
  ): PosixQueueFile | number {
    const refused = checkName(name);
    if (refused) return refused;
    const kept = flags & (O_ACCMODE | O_NONBLOCK);
    const known = this.byName.get(name);
    if (known) {
      if ((flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL)) return -EEXIST;
      const access = flags & O_ACCMODE;
      if (access === O_ACCMODE) return -EINVAL;
      const wanted = access === O_RDONLY ? R_OK : access === O_WRONLY ? W_OK : R_OK | W_OK;
      return checkAccess(known, wanted, caller.credentials) || new PosixQueueFile(known, kept);
    }
    if ((flags & O_CREAT) === 0) return -ENOENT;
    const queue = this.create(caller, name, mode & ~caller.umask & 0o7777, attributes, limit, number);
    return typeof queue === 'number' ? queue : new PosixQueueFile(queue, kept);
  }

  /** A new queue; `mode` are its permissions. -ENAMETOOLONG, -ENOSPC (too many queues), -EMFILE (RLIMIT_MSGQUEUE). */
  create(
    caller: Caller,
    name: string,
    mode: number,
    { maxMessages, messageSize }: { maxMessages: number; messageSize: Bytes },
    limit: Bytes,
    number: () => number,
  ): PosixQueue | number {
    const refused = checkName(name);
    if (refused) return refused;
    if (this.byName.size >= MQ_QUEUES_MAX) return -ENOSPC;
    if (this.usedBy(caller.credentials.uid) + queueCost(maxMessages, messageSize) > limit) return -EMFILE;
    const queue = new PosixQueue(name, number(), mode, caller, maxMessages, messageSize, this);
    this.byName.set(name, queue);
    return queue;
  }

  find(name: string): PosixQueue | undefined {
    return this.byName.get(name);
  }

  all(): Iterable<PosixQueue> {
    return this.byName.values();
  }

  /** mq_unlink(2): -ENOENT, -EACCES, -EPERM (sticky directory). */
  unlink(name: string, credentials: Credentials): number {
    const refused = checkName(name);
    if (refused) return refused;
    const queue = this.byName.get(name);
    if (!queue) return -ENOENT;
    if (credentials.fsuid !== queue.uid && credentials.fsuid !== 0 && !hasCapability(credentials, CAP_FOWNER)) {
      return -EPERM;
    }
    return this.remove(name);
  }

  /** Takes the name away: 0 or -ENOENT. */
  remove(name: string): number {
    const queue = this.byName.get(name);
    if (!queue) return -ENOENT;
    this.byName.delete(name);
    queue.linked = false;
    queue.releaseIfUnused();
    return 0;
  }
}

function checkName(name: string): number {
  if (name === '') return -ENOENT;
  if (name.length > NAME_MAX) return -ENAMETOOLONG;
  return name === '.' || name === '..' || name.includes('/') ? -EACCES : 0;
}
