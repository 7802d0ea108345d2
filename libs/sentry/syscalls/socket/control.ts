/** Control messages (cmsg(3)): into an `Ancillary`, and out of what was received. */
import { EBADF, EFAULT, EINVAL, ENOBUFS, EPERM } from '../../abi/errno.js';
import { RLIMIT_NOFILE } from '../../abi/resource.js';
import {
  CMSG_HEADER_SIZE,
  IPPROTO_UDP,
  MSG_CTRUNC,
  SCM_CREDENTIALS,
  SCM_MAX_FD,
  SCM_RIGHTS,
  SOL_IP,
  SOL_IPV6,
  SOL_SOCKET,
  UCRED_SIZE,
} from '../../abi/socket.js';
import type { Task } from '../../kernel/types.js';
import { Ancillary, type SocketCredentials } from '../../net/ancillary.js';
import { readPacketField } from '../../net/inet/packet-info.js';
import type { ControlMessage, Received } from '../../net/socket.js';
import type { FileDescription } from '../../vfs/types.js';

const CAP_SETGID = 6;
const CAP_SETUID = 7;
const CAP_SYS_ADMIN = 21;
/** net.core.optmem_max. */
const MAX_CONTROL = 131072;

const NONE: readonly ControlMessage[] = [];

let buffer = new Uint8Array(4096);
let view = new DataView(buffer.buffer);

/**
 * Reads the control messages of a sendmsg(2). null: there are none. The ancillary holds a reference of each description:
 * it must be sent or discarded. `inet`: for an IP socket, which takes fields of the IP header too. -EINVAL (malformed, unknown), -EBADF, -EPERM (credentials of another), -ENOBUFS, -EFAULT.
 */
export function readControl(task: Task, inet: boolean, address: number, length: number): Ancillary | null | number {
  if (length < CMSG_HEADER_SIZE) return null;
  if (length > MAX_CONTROL) return -ENOBUFS;
  if (buffer.length < length) {
    buffer = new Uint8Array(length);
    view = new DataView(buffer.buffer);
  }
  if (task.memory.copyIn(address, buffer, 0, length) !== length) return -EFAULT;
  const rights: FileDescription[] = [];
  let credentials: SocketCredentials | null = null;
  let packet: { hops: number; trafficClass: number } | null = null;
  let failure = 0;
  for (let at = 0; at + CMSG_HEADER_SIZE <= length && failure === 0; ) {
    const size = view.getUint32(at, true);
    if (view.getUint32(at + 4, true) !== 0 || size < CMSG_HEADER_SIZE || size > length - at) {
      failure = -EINVAL;
      break;
    }
    const level = view.getInt32(at + 8, true);
    if (inet && (level === SOL_IP || level === SOL_IPV6)) {
      packet ??= { hops: -1, trafficClass: -1 };
      const value = new DataView(buffer.buffer, at + CMSG_HEADER_SIZE, size - CMSG_HEADER_SIZE);
      failure = readPacketField(level, view.getInt32(at + 12, true), value, packet);
    } else if (inet && level === IPPROTO_UDP) {
      // UDP_SEGMENT is all there is, and no socket here splits what it sends.
      failure = -EINVAL;
    } else if (level === SOL_SOCKET) {
      const type = view.getInt32(at + 12, true);
      if (type === SCM_RIGHTS) failure = readRights(task, at + CMSG_HEADER_SIZE, size - CMSG_HEADER_SIZE, rights);
      else if (type !== SCM_CREDENTIALS || size !== CMSG_HEADER_SIZE + UCRED_SIZE) failure = -EINVAL;
      else {
        credentials = readCredentials(at + CMSG_HEADER_SIZE);
        if (!mayClaim(task, credentials)) failure = -EPERM;
      }
    }
    at += (size + 7) & ~7;
  }
  if (failure < 0) {
    for (const file of rights) file.release();
    return failure;
  }
  if (rights.length === 0 && !credentials && !packet) return null;
  const ancillary = new Ancillary(rights.length > 0 ? rights : null, credentials, packet);
  const launched = ancillary.launch();
  if (launched === 0) return ancillary;
  for (const file of rights) file.release();
  return launched;
}

