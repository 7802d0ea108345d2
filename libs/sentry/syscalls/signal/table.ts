import type { SyscallRow } from '../row.js';

/** System calls of the signal family: one row each. */
export const signalRows: readonly SyscallRow[] = [];
