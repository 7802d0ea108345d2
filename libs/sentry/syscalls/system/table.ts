import type { SyscallRow } from '../row.js';

/** System calls of the system family: one row each. */
export const systemRows: readonly SyscallRow[] = [];
