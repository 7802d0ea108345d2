/** Unix sockets' names in the file system: bind(2) makes an inode, connect(2) and sendto(2) look for one. */
import { EADDRINUSE, ECONNREFUSED, EINVAL, ENOENT, EROFS } from '../../abi/errno.js';
import { W_OK, X_OK } from '../../abi/fcntl.js';
import { FS_MAKE_SOCK } from '../../abi/landlock.js';
import { S_IFMT, S_IFSOCK } from '../../abi/stat.js';
import type { Task } from '../../kernel/types.js';
import type { Socket, SocketAddress } from '../../net/socket.js';
import { parseUnixAddress } from '../../net/unix/unix-name.js';
import type { UnixSocket } from '../../net/unix/unix-socket.js';
import { checkLandlock } from '../../vfs/landlock.js';
import { notifyCreate } from '../../vfs/notify.js';
import { badLastName, resolve, resolveParent } from '../../vfs/path-walk.js';
import { checkAccess } from '../../vfs/permissions.js';

/** bind(2) for AF_UNIX. -EADDRINUSE when the path exists, and what creating a file may answer. */
export function bindUnix(task: Task, socket: UnixSocket, address: SocketAddress): number {
  const name = parseUnixAddress(address);
  if (typeof name === 'number') return name;
  if (name === '' || name.charCodeAt(0) === 0) return socket.bindAbstract(name);
  const last = resolveParent(task, null, name);
  if (typeof last === 'number') return last;
  const { parent } = last;
  const bad = badLastName(last.name, -EADDRINUSE);
  if (bad < 0) return bad;
  const existing = parent.child(last.name);
  if (typeof existing !== 'number') return -EADDRINUSE;
  if (existing !== -ENOENT) return existing;
  if (socket.boundName !== '') return -EINVAL;
  if (last.trailingSlash || parent.deleted) return -ENOENT;
  if (parent.mount.fileSystem.readOnly) return -EROFS;
  const allowed =
    checkAccess(parent.inode, W_OK | X_OK, task.credentials) || checkLandlock(task.credentials, parent, FS_MAKE_SOCK);
  if (allowed !== 0) return allowed;
  const inode = parent.inode.mknod(last.name, S_IFSOCK | (0o777 & ~task.umask), 0, task);
  if (typeof inode === 'number') return inode;
  const node = parent.adopt(last.name, inode);
  notifyCreate(parent, last.name, false);
  socket.bindInode(name, node.inode);
  return 0;
}

/** Who listens under an address: -ECONNREFUSED when nobody does, -EINVAL for no name, and what a path walk may answer. */
export function findUnix(task: Task, socket: UnixSocket, address: SocketAddress): Socket | number {
  const name = parseUnixAddress(address);
  if (typeof name === 'number') return name;
  if (name === '') return -EINVAL;
  if (name.charCodeAt(0) === 0) return socket.names.findAbstract(name) ?? -ECONNREFUSED;
  const place = resolve(task, null, name, true);
  if (typeof place === 'number') return place;
  const { inode } = place;
  const allowed = checkAccess(inode, W_OK, task.credentials);
  if (allowed !== 0) return allowed;
  if ((inode.mode & S_IFMT) !== S_IFSOCK) return -ECONNREFUSED;
  return socket.names.findInode(inode) ?? -ECONNREFUSED;
}
