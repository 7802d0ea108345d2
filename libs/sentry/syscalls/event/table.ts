import type { SyscallRow } from '../row.js';

/** System calls of the event family: one row each. */
export const eventRows: readonly SyscallRow[] = [];