function readRights(task: Task, at: number, bytes: number, rights: FileDescription[]): number {
  const count = bytes >> 2;
  if (rights.length + count > SCM_MAX_FD) return -EINVAL;
  for (let index = 0; index < count; index++) {
    const file = task.files.get(view.getInt32(at + 4 * index, true));
    if (!file) return -EBADF;
    file.retain();
    rights.push(file);
  }
  return 0;
}

function readCredentials(at: number): SocketCredentials {
  return { pid: view.getInt32(at, true), uid: view.getUint32(at + 4, true), gid: view.getUint32(at + 8, true) };
}

/** Only one's own ids may be claimed, unless capable. */
function mayClaim(task: Task, claimed: SocketCredentials): boolean {
  const own = task.credentials;
  return (
    (claimed.pid === task.group.pid || task.capable(CAP_SYS_ADMIN)) &&
    (claimed.uid === own.uid || claimed.uid === own.euid || claimed.uid === own.suid || task.capable(CAP_SETUID)) &&
    (claimed.gid === own.gid || claimed.gid === own.egid || claimed.gid === own.sgid || task.capable(CAP_SETGID))
  );
}

/**
 * Stores what was received at [address, +room). Returns the bytes used; adds MSG_CTRUNC to `received.flags` for what had
 * no room. Takes over the descriptions of `received.rights`.
 */
export function writeControl(
  task: Task,
  received: Received,
  wantCredentials: boolean,
  address: number,
  room: number,
  closeOnExec: boolean,
): number {
  let used = 0;
  if (wantCredentials) {
    const credentials = received.credentials ?? { pid: 0, uid: 65534, gid: 65534 };
    const size = CMSG_HEADER_SIZE + UCRED_SIZE;
    header(size, SOL_SOCKET, SCM_CREDENTIALS);
    view.setInt32(16, credentials.pid, true);
    view.setUint32(20, credentials.uid, true);
    view.setUint32(24, credentials.gid, true);
    used = store(task, received, address, room, used, size);
  }
  for (const message of received.control ?? NONE) {
    const size = CMSG_HEADER_SIZE + message.bytes.length;
    header(size, message.level, message.type);
    buffer.set(message.bytes, CMSG_HEADER_SIZE);
    used = store(task, received, address, room, used, size);
  }
  const { rights } = received;
  if (!rights) return used;
  received.rights = null;
  const fits = Math.max(0, Math.floor((room - used - CMSG_HEADER_SIZE) / 4));
  let count = 0;
  let full = false;
  for (const file of rights) {
    const fd = full || count >= fits ? -1 : task.files.install(file, closeOnExec, 0, task.rlimit(RLIMIT_NOFILE));
    if (fd < 0) {
      full = true;
      file.release();
    } else view.setInt32(16 + 4 * count++, fd, true);
  }
  if (count < rights.length) received.flags |= MSG_CTRUNC;
  if (count === 0) return used;
  const size = CMSG_HEADER_SIZE + 4 * count;
  header(size, SOL_SOCKET, SCM_RIGHTS);
  return store(task, received, address, room, used, size);
}

function header(size: number, level: number, type: number): void {
  view.setUint32(0, size, true);
  view.setUint32(4, 0, true);
  view.setInt32(8, level, true);
  view.setInt32(12, type, true);
}

function store(task: Task, received: Received, address: number, room: number, used: number, size: number): number {
  if (room - used < CMSG_HEADER_SIZE) {
    received.flags |= MSG_CTRUNC;
    return used;
  }
  const copied = Math.min(size, room - used);
  if (copied < size) {
    received.flags |= MSG_CTRUNC;
    view.setUint32(0, copied, true);
  }
  if (task.memory.copyOut(address + used, buffer, 0, copied) !== copied) return used;
  return Math.min(room, used + ((copied + 7) & ~7));
}
