import { EFAULT, EINVAL, ENODEV, EPERM } from '../../abi/errno.js';
import { ARCH_GET_CPUID, ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_CPUID, ARCH_SET_FS, ARCH_SET_GS } from '../../abi/prctl.js';
import { getRegister, setRegister } from '../../kernel/registers.js';
import type { Task } from '../../kernel/task.js';
import type { SyscallArguments } from '../../kernel/types.js';
import type { GuestMemory } from '../../mm/types.js';
import { Reg } from '../../platform/platform.js';

/** One past the highest user address (47 bits, less the guard page). */
const TASK_SIZE_MAX = 0x7fff_ffff_f000;

/** arch_prctl implements Linux syscall arch_prctl(2). */
export function archPrctl(task: Task, args: SyscallArguments): number {
  const address = args[1];
  switch (args[0] | 0) {
    case ARCH_SET_FS:
    case ARCH_SET_GS:
      // A non-canonical base would fault in the host's kernel.
      if (address < 0 || address >= TASK_SIZE_MAX) return -EPERM;
      // Shortened calls find their way by GS.
      if ((args[0] | 0) === ARCH_SET_GS && address !== 0) task.memory.callSites.disable();
      setRegister(task.context, (args[0] | 0) === ARCH_SET_FS ? Reg.FS_BASE : Reg.GS_BASE, address);
      return 0;
    default:
      return archPrctlOf(task, args[0] | 0, address, task.memory);
  }
}

/** What does not change the thread: ptrace(2) asks for it, too, and has the answer written to memory of its own. */
export function archPrctlOf(task: Task, option: number, address: number, memory: GuestMemory): number {
  switch (option) {
    case ARCH_GET_FS:
      return memory.writeU64(address, getRegister(task.context, Reg.FS_BASE)) ? 0 : -EFAULT;
    case ARCH_GET_GS:
      return memory.writeU64(address, getRegister(task.context, Reg.GS_BASE)) ? 0 : -EFAULT;
    case ARCH_GET_CPUID:
      return 1;
    case ARCH_SET_CPUID:
      return -ENODEV;
    default:
      return -EINVAL;
  }
}
