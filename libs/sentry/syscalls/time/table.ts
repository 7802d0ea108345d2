import type { SyscallRow } from '../row.js';

/** System calls of the time family: one row each. */
export const timeRows: readonly SyscallRow[] = [];
