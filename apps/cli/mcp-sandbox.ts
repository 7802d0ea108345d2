import type { Command, CommandResult, FilePlace, FileSummary, SandboxSummary } from '@cordon/mcp';
import { ToolFailure } from '@cordon/mcp';
import { SessionEnded, SessionError, type SessionExit, type SessionHandle } from '@cordon/pool';
import { IdleClock } from './idle-clock.js';
import { KeptOutput } from './mcp-output.js';

export const WORK = '/work';
export const UID = 1000;
const SIGKILL = 9;
const CHUNK = 64 * 1024;

const ADVICE: Readonly<Record<string, string>> = {
  ENOENT: 'There is no such file or program: check the path (list_files), or the name of the program.',
  EACCES: 'No permission: as_root may help.',
  EISDIR: 'It is a directory: use list_files.',
  ENOTDIR: 'It is no directory, or part of the path is none.',
  ENOSPC: 'The sandbox is out of memory for files: remove some, or create a larger one.',
};

/** One sandbox without a server. */
export class DirectSandbox {
  readonly summary: SandboxSummary;
  private readonly idle: IdleClock;

  constructor(
    id: string,
    private readonly session: SessionHandle,
    private readonly env: Readonly<Record<string, string>>,
    { ttlSeconds, idleSeconds }: { ttlSeconds: number; idleSeconds: number },
  ) {
    this.idle = new IdleClock(idleSeconds * 1000, () => this.session.end());
    void session.ended.then(() => this.idle.stop());
    const now = Date.now();
    const expiresAt = new Date(now + ttlSeconds * 1000).toISOString();
    this.summary = { id, state: 'running', createdAt: new Date(now).toISOString(), expiresAt };
  }

  async end(): Promise<void> {
    this.session.end();
    await this.session.ended;
  }

  async flush(): Promise<void> {
    await this.advised(() => this.session.ask({ op: 'flush' }));
  }

  exec({ command, stdin, cwd, env, timeoutMs, root }: Command, signal: AbortSignal): Promise<CommandResult> {
    return this.advised(async () => {
      const output = new KeptOutput();
      const id = root ? 0 : UID;
      let over: (exit: SessionExit | null) => void = () => undefined;
      const ended = new Promise<SessionExit | null>((resolve) => {
        over = resolve;
      });
      const { stream } = await this.session.start(
        {
          argv: command,
          env: Object.entries({ ...this.env, ...env }).map(([name, value]) => `${name}=${value}`),
          cwd: absolute(cwd ?? WORK),
          uid: id,
          gid: id,
          stdin: stdin !== undefined,
          terminal: false,
          timeoutMs: timeoutMs ?? null,
        },
        {
          output: (descriptor, bytes) => output.push(descriptor === 1 ? 'stdout' : 'stderr', bytes),
          exit: over,
          closed: () => over(null),
        },
      );
      const kill = (): void => {
        void this.session.ask({ op: 'signal', process: stream, signal: SIGKILL }).catch(() => undefined);
      };
      signal.addEventListener('abort', kill);
      if (signal.aborted) kill();
      // A program that does not read all of its input has its reasons.
      if (stdin !== undefined) void this.feed(stream, Buffer.from(stdin)).catch(() => undefined);
      const exit = await ended;
      signal.removeEventListener('abort', kill);
      if (exit === null) throw new SessionEnded('the sandbox ended before the command did');
      const { exitCode, signal: killedBy, timedOut, cpuMs, wallMs } = exit;
      return { exitCode, signal: killedBy, timedOut, cpuMs, wallMs, ...output.end() };
    });
  }

  private async feed(process: number, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; at += CHUNK)
      await this.session.ask({ op: 'stdin', process }, bytes.subarray(at, at + CHUNK));
    await this.session.ask({ op: 'stdin', process });
  }

  readFile({ path, root }: FilePlace, offset: number, length: number): Promise<{ bytes: Uint8Array; size: number }> {
    return this.advised(async () => {
      const { reply, bytes } = await this.session.ask({ op: 'read', path: absolute(path), offset, length, root });
      return { bytes, size: reply.size ?? 0 };
    });
  }

  /** Under another name first: nobody sees half of it. */
  writeFile({ path, root }: FilePlace, content: Uint8Array): Promise<void> {
    return this.advised(async () => {
      const to = absolute(path);
      const from = `${to}.partial`;
      let at = 0;
      do {
        const piece = content.subarray(at, at + CHUNK);
        const truncate = at === 0;
        await this.session.ask({ op: 'write', path: from, offset: at, truncate, mode: 0o644, root }, piece);
        at += piece.length;
      } while (at < content.length);
      await this.session.ask({ op: 'move', from, to, root });
    });
  }

  listFiles({ path, root }: FilePlace): Promise<readonly FileSummary[]> {
    return this.advised(async () => {
      const all: FileSummary[] = [];
      for (let offset: number | null = 0; offset !== null; ) {
        const { reply } = await this.session.ask({ op: 'list', path: absolute(path), offset, root });
        all.push(...(reply.entries ?? []));
        offset = reply.next ?? null;
      }
      return all;
    });
  }

  private async advised<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await this.idle.during(work);
    } catch (error) {
      if (error instanceof SessionError)
        throw new ToolFailure(
          [`The sandbox refused it: ${error.errno}.`, ADVICE[error.errno]].filter(Boolean).join(' '),
        );
      if (error instanceof SessionEnded)
        throw new ToolFailure(
          `${this.summary.id} has ended, with all that was in it: create another one with create_sandbox.`,
        );
      throw error;
    }
  }
}

const absolute = (path: string): string => (path.startsWith('/') ? path : `${WORK}/${path}`);
