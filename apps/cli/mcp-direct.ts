import { randomBytes } from 'node:crypto';
import { type DiscoveredRuntime, discoverRuntimes, hostImage, namedAfter } from '@cordon/images';
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
} from '@cordon/mcp';
import { ToolFailure } from '@cordon/mcp';
import { createPool, type RunSpec, type SandboxPool } from '@cordon/pool';
import { AuditLog } from './mcp-audit.js';
import { KeptOutput } from './mcp-output.js';
import { DirectSandbox, UID, WORK } from './mcp-sandbox.js';

const MB = 1 << 20;
const TIMEOUT_MS = 10_000;
const MEMORY_MB = 512;
const SANDBOXES_MOST = 16;
const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: WORK,
  LANG: 'C.UTF-8',
  USER: 'user',
};
const LIMITS = {
  processes: 128,
  outputBytes: 16 * MB,
  fileBytes: 256 * MB,
  openFiles: 1024,
  auditBytes: 16 * MB,
};

/** Cordon without a server: Sentries of a pool of our own. */
export class DirectBackend implements Backend {
  private readonly image = hostImage();
  private pool: Promise<SandboxPool> | null = null;
  private known: Promise<DiscoveredRuntime[]> | null = null;
  private readonly sandboxes = new Map<string, DirectSandbox>();
  private readonly log = new AuditLog();

  constructor(readonly idleSeconds: number) {}

  async close(): Promise<void> {
    await (await this.pool)?.close();
  }

  async runtimes(): Promise<readonly DiscoveredRuntime[]> {
    this.known ??= discoverRuntimes(this.image);
    return this.known;
  }

  async run(program: Program, signal: AbortSignal): Promise<ProgramResult> {
    const found = await this.runtimeOf(program);
    const others = new Set(Object.keys(program.files ?? {}));
    const runtime = found && namedAfter(found, program.source ?? '', others);
    const pool = await this.opened();
    const id = `run_${randomBytes(6).toString('hex')}`;
    const output = new KeptOutput();
    const handle = pool.run(this.spec(id, program, runtime), {
      stdout: (bytes) => output.push('stdout', bytes),
      stderr: (bytes) => output.push('stderr', bytes),
      audit: this.log.open(id, true),
    });
    const cancel = (): void => handle.cancel();
    signal.addEventListener('abort', cancel);
    if (signal.aborted) cancel();
    if (program.stdin) await Promise.race([handle.writeStdin(Buffer.from(program.stdin)), handle.ended]);
    handle.endStdin();
    const { reason, exitCode, signal: killedBy, detail, usage } = await handle.ended;
    signal.removeEventListener('abort', cancel);
    const failed = exitCode !== 0;
    const state = reason === 'exited' ? (failed ? 'failed' : 'succeeded') : reason === 'signaled' ? 'failed' : reason;
    const { cpuMs, wallMs } = usage;
    return { id, state, exitCode, signal: killedBy, detail, ...output.end(), cpuMs, wallMs };
  }

  async createSandbox({ ttlSeconds = 3600, env, memoryMb = MEMORY_MB, audit }: NewSandbox): Promise<SandboxSummary> {
    if (this.sandboxes.size >= SANDBOXES_MOST)
      throw new ToolFailure(`There are ${SANDBOXES_MOST} sandboxes already: delete one with delete_sandbox.`);
    const pool = await this.opened();
    const id = `sbx_${randomBytes(6).toString('hex')}`;
    const session = pool.open(
      {
        ...this.common(id, audit),
        env: [],
        limits: { ...LIMITS, wallTimeMs: ttlSeconds * 1000, cpuTimeMs: ttlSeconds * 1000, memoryBytes: memoryMb * MB },
        files: [],
      },
      { audit: this.log.open(id, false) },
    );
    const sandbox = new DirectSandbox(
      id,
      session,
      { ...ENVIRONMENT, ...env },
      { ttlSeconds, idleSeconds: this.idleSeconds },
    );
    this.sandboxes.set(id, sandbox);
    void session.ended.then(() => {
      this.sandboxes.delete(id);
      this.log.close(id);
    });
    return sandbox.summary;
  }

