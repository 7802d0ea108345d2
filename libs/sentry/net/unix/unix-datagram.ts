import {
  EAGAIN,
  ECONNREFUSED,
  EINVAL,
  EISCONN,
  EMSGSIZE,
  ENOTCONN,
  EOPNOTSUPP,
  EPERM,
  EPIPE,
  EPROTOTYPE,
} from '../../abi/errno.js';
import { AF_UNIX, MSG_OOB, MSG_PEEK, SHUT_RD, SHUT_RDWR, SHUT_WR, SO_PASSCRED, SOCK_DGRAM } from '../../abi/socket.js';
import type { IoBuffer } from '../../mm/types.js';
import type { Inode } from '../../vfs/types.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from '../../vfs/wait-queue.js';
import { Ancillary } from '../ancillary.js';
import { MessageQueue } from '../message-queue.js';
import { credentialsOf, type Received, Socket, SocketAddress, type SocketCaller } from '../socket.js';
import { UnixBinding } from './unix-binding.js';
import { putUnixAddress } from './unix-name.js';
import type { UnixNames } from './unix-names.js';

/** net.unix.max_dgram_qlen: a receiver with this many messages makes senders wait. */
const MAX_QUEUED = 10;

/** AF_UNIX, SOCK_DGRAM: reliable datagrams. */
export class UnixDatagramSocket extends Socket {
  readonly family = AF_UNIX;
  readonly type = SOCK_DGRAM;
  readonly protocol = 0;
  private readonly binding: UnixBinding;
  private readonly messages = new MessageQueue(1 << 20);
  private target: UnixDatagramSocket | null = null;
  private targetName = '';
  /** Who is connected to this: told when it closes. */
  private readonly connectedFrom = new Set<UnixDatagramSocket>();
  /** Senders that found the queue full. */
  private readonly blocked = new Set<UnixDatagramSocket>();
  private readonly ownAddress = new SocketAddress();
  private closed = false;

  constructor(readonly names: UnixNames) {
    super();
    this.binding = new UnixBinding(names, this);
  }

  get boundName(): string {
    return this.binding.name;
  }
  bindAbstract(name: string): number {
    return this.binding.bindAbstract(name);
  }
  bindInode(name: string, inode: Inode): void {
    this.binding.bindInode(name, inode);
  }

  connectTo(target: Socket | null, _caller: SocketCaller): number {
    if (target && !(target instanceof UnixDatagramSocket)) return -EPROTOTYPE;
    if (target && !target.accepts(this)) return -EPERM;
    this.disconnect();
    if (!target) return 0;
    this.target = target;
    this.targetName = target.boundName;
    target.connectedFrom.add(this);
    return 0;
  }

  /** socketpair(2). */
  pair(other: UnixDatagramSocket, caller: SocketCaller): void {
    this.connectTo(other, caller);
    other.connectTo(this, caller);
    this.peerCredentials = credentialsOf(caller);
    other.peerCredentials = this.peerCredentials;
  }

  /** Send to where `to` led; null: to whom this is connected. */
  sendTo(io: IoBuffer, flags: number, to: Socket | null, ancillary: Ancillary | null, caller: SocketCaller): number {
    if (flags & MSG_OOB) return -EOPNOTSUPP;
    if (this.error !== 0) return this.takeError();
    if (to && !(to instanceof UnixDatagramSocket)) return -EPROTOTYPE;
    const target = to ?? this.target;
    if (!target) return -ENOTCONN;
    if (this.shutWrite) return -EPIPE;
    if (target.closed) {
      if (target === this.target) this.disconnect();
      return -ECONNREFUSED;
    }
    if (!target.accepts(this)) return -EPERM;
    if (target.shutRead) return -EPIPE;
    if (io.remaining > this.sendBuffer - 32) return -EMSGSIZE;
    if (target.full && target !== this) {
      target.blocked.add(this);
      return -EAGAIN;
    }
    if (!ancillary?.credentials && (this.option(SO_PASSCRED) || target.option(SO_PASSCRED)))
      ancillary = new Ancillary(ancillary ? ancillary.rights : null, credentialsOf(caller));
    putUnixAddress(this.ownAddress, this.boundName);
    if (this.boundName === '') this.ownAddress.length = 0;
    const sent = target.messages.append(io, this.ownAddress, ancillary);
    if (sent >= 0) target.waitQueue.wake(POLLIN | POLLRDNORM);
    else if (sent === -EAGAIN) target.blocked.add(this);
    return sent;
  }

  send(io: IoBuffer, flags: number, to: SocketAddress, ancillary: Ancillary | null, caller: SocketCaller): number {
    // Addresses are resolved by the system call, which then uses sendTo.
    if (to.length > 0) return -EISCONN;
    return this.sendTo(io, flags, null, ancillary, caller);
  }

  receive(io: IoBuffer, flags: number, out: Received): number {
    if (flags & MSG_OOB) return -EOPNOTSUPP;
    if (this.messages.count > 0) {
      const result = this.messages.take(io, flags, out);
      if (!(flags & MSG_PEEK)) this.roomChanged();
      return result;
    }
    if (this.error !== 0) return this.takeError();
    return this.shutRead ? 0 : -EAGAIN;
  }

  name(out: SocketAddress): number {
    return putUnixAddress(out, this.boundName);
  }
  peerName(out: SocketAddress): number {
    if (!this.target) return -ENOTCONN;
    return putUnixAddress(out, this.targetName);
  }

  shutdown(how: number): number {
    if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
    if (how !== SHUT_WR) this.shutRead = true;
    if (how !== SHUT_RD) this.shutWrite = true;
    this.waitQueue.wake(POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | POLLHUP);
    this.roomChanged();
    return 0;
  }

  poll(): number {
    let events = 0;
    if (this.error !== 0) events |= POLLERR;
    if (this.shutRead) events |= POLLIN | POLLRDNORM | POLLRDHUP;
    if (this.shutRead && this.shutWrite) events |= POLLHUP;
    if (this.messages.count > 0) events |= POLLIN | POLLRDNORM;
    if (this.target?.full) this.target.blocked.add(this);
    else events |= POLLOUT | POLLWRNORM;
    return events;
  }

  readable(): number {
    return this.messages.nextLength;
  }

  close(): void {
    this.closed = true;
    this.disconnect();
    this.messages.clear();
    this.binding.release();
    // Who is connected to this learns of it by its next send.
    this.connectedFrom.clear();
    this.roomChanged();
  }

  private get full(): boolean {
    return this.messages.count > MAX_QUEUED;
  }

  /** One that is connected takes messages from its peer only. */
  private accepts(sender: UnixDatagramSocket): boolean {
    return this.target === null || this.target === sender;
  }

  private disconnect(): void {
    this.target?.connectedFrom.delete(this);
    this.target?.blocked.delete(this);
    this.target = null;
    this.targetName = '';
  }

  private roomChanged(): void {
    if (this.blocked.size === 0 || (this.full && !this.closed)) return;
    for (const sender of this.blocked) sender.waitQueue.wake(POLLOUT | POLLWRNORM);
    this.blocked.clear();
  }
}
