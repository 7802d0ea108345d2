import { EAGAIN, EINPROGRESS } from '../../abi/errno.js';
import { AF_INET, AF_INET6, SHUT_WR } from '../../abi/socket.js';
import type { StdioSink } from '../../fs/stdio/stdio.js';
import { BufferIo } from '../../mm/io.js';
import { LOOPBACK4, LOOPBACK6, putInetAddress } from '../../net/inet/inet-address.js';
import { TcpSocket } from '../../net/inet/tcp.js';
import { Received, SocketAddress, type SocketCaller } from '../../net/socket.js';
import type { NetworkStack } from '../../net/stack.js';
import { POLLERR, POLLHUP, POLLIN, POLLOUT, WaitEntry } from '../../vfs/wait-queue.js';
import type { OutputStream } from './output-stream.js';

/** Bytes from outside that the guest has not read before their sender is let wait. */
const INPUT_WINDOW = 256 * 1024;
const PIECE = 32 * 1024;
const scratch = new Uint8Array(PIECE);
const io = new BufferIo();
const received = new Received();
const address = new SocketAddress();

/**
 * A connection from outside to a server in the sandbox: the Sentry's own end of a TCP connection over the sandbox's loopback.
 * What the guest sends is output of its stream, with credit as a program's output; an empty piece is its end (FIN). Over when
 * both directions are, or when it was reset.
 */
export class SessionConnection {
  private readonly pending: Uint8Array[] = [];
  private pendingBytes = 0;
  private waiting: (() => void)[] = [];
  /** Nothing more comes from outside; told to the guest once all is sent. */
  private ended = false;
  private finished = false;
  /** The guest's end was passed on. */
  private heard = false;
  private readonly sink: StdioSink;
  private readonly entry = new WaitEntry({ onWake: () => this.soon() });
  private readonly room = new WaitEntry({ onWake: () => this.soon() });

  private constructor(
    private readonly socket: TcpSocket,
    private readonly caller: SocketCaller,
    private readonly output: OutputStream,
    /** Has `pump` called soon, outside of whatever woke us. */
    private readonly soon: () => void,
    private readonly over: () => void,
  ) {
    this.sink = output.stdout;
    socket.waitQueue.add(this.entry, POLLIN | POLLOUT | POLLERR | POLLHUP);
    output.onWritable.add(this.room, POLLOUT);
  }

  /** To 127.0.0.1, or ::1 where only there somebody listens. -ECONNREFUSED, -ENETUNREACH. */
  static open(
    stack: NetworkStack,
    port: number,
    caller: SocketCaller,
    output: OutputStream,
    soon: (connection: SessionConnection) => void,
    over: () => void,
  ): SessionConnection | number {
    let failure = 0;
    for (const family of [AF_INET, AF_INET6]) {
      const socket = new TcpSocket(stack, family);
      putInetAddress(address, family, family === AF_INET ? LOOPBACK4 : LOOPBACK6, port);
      const result = socket.connect(address, false, caller);
      // In line behind a full queue of those not yet accepted: connected as soon as there is room.
      if (result === 0 || result === -EINPROGRESS) {
        const connection: SessionConnection = new SessionConnection(
          socket,
          caller,
          output,
          () => soon(connection),
          over,
        );
        return connection;
      }
      socket.close();
      failure ||= result;
    }
    return failure;
  }

  /** Empty: the end. `done` is called once there is room for more. */
  input(bytes: Uint8Array, done: () => void): void {
    if (bytes.length === 0) this.ended = true;
    else if (!this.finished) {
      this.pending.push(bytes.slice());
      this.pendingBytes += bytes.length;
    }
    this.waiting.push(done);
    this.pump();
  }

  /** Ends it at once: the guest sees a reset if it was still speaking. */
  close(): void {
    if (this.finished) return;
    this.finished = true;
    this.socket.waitQueue.remove(this.entry);
    this.output.onWritable.remove(this.room);
    this.socket.close();
    this.pending.length = 0;
    this.pendingBytes = 0;
    this.acknowledge();
    this.over();
  }

  /** Moves what can be moved, both ways. */
  pump(): void {
    if (this.finished) return;
    const sent = this.send();
    const heard = this.receive();
    this.acknowledge();
    if (!sent || !heard || (this.heard && this.socket.shutWrite && this.pending.length === 0)) this.close();
  }

  /** False when nothing can be sent any more. */
  private send(): boolean {
    while (this.pending.length > 0) {
      const [bytes] = this.pending;
      io.reset(bytes, 0, bytes.length);
      address.length = 0;
      const sent = this.socket.send(io, 0, address, null, this.caller);
      if (sent === -EAGAIN) return true;
      if (sent < 0) return false;
      this.pendingBytes -= sent;
      if (sent === bytes.length) this.pending.shift();
      else this.pending[0] = bytes.subarray(sent);
    }
    if (this.ended && !this.socket.shutWrite) this.socket.shutdown(SHUT_WR);
    return true;
  }

  /** False when the connection was reset. */
  private receive(): boolean {
    while (!this.heard) {
      const room = Math.min(this.output.room(), PIECE);
      if (room <= 0) return true;
      io.reset(scratch, 0, room);
      received.reset();
      const length = this.socket.receive(io, 0, received);
      if (length === -EAGAIN) return true;
      if (length < 0) return false;
      if (length === 0) {
        this.heard = true;
        this.output.end();
        return true;
      }
      this.sink.write(scratch, 0, length);
    }
    return true;
  }

  private acknowledge(): void {
    if (this.pendingBytes >= INPUT_WINDOW) return;
    for (const done of this.waiting.splice(0)) done();
  }
}
