import { MALFORMED_NAME, TRUNCATED_NAME } from './codec.js';
import { ERRNO_TEXTS } from './errno-texts.js';
import type { AuditRecord } from './record.js';
import { hex } from './text.js';

export interface StraceOptions {
  /** `[pid 12] ` in front. */
  readonly pid?: boolean;
  /** Seconds since the run started in front, as `strace -r -ttt` would. */
  readonly timestamps?: boolean;
  /** `<0.000012>` behind: seconds from entry to result. */
  readonly duration?: boolean;
}

/** Codes that only the kernel sees: the call starts again after a signal (`? ERESTARTSYS (…)` in strace). */
const RESTARTS: Readonly<Record<number, string>> = {
  512: 'To be restarted if SA_RESTART is set',
  513: 'To be restarted',
  514: 'To be restarted if no handler',
  516: 'Interrupted by signal',
};

/** One line, without its line end, as strace(1) prints it. Printable ASCII only. */
export function renderStrace(record: AuditRecord, options: StraceOptions = {}): string {
  let line = '';
  if (options.pid) line += `[pid ${record.tid}] `;
  if (options.timestamps) line += `${seconds(record.start)} `;
  const args = record.arguments.map((argument) => argument.text).join(', ');
  if (record.name === TRUNCATED_NAME || record.name === MALFORMED_NAME) return `${line}--- ${record.name}: ${args} ---`;
  line += `${record.name}(${args})`.padEnd(39);
  line += ` = ${renderResult(record)}`;
  if (record.decision !== 'allow') line += ` [${record.decision}]`;
  if (options.duration) line += ` <${seconds(record.duration)}>`;
  return line;
}

/** Calls whose results strace shows in hexadecimal. */
const ADDRESS_RESULTS = new Set(['mmap', 'mremap', 'brk', 'shmat']);

function renderResult(record: AuditRecord): string {
  const { result, error } = record;
  if (result === null) return '?';
  if (error === null) return ADDRESS_RESULTS.has(record.name) && result !== 0 ? hex(result) : String(result);
  const restart = RESTARTS[-result];
  if (restart) return `? ${error} (${restart})`;
  return `-1 ${error} (${ERRNO_TEXTS[-result] ?? `Unknown error ${-result}`})`;
}

function seconds(nanoseconds: number): string {
  return (nanoseconds / 1e9).toFixed(6);
}
