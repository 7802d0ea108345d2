import { EFAULT, ENOTTY } from '../abi/errno.js';
import { O_RDWR } from '../abi/fcntl.js';
import { FIONREAD, SIOCATMARK, SIOCOUTQ } from '../abi/ioctl.js';
import { S_IFSOCK } from '../abi/stat.js';
import type { IoBuffer } from '../mm/types.js';
import type { Nanoseconds } from '../platform/platform.js';
import { AnonymousFile, AnonymousInode, PSEUDO_FILE_SYSTEMS } from '../vfs/anonymous-file.js';
import type { Caller } from '../vfs/types.js';
import { interfaceIoctl } from './interfaces.js';
import { Received, type Socket, SocketAddress, type SocketCaller } from './socket.js';

const received = new Received();
const noAddress = new SocketAddress();

/** The open file of a socket: read and write are recv and send without flags. */
export class SocketFile extends AnonymousFile {
  constructor(
    readonly socket: Socket,
    flags: number,
    number: number,
    private readonly networkUp: boolean,
  ) {
    super(
      O_RDWR | flags,
      new AnonymousInode(PSEUDO_FILE_SYSTEMS.sockfs, number, S_IFSOCK | 0o777).path(PSEUDO_FILE_SYSTEMS.sockfs.mount),
      socket.waitQueue,
    );
  }

  get displayName(): string {
    return `socket:[${this.inode.number}]`;
  }

  get receiveTimeout(): Nanoseconds {
    return this.socket.receiveTimeout;
  }
  get sendTimeout(): Nanoseconds {
    return this.socket.sendTimeout;
  }

  override read(io: IoBuffer, _caller: Caller): number {
    received.reset();
    const result = this.socket.receive(io, 0, received);
    // Descriptors that read(2) cannot hand over are closed.
    if (received.rights) for (const file of received.rights) file.release();
    received.reset();
    return result;
  }

  override write(io: IoBuffer, caller: Caller): number {
    // The file layer's callers are tasks, which know their process.
    return this.socket.send(io, 0, noAddress, null, caller as SocketCaller);
  }

  poll(): number {
    return this.socket.poll();
  }

  override ioctl(request: number, argument: number, caller: Caller): number {
    const { memory } = caller;
    switch (request) {
      case FIONREAD:
        return memory.writeU32(argument, this.socket.readable()) ? 0 : -EFAULT;
      case SIOCOUTQ:
        return memory.writeU32(argument, this.socket.unsent()) ? 0 : -EFAULT;
      case SIOCATMARK:
        return memory.writeU32(argument, Number(this.socket.atMark())) ? 0 : -EFAULT;
    }
    const own = this.socket.ioctl(request, argument, memory);
    return own === -ENOTTY ? interfaceIoctl(request, argument, memory, this.networkUp) : own;
  }

  protected override close(): void {
    this.socket.close();
  }
}
