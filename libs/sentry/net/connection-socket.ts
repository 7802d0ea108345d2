import { EAGAIN, ECONNRESET, EINVAL, EISCONN, ENOTCONN } from '../abi/errno.js';
import { SHUT_RD, SHUT_RDWR, SHUT_WR, SOMAXCONN } from '../abi/socket.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from '../vfs/wait-queue.js';
import type { SocketCredentials } from './ancillary.js';
import { credentialsOf, Socket, type SocketCaller } from './socket.js';

export const ConnectionState = {
  Unconnected: 0,
  Listening: 1,
  /** In the line of a listener whose queue is full. */
  Connecting: 2,
  Connected: 3,
  /** Was connected; reset or its peer is gone. */
  Closed: 4,
} as const;
export type ConnectionStateKind = (typeof ConnectionState)[keyof typeof ConnectionState];

const READ_EVENTS = POLLIN | POLLRDNORM;
const WRITE_EVENTS = POLLOUT | POLLWRNORM;

/**
 * Connection-oriented sockets: unix stream and seqpacket, TCP. Invariant: `peer` is set exactly while both ends are
 * open and the connection was not reset; then peer.peer is this.
 */
export abstract class ConnectionSocket extends Socket {
  state: ConnectionStateKind = ConnectionState.Unconnected;
  peer: ConnectionSocket | null = null;
  private backlog = 0;
  private acceptQueue: ConnectionSocket[] = [];
  /** Who wants in when the accept queue is full. */
  private readonly line: ConnectionSocket[] = [];
  private readonly retriers = new Set<ConnectionSocket>();
  /** The listener in whose line this stands. */
  private waitingFor: ConnectionSocket | null = null;
  /** For SO_PEERCRED of those who connect to a listener. */
  listenerCredentials: SocketCredentials | null = null;

  /** The end of a new connection on the listener's side. */
  protected abstract createEnd(): ConnectionSocket;
  /** Drops what was received and never read; true if there was something. */
  protected abstract dropReceived(): boolean;
  /** Whether more can be sent now (POLLOUT). Called while connected. */
  protected abstract writable(): boolean;

  override get listening(): boolean {
    return this.state === ConnectionState.Listening;
  }

  override listen(backlog: number, caller: SocketCaller): number {
    if (this.state !== ConnectionState.Unconnected && this.state !== ConnectionState.Listening) return -EINVAL;
    this.state = ConnectionState.Listening;
    this.backlog = backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : backlog;
    this.listenerCredentials = credentialsOf(caller);
    this.admit();
    return 0;
  }

  get queueFull(): boolean {
    return this.acceptQueue.length > this.backlog;
  }

  /** Connections that wait for accept(2), for TCP_INFO and /proc/net. */
  get queued(): number {
    return this.acceptQueue.length;
  }

  override accept(): Socket | number {
    if (this.state !== ConnectionState.Listening) return -EINVAL;
    const socket = this.acceptQueue.shift();
    if (!socket) return this.shutRead ? -EINVAL : -EAGAIN;
    this.admit();
    return socket;
  }

  /**
   * Connects `client` to this listener, or lets it stand in line when the queue is full (its state says which).
   * A client in line is connected, or reset, without doing anything.
   */
  enqueue(client: ConnectionSocket): void {
    if (this.queueFull) {
      client.state = ConnectionState.Connecting;
      client.waitingFor = this;
      this.line.push(client);
      return;
    }
    const end = this.createEnd();
    connectEnds(client, end);
    this.established(client, end);
    this.acceptQueue.push(end);
    this.waitQueue.wake(READ_EVENTS);
  }

  /** Fills in addresses and credentials of a new connection. */
  protected abstract established(client: ConnectionSocket, end: ConnectionSocket): void;

  /** Remembers who must be woken (and try again itself) when the queue has room: unix sockets. */
  connectorWaits(client: ConnectionSocket): void {
    this.retriers.add(client);
  }

  private admit(): void {
    if (this.retriers.size > 0) {
      for (const client of this.retriers) client.waitQueue.wake(WRITE_EVENTS);
      this.retriers.clear();
    }
    while (this.line.length > 0 && !this.queueFull) {
      const client = this.line.shift() as ConnectionSocket;
      client.waitingFor = null;
      this.enqueue(client);
      client.waitQueue.wake(WRITE_EVENTS);
    }
  }

