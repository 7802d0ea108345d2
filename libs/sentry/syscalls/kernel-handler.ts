import type { Task } from '../kernel/task.js';
import type { SyscallArguments, SyscallHandler } from '../kernel/types.js';

/** A handler that needs more of a task than the contract in kernel/types.ts shows: only the kernel's own families do. */
export type KernelHandler = (task: Task, args: SyscallArguments) => number;

/** All tasks are made by the kernel, so this is safe. */
export function kernelHandler(handler: KernelHandler): SyscallHandler {
  return handler as unknown as SyscallHandler;
}
