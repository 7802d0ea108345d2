import type { SyscallRow } from '../row.js';

/** System calls of the file family: one row each. */
export const fileRows: readonly SyscallRow[] = [];