  /** Takes this out of a listener's line. */
  protected leaveLine(): void {
    const listener = this.waitingFor;
    if (!listener) return;
    this.waitingFor = null;
    listener.line.splice(listener.line.indexOf(this), 1);
    this.state = ConnectionState.Unconnected;
  }

  poll(): number {
    if (this.state === ConnectionState.Listening) {
      if (this.acceptQueue.length > 0) return READ_EVENTS;
      return this.shutRead ? READ_EVENTS | POLLHUP : 0;
    }
    let events = 0;
    if (this.error !== 0) events |= POLLERR;
    if (this.state === ConnectionState.Connecting) return events;
    const connected = this.state === ConnectionState.Connected;
    if (!connected || (this.shutRead && this.shutWrite)) events |= POLLHUP;
    if (this.shutRead) events |= READ_EVENTS | POLLRDHUP;
    if (this.readable() > 0) events |= READ_EVENTS;
    if (!connected || this.shutWrite || this.writable()) events |= WRITE_EVENTS;
    return events;
  }

  /** Stops listening: those not yet accepted and those in line are reset. */
  protected closeListener(refusal: number): void {
    const queue = this.acceptQueue;
    this.acceptQueue = [];
    this.state = ConnectionState.Closed;
    for (const end of queue) {
      end.abort(ECONNRESET);
      end.close();
    }
    for (const client of this.retriers) client.waitQueue.wake(WRITE_EVENTS);
    this.retriers.clear();
    for (const client of this.line.splice(0)) {
      client.waitingFor = null;
      client.state = ConnectionState.Unconnected;
      client.error = refusal;
      client.shutRead = true;
      client.shutWrite = true;
      client.waitQueue.wake(WRITE_EVENTS | POLLERR | POLLHUP);
    }
  }

  /** Ends the connection at once: the peer sees `error`. */
  abort(error: number): void {
    const { peer } = this;
    this.peer = null;
    if (this.state === ConnectionState.Connected) this.state = ConnectionState.Closed;
    if (!peer) return;
    peer.peer = null;
    peer.resetBy(error);
  }

  /** The other end has reset the connection. */
  protected resetBy(error: number): void {
    this.error = error;
    this.shutRead = true;
    this.shutWrite = true;
    this.state = ConnectionState.Closed;
    this.waitQueue.wake(READ_EVENTS | WRITE_EVENTS | POLLERR | POLLHUP | POLLRDHUP);
  }

  shutdown(how: number): number {
    if (how < SHUT_RD || how > SHUT_RDWR) return -EINVAL;
    if (this.state === ConnectionState.Listening) {
      this.shutRead ||= how !== SHUT_WR;
      this.waitQueue.wake(READ_EVENTS | POLLHUP);
      return 0;
    }
    if (this.state !== ConnectionState.Connected) return -ENOTCONN;
    if (how !== SHUT_WR) this.shutRead = true;
    if (how !== SHUT_RD) this.shutWrite = true;
    this.waitQueue.wake(READ_EVENTS | WRITE_EVENTS | POLLRDHUP | (this.shutRead && this.shutWrite ? POLLHUP : 0));
    this.peer?.peerShutdown(how !== SHUT_RD, how !== SHUT_WR);
    return 0;
  }

  /** The peer will send no more (`sending`), or read no more (`reading`). */
  protected peerShutdown(sending: boolean, reading: boolean): void {
    if (sending) this.shutRead = true;
    if (reading) this.shutWrite = true;
    this.waitQueue.wake(READ_EVENTS | WRITE_EVENTS | POLLRDHUP | (this.shutRead && this.shutWrite ? POLLHUP : 0));
  }

  /** For connect(2): refuses what is connected or listening already. */
  protected connectable(): number {
    if (this.state === ConnectionState.Connected) return -EISCONN;
    return this.state === ConnectionState.Listening ? -EINVAL : 0;
  }
}

/** Joins two ends. */
export function connectEnds(one: ConnectionSocket, other: ConnectionSocket): void {
  one.peer = other;
  other.peer = one;
  for (const end of [one, other]) {
    end.state = ConnectionState.Connected;
    end.shutRead = false;
    end.shutWrite = false;
  }
}
