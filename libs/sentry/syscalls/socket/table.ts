import type { SyscallRow } from '../row.js';

/** System calls of the socket family: one row each. */
export const socketRows: readonly SyscallRow[] = [];
