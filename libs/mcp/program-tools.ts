import type { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { answer, answered, outputs, outputText } from './answer.js';
import type { Backend, ProgramResult, SystemCall } from './backend.js';

const AUDIT_MOST = 1000;

export const limits = {
  timeout_ms: z
    .number()
    .int()
    .min(1)
    .max(300_000)
    .optional()
    .describe('Killed after so many milliseconds; 10,000 when left out'),
  memory_mb: z.number().int().min(16).max(2048).optional().describe('Memory in MiB; 512 when left out'),
};
export const environment = z.record(z.string(), z.string()).optional().describe('Environment variables to add');
export const auditLevel = z
  .enum(['off', 'security', 'full'])
  .default('security')
  .describe(
    'System calls recorded for get_audit: security (opened for writing, executed, connected …), full (every call), off',
  );

const given = {
  stdin: z.string().optional().describe('Standard input, whole'),
  args: z.array(z.string()).optional().describe('Arguments of the program'),
  env: environment,
  files: z
    .record(z.string(), z.string())
    .optional()
    .describe('Text files to put beside it: path relative to /work → content'),
  audit: auditLevel,
  ...limits,
};

const programOutput = z.object({
  id: z.string().describe('Names the run for get_audit'),
  state: z
    .string()
    .describe('succeeded, failed, timed_out, cpu_exceeded, memory_exceeded, output_exceeded, canceled, error'),
  exitCode: z.number().nullable(),
  signal: z.string().nullable(),
  stdout: z.string(),
  stderr: z.string(),
  truncated: z.boolean(),
  detail: z.string().nullable(),
  cpuMs: z.number(),
  wallMs: z.number(),
});

/** Nothing outside of a sandbox is touched, and each call has its own. */
const ISOLATED = { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: false };
const READS = { readOnlyHint: true, openWorldHint: false };

function programAnswer(done: ProgramResult): ReturnType<typeof answer> {
  const { id, state, exitCode, signal, detail, cpuMs, wallMs } = done;
  const printed = outputs(done);
  const how = signal !== null ? `killed by ${signal}` : exitCode !== null ? `exit code ${exitCode}` : (detail ?? state);
  const headline = `${state} (${how}), ${Math.round(wallMs)} ms, run ${id}`;
  return answer({ id, state, exitCode, signal, detail, cpuMs, wallMs, ...printed }, outputText(headline, printed));
}

/** Tools for programs in a sandbox of their own, and for what they did. */
export function registerProgramTools(server: McpServer, backend: Backend): void {
  server.registerTool(
    'list_runtimes',
    {
      title: 'List languages',
      description: 'The languages that run_code knows here, with their versions.',
      inputSchema: z.object({}),
      outputSchema: z.object({
        runtimes: z.array(z.object({ id: z.string(), name: z.string(), version: z.string() })),
      }),
      annotations: READS,
    },
    () =>
      answered(async () => {
        const runtimes = (await backend.runtimes()).map(({ id, name, version }) => ({ id, name, version }));
        return answer({ runtimes }, runtimes.map(({ id, name, version }) => `${id}: ${name} ${version}`).join('\n'));
      }),
  );

  server.registerTool(
    'run_code',
    {
      title: 'Run code',
      description:
        'Runs a program from its source in a fresh, isolated sandbox and answers with its output and exit code. Nothing is kept between calls: put all it needs into `source`, `stdin` and `files`. Compiled languages are compiled first. There is no network.',
      inputSchema: z.object({
        runtime: z.string().min(1).describe('The language: python, node, c, cpp, go … (list_runtimes has all)'),
        source: z.string().describe('The whole program'),
        ...given,
      }),
      outputSchema: programOutput,
      annotations: ISOLATED,
    },
    ({ timeout_ms, memory_mb, ...program }, { mcpReq: { signal } }) =>
      answered(async () =>
        programAnswer(await backend.run({ ...program, timeoutMs: timeout_ms, memoryMb: memory_mb }, signal)),
      ),
  );

  server.registerTool(
    'run_command',
    {
      title: 'Run a command',
      description:
        'Runs one shell command (`/bin/sh -c`) in a fresh, isolated sandbox and answers with its output and exit code. Nothing is kept between calls; for several steps over the same files use create_sandbox and exec_in_sandbox. There is no network.',
      inputSchema: z.object({ command: z.string().min(1).describe('A line for /bin/sh'), ...given }),
      outputSchema: programOutput,
      annotations: ISOLATED,
    },
    ({ command, args, timeout_ms, memory_mb, ...program }, { mcpReq: { signal } }) =>
      answered(async () => {
        const words = ['/bin/sh', '-c', command, ...(args ? ['sh', ...args] : [])];
        const limited = { ...program, command: words, timeoutMs: timeout_ms, memoryMb: memory_mb };
        return programAnswer(await backend.run(limited, signal));
      }),
  );

  server.registerTool(
    'get_audit',
    {
      title: 'See system calls',
      description:
        'The system calls that a run (id from run_code or run_command) or a sandbox (id from create_sandbox) made, decoded, in order. Filter by name, process or program: `syscalls: ["openat", "connect", "execve"]` answers most questions. Only what the audit level of that run or sandbox recorded is there.',
      inputSchema: z.object({
        id: z.string().min(1).describe('Of a run or of a sandbox'),
        syscalls: z.array(z.string()).max(100).optional().describe('Only these calls, by name'),
        pid: z.number().int().min(1).optional().describe('Only those of this process'),
        programs: z
          .array(z.string().max(15))
          .max(100)
          .optional()
          .describe('Only those of processes with these names, as `program` has them: at most 15 characters'),
        failed_only: z.boolean().default(false).describe('Only those that failed'),
        skip: z.number().int().min(0).default(0).describe('Matching calls to leave out at the beginning'),
        limit: z.number().int().min(1).max(AUDIT_MOST).default(200),
      }),
      outputSchema: z.object({
        calls: z.array(z.object({ pid: z.number(), program: z.string(), call: z.string(), refused: z.boolean() })),
        matched: z.number().describe('All that match; more than there are calls here when they were cut'),
      }),
      annotations: READS,
    },
    ({ id, syscalls, pid, programs, failed_only, skip, limit }) =>
      answered(async () => {
        const calls = [];
        let matched = 0;
        for await (const record of backend.audit(id, { syscalls, pid, programs })) {
          if (failed_only && record.error === null) continue;
          matched++;
          if (matched <= skip || calls.length >= limit) continue;
          const { decision } = record;
          calls.push({ pid: record.pid, program: record.comm, call: line(record), refused: decision !== 'allow' });
        }
        const lines = calls.map((one) => `[${one.pid} ${one.program}] ${one.call}`);
        const rest = matched - skip - calls.length;
        if (rest > 0)
          lines.push(`[… ${rest} more match: narrow the filter, or go on with skip=${skip + calls.length}]`);
        if (matched === 0) lines.push('Nothing matches. Was its audit level high enough (audit: "full")?');
        return answer({ calls, matched }, lines.join('\n'));
      }),
  );
}

/** As strace prints it. */
function line({ name, arguments: parts, result, error }: SystemCall): string {
  const outcome = result === null ? '?' : error === null ? String(result) : `-1 ${error}`;
  return `${name}(${parts.map(({ text }) => text).join(', ')}) = ${outcome}`;
}
