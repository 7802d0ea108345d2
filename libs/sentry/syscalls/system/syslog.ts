import { CAP_SYS_ADMIN } from '../../abi/capability.js';
import { EFAULT, EINVAL, EPERM } from '../../abi/errno.js';
import { RELEASE, VERSION } from '../../abi/utsname.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';

const SYSLOG_ACTION_READ_ALL = 3;
const SYSLOG_ACTION_SIZE_UNREAD = 9;
const SYSLOG_ACTION_SIZE_BUFFER = 10;
const ACTIONS = 10;

/** syslog implements Linux syscall syslog(2): a log of one line that never changes. */
export function syslog(task: Task, args: SyscallArguments): number {
  const action = args[0] | 0;
  if (action < 0 || action > ACTIONS) return -EINVAL;
  const readable = action === SYSLOG_ACTION_READ_ALL || action === SYSLOG_ACTION_SIZE_BUFFER;
  if (!readable && !task.capable(CAP_SYS_ADMIN)) return -EPERM;
  const line = `<5>[    0.000000] Linux version ${RELEASE} ${VERSION}\n`;
  if (action === SYSLOG_ACTION_SIZE_BUFFER) return line.length;
  if (action === SYSLOG_ACTION_SIZE_UNREAD) return 0;
  if (action !== SYSLOG_ACTION_READ_ALL) return 0;
  const length = args[2] | 0;
  if (args[1] === 0 || length < 0) return -EINVAL;
  const count = Math.min(length, line.length);
  const view = task.memory.scratch(line.length);
  // The last bytes, as Linux gives them.
  for (let index = 0; index < count; index++) view.setUint8(index, line.charCodeAt(line.length - count + index));
  return task.memory.writeStruct(args[1], count) ? count : -EFAULT;
}
