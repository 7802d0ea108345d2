import { EINVAL, EPERM } from '../../abi/errno.js';
import type { SyscallArguments, Task } from '../../kernel/types.js';

const CMD_QUERY = 0;
const CMD_GLOBAL = 1 << 0;
const CMD_GLOBAL_EXPEDITED = 1 << 1;
const CMD_REGISTER_GLOBAL_EXPEDITED = 1 << 2;
const CMD_PRIVATE_EXPEDITED = 1 << 3;
const CMD_REGISTER_PRIVATE_EXPEDITED = 1 << 4;
const CMD_PRIVATE_EXPEDITED_SYNC_CORE = 1 << 5;
const CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 1 << 6;
const CMD_GET_REGISTRATIONS = 1 << 9;
/** All but the two about rseq(2), which is refused. */
const SUPPORTED =
  CMD_GLOBAL |
  CMD_GLOBAL_EXPEDITED |
  CMD_REGISTER_GLOBAL_EXPEDITED |
  CMD_PRIVATE_EXPEDITED |
  CMD_REGISTER_PRIVATE_EXPEDITED |
  CMD_PRIVATE_EXPEDITED_SYNC_CORE |
  CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE |
  CMD_GET_REGISTRATIONS;

/**
 * membarrier implements Linux syscall membarrier(2). All threads of a sandbox share one processor, and a switch between two of them
 * is a full barrier and serialises the instruction stream: there is nothing left to do, but who must register first must do so
 * here, too. -EPERM when it has not, -EINVAL for other commands, and for flags.
 */
export function membarrier({ memory }: Task, args: SyscallArguments): number {
  const command = args[0] | 0;
  if ((args[1] | 0) !== 0) return -EINVAL;
  switch (command) {
    case CMD_QUERY:
      return SUPPORTED;
    case CMD_GLOBAL:
    case CMD_GLOBAL_EXPEDITED:
      return 0;
    case CMD_PRIVATE_EXPEDITED:
      return memory.barriers & CMD_REGISTER_PRIVATE_EXPEDITED ? 0 : -EPERM;
    case CMD_PRIVATE_EXPEDITED_SYNC_CORE:
      return memory.barriers & CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE ? 0 : -EPERM;
    case CMD_REGISTER_GLOBAL_EXPEDITED:
    case CMD_REGISTER_PRIVATE_EXPEDITED:
    case CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
      memory.barriers |= command;
      return 0;
    case CMD_GET_REGISTRATIONS:
      return memory.barriers;
    default:
      return -EINVAL;
  }
}
