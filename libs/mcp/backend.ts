/** What the tools need of Cordon, whoever runs the programs. */

export type AuditLevel = 'off' | 'security' | 'full';

export interface Limits {
  readonly timeoutMs?: number | undefined;
  readonly memoryMb?: number | undefined;
}

export interface Program extends Limits {
  /** A language and its source, or a command. */
  readonly runtime?: string | undefined;
  readonly source?: string | undefined;
  readonly command?: readonly string[] | undefined;
  readonly args?: readonly string[] | undefined;
  readonly stdin?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly files?: Readonly<Record<string, string>> | undefined;
  readonly audit: AuditLevel;
}

export interface Output {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Cut before it came here. */
  readonly truncated: boolean;
  readonly cpuMs: number;
  readonly wallMs: number;
}

export interface ProgramResult extends Output {
  /** Names it for `audit`. */
  readonly id: string;
  /** succeeded, failed, timed_out, memory_exceeded … */
  readonly state: string;
  readonly detail: string | null;
}

export interface CommandResult extends Output {
  readonly timedOut: boolean;
}

export interface Command {
  readonly command: readonly string[];
  readonly stdin?: string | undefined;
  readonly cwd?: string | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly timeoutMs?: number | undefined;
  readonly root: boolean;
}

export interface NewSandbox extends Limits {
  readonly ttlSeconds?: number | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly audit: AuditLevel;
}

export interface SandboxSummary {
  readonly id: string;
  readonly state: string;
  readonly createdAt: string;
  readonly expiresAt: string;
}

export interface FileSummary {
  readonly name: string;
  readonly type: string;
  readonly size: number;
}

export interface FilePlace {
  /** Of the sandbox. */
  readonly id: string;
  /** Absolute, or relative to /work. */
  readonly path: string;
  /** Whose permissions hold, and whose new files are: root of the sandbox, or its user. */
  readonly root: boolean;
}

export interface SystemCall {
  readonly pid: number;
  readonly comm: string;
  readonly name: string;
  readonly arguments: readonly { readonly name: string; readonly text: string }[];
  readonly result: number | null;
  readonly error: string | null;
  readonly decision: string;
}

export interface AuditFilter {
  readonly syscalls?: readonly string[] | undefined;
  readonly pid?: number | undefined;
  /** Names of processes. */
  readonly programs?: readonly string[] | undefined;
}

export interface Backend {
  /** A sandbox ends when nothing was asked of it for so many seconds. */
  readonly idleSeconds: number;
  runtimes(): Promise<readonly { readonly id: string; readonly name: string; readonly version: string }[]>;
  run(program: Program, signal: AbortSignal): Promise<ProgramResult>;
  createSandbox(sandbox: NewSandbox): Promise<SandboxSummary>;
  listSandboxes(): Promise<readonly SandboxSummary[]>;
  deleteSandbox(id: string): Promise<void>;
  exec(id: string, command: Command, signal: AbortSignal): Promise<CommandResult>;
  /** Bytes from `offset`, and how many the file has. */
  readFile(place: FilePlace, offset: number, length: number): Promise<{ bytes: Uint8Array; size: number }>;
  writeFile(place: FilePlace, content: Uint8Array): Promise<void>;
  listFiles(place: FilePlace): Promise<readonly FileSummary[]>;
  /** System calls of a run or of a sandbox, in order. */
  audit(id: string, filter: AuditFilter): AsyncIterable<SystemCall>;
}

/** What a tool answers when it cannot: for the model, with what to do about it. */
export class ToolFailure extends Error {
  override readonly name = 'ToolFailure';
}
