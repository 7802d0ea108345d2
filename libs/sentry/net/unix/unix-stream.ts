import {
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EINVAL,
  EISCONN,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
  EPROTOTYPE,
} from '../../abi/errno.js';
import { AF_UNIX, MSG_OOB, SO_PASSCRED, SOCK_STREAM } from '../../abi/socket.js';
import type { IoBuffer } from '../../mm/types.js';
import type { Inode } from '../../vfs/types.js';
import { POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from '../../vfs/wait-queue.js';
import { Ancillary } from '../ancillary.js';
import { type ConnectionSocket, ConnectionState, connectEnds } from '../connection-socket.js';
import { credentialsOf, type Received, type Socket, type SocketAddress, type SocketCaller } from '../socket.js';
import { StreamSocket } from '../stream-socket.js';
import { UnixBinding } from './unix-binding.js';
import { putUnixAddress } from './unix-name.js';
import type { UnixNames } from './unix-names.js';

/** AF_UNIX, SOCK_STREAM. */
export class UnixStreamSocket extends StreamSocket {
  readonly family = AF_UNIX;
  readonly type = SOCK_STREAM;
  readonly protocol = 0;
  readonly binding: UnixBinding;
  /** What getpeername(2) says: kept after the peer is gone. */
  peerBoundName = '';

  constructor(readonly names: UnixNames) {
    super(212992);
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
    return connectUnix(this, target, caller, (socket) => socket instanceof UnixStreamSocket);
  }

  protected createEnd(): UnixStreamSocket {
    return new UnixStreamSocket(this.names);
  }

  protected established(client: ConnectionSocket, end: ConnectionSocket): void {
    const [near, far] = [client as UnixStreamSocket, end as UnixStreamSocket];
    far.binding.name = this.boundName;
    near.peerBoundName = this.boundName;
    far.peerBoundName = near.boundName;
    // The new end answers to the listener's name without holding it.
    if (this.listenerCredentials) client.peerCredentials = this.listenerCredentials;
    near.buffersChanged();
    far.buffersChanged();
  }

  protected override buffersChanged(): void {
    const peer = this.peer as UnixStreamSocket | null;
    if (peer) peer.received.capacity = this.sendBuffer;
  }

  send(io: IoBuffer, flags: number, to: SocketAddress, ancillary: Ancillary | null, caller: SocketCaller): number {
    if (flags & MSG_OOB) return -EOPNOTSUPP;
    if (to.length > 0) return this.state === ConnectionState.Connected ? -EISCONN : -EOPNOTSUPP;
    if (this.shutWrite) return -EPIPE;
    if (this.state !== ConnectionState.Connected) return this.state === ConnectionState.Closed ? -EPIPE : -ENOTCONN;
    if (!this.peer) return -EPIPE;
    if (!ancillary?.credentials && (this.option(SO_PASSCRED) || this.peer.option(SO_PASSCRED)))
      ancillary = new Ancillary(ancillary ? ancillary.rights : null, credentialsOf(caller));
    return this.transfer(io, ancillary);
  }

  receive(io: IoBuffer, flags: number, out: Received): number {
    if (flags & MSG_OOB) return -EOPNOTSUPP;
    if (this.readable() > 0) return io.remaining === 0 ? 0 : this.takeReceived(io, flags, out);
    if (this.state === ConnectionState.Unconnected || this.state === ConnectionState.Listening) return -EINVAL;
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

  close(): void {
    closeUnixConnection(this, this.dropReceived());
    this.binding.release();
  }

  stopListening(): void {
    this.closeListener(ECONNREFUSED);
  }
}

/** connect(2) of stream and seqpacket sockets to what a name led to. */
export function connectUnix(
  client: ConnectionSocket,
  target: Socket | null,
  caller: SocketCaller,
  sameType: (socket: Socket) => boolean,
): number {
  if (client.state === ConnectionState.Connected) return -EISCONN;
  if (client.state !== ConnectionState.Unconnected) return -EINVAL;
  if (!target) return -ECONNREFUSED;
  if (!sameType(target)) return -EPROTOTYPE;
  const listener = target as ConnectionSocket;
  if (!listener.listening || listener.shutRead) return -ECONNREFUSED;
  if (listener.queueFull) {
    listener.connectorWaits(client);
    return -EAGAIN;
  }
  const credentials = credentialsOf(caller);
  listener.enqueue(client);
  if (client.peer) client.peer.peerCredentials = credentials;
  return 0;
}

/** A closing end: the peer sees end of file, or ECONNRESET if something it sent was never read. */
export function closeUnixConnection(socket: ConnectionSocket & { stopListening(): void }, unread: boolean): void {
  if (socket.listening) {
    socket.stopListening();
    return;
  }
  const { peer } = socket;
  socket.peer = null;
  socket.state = ConnectionState.Closed;
  if (!peer) return;
  peer.peer = null;
  if (unread) peer.error = ECONNRESET;
  peer.shutRead = true;
  peer.shutWrite = true;
  peer.waitQueue.wake(POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | POLLHUP);
}

/** socketpair(2). */
export function pairUnix(one: ConnectionSocket, other: ConnectionSocket, caller: SocketCaller): void {
  connectEnds(one, other);
  one.peerCredentials = credentialsOf(caller);
  other.peerCredentials = one.peerCredentials;
}
