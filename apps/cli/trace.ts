import { closeSync, openSync, writeSync } from 'node:fs';
import { renderStrace } from '@cordon/sentry/audit/strace';
import type { RunOptions } from './options.js';
import { runProgram } from './run.js';

/** Runs a program and prints its system calls as strace does, to stderr or a file. */
export async function traceProgram(options: RunOptions): Promise<number> {
  const out = options.output === null ? 2 : openSync(options.output, 'w', 0o644);
  const wanted = options.filter ? new Set(options.filter) : null;
  let pids = 0;
  const seen = new Set<number>();
  try {
    // Trace and program would write over each other on one screen: a terminal only when the trace goes elsewhere, or asked for.
    const terminal = out === 2 && options.terminal === 'auto' ? 'no' : options.terminal;
    return await runProgram(
      { ...options, terminal },
      {
        auditLevel: 'full',
        audit: (records) => {
          let text = '';
          for (const record of records) {
            if (!seen.has(record.tid)) {
              seen.add(record.tid);
              pids++;
            }
            if (wanted && !wanted.has(record.name)) continue;
            const prefix = pids > 1 ? `[pid ${record.tid}] ` : '';
            text += `${prefix}${renderStrace(record)}\n`;
          }
          if (text) writeSync(out, text);
        },
      },
    );
  } finally {
    if (out !== 2) closeSync(out);
  }
}