  async listSandboxes(): Promise<readonly SandboxSummary[]> {
    return [...this.sandboxes.values()].map(({ summary }) => summary).reverse();
  }

  async deleteSandbox(id: string): Promise<void> {
    await this.at(id).end();
  }

  async exec(id: string, command: Command, signal: AbortSignal): Promise<CommandResult> {
    return this.at(id).exec(command, signal);
  }

  async readFile(place: FilePlace, offset: number, length: number): Promise<{ bytes: Uint8Array; size: number }> {
    return this.at(place.id).readFile(place, offset, length);
  }

  async writeFile(place: FilePlace, content: Uint8Array): Promise<void> {
    await this.at(place.id).writeFile(place, content);
  }

  async listFiles(place: FilePlace): Promise<readonly FileSummary[]> {
    return this.at(place.id).listFiles(place);
  }

  async *audit(id: string, filter: AuditFilter): AsyncIterable<SystemCall> {
    await this.sandboxes.get(id)?.flush();
    const records = this.log.find(id, filter);
    if (records === null)
      throw new ToolFailure(`Nothing is known of ${id}: the last 20 runs and living sandboxes are.`);
    yield* records;
  }

  private at(id: string): DirectSandbox {
    const sandbox = this.sandboxes.get(id);
    if (!sandbox) throw new ToolFailure(`There is no sandbox ${id} (any more): list_sandboxes shows which there are.`);
    return sandbox;
  }

  private opened(): Promise<SandboxPool> {
    this.pool ??= createPool({
      image: this.image,
      platform: 'auto',
      spares: 1,
      renewAfter: 1000,
      rehearsals: 0,
    });
    return this.pool;
  }

  private async runtimeOf({ runtime }: Program): Promise<DiscoveredRuntime | null> {
    if (runtime === undefined) return null;
    const found = (await this.runtimes()).find(({ id }) => id === runtime);
    if (!found) throw new ToolFailure(`There is no runtime "${runtime}": call list_runtimes for the names there are.`);
    return found;
  }

  private common(
    id: string,
    auditLevel: RunSpec['auditLevel'],
  ): Pick<RunSpec, 'id' | 'image' | 'cwd' | 'uid' | 'gid' | 'hostname' | 'auditLevel' | 'network' | 'cpus'> {
    const { image } = this;
    return {
      id,
      image,
      cwd: WORK,
      uid: UID,
      gid: UID,
      hostname: 'sandbox',
      auditLevel,
      network: 'loopback',
      cpus: 1,
    };
  }

  private spec(id: string, program: Program, runtime: DiscoveredRuntime | null): RunSpec {
    const { timeoutMs = TIMEOUT_MS, memoryMb = MEMORY_MB, args = [] } = program;
    const files = Object.entries(program.files ?? {}).map(([path, content]) => ({
      path: path.startsWith('/') ? path : `${WORK}/${path}`,
      mode: 0o755,
      content: Buffer.from(content),
    }));
    if (runtime)
      files.push({ path: `${WORK}/${runtime.fileName}`, mode: 0o644, content: Buffer.from(program.source ?? '') });
    return {
      ...this.common(id, program.audit),
      argv: runtime ? commandOf(runtime, args) : [...(program.command ?? [])],
      env: Object.entries({ ...ENVIRONMENT, ...runtime?.env, ...program.env }).map(
        ([name, value]) => `${name}=${value}`,
      ),
      limits: { ...LIMITS, wallTimeMs: timeoutMs, cpuTimeMs: timeoutMs, memoryBytes: memoryMb * MB },
      files,
      stdin: program.stdin ? 'stream' : 'empty',
      terminal: false,
    };
  }
}

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** What runs a source; one that is compiled is compiled in the same sandbox, what the compiler says on stderr. */
function commandOf(runtime: DiscoveredRuntime, args: readonly string[]): readonly string[] {
  const run = [...runtime.run, ...args];
  if (!runtime.compile) return run;
  return ['/bin/sh', '-c', `${runtime.compile.map(quote).join(' ')} 1>&2 && exec "$@"`, 'sh', ...run];
}
