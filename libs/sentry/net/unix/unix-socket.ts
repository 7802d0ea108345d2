import type { Inode } from '../../vfs/types.js';
import type { Socket, SocketCaller } from '../socket.js';
import { UnixDatagramSocket } from './unix-datagram.js';
import type { UnixNames } from './unix-names.js';
import { UnixSeqpacketSocket } from './unix-seqpacket.js';
import { UnixStreamSocket } from './unix-stream.js';

/**
 * What bind(2) and connect(2) need of a unix socket. Paths are resolved by the system calls, which have the file
 * system; here arrive inodes (paths) or names (abstract).
 */
export interface UnixSocket extends Socket {
  readonly names: UnixNames;
  readonly boundName: string;
  /** -EINVAL when bound already, -EADDRINUSE. "" autobinds. */
  bindAbstract(name: string): number;
  /** Precondition: not bound. The inode is new. */
  bindInode(name: string, inode: Inode): void;
  /** As Socket.connect; null disconnects a datagram socket. -ECONNREFUSED, -EPROTOTYPE, -EISCONN, -EAGAIN. */
  connectTo(target: Socket | null, caller: SocketCaller): number;
}

export function isUnixSocket(socket: Socket): socket is Socket & UnixSocket {
  return (
    socket instanceof UnixStreamSocket || socket instanceof UnixDatagramSocket || socket instanceof UnixSeqpacketSocket
  );
}
