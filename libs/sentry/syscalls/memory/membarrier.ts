import { EINVAL } from '../../abi/errno.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';

const MEMBARRIER_CMD_QUERY = 0;

/** membarrier implements Linux syscall membarrier(2): no command is supported, and the query says so. */
export function membarrier(_task: Task, args: SyscallArguments): number {
  return (args[0] | 0) === MEMBARRIER_CMD_QUERY && (args[1] | 0) === 0 ? 0 : -EINVAL;
}
