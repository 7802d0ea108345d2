import { runCommand } from './command.js';
import { parseRunOptions } from './options.js';

// Each command loads what it needs, and nothing else.
await runCommand({
  run: async (args) => (await import('./run.js')).runProgram(parseRunOptions(args), { auditLevel: 'off' }),
  trace: async (args) => (await import('./trace.js')).traceProgram(parseRunOptions(args)),
  doctor: async () => (await import('./doctor.js')).doctor(),
  platforms: async () => (await import('./platforms.js')).platforms(),
  mcp: async (args) => (await import('./mcp.js')).serveMcp(args),
});
