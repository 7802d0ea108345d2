import { EAGAIN, ECONNREFUSED, EINVAL, EISCONN, EMSGSIZE, ENOTCONN, EOPNOTSUPP, EPIPE } from '../../abi/errno.js';
import { AF_UNIX, MSG_OOB, MSG_PEEK, SO_PASSCRED, SOCK_SEQPACKET } from '../../abi/socket.js';
import type { IoBuffer } from '../../mm/types.js';
import type { Inode } from '../../vfs/types.js';
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from '../../vfs/wait-queue.js';
import { Ancillary } from '../ancillary.js';
import { ConnectionSocket, ConnectionState } from '../connection-socket.js';
import { MessageQueue } from '../message-queue.js';
import { credentialsOf, type Received, type Socket, type SocketAddress, type SocketCaller } from '../socket.js';
import { UnixBinding } from './unix-binding.js';
import { putUnixAddress } from './unix-name.js';
import type { UnixNames } from './unix-names.js';
import { closeUnixConnection, connectUnix } from './unix-stream.js';

/** AF_UNIX, SOCK_SEQPACKET: a connection that keeps message boundaries. */
export class UnixSeqpacketSocket extends ConnectionSocket {
  readonly family = AF_UNIX;
  readonly type = SOCK_SEQPACKET;
  readonly protocol = 0;
  readonly binding: UnixBinding;
  peerBoundName = '';
  private readonly messages = new MessageQueue(212992);

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

  override listen(backlog: number, caller: SocketCaller): number {
    if (this.boundName === '') return -EINVAL;
    return super.listen(backlog, caller);
  }

  connectTo(target: Socket | null, caller: SocketCaller): number {
    return connectUnix(this, target, caller, (socket) => socket instanceof UnixSeqpacketSocket);
  }

  protected createEnd(): UnixSeqpacketSocket {
    return new UnixSeqpacketSocket(this.names);
  }

  protected established(client: ConnectionSocket, end: ConnectionSocket): void {
    const [near, far] = [client as UnixSeqpacketSocket, end as UnixSeqpacketSocket];
    far.binding.name = this.boundName;
    near.peerBoundName = this.boundName;
    far.peerBoundName = near.boundName;
    if (this.listenerCredentials) client.peerCredentials = this.listenerCredentials;
  }

  send(io: IoBuffer, flags: number, to: SocketAddress, ancillary: Ancillary | null, caller: SocketCaller): number {
    if (flags & MSG_OOB) return -EOPNOTSUPP;
    if (this.error !== 0) return this.takeError();
    if (this.state === ConnectionState.Unconnected || this.state === ConnectionState.Listening) return -ENOTCONN;
    if (to.length > 0) return -EISCONN;
    const peer = this.peer as UnixSeqpacketSocket | null;
    if (this.shutWrite || !peer) return -EPIPE;
    if (io.remaining > this.sendBuffer - 32) return -EMSGSIZE;
    if (!ancillary?.credentials && (this.option(SO_PASSCRED) || peer.option(SO_PASSCRED)))
      ancillary = new Ancillary(ancillary ? ancillary.rights : null, credentialsOf(caller));
    const sent = peer.messages.append(io, null, ancillary);
    if (sent >= 0) peer.waitQueue.wake(POLLIN | POLLRDNORM);
    return sent;
  }

  receive(io: IoBuffer, flags: number, out: Received): number {
    if (flags & MSG_OOB) return -EOPNOTSUPP;
    if (this.messages.count > 0) {
      const result = this.messages.take(io, flags, out);
      if (!(flags & MSG_PEEK)) this.peer?.waitQueue.wake(POLLOUT | POLLWRNORM);
      return result;
    }
    if (this.state === ConnectionState.Unconnected || this.state === ConnectionState.Listening) return -ENOTCONN;
    if (this.error !== 0) return this.takeError();
    return this.shutRead ? 0 : -EAGAIN;
  }

  name(out: SocketAddress): number {
    return putUnixAddress(out, this.boundName);
  }
  peerName(out: SocketAddress): number {
    // As in Linux the name of a peer outlives the peer.
    if (this.state !== ConnectionState.Connected && this.state !== ConnectionState.Closed) return -ENOTCONN;
    return putUnixAddress(out, this.peerBoundName);
  }

  readable(): number {
    return this.messages.count > 0 ? Math.max(1, this.messages.nextLength) : 0;
  }

  protected writable(): boolean {
    const peer = this.peer as UnixSeqpacketSocket | null;
    return !peer || peer.messages.used * 4 <= this.sendBuffer;
  }

  protected dropReceived(): boolean {
    const had = this.messages.count > 0;
    this.messages.clear();
    return had;
  }

  close(): void {
    closeUnixConnection(this, this.dropReceived());
    this.binding.release();
  }

  stopListening(): void {
    this.closeListener(ECONNREFUSED);
  }
}
