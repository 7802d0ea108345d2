import { SYS, SYSCALL_NAMES } from '../abi/syscall-numbers.js';
import type { SyscallHandler } from '../kernel/types.js';
import { eventRows } from './event/table.js';
import { fileRows } from './file/table.js';
import { ipcRows } from './ipc/table.js';
import { memoryRows } from './memory/table.js';
import { processRows } from './process/table.js';
import type { SyscallRow } from './row.js';
import { signalRows } from './signal/table.js';
import { socketRows } from './socket/table.js';
import { systemRows } from './system/table.js';
import { threadRows } from './thread/table.js';
import { timeRows } from './time/table.js';

/** Every system call the Sentry knows, by family. A number without a row answers ENOSYS and shows in the audit log. */
export const ROWS: readonly SyscallRow[] = [
  ...fileRows,
  ...memoryRows,
  ...processRows,
  ...signalRows,
  ...timeRows,
  ...threadRows,
  ...eventRows,
  ...socketRows,
  ...ipcRows,
  ...systemRows,
];

/** Row by system call number. */
export const ROW_BY_NUMBER: readonly (SyscallRow | undefined)[] = (() => {
  const table: (SyscallRow | undefined)[] = new Array(SYSCALL_NAMES.length).fill(undefined);
  for (const row of ROWS) {
    const number = SYS[row.name];
    if (table[number]) throw new Error(`system call ${row.name} has two rows`);
    table[number] = row;
  }
  return table;
})();

/** Handler by system call number, for the dispatcher. */
export const HANDLERS: readonly (SyscallHandler | undefined)[] = ROW_BY_NUMBER.map((row) => row?.handler);
