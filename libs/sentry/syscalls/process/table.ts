import type { SyscallRow } from '../row.js';

/** System calls of the process family: one row each. */
export const processRows: readonly SyscallRow[] = [];
