import {
  type Cordon,
  CordonError,
  type ExecResult,
  type Execution,
  outputBytes,
  type Sandbox,
  type SandboxInfo,
} from '@cordon/client';
import type {
  AuditFilter,
  Backend,
  Command,
  CommandResult,
  FilePlace,
  FileSummary,
  NewSandbox,
  Program,
  ProgramResult,
  SandboxSummary,
  SystemCall,
} from './backend.js';
import { ToolFailure } from './backend.js';

/** What to do about a refusal, by its type. */
const ADVICE: Readonly<Record<string, string>> = {
  'invalid-request': 'Correct the fields named and call again.',
  'unknown-runtime': 'Call list_runtimes for the names there are.',
  unauthorized: 'The API key is missing or wrong: the person who set this up has to correct it.',
  forbidden: 'The API key lacks a scope: the person who set this up has to grant it.',
  'not-found': 'Check the id: list_sandboxes shows the sandboxes there are; runs are kept for a day.',
  'sandbox-ended': 'What was in it is gone. Create another one with create_sandbox.',
  'rate-limited': 'Wait a moment, then call again.',
  'quota-exceeded': 'The quota of the key is used up: it comes back tomorrow.',
  'sandbox-limit': 'Delete a sandbox that is not needed any more (list_sandboxes, delete_sandbox), then call again.',
  'queue-full': 'The service is busy: wait, then call again.',
  unavailable: 'The service is not ready: wait, then call again.',
};
const ERRNO: Readonly<Record<string, string>> = {
  ENOENT: 'There is no such file or program: check the path (list_files), or the name of the program.',
  EACCES: 'No permission: as_root may help.',
  EISDIR: 'It is a directory: use list_files.',
  ENOTDIR: 'Part of the path is no directory.',
  ENOSPC: 'The sandbox is out of memory for files: remove some, or create a larger one.',
};
const PREFIX = 'urn:cordon:problem:';
const MB = 1 << 20;
/** The server's own default. */
export const IDLE_SECONDS = 900;

const userOf = (root: boolean): { user: 'user' | 'root' } => ({ user: root ? 'root' : 'user' });

function text(data: string, encoding: 'utf8' | 'base64'): string {
  return encoding === 'utf8' ? data : new TextDecoder().decode(outputBytes({ data, encoding }));
}

/** Cordon behind its HTTP API. */
export class ClientBackend implements Backend {
  constructor(
    private readonly cordon: Cordon,
    readonly idleSeconds = IDLE_SECONDS,
  ) {}

  runtimes(): Promise<readonly { id: string; name: string; version: string }[]> {
    return advised(() => this.cordon.runtimes());
  }

  run({ timeoutMs, memoryMb, audit, files, ...program }: Program, signal: AbortSignal): Promise<ProgramResult> {
    return advised(async () => {
      const { executions } = this.cordon;
      const limits = {
        ...(timeoutMs === undefined ? {} : { wallTimeMs: timeoutMs, cpuTimeMs: timeoutMs }),
        ...(memoryMb === undefined ? {} : { memoryBytes: memoryMb * MB }),
      };
      const { id } = await executions.create({
        ...program,
        command: program.command && [...program.command],
        args: program.args && [...program.args],
        files: Object.entries(files ?? {}).map(([path, content]) => ({ path, content })),
        limits,
        audit: { level: audit },
      });
      try {
        return result(await executions.wait(id, { signal }));
      } catch (error) {
        // Nobody waits for it any more.
        if (signal.aborted) await executions.cancel(id).catch(() => undefined);
        throw error;
      }
    });
  }

  createSandbox({ ttlSeconds, env, memoryMb, audit }: NewSandbox): Promise<SandboxSummary> {
    return advised(async () => {
      const limits = memoryMb === undefined ? {} : { memoryBytes: memoryMb * MB };
      const { idleSeconds } = this;
      const body = { ttlSeconds, idleSeconds, env, limits, audit: { level: audit } };
      const sandbox = await this.cordon.sandboxes.create(body);
      return summary(await sandbox.info());
    });
  }

