import type { SyscallRow } from '../row.js';

/** System calls of the thread family: one row each. */
export const threadRows: readonly SyscallRow[] = [];
