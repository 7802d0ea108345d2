import type { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { answer, answered, outputs, outputText } from './answer.js';
import type { Backend, SandboxSummary } from './backend.js';
import { ToolFailure } from './backend.js';
import { auditLevel, environment, limits } from './program-tools.js';

/** Bytes of a file that one answer holds. */
const READ_MOST = 50_000;
const LIST_MOST = 1000;

const sandboxId = z.string().min(1).describe('From create_sandbox');
const path = z.string().min(1).max(4095).describe('Absolute, or relative to /work');
const summaryOutput = z.object({ id: z.string(), state: z.string(), createdAt: z.string(), expiresAt: z.string() });
const asRoot = z.boolean().default(false).describe('As root of the sandbox');
const CHANGES = { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false };
const READS = { readOnlyHint: true, openWorldHint: false };

const duration = (seconds: number): string =>
  seconds % 60 === 0 ? `${seconds / 60} minute${seconds === 60 ? '' : 's'}` : `${seconds} s`;
const described = ({ id, state, expiresAt }: SandboxSummary): string => `${id}: ${state}, until ${expiresAt}`;

/** Tools for sandboxes that live on, and the files in them. */
export function registerSandboxTools(server: McpServer, backend: Backend): void {
  server.registerTool(
    'create_sandbox',
    {
      title: 'Create a sandbox',
      description: `A sandbox that lives on: a Linux system of its own with one file system and many commands. Answers with its id. It ends when it is deleted, its time is over, or it was idle for ${duration(backend.idleSeconds)}.`,
      inputSchema: z.object({
        ttl_seconds: z
          .number()
          .int()
          .min(1)
          .max(86_400)
          .optional()
          .describe('Ends so long from now; 3600 when left out'),
        memory_mb: limits.memory_mb,
        env: environment,
        audit: auditLevel,
      }),
      outputSchema: summaryOutput,
      annotations: { ...CHANGES, destructiveHint: false },
    },
    ({ ttl_seconds, memory_mb, env, audit }) =>
      answered(async () => {
        const made = await backend.createSandbox({ ttlSeconds: ttl_seconds, memoryMb: memory_mb, env, audit });
        return answer({ ...made }, described(made));
      }),
  );

  server.registerTool(
    'list_sandboxes',
    {
      title: 'List sandboxes',
      description: 'The sandboxes there are, newest first, and those that ended lately.',
      inputSchema: z.object({}),
      outputSchema: z.object({ sandboxes: z.array(summaryOutput) }),
      annotations: READS,
    },
    () =>
      answered(async () => {
        const sandboxes = await backend.listSandboxes();
        return answer({ sandboxes: [...sandboxes] }, sandboxes.map(described).join('\n') || 'There is none.');
      }),
  );

  server.registerTool(
    'delete_sandbox',
    {
      title: 'Delete a sandbox',
      description: 'Ends a sandbox, with all programs and files in it. There is no way back.',
      inputSchema: z.object({ sandbox_id: sandboxId }),
      outputSchema: z.object({ id: z.string(), deleted: z.boolean() }),
      annotations: CHANGES,
    },
    ({ sandbox_id }) =>
      answered(async () => {
        await backend.deleteSandbox(sandbox_id);
        return answer({ id: sandbox_id, deleted: true }, `${sandbox_id} is gone.`);
      }),
  );

  server.registerTool(
    'exec_in_sandbox',
    {
      title: 'Run a command in a sandbox',
      description:
        'Runs one shell command (`/bin/sh -c`) in a sandbox, waits for its end, and answers with its output and exit code. Files stay; the working directory and shell variables do not: use `cwd`, `env`, or `cd … && …`. To leave something running, end the line with `>log 2>&1 &`.',
      inputSchema: z.object({
        sandbox_id: sandboxId,
        command: z.string().min(1).describe('A line for /bin/sh'),
        stdin: z.string().optional().describe('Standard input, whole'),
        cwd: path.optional().describe('Working directory; /work when left out'),
        env: environment,
        timeout_ms: z
          .number()
          .int()
          .min(1)
          .max(280_000)
          .default(60_000)
          .describe('Killed after so many milliseconds, with all it started'),
        as_root: asRoot,
      }),
      outputSchema: z.object({
        exitCode: z.number().nullable(),
        signal: z.string().nullable(),
        timedOut: z.boolean(),
        stdout: z.string(),
        stderr: z.string(),
        truncated: z.boolean(),
        cpuMs: z.number(),
        wallMs: z.number(),
      }),
      annotations: CHANGES,
    },
    ({ sandbox_id, command, timeout_ms, as_root, ...rest }, { mcpReq: { signal } }) =>
      answered(async () => {
        const words = ['/bin/sh', '-c', command];
        const whole = { ...rest, command: words, timeoutMs: timeout_ms, root: as_root };
        const done = await backend.exec(sandbox_id, whole, signal);
        const printed = outputs(done);
        const { exitCode, signal: killedBy, timedOut, cpuMs, wallMs } = done;
        const how = timedOut
          ? `timed out after ${timeout_ms} ms and was killed`
          : killedBy !== null
            ? `killed by ${killedBy}`
            : `exit code ${exitCode}`;
        return answer(
          { exitCode, signal: killedBy, timedOut, cpuMs, wallMs, ...printed },
          outputText(`${how}, ${Math.round(wallMs)} ms`, printed),
        );
      }),
  );

  server.registerTool(
    'read_file',
    {
      title: 'Read a file',
      description: `Reads a text file of a sandbox, at most ${READ_MOST} bytes a call; \`offset\` reads on. Other files come as base64.`,
      inputSchema: z.object({
        sandbox_id: sandboxId,
        path,
        offset: z.number().int().min(0).default(0).describe('First byte'),
        length: z.number().int().min(1).max(READ_MOST).default(READ_MOST).describe('Bytes at most'),
        as_root: asRoot,
      }),
      outputSchema: z.object({
        content: z.string(),
        encoding: z.enum(['utf8', 'base64']),
        size: z.number().describe('Bytes of the whole file'),
        nextOffset: z.number().nullable().describe('Where to read on; null at the end'),
      }),
      annotations: READS,
    },
    ({ sandbox_id: id, path: file, offset, length, as_root: root }) =>
      answered(async () => {
        const { bytes, size } = await backend.readFile({ id, path: file, root }, offset, length);
        const { content, encoding, used } = decoded(bytes, offset + bytes.length < size);
        const end = offset + used;
        const nextOffset = end < size ? end : null;
        const note = nextOffset === null ? '' : `\n[… bytes ${end} to ${size} left out: read on with offset=${end}]`;
        const head = encoding === 'base64' ? '[not UTF-8: base64]\n' : '';
        return answer({ content, encoding, size, nextOffset }, `${head}${content}${note}`);
      }),
  );

  server.registerTool(
    'write_file',
    {
      title: 'Write a file',
      description: 'Writes a file of a sandbox, whole: one that is there is replaced, directories are made as needed.',
      inputSchema: z.object({
        sandbox_id: sandboxId,
        path,
        content: z.string(),
        encoding: z.enum(['utf8', 'base64']).default('utf8').describe('base64: content is binary'),
        as_root: asRoot,
      }),
      outputSchema: z.object({ path: z.string(), bytes: z.number() }),
      annotations: { ...CHANGES, idempotentHint: true },
    },
    ({ sandbox_id: id, path: file, content, encoding, as_root: root }) =>
      answered(async () => {
        const bytes = encoding === 'utf8' ? new TextEncoder().encode(content) : fromBase64(content);
        await backend.writeFile({ id, path: file, root }, bytes);
        return answer({ path: file, bytes: bytes.length }, `Wrote ${bytes.length} bytes to ${file}.`);
      }),
  );

  server.registerTool(
    'list_files',
    {
      title: 'List files',
      description: 'What is in a directory of a sandbox.',
      inputSchema: z.object({ sandbox_id: sandboxId, path: path.default('/work'), as_root: asRoot }),
      outputSchema: z.object({
        entries: z.array(z.object({ name: z.string(), type: z.string(), size: z.number() })),
        total: z.number().describe('Entries of the directory; more than are here when they were cut'),
      }),
      annotations: READS,
    },
    ({ sandbox_id: id, path: directory, as_root: root }) =>
      answered(async () => {
        const all = await backend.listFiles({ id, path: directory, root });
        const entries = all.slice(0, LIST_MOST).map(({ name, type, size }) => ({ name, type, size }));
        const lines = entries.map(({ name, type, size }) =>
          type === 'file' ? `${name} (${size} bytes)` : `${name} [${type}]`,
        );
        if (all.length > LIST_MOST) lines.push(`[… ${all.length - LIST_MOST} more: use exec_in_sandbox with find]`);
        return answer({ entries, total: all.length }, lines.join('\n') || 'It is empty.');
      }),
  );
}

/** Text as far as it goes: a character that the end of a piece cuts is left to the next. */
function decoded(bytes: Uint8Array, more: boolean): { content: string; encoding: 'utf8' | 'base64'; used: number } {
  for (let back = 0; back <= (more ? 3 : 0) && back < bytes.length; back++) {
    try {
      const content = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        bytes.subarray(0, bytes.length - back),
      );
      return { content, encoding: 'utf8', used: bytes.length - back };
    } catch {
      // perhaps cut in the middle of a character
    }
  }
  if (bytes.length === 0) return { content: '', encoding: 'utf8', used: 0 };
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return { content: btoa(binary), encoding: 'base64', used: bytes.length };
}

function fromBase64(content: string): Uint8Array {
  try {
    return Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  } catch {
    throw new ToolFailure('content: not valid base64. Correct it, or send text with encoding "utf8".');
  }
}
