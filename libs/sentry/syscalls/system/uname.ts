import { EFAULT } from '../../abi/errno.js';
import { MACHINE, RELEASE, SYSNAME, UTSNAME_FIELD, VERSION } from '../../abi/utsname.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';

/** uname implements Linux syscall uname(2). */
export function uname(task: Task, args: SyscallArguments): number {
  const { memory, kernel } = task;
  const fields = [SYSNAME, kernel.hostname, RELEASE, VERSION, MACHINE, kernel.domainname];
  const view = memory.scratch(fields.length * UTSNAME_FIELD);
  for (let field = 0; field < fields.length; field++) {
    const text = fields[field];
    const length = Math.min(text.length, UTSNAME_FIELD - 1);
    for (let index = 0; index < length; index++) view.setUint8(field * UTSNAME_FIELD + index, text.charCodeAt(index));
  }
  return memory.writeStruct(args[0], fields.length * UTSNAME_FIELD) ? 0 : -EFAULT;
}