  listSandboxes(): Promise<readonly SandboxSummary[]> {
    return advised(async () => (await this.cordon.sandboxes.list()).map(summary));
  }

  deleteSandbox(id: string): Promise<void> {
    return advised(async () => {
      await this.at(id).delete();
    });
  }

  exec(id: string, { root, command, ...rest }: Command, signal: AbortSignal): Promise<CommandResult> {
    return advised(async () => {
      const body = { ...rest, command: [...command], user: root ? ('root' as const) : ('user' as const) };
      const done: ExecResult = await this.at(id).exec(body, { signal });
      return {
        exitCode: done.exitCode,
        signal: done.signal,
        timedOut: done.timedOut,
        stdout: text(done.stdout, done.stdoutEncoding),
        stderr: text(done.stderr, done.stderrEncoding),
        truncated: done.stdoutTruncated || done.stderrTruncated,
        cpuMs: done.cpuMs,
        wallMs: done.wallMs,
      };
    });
  }

  readFile(
    { id, path, root }: FilePlace,
    offset: number,
    length: number,
  ): Promise<{ bytes: Uint8Array; size: number }> {
    return advised(async () => {
      const { files } = this.at(id);
      const { size } = await files.stat(path, userOf(root));
      const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
      let at = -offset;
      for await (const chunk of await files.stream(path, userOf(root))) {
        const from = Math.max(0, -at);
        if (from < chunk.length) {
          const kept = chunk.subarray(from, from + bytes.length - Math.max(0, at));
          bytes.set(kept, Math.max(0, at));
        }
        at += chunk.length;
        if (at >= bytes.length) break;
      }
      return { bytes, size };
    });
  }

  writeFile({ id, path, root }: FilePlace, content: Uint8Array): Promise<void> {
    return advised(async () => {
      await this.at(id).files.write(path, content, userOf(root));
    });
  }

  listFiles({ id, path, root }: FilePlace): Promise<readonly FileSummary[]> {
    return advised(async () => await this.at(id).files.list(path, userOf(root)));
  }

  async *audit(id: string, { syscalls, pid, programs }: AuditFilter): AsyncIterable<SystemCall> {
    const filter = {
      ...(syscalls ? { syscalls } : {}),
      ...(pid === undefined ? {} : { pid }),
      ...(programs ? { comm: programs } : {}),
    };
    try {
      if (id.startsWith('sbx_')) yield* this.at(id).audit(filter);
      else yield* this.cordon.executions.audit(id, filter);
    } catch (error) {
      throw failure(error);
    }
  }

  private at(id: string): Sandbox {
    return this.cordon.sandboxes.at(id);
  }
}

function result(execution: Execution): ProgramResult {
  const { id, state, exitCode, signal, detail, usage } = execution;
  return {
    id,
    state,
    exitCode,
    signal,
    detail,
    stdout: text(execution.stdout, execution.stdoutEncoding),
    stderr: text(execution.stderr, execution.stderrEncoding),
    truncated: execution.stdoutTruncated || execution.stderrTruncated,
    cpuMs: usage?.cpuMs ?? 0,
    wallMs: usage?.wallMs ?? 0,
  };
}

const summary = ({ id, state, createdAt, expiresAt }: SandboxInfo): SandboxSummary => ({
  id,
  state,
  createdAt,
  expiresAt,
});

async function advised<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw failure(error);
  }
}

function failure(error: unknown): unknown {
  if (error instanceof TypeError)
    return new ToolFailure(`Cordon does not answer (${error.message}). Is its server running?`);
  if (!(error instanceof CordonError)) return error;
  const { type, detail } = error.problem;
  const advice = ERRNO[detail ?? ''] ?? ADVICE[type.startsWith(PREFIX) ? type.slice(PREFIX.length) : ''];
  return new ToolFailure([`${error.message}.`, advice].filter(Boolean).join(' '));
}
