import { CAP_SYS_ADMIN } from '../../abi/capability.js';
import { EFAULT, EINVAL, EPERM } from '../../abi/errno.js';
import { UTSNAME_FIELD } from '../../abi/utsname.js';
import type { Kernel } from '../../kernel/kernel.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';

/** The new name, or -errno: both calls check alike. */
function readName(task: Task, args: SyscallArguments): string | number {
  if (!task.capable(CAP_SYS_ADMIN)) return -EPERM;
  const length = args[1] | 0;
  if (length < 0 || length > UTSNAME_FIELD - 1) return -EINVAL;
  if (length === 0) return '';
  const view = task.memory.readStruct(args[0], length);
  if (!view) return -EFAULT;
  let name = '';
  for (let index = 0; index < length && view.getUint8(index) !== 0; index++) {
    name += String.fromCharCode(view.getUint8(index));
  }
  return name;
}

/** sethostname implements Linux syscall sethostname(2): the sandbox's own name, root within it only. */
export function sethostname(task: Task, args: SyscallArguments): number {
  const name = readName(task, args);
  if (typeof name === 'number') return name;
  (task.kernel as Kernel).hostname = name;
  return 0;
}

/** setdomainname implements Linux syscall setdomainname(2). */
export function setdomainname(task: Task, args: SyscallArguments): number {
  const name = readName(task, args);
  if (typeof name === 'number') return name;
  (task.kernel as Kernel).domainname = name;
  return 0;
}
