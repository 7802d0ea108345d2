/** The commands whose start somebody waits for, bundled into one CommonJS file (scripts/lib/bundle.mjs); scripts/cordon chooses. */
import { runCommand } from './command.js';
import { parseRunOptions } from './options.js';
import { runProgram } from './run.js';
import { traceProgram } from './trace.js';

void runCommand({
  run: (args) => runProgram(parseRunOptions(args), { auditLevel: 'off' }),
  trace: (args) => traceProgram(parseRunOptions(args)),
});
