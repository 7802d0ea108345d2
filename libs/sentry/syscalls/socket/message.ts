/** struct msghdr. */
import { EFAULT, EINVAL, EMSGSIZE } from '../../abi/errno.js';
import { MSGHDR_SIZE, SOCKADDR_STORAGE_SIZE } from '../../abi/socket.js';
import type { Task } from '../../kernel/types.js';
import { type Direction, IOV_MAX, vectorIo } from '../../mm/io.js';
import type { IoBuffer } from '../../mm/types.js';

/** The header of the message under way, copied in once; there is one at a time. */
export const header = { name: 0, nameLength: 0, iov: 0, iovLength: 0, control: 0, controlLength: 0 };

function readPointer(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * 0x100000000 + view.getUint32(at, true);
}

/** Fills `header`. 0, -EFAULT, -EINVAL (negative length), -EMSGSIZE (too many buffers). */
export function readHeader(task: Task, address: number): number {
  const view = task.memory.readStruct(address, MSGHDR_SIZE);
  if (!view) return -EFAULT;
  header.name = readPointer(view, 0);
  header.nameLength = header.name === 0 ? 0 : Math.min(view.getInt32(8, true), SOCKADDR_STORAGE_SIZE);
  header.iov = readPointer(view, 16);
  header.iovLength = readPointer(view, 24);
  header.control = readPointer(view, 32);
  header.controlLength = readPointer(view, 40);
  if (header.nameLength < 0) return -EINVAL;
  if (header.iovLength < 0 || header.iovLength > IOV_MAX) return -EMSGSIZE;
  return header.controlLength < 0 ? -EINVAL : 0;
}

/** The buffers of `header`. */
export function headerIo(task: Task, direction: Direction): IoBuffer | number {
  return vectorIo(task.memory, header.iov, header.iovLength, direction);
}
