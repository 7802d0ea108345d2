import { EFAULT, EINVAL } from '../../abi/errno.js';
import { SO_PEERNAME, SOL_SOCKET } from '../../abi/socket.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';
import { answered, socketFileOf } from './support.js';

/** No option that is supported is longer. */
const MAX_OPTION = 256;
const option = new Uint8Array(MAX_OPTION);
const view = new DataView(option.buffer);

/** setsockopt implements Linux syscall setsockopt(2). */
export function setsockopt(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  if (typeof file === 'number') return file;
  const length = args[4] | 0;
  if (length < 0) return -EINVAL;
  const copied = Math.min(length, MAX_OPTION);
  if (task.memory.copyIn(args[3], option, 0, copied) !== copied) return -EFAULT;
  return file.socket.setOption(args[1] | 0, args[2] | 0, view, copied);
}

/** getsockopt implements Linux syscall getsockopt(2). */
export function getsockopt(task: Task, args: SyscallArguments): number {
  const file = socketFileOf(task, args[0]);
  if (typeof file === 'number') return file;
  const room = task.memory.readI32(args[4]);
  if (Number.isNaN(room)) return -EFAULT;
  if (room < 0) return -EINVAL;
  const level = args[1] | 0;
  const name = args[2] | 0;
  let length: number;
  if (level === SOL_SOCKET && name === SO_PEERNAME) {
    length = file.socket.peerName(answered);
    if (length < 0) return length;
    length = answered.length;
    option.set(answered.bytes.subarray(0, length));
  } else length = file.socket.getOption(level, name, view);
  if (length < 0) return length;
  const copied = Math.min(length, room);
  if (task.memory.copyOut(args[3], option, 0, copied) !== copied) return -EFAULT;
  return task.memory.writeU32(args[4], copied) ? 0 : -EFAULT;
}
