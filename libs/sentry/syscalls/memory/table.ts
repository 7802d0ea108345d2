import type { SyscallRow } from '../row.js';

/** System calls of the memory family: one row each. */
export const memoryRows: readonly SyscallRow[] = [];
