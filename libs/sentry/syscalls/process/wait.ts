import { EAGAIN, EBADF, EFAULT, EINVAL, ESRCH } from '../../abi/errno.js';
import { O_NONBLOCK } from '../../abi/fcntl.js';
import { SIGCHLD } from '../../abi/signal.js';
import {
  __WALL,
  __WCLONE,
  __WNOTHREAD,
  P_ALL,
  P_PGID,
  P_PID,
  P_PIDFD,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WSTOPPED,
  WUNTRACED,
} from '../../abi/wait.js';
import { PidFile } from '../../fs/anon/pidfd.js';
import type { Task } from '../../kernel/task.js';
import { BLOCKED, type SyscallArguments } from '../../kernel/types.js';
import { waitForChild } from '../../kernel/wait.js';
import { waitResult } from '../../kernel/wait-result.js';
import { writeUsage } from './rusage.js';

const INT_MIN = -0x80000000;

function writeWaited(task: Task, address: number): boolean {
  const { userTime, systemTime, peakResident } = waitResult;
  return writeUsage(task, address, userTime, systemTime, peakResident);
}

/** wait4 implements Linux syscall wait4(2). */
export function wait4(task: Task, args: SyscallArguments): number {
  const pid = args[0] | 0;
  const options = args[2] | 0;
  if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL)) return -EINVAL;
  if (pid === INT_MIN) return -ESRCH;
  let type: number = P_PID;
  let id = pid;
  if (pid === -1) type = P_ALL;
  else if (pid <= 0) {
    type = P_PGID;
    id = pid === 0 ? task.group.processGroup.pgid : -pid;
  }
  const result = waitForChild(task, type, id, options | WEXITED);
  if (result <= 0) return result;
  if (args[1] !== 0 && !task.memory.writeU32(args[1], waitResult.status)) return -EFAULT;
  if (args[3] !== 0 && !writeWaited(task, args[3])) return -EFAULT;
  return result;
}

/** waitid implements Linux syscall waitid(2). */
export function waitid(task: Task, args: SyscallArguments): number {
  const type = args[0] | 0;
  let id = args[1] | 0;
  let options = args[3] | 0;
  if (options & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
    return -EINVAL;
  if (!(options & (WEXITED | WSTOPPED | WCONTINUED))) return -EINVAL;
  let nonBlocking = false;
  switch (type) {
    case P_ALL:
      break;
    case P_PID:
      if (id <= 0) return -EINVAL;
      break;
    case P_PGID:
      if (id < 0) return -EINVAL;
      if (id === 0) id = task.group.processGroup.pgid;
      break;
    case P_PIDFD: {
      if (id < 0) return -EINVAL;
      const file = task.files.get(id);
      if (!(file instanceof PidFile) || !file.group) return -EBADF;
      id = file.group.pid;
      nonBlocking = (file.flags & O_NONBLOCK) !== 0;
      break;
    }
    default:
      return -EINVAL;
  }
  if (nonBlocking) options |= WNOHANG;
  const result = waitForChild(task, type, id, options);
  if (result === BLOCKED || result < 0) return result;
  if (result === 0 && nonBlocking) return -EAGAIN;
  if (args[4] !== 0 && result > 0 && !writeWaited(task, args[4])) return -EFAULT;
  if (args[2] === 0) return 0;
  const info = task.memory.scratch(128);
  if (result > 0) {
    info.setInt32(0, SIGCHLD, true);
    info.setInt32(8, waitResult.code, true);
    info.setInt32(16, waitResult.pid, true);
    info.setUint32(20, waitResult.uid, true);
    info.setInt32(24, waitResult.detail, true);
  }
  return task.memory.writeStruct(args[2], 128) ? 0 : -EFAULT;
}
